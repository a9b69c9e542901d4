"""Scoring of one device's window in memory: labels, counts and errors."""

import csv
import io
import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_scorer.contract.outcome_message import RowCounts
from device_scorer.errors import DataInvalid, DataTooLarge, DeadlineExceeded, ModelInvalid, ModelNotFound
from device_scorer.scoring.row_statistics import MAX_NOTES
from device_scorer.scoring.scorer import (
    CACHE_SIZE,
    CHUNK_ROWS,
    Scorer,
)
from device_scorer.settings import Limits
from tests.testkit.scorer_fleet import WINDOW, csv_of

TS = "2018-08-28T23:00:05Z"


class AboveTen:
    """A model that labels values above ten as anomalies, and records the values that it gets."""

    sklearn_version = "1"

    def __init__(self, *, with_scores: bool = True) -> None:
        self.values: list[float] = []
        self.with_scores = with_scores

    def predict(self, values: Sequence[float]) -> tuple[list[int], list[float] | None]:
        self.values += values
        return [int(value > 10) for value in values], [10 - value for value in values] if self.with_scores else None


def a_scorer(*contents: bytes, models: dict[str, AboveTen] | None = None, **limits: float) -> Scorer:
    scorer = Scorer("d", WINDOW, models or {"1": AboveTen()}, limits=Limits(**limits))  # type: ignore[arg-type]  # a fake model; numbers
    for content in contents:
        scorer.add_partition(content, check_deadline=lambda: None)
    return scorer


def predictions(scorer: Scorer) -> bytes:
    """Return the content of a finished scorer."""
    rows = scorer.finish()
    assert rows is not None
    return rows.content


def test_rows_are_scored_in_chunks_of_8192_with_a_cache_of_50000_values() -> None:
    assert (CHUNK_ROWS, CACHE_SIZE, MAX_NOTES) == (8192, 50_000, 3)


def test_rows_that_no_window_scores_are_named_with_their_times() -> None:
    rows = csv_of(("2018-08-28T22:59:00Z", "d", "1", "1"), (TS, "d", "1", "1"), ("2018-08-29T00:00:00Z", "d", "1", "1"))
    remarks = []
    for whole_partitions in (False, True):
        scorer = Scorer("d", WINDOW, {"1": AboveTen()}, limits=Limits(), whole_partitions=whole_partitions)
        scorer.add_partition(rows, check_deadline=lambda: None)
        remarks.append(scorer.remarks)
    outside = "rows outside of the window: 2, from 2018-08-28T22:59:00Z to 2018-08-29T00:00:00Z"
    assert remarks == [[], [f"{outside}; no window scores them, so store them in the files of their times"]]


@pytest.mark.fault("D3")
def test_rows_keep_their_order_and_text() -> None:
    scorer = a_scorer(csv_of(("2018-08-28 23:00:20.000", "d", "1", "10.50"), ("1535497205000", "d", "1", " 9")))
    assert predictions(scorer) == (
        b"TS,Device,Tag,Val,Prediction,Score\n"
        b"2018-08-28 23:00:20.000,d,1,10.50,1,-0.500000000\n"
        b"1535497205000,d,1, 9,0,1.000000000\n"
    )


def test_the_window_is_half_open_in_every_zone() -> None:
    times = [
        "2018-08-28T22:59:59.999999999Z",
        "2018-08-28T23:00:00Z",
        "2018-08-29T01:59:59.999+02:00",
        "2018-08-29T00:00:00Z",
    ]
    scorer = a_scorer(csv_of(*((ts, "d", "1", "1") for ts in times)))
    assert [line.split(b",")[0].decode() for line in predictions(scorer).splitlines()[1:]] == times[1:3]


def test_ids_with_commas_or_quotes_are_quoted() -> None:
    scorer = a_scorer(b'TS,Device,Tag,Value\n"2018-08-28T23:00:05,5",d,"a,""b""",1\n', models={'a,"b"': AboveTen()})
    assert predictions(scorer).splitlines()[1] == b'"2018-08-28T23:00:05,5",d,"a,""b""",1,0,9.000000000'


def test_more_values_than_the_cache_holds_are_scored_correctly() -> None:
    first, again = range(CACHE_SIZE + 1), range(0, CACHE_SIZE, 2)  # the last chunks have both known and new values
    numbers = [*first, *(number for known in again for number in (known, -known - 1))]
    scorer = a_scorer(csv_of(*((TS, "d", "1", str(number)) for number in numbers)))
    labels = [int(line.split(b",")[4]) for line in predictions(scorer).splitlines()[1:]]
    assert labels == [int(number > 10) for number in numbers]


@pytest.mark.fault("D1")
def test_bad_values_are_counted_and_not_labelled() -> None:
    good = [(TS, "d", "1", "1")] * 4
    scorer = a_scorer(csv_of(*good, (TS, "d", "1", "NaN"), (TS, "d", "1", "inf"), (TS, "d", "1", "")))
    assert (scorer.statistics.rows, scorer.statistics.bad_rows) == (4, 3)
    assert scorer.finish()


