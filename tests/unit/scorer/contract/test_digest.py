"""The digest in the metadata of predictions."""

import json
import zlib
from base64 import b64decode, b64encode
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_scorer.contract import digest
from device_scorer.contract.digest import (
    BUCKET_COUNT,
    FLAGS,
    MAX_DETAIL_CHARS,
    MAX_DIGEST_CHARS,
    MAX_INTEGER,
    MAX_TAG_CHARS,
    MAX_TAGS,
    MAX_TEXT_CHARS,
    MAX_UNMODELLED_TAGS,
    MIN_WHOLE_TAGS,
    DeviceDigest,
    SensorFlag,
    TagDigest,
    decode_digest,
    encode_digest,
)


def a_tag(name: str = "t", **changes: Any) -> TagDigest:
    tag = TagDigest(name, 100, 2, 1535497200, 1535500799, -1.5, 2.25, 0.125, 60, 3)
    texts = {"first_anomaly": "2018-08-28T23:10:00Z", "last_anomaly": "2018-08-28T23:50:00Z"}
    worst = {"worst_ts": "2018-08-28T23:20:00Z", "worst_value": "1.10", "worst_score": -0.5}
    return tag._replace(**{**texts, **worst, **changes})


def a_digest(*tags: TagDigest) -> DeviceDigest:
    return DeviceDigest(tags or (a_tag(),), 1535500799, tuple([3] + [0] * 59))


def packed(document: object) -> str:
    return "1." + b64encode(zlib.compress(json.dumps(document).encode())).decode()


def unpacked(text: str) -> Any:
    return json.loads(zlib.decompress(b64decode(text[2:])))


def test_digest_is_read_back_as_written() -> None:
    flags = (SensorFlag("stuck", 1535497200, "the same value for 50 min"), SensorFlag("sparse"))
    digest = a_digest(a_tag("b"), a_tag('ä,"\r\n\x00', flags=flags), TagDigest("silent", bad_rows=4))
    text = encode_digest(digest)
    assert decode_digest(text) == digest
    assert text.isascii()


def test_tags_without_a_model_with_the_most_rows_are_kept() -> None:
    pairs = tuple((f"t{number:02}", number) for number in range(25))
    decoded = decode_digest(encode_digest(DeviceDigest(unmodelled=(*pairs, ("x" * 65, 99)))))
    assert decoded is not None
    assert decoded.unmodelled == tuple(reversed(pairs))[:20]


def test_digest_of_a_device_without_rows_is_read_back() -> None:
    assert decode_digest(encode_digest(DeviceDigest())) == DeviceDigest()


def test_digest_has_at_most_4096_characters() -> None:
    tags = [a_tag(f"sensor-{number * 7919 % 1000}", anomalies=number % 100, mean=number / 7) for number in range(1000)]
    flagged = tags[500]._replace(anomalies=0, flags=(SensorFlag("jumpy"),))
    text = encode_digest(a_digest(*tags[:500], flagged, *tags[501:]))
    decoded = decode_digest(text)
    assert decoded is not None
    assert len(text) <= MAX_DIGEST_CHARS == 4096
    assert len(decoded.tags) + decoded.left_out_tags == 1000
    assert len(decoded.tags) > 40
    assert flagged in decoded.tags
    assert min(tag.anomalies for tag in decoded.tags if not tag.flags) >= 60


@pytest.mark.parametrize(("count", "named"), [(40, 40), (200, 200), (390, 300)])
def test_faulty_sensors_are_named_although_their_figures_do_not_fit(count: int, named: int) -> None:
    tags = [
        TagDigest(
            f"Line7.Station{number // 10}.Sensor{number:03}.PV",
            240,
            minimum=number / 7,
            maximum=number / 3,
            mean=number / 5,
            flags=(SensorFlag("stuck", 1_535_497_200 + number, f"the same value for {number * 7919 % 1000} min"),),
        )
        for number in range(count)
    ]
    decoded = decode_digest(encode_digest(DeviceDigest(tuple(tags), 1)))
    assert decoded is not None
    assert len(decoded.tags) >= named
    assert len(decoded.tags) + decoded.left_out_tags == count
    assert {flag.name for tag in decoded.tags for flag in tag.flags} == {"stuck"}
    assert sum(tag in tags for tag in decoded.tags) >= 10


def test_flags_of_tags_that_do_not_fit_are_counted_with_their_anomalies() -> None:
    tags = [a_tag(f"s{number * 7919:x}", anomalies=3, flags=(SensorFlag("jumpy"),)) for number in range(900)]
    decoded = decode_digest(encode_digest(DeviceDigest((*tags, a_tag("x" * 257, flags=(SensorFlag("stuck"),))))))
    assert decoded is not None
    left_out = 900 - len(decoded.tags)
    assert decoded.left_out_flags[:-1] == (0, 0, 0, 1, 0, left_out)
    assert decoded.left_out_flags[-1] == left_out * 3 + a_tag().anomalies
    again = decode_digest(encode_digest(decoded))
    assert again == decoded


