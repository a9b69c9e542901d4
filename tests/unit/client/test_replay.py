"""The repetition of a score, by the scorer's own program."""

from pathlib import Path

import pytest

from fleetscore import Fleet
from fleetscore.errors import NotFound
from fleetscore.replay import replay, requested_tags
from tests.testkit import scorer_fleet
from tests.unit.client.conftest import FIRST, LAST, make_folder, score


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "store")


def test_repetition_gives_the_stored_bytes_and_the_bounds(scored_folder: Path) -> None:
    found = replay(Fleet.folder(scored_folder), "press-2", LAST)
    assert (found.stored, found.same, found.differences, found.counts.empty) == (True, True, [], True)
    (row,) = found.anomalies.to_dict("records")
    assert (row["Val"], row["Tag"], row["Score"] < 0) == (99.0, "1", True)
    assert 7.9 < row["Lowest"] < 8.1
    assert 11.9 < row["Highest"] < 12.1


def test_another_model_is_named(folder: Path) -> None:
    other = scorer_fleet.bundle({"1": scorer_fleet.fitted([1.0, 2.0, 3.0])})
    (folder / "models" / "press-2.joblib").write_bytes(other)
    found = replay(Fleet.folder(folder), "press-2", LAST)
    assert not found.same
    assert [line.split(" (")[0] for line in found.differences] == ["the predictions were made with another model"]
    assert len(found.anomalies) == 6


def test_model_from_a_file_is_compared_with_the_stored_predictions_by_tag(scored_folder: Path, tmp_path: Path) -> None:
    trial = tmp_path / "trial.joblib"
    trial.write_bytes(scorer_fleet.bundle({"1": scorer_fleet.fitted([1.0, 2.0, 3.0])}))
    before = (scored_folder / "models" / "press-2.joblib").read_bytes()
    found = Fleet.folder(scored_folder).replay("press-2", LAST, model=trial)
    assert (found.trial, found.same, list(found.differences)) == (True, False, [])
    assert found.counts.to_dict("records") == [{"Tag": "1", "Rows": 6, "Stored": 1, "Here": 6, "Both": 1}]
    assert (scored_folder / "models" / "press-2.joblib").read_bytes() == before
    with pytest.raises(
        NotFound, match=r"the model .*missing\.joblib cannot be read: No such file or directory; name a"
    ):
        replay(Fleet.folder(scored_folder), "press-2", LAST, tmp_path / "missing.joblib")


def test_damaged_predictions_are_different_and_not_counted(folder: Path) -> None:
    (folder / "predictions" / LAST.slug / "press-2.csv").write_bytes(b"TS,Device\n1,2\n")
    found = replay(Fleet.folder(folder), "press-2", LAST)
    assert (found.same, found.counts.empty, len(found.anomalies)) == (False, True, 1)


def test_later_readings_are_named(folder: Path) -> None:
    content = scorer_fleet.readings("press-1", values=(9.0,))
    (folder / "data" / scorer_fleet.PARTITION / "press-1.csv").write_bytes(content)
    found = replay(Fleet.folder(folder), "press-1", LAST)
    assert not found.same
    assert found.differences[0].startswith("the readings were written again after the predictions were made")
    assert found.anomalies.empty


def test_window_without_predictions_is_scored_here_only(folder: Path) -> None:
    (folder / "predictions" / LAST.slug / "press-2.csv").unlink()
    found = replay(Fleet.folder(folder), "press-2", LAST)
    assert (found.stored, found.same, len(found.anomalies)) == (False, False, 1)
    assert found.differences == ["storage has no predictions of this device and window"]


def test_requested_tags_are_those_of_the_predictions(folder: Path) -> None:
    assert requested_tags({"tags": "1 a%2Fb"}) == ["1", "a/b"]
    assert requested_tags({"tags": "*"}) is requested_tags({"tags": "sha256:00"}) is requested_tags({}) is None
    (folder / "models" / "press-1.joblib").write_bytes(
        scorer_fleet.bundle(dict.fromkeys(("1", "2"), scorer_fleet.a_model()))
    )
    content = scorer_fleet.readings("press-1", tags=("1", "2"))
    (folder / "data" / scorer_fleet.PARTITION / "press-1.csv").write_bytes(content)
    (folder / "predictions" / LAST.slug / "press-1.csv").unlink()
    score(folder, LAST, ["press-1", "--tag", "2"][:1], report=False)
    assert replay(Fleet.folder(folder), "press-1", LAST).same


def test_missing_model_and_readings_are_not_found(scored_folder: Path) -> None:
    with pytest.raises(NotFound, match="press-9 has no model"):
        replay(Fleet.folder(scored_folder), "press-9", LAST)
    with pytest.raises(NotFound, match=r"press-3 has no readings in 2018-08-28T23:00Z/1h; .*name another --window"):
        replay(Fleet.folder(scored_folder), "press-3", LAST)
    assert replay(Fleet.folder(scored_folder), "press-3", FIRST).same
