"""A user's file: `make lint` checks it with mypy strict, and it runs."""

from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import assert_type

import pandas as pd

from fleetscore import Fleet, Window
from fleetscore.compaction import Compacted
from fleetscore.replay import Replay
from tests.unit.client.conftest import FIRST, LAST


def test_results_have_the_declared_types(scored_folder: Path, tmp_path: Path) -> None:
    fleet = assert_type(Fleet.folder(scored_folder), Fleet)
    start, end = FIRST.start, LAST.end
    assert_type(fleet.windows(), list[Window])
    assert_type(fleet.devices(), Iterator[str])
    assert_type(fleet.iter_predictions(start, end), Iterator[pd.DataFrame])
    for frame in (
        assert_type(fleet.history(start, end), pd.DataFrame),
        assert_type(fleet.incidents(open_only=True), pd.DataFrame),
        assert_type(fleet.anomalies(start, end), pd.DataFrame),
        assert_type(fleet.predictions(LAST, devices=["press-1"]), pd.DataFrame),
        assert_type(fleet.readings("press-1", LAST.column), pd.DataFrame),
        assert_type(fleet.model("press-1"), pd.DataFrame),
    ):
        assert len(frame) > 0
    assert_type(fleet.compact(start, end, to=tmp_path, format="csv"), list[Compacted])
    assert assert_type(fleet.replay("press-1", LAST), Replay).same


def test_package_declares_its_types() -> None:
    assert resources.files("fleetscore").joinpath("py.typed").is_file()
