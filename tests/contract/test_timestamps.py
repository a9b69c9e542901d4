"""The client reads the instants that the scorer reads, and omits rows whose TS the scorer rejects."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from device_scorer.readings import parse_timestamp
from fleetscore.errors import DataInvalid
from fleetscore.frames import predictions_frame, readings_frame

FIRST, LAST = -62_135_596_800, 253_402_300_799
"""The seconds of the first and the last instant of datetime: no window begins before or ends after them."""

VALID = [
    *("2018-08-28T23:00:00Z", "2018-08-28 23:00", "2018-08-28T23:00:00,5+0530", "2018-08-28T23:00:00.123456789-02"),
    *("9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "1677-01-01T00:00:00.123456789Z", "2018-08-28T23:00:00-00:00"),
    *("0", "-1", "1535497200123", "9200000000001", "253402300799999", "-62135596800000", "10000000000", "999999999"),
]
INVALID = [
    *("1535497200", "01535497200", "9999999999", "1535497200000000", "2018-08-28", "20180828T230000Z", "now", "today"),
    *("2018/08/28T23:00:00Z", " 2018-08-28T23:00:00Z", "2018-08-28T23:00:00Z ", "2018-8-28T23:00:00Z", "NaT", "nan"),
    *("2018-02-30T00:00:00Z", "2018-08-28T23:00:60Z", "2018-08-28T23:00:00+24:00", "2018-08-28T23:00:00.Z"),
    *("2018-08-28t23:00:00z", "2018-08-28T2300", "٢٠١٨-08-28T23:00:00Z", "2018-08-28T23:00:00.1234567890Z", "1e12"),
]


def scorer_instant(text: str) -> int | None:
    try:
        found = parse_timestamp(text)
    except (ValueError, OverflowError):
        return None
    return found if FIRST <= found <= LAST else None


def client_instants(*texts: str) -> list[int]:
    rows = "".join(f'"{text}",press-1,temp,1\n' for text in texts)
    frame = readings_frame(f"TS,Device,Tag,Value\n{rows}".encode(), "a.csv")
    return [
        (one.to_pydatetime(warn=False) - datetime.fromtimestamp(0, UTC)) // timedelta(seconds=1) for one in frame["TS"]
    ]


def prediction_instants(text: str) -> int:
    header = "TS,Device,Tag,Val,Prediction,Score\n"
    return len(predictions_frame(f'{header}"{text}",press-1,temp,1,0,1\n'.encode(), "a.csv"))


@pytest.mark.parametrize("text", VALID)
def test_client_reads_each_form_of_ts_as_the_scorer(text: str) -> None:
    assert client_instants(text) == [scorer_instant(text)] != [None]
    assert prediction_instants(text) == 1


@pytest.mark.parametrize("text", INVALID)
def test_client_omits_readings_whose_ts_the_scorer_rejects(text: str) -> None:
    assert (client_instants(text), scorer_instant(text)) == ([], None)
    with pytest.raises(DataInvalid, match=r"a\.csv is invalid: TS .* is neither ISO 8601 nor epoch milliseconds"):
        prediction_instants(text)


def test_forms_of_ts_in_one_file_do_not_affect_each_other() -> None:
    for texts in (VALID + INVALID, INVALID + VALID[::-1], [*VALID[::-1], *INVALID]):
        assert client_instants(*texts) == [at for text in texts if (at := scorer_instant(text)) is not None]


@given(
    st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)),  # noqa: DTZ001  the offset is drawn apart
    st.integers(-1439, 1439),
    st.text("0123456789", max_size=10),
)
@example(datetime(2018, 8, 28), 0, "")  # noqa: DTZ001
def test_any_instant_is_the_same_for_the_client_and_the_scorer(at: datetime, minutes: int, fraction: str) -> None:
    zone = timezone(timedelta(minutes=minutes))
    text = at.replace(microsecond=0, tzinfo=zone).isoformat()
    text = f"{text[:19]}.{fraction}{text[19:]}" if fraction else text
    expected = scorer_instant(text)
    assert client_instants(text) == ([] if expected is None else [expected])


@given(st.text("0123456789-:+.,TZ /", max_size=30))
def test_any_text_is_an_instant_for_both_or_neither(text: str) -> None:
    expected = scorer_instant(text)
    assert client_instants(text) == ([] if expected is None else [expected])
