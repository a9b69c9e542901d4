"""One device's window judged in memory: what is labelled, counted, refused."""

from collections.abc import Sequence

import pytest

from device_scorer.errors import DataInvalid, DataTooLarge, DeadlineExceeded, ModelInvalid, ModelNotFound
from device_scorer.models.bundle import Bundle
from device_scorer.scoring.scorer import _CACHE_SIZE, CHUNK_ROWS, Scorer, select_tags
from device_scorer.settings import Limits
from tests.testkit.scorer_fleet import WINDOW, csv_of

TS = "2018-08-28T23:00:05Z"


class AboveTen:
    """A model that calls what is above ten anomalous, and counts what it is asked."""

    sklearn_version = "1"

    def __init__(self, *, scored: bool = True) -> None:
        self.asked: list[float] = []
        self.scored = scored

    def predict(self, values: Sequence[float]) -> tuple[list[int], list[float] | None]:
        self.asked += values
        return [int(value > 10) for value in values], [10 - value for value in values] if self.scored else None


def scorer(*contents: bytes, models: dict[str, AboveTen] | None = None, **limits: float) -> Scorer:
    made = Scorer("d", WINDOW, models or {"1": AboveTen()}, limits=Limits(**limits))  # type: ignore[arg-type]  # a model by its shape; numbers
    for content in contents:
        made.add_partition(content, check_deadline=lambda: None)
    return made