@pytest.mark.parametrize("flags", [[[1]], [[0] * 6 + [-1]], [[0] * 8], [[2, *[0] * 6]], [[0] * 7, []], [["1"] * 7]])
def test_digest_with_invalid_counts_of_left_out_flags_is_rejected(flags: list[Any]) -> None:
    document = [0, 1, [], [], []]
    assert decode_digest(packed([*document, [1, *[0] * 6]])) is not None
    assert decode_digest(packed(document + flags)) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"tag": "x" * (MAX_TAG_CHARS + 1)},
        {"tag": "\ud800"},
        {"worst_value": "1" * (MAX_TEXT_CHARS + 1)},
        {"rows": MAX_INTEGER + 1},
        {"worst_score": float("-inf")},
        {"mean": float("nan")},
        {"flags": (SensorFlag("stuck", 0, "x" * (MAX_DETAIL_CHARS + 1)),)},
    ],
)
def test_tag_that_does_not_fit_is_left_out_and_counted(changes: dict[str, Any]) -> None:
    decoded = decode_digest(encode_digest(a_digest(a_tag("kept"), a_tag("other")._replace(**changes))))
    assert decoded is not None
    assert [tag.tag for tag in decoded.tags] == ["kept"]
    assert decoded.left_out_tags == 1


@pytest.mark.parametrize("position", range(16))
@pytest.mark.parametrize("value", [None, True, -1, "x", 10**15, 10**400, 1e308, [], {}, [["stuck", 0]], "y" * 300])
def test_field_of_another_kind_makes_the_digest_invalid(position: int, value: object) -> None:
    document = unpacked(encode_digest(a_digest()))
    before = document[4][0][position]
    document[4][0][position] = value
    decoded = decode_digest(packed(document))
    if decoded is not None:  # the value happens to be a valid one
        assert type(value) is type(before) or (isinstance(value, int) and isinstance(before, (int, float)))
        assert decode_digest(encode_digest(decoded)) == decoded


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1.",
        "2." + encode_digest(a_digest())[2:],
        encode_digest(a_digest())[:-4],
        encode_digest(a_digest()) + "AAAA",
        "1." + "A" * 5000,
        "1.ä",
        packed([0, 0, [], [], [], 0]),
        packed([0, 0, [1], [], []]),
        packed([0, -1, [], [], []]),
        packed([0, 0, [-1] + [0] * 59, [], []]),
        packed([10**15, 0, [], [], []]),
        packed([0, 0, [], [["t", -1]], []]),
        packed([0, 0, [], [["t", "1"]], []]),
        packed([0, 0, [], [["t" * 65, 1]], []]),
        packed([0, 0, [], [["t", 1]] * 21, []]),
        packed({"a": 1}),
        packed("text"),
        packed([0, 0, [], [], [["t"]]]),
        packed([0, 0, [], [], [unpacked(encode_digest(a_digest()))[4][0]] * 2]),
        packed([0, 0, [], [], [float("nan")]]),
        "1." + b64encode(zlib.compress(b"[" * 60_000)).decode(),
        "1." + b64encode(zlib.compress(b"[0,0,[],[]," + b" " * 10**6 + b"[]]", 9)).decode(),
        "1." + b64encode(zlib.compress(b"9" * 5000)).decode(),
    ],
)
def test_other_text_is_not_a_digest(text: str) -> None:
    assert decode_digest(text) is None


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 400))
def test_changed_bytes_give_a_valid_digest_or_none(noise: bytes, at: int) -> None:
    plain = json.dumps(unpacked(encode_digest(a_digest(a_tag("a"), a_tag("b"))))).encode()
    changed = plain[:at] + noise + plain[at + len(noise) :]
    decoded = decode_digest("1." + b64encode(zlib.compress(changed)).decode())
    assert decoded is None or decode_digest(encode_digest(decoded)) == decoded


def test_digest_has_400_tags_60_buckets_and_six_flags_at_most() -> None:
    assert (BUCKET_COUNT, MAX_TAGS, MAX_TAG_CHARS, MAX_TEXT_CHARS, MAX_DETAIL_CHARS) == (60, 400, 256, 64, 160)
    assert (MIN_WHOLE_TAGS, MAX_UNMODELLED_TAGS, digest._MAX_UNPACKED_BYTES) == (10, 20, 65_536)
    assert MAX_INTEGER == 999_999_999_999_999
    assert FLAGS == ("silent", "sparse", "stale", "stuck", "implausible", "jumpy")
