import argparse

import pytest
from hack import reference


def test_table_escapes_the_bars_of_its_cells() -> None:
    assert reference.table("field | type", [("a", "x|y"), ("b", "")]) == (
        "| field | type |\n|---|---|\n| `a` | x\\|y |\n| `b` |  |\n"
    )


@pytest.mark.parametrize("field", ["window.start", "devices.ids", "conditions[].reason"])
def test_nested_fields_of_a_run_have_their_path(field: str) -> None:
    assert f"| `{field}` |" in reference.run_fields()


def test_metrics_have_the_suffix_of_their_type_and_their_labels() -> None:
    rows = [row.split(" | ") for row in reference.metrics().splitlines()[2:]]
    assert len(rows) > 20
    assert [name for name, kind, *_ in rows if (kind == "counter") is not name.endswith("_total`")] == []
    (runs,) = [row for row in rows if row[0] == "| `fleetscore_runs_total`"]
    assert runs[1] == "counter"
    assert runs[2].startswith("fleet, ")


def test_both_programs_have_a_section_for_every_command() -> None:
    text = reference.commands()
    assert {"## scoring-operator", "## device-scorer"} <= set(text.splitlines())
    assert "create-run" in text
    assert "simulate" in text


@pytest.mark.parametrize(
    ("arguments", "options", "row"),
    [
        (["device"], {"help": "The id."}, ("DEVICE", "required", "The id.")),
        (["--store"], {"metavar": "FOLDER", "help": "The folder."}, ("--store FOLDER", "", "The folder.")),
        (["--rows"], {"default": 5, "help": "At most %(default)s."}, ("--rows ROWS", "`5`", "At most 5.")),
        (["--check"], {"action": "store_true", "help": "100%%."}, ("--check", "", "100%.")),
        (["-o"], {"choices": ["a", "b"], "required": True, "help": ""}, ("-o {a,b}", "required", "")),
    ],
    ids=["argument", "option", "default", "switch", "choices"],
)
def test_option_is_shown_with_its_value_and_default(
    arguments: list[str], options: dict[str, object], row: tuple[str, str, str]
) -> None:
    parser = argparse.ArgumentParser()
    action = parser.add_argument(*arguments, **options)  # type: ignore[arg-type]  # the options of one argument each
    assert reference._argument(action) == row


def test_indented_lines_of_a_help_text_become_code() -> None:
    assert reference._text("One.\n\n  run a\n  run b\nTwo.\n") == "One.\n\n```text\nrun a\nrun b\n```\nTwo."
    assert reference._text(None) == ""