@pytest.mark.fault("D1")
def test_too_many_bad_lines_fail_the_device_with_an_example() -> None:
    scorer = a_scorer(csv_of((TS, "d", "1", "1"), (TS, "d", "1", "oops"), (TS, "d", "1", "")))
    with pytest.raises(DataInvalid, match=r"2 of 3 lines are not readings.*oops"):
        scorer.finish()
    assert a_scorer(csv_of((TS, "d", "1", "1"), (TS, "d", "1", "oops")), max_bad_share=0.5).finish()


def test_device_with_exactly_the_allowed_share_of_bad_lines_is_scored() -> None:
    lines = [(TS, "d", "1", "1")] * 71 + [(TS, "d", "1", "oops")] * 29  # 100 * 0.29 is less than 29 in binary
    assert a_scorer(csv_of(*lines), max_bad_share=0.29).finish()


@pytest.mark.fault("D5")
def test_truncated_last_line_is_counted_but_is_not_a_failure() -> None:
    scorer = a_scorer(csv_of((TS, "d", "1", "1")) + f"{TS},d,1,9".encode())
    rows = scorer.finish()
    assert rows is not None
    assert (rows.content, rows.row_counts) == (predictions(scorer), RowCounts(rows=1, bad_rows=1))
    assert (scorer.statistics.rows, scorer.statistics.bad_rows, scorer.statistics.truncated_rows) == (1, 0, 1)


@pytest.mark.fault("D9")
@pytest.mark.parametrize("start", ["\r", " "])
def test_sample_of_a_bad_row_shows_what_its_line_begins_with(start: str) -> None:
    row = f"{TS},d,1,1"
    notes = a_scorer(f"TS,Device,Tag,Value\n{start}{row}\n".encode()).statistics.notes
    assert notes == [f"TS is neither ISO 8601 nor epoch milliseconds: {start + row!r}"]


def test_rows_of_other_devices_are_counted_as_foreign() -> None:
    scorer = a_scorer(csv_of((TS, "001", "1", "1"), (TS, " d", "1", "1"), (TS, "d", "1", "1")))
    assert (scorer.statistics.rows, scorer.statistics.foreign_rows) == (1, 2)


def test_rows_of_a_tag_without_model_are_counted_as_unscored() -> None:
    scorer = a_scorer(csv_of((TS, "d", "1", "1"), (TS, "d", "x", "1")))
    assert scorer.finish()
    assert (scorer.statistics.rows, scorer.statistics.unscored_rows) == (1, 1)


def test_readings_of_only_unmodelled_tags_fail_the_device() -> None:
    with pytest.raises(ModelNotFound, match="none of the tags in its 1 reading"):
        a_scorer(csv_of((TS, "d", "x", "1"))).finish()


@pytest.mark.fault("D4")
@pytest.mark.parametrize("content", [b"", csv_of(), csv_of(("2018-08-28T22:00:00Z", "d", "1", "1"))])
def test_window_without_readings_has_no_result(content: bytes) -> None:
    assert a_scorer(content).finish() is None


@pytest.mark.fault("D3")
def test_duplicate_rows_are_kept_and_equal_values_are_scored_once() -> None:
    model = AboveTen()
    scorer = a_scorer(csv_of(*[(TS, "d", "1", "5")] * 3, (TS, "d", "1", "5.0")), models={"1": model})
    assert scorer.statistics.rows == 4
    assert model.values == [5.0]


@pytest.mark.fault("T15")
def test_more_rows_than_the_limit_fail_the_device() -> None:
    with pytest.raises(DataTooLarge, match=r"more than the 10 readings that are allowed; raise FLEETSCORE_MAX_ROWS"):
        a_scorer(csv_of(*[(TS, "d", "1", "1")] * 11), max_rows=10)


def test_deadline_is_checked_between_chunks() -> None:
    def late() -> None:
        raise DeadlineExceeded("late")

    scorer = a_scorer()
    with pytest.raises(DeadlineExceeded):
        scorer.add_partition(csv_of(*[(TS, "d", "1", "1")] * (CHUNK_ROWS + 1)), check_deadline=late)


def test_chunks_do_not_change_the_bytes() -> None:
    rows = [(TS, "d", "1", str(number % 20)) for number in range(CHUNK_ROWS + 5)]
    whole = a_scorer(csv_of(*rows))
    halves = a_scorer(csv_of(*rows[:7]), csv_of(*rows[7:]))
    assert whole.finish() == halves.finish()
    assert vars(whole.statistics) == vars(halves.statistics)


def test_model_without_scores_leaves_the_score_empty() -> None:
    scorer = a_scorer(csv_of((TS, "d", "1", "11")), models={"1": AboveTen(with_scores=False)})
    assert predictions(scorer).splitlines()[1].endswith(b",1,")


def test_finish_returns_the_content_and_the_row_counts() -> None:
    scorer = a_scorer(csv_of((TS, "d", "1", "11"), (TS, "d", "x", "1"), (TS, "d", "1", "1"), (TS, "d", "1", "oops")))
    rows = scorer.finish()
    assert rows is not None
    assert rows.row_counts == RowCounts(rows=2, bad_rows=1, unscored_rows=1, anomalies=1)
    assert rows.content.count(b"\n") == 3