@pytest.mark.fault("D3")
def test_rows_come_out_in_input_order_with_texts_as_they_came() -> None:
    made = scorer(csv_of(("2018-08-28 23:00:20.000", "d", "1", "10.50"), ("1535497205000", "d", "1", " 9")))
    assert made.body == (
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
    made = scorer(csv_of(*((ts, "d", "1", "1") for ts in times)))
    assert [line.split(b",")[0].decode() for line in made.body.splitlines()[1:]] == times[1:3]


def test_ids_that_need_quotes_get_them() -> None:
    made = scorer(b'TS,Device,Tag,Value\n"2018-08-28T23:00:05,5",d,"a,""b""",1\n', models={'a,"b"': AboveTen()})
    assert made.body.splitlines()[1] == b'"2018-08-28T23:00:05,5",d,"a,""b""",1,0,9.000000000'


def test_more_different_values_than_are_remembered_are_judged_like_few() -> None:
    first, again = range(_CACHE_SIZE + 1), range(0, _CACHE_SIZE, 2)  # the last chunks have both known and new values
    numbers = [*first, *(number for known in again for number in (known, -known - 1))]
    made = scorer(csv_of(*((TS, "d", "1", str(number)) for number in numbers)))
    labels = [int(line.split(b",")[4]) for line in made.body.splitlines()[1:]]
    assert labels == [int(number > 10) for number in numbers]


@pytest.mark.fault("D1")
def test_bad_values_are_counted_and_never_labelled() -> None:
    good = [(TS, "d", "1", "1")] * 4
    made = scorer(csv_of(*good, (TS, "d", "1", "NaN"), (TS, "d", "1", "inf"), (TS, "d", "1", "")))
    assert (made.statistics.rows, made.statistics.bad_rows) == (4, 3)
    assert made.finish()


@pytest.mark.fault("D1")
def test_above_the_share_of_bad_lines_the_device_fails_and_quotes_one() -> None:
    made = scorer(csv_of((TS, "d", "1", "1"), (TS, "d", "1", "oops"), (TS, "d", "1", "")))
    with pytest.raises(DataInvalid, match=r"2 of 3 lines are no readings.*oops"):
        made.finish()
    assert scorer(csv_of((TS, "d", "1", "1"), (TS, "d", "1", "oops")), max_bad_share=0.5).finish()


@pytest.mark.fault("D5")
def test_a_cut_last_line_is_counted_but_fails_nothing() -> None:
    made = scorer(csv_of((TS, "d", "1", "1")) + f"{TS},d,1,9".encode())
    assert made.finish()
    assert (made.statistics.rows, made.statistics.bad_rows, made.statistics.truncated_rows) == (1, 0, 1)


@pytest.mark.fault("D9")
def test_rows_of_other_devices_are_no_readings_of_this_one() -> None:
    made = scorer(csv_of((TS, "001", "1", "1"), (TS, " d", "1", "1"), (TS, "d", "1", "1")))
    assert (made.statistics.rows, made.statistics.foreign_rows) == (1, 2)


def test_rows_of_a_tag_without_model_are_counted_as_unscored() -> None:
    made = scorer(csv_of((TS, "d", "1", "1"), (TS, "d", "x", "1")))
    assert made.finish()
    assert (made.statistics.rows, made.statistics.unscored_rows) == (1, 1)


def test_readings_of_nothing_but_tags_without_model_fail_the_device() -> None:
    with pytest.raises(ModelNotFound, match="none of the tags in its 1 readings"):
        scorer(csv_of((TS, "d", "x", "1"))).finish()


@pytest.mark.fault("D4")
@pytest.mark.parametrize("content", [b"", csv_of(), csv_of(("2018-08-28T22:00:00Z", "d", "1", "1"))])
def test_no_reading_in_the_window_is_nothing_to_write(content: bytes) -> None:
    assert not scorer(content).finish()


@pytest.mark.fault("D3")
def test_duplicates_stay_and_equal_readings_are_judged_once() -> None:
    model = AboveTen()
    made = scorer(csv_of(*[(TS, "d", "1", "5")] * 3, (TS, "d", "1", "5.0")), models={"1": model})
    assert made.statistics.rows == 4
    assert model.asked == [5.0]


@pytest.mark.fault("T15")
def test_more_rows_than_allowed_end_before_memory_does() -> None:
    with pytest.raises(DataTooLarge, match="more than the 10 readings"):
        scorer(csv_of(*[(TS, "d", "1", "1")] * 11), max_rows=10)


def test_a_device_is_stopped_between_chunks() -> None:
    def late() -> None:
        raise DeadlineExceeded("late")

    made = scorer()
    with pytest.raises(DeadlineExceeded):
        made.add_partition(csv_of(*[(TS, "d", "1", "1")] * (CHUNK_ROWS + 1)), check_deadline=late)


def test_chunks_do_not_change_the_bytes() -> None:
    rows = [(TS, "d", "1", str(number % 20)) for number in range(CHUNK_ROWS + 5)]
    whole = scorer(csv_of(*rows))
    halves = scorer(csv_of(*rows[:7]), csv_of(*rows[7:]))
    assert whole.body == halves.body
    assert whole.statistics == halves.statistics


def test_a_model_without_scores_leaves_them_empty() -> None:
    made = scorer(csv_of((TS, "d", "1", "11")), models={"1": AboveTen(scored=False)})
    assert made.body.splitlines()[1].endswith(b",1,")


def test_chosen_are_the_tags_asked_for_or_all_and_the_unusable_are_told() -> None:
    bundle = Bundle({"1": AboveTen(), "2": ModelInvalid("not fitted")})
    assert list(select_tags(bundle, None).models) == ["1"]
    assert list(select_tags(bundle, None).failed) == ["2"]
    assert list(select_tags(bundle, frozenset({"1"})).failed) == []
    assert isinstance(select_tags(bundle, frozenset({"1", "9"})).failed["9"], ModelNotFound)


def test_where_no_tag_can_be_scored_the_reason_is_the_first_ones() -> None:
    bundle = Bundle({"2": ModelInvalid("not fitted")})
    with pytest.raises(ModelInvalid, match="tag '2': not fitted"):
        select_tags(bundle, None)
    with pytest.raises(ModelNotFound, match="none of its 1 tags"):
        select_tags(bundle, frozenset({"9"}))
