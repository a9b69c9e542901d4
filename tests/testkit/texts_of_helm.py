"""Texts and numbers of the values as Helm writes them in the fleets file, which YAML 1.1 reads in another way."""

TEXTS_OF_HELM = [
    "=", "<<", "2026-02-30", "2026-11-29", "2001-12-14 21:59:43.10 -5", "text",
    "0x_", "0b_", "0x123456789abcdef01", "1e400", "1.5e+400", "1e", "1e-05x",
]  # fmt: skip
"""Texts without quotes."""

NUMBERS_OF_HELM = {
    "0": 0, "-7": -7, "1000000": 1_000_000, "12345678901234567000": 12345678901234567000, "0.1": 0.1, "-30.25": -30.25,
    "1e-05": 0.00001, "-5e-05": -0.00005, "1.5e-07": 0.00000015, "1e-300": 1e-300, "1e+20": 1e20, "2.5e+149": 2.5e149,
}  # fmt: skip
"""Numbers by their texts."""