def test_notes_are_at_most_three_different_ones() -> None:
    scorer = a_scorer(csv_of(*[(TS, "d", "1", f"oops{number // 2}") for number in range(9)]))
    assert scorer.statistics.notes == [f"Value is not a number: 'oops{number}'" for number in range(3)]


@pytest.mark.parametrize("tags", [1, 8])
def test_cache_of_a_device_is_cleared_above_its_limit_for_all_tags(tags: int) -> None:
    rows = [(TS, "d", str(number % tags), str(number)) for number in range(7 * CHUNK_ROWS)]
    model = AboveTen()
    a_scorer(csv_of(*rows, *rows[:CHUNK_ROWS]), models={str(tag): model for tag in range(tags)})
    assert 7 * CHUNK_ROWS > 50_000
    assert model.values.count(0.0) == 2


def test_rows_of_tags_without_a_model_count_towards_the_limit() -> None:
    unscored = csv_of(*[(TS, "d", "x", "1")] * 10, (TS, "d", "1", "1"))
    with pytest.raises(DataTooLarge):
        a_scorer(unscored, max_rows=10)
    assert a_scorer(unscored, max_rows=11).statistics.unscored_rows == 10


class Failing(AboveTen):
    """A model that fails on values below zero."""

    def predict(self, values: Sequence[float]) -> tuple[list[int], list[float] | None]:
        if min(values) < 0:
            raise ModelInvalid("it cannot evaluate -1")
        return super().predict(values)


def test_model_that_fails_on_its_rows_leaves_the_other_tags() -> None:
    content = csv_of((TS, "d", "1", "1"), (TS, "d", "2", "-1"), (TS, "d", "2", "oops"))
    rows = a_scorer(content, models={"1": AboveTen(), "2": Failing()}).finish()
    assert rows is not None
    assert rows.content.count(b"\n") == 2
    assert rows.row_counts == RowCounts(rows=1, bad_rows=1, unscored_rows=1, anomalies=0)
    assert [str(error) for error in rows.failed.values()] == ["it cannot evaluate -1"]
    assert ([tag.tag for tag in rows.digest.tags], rows.digest.unmodelled) == (["1"], (("2", 1),))


def test_model_that_fails_in_a_later_chunk_keeps_the_labels_of_the_earlier_ones() -> None:
    chunk = csv_of(*[(TS, "d", "1", "1")] * CHUNK_ROWS, (TS, "d", "1", "-1"), (TS, "d", "1", "2"))
    rows = a_scorer(chunk, csv_of((TS, "d", "1", "3")), models={"1": Failing()}).finish()
    assert rows is not None
    assert rows.row_counts == RowCounts(rows=CHUNK_ROWS, bad_rows=0, unscored_rows=3, anomalies=0)
    assert (list(rows.failed), rows.digest.tags[0].rows) == (["1"], CHUNK_ROWS)


def test_device_fails_if_the_models_of_all_its_readings_fail() -> None:
    with pytest.raises(ModelInvalid, match="none of its 1 tag can be scored; tag '1': it cannot evaluate -1"):
        a_scorer(csv_of((TS, "d", "1", "-1"), (TS, "d", "x", "1")), models={"1": Failing(), "2": Failing()}).finish()


class Infinite(AboveTen):
    """A model that cannot evaluate large values."""

    def predict(self, values: Sequence[float]) -> tuple[list[int], list[float] | None]:
        return [int(value > 10) for value in values], [10 - value if value < 1e9 else math.nan for value in values]


def test_value_without_a_score_is_an_anomaly_and_the_others_are_labelled() -> None:
    scorer = a_scorer(csv_of((TS, "d", "1", "1e149"), (TS, "d", "1", "1")), models={"1": Infinite()})
    endings = [line.rsplit(b",", 2)[1:] for line in predictions(scorer).splitlines()[1:]]
    assert endings == [[b"1", b""], [b"0", b"9.000000000"]]
    assert scorer.remarks == ["the model of tag '1' cannot evaluate 1e+149: it is an anomaly without a score"]


TAG_TEXTS = st.text(st.characters(exclude_characters="\n\0", exclude_categories=["Cs"]), min_size=1, max_size=6)


@given(TAG_TEXTS, st.sampled_from(["1", " 1", "1\r", "\r1"]))
def test_every_text_survives_a_round_trip_through_csv(tag: str, value: str) -> None:
    line = ",".join('"' + text.replace('"', '""') + '"' for text in (TS, "d", tag, value))
    scorer = a_scorer(f"TS,Device,Tag,Value\n{line}\n".encode(), models={tag: AboveTen()})
    content = predictions(scorer)
    _, row = csv.reader(io.StringIO(content.decode(), newline=""))
    assert row[:4] == [TS, "d", tag, value]


def test_row_with_a_nul_character_is_bad() -> None:
    scorer = a_scorer(f"TS,Device,Tag,Value\n{TS},d,1,1\n{TS},d,a\0b,1\n".encode())
    assert (scorer.statistics.rows, scorer.statistics.bad_rows) == (1, 1)
    assert "the line has a NUL character" in scorer.remarks[0]
