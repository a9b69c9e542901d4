"""Copies of a device's inputs to another store."""

from pathlib import Path

import pytest

from device_scorer.errors import BlobTooLarge
from device_scorer.scoring.replay import CopiedInputs, copy_inputs
from device_scorer.settings import Limits, Settings
from device_scorer.store.folder import FolderStore
from tests.testkit.scorer_fleet import PREDICTIONS, WINDOW, Fleet

NOTHING = CopiedInputs("press-1.joblib", has_model=False, partitions=1, found_partitions=0, has_predictions=False)


def test_model_readings_and_predictions_are_copied_with_metadata(fleet: Fleet, tmp_path: Path) -> None:
    fleet.device()
    fleet.score()
    target = FolderStore(tmp_path / "target")
    copied = copy_inputs(fleet.store, target, Settings(), WINDOW, "press-1")
    assert copied == CopiedInputs(
        "press-1.joblib", has_model=True, partitions=1, found_partitions=1, has_predictions=True
    )
    name = f"{PREDICTIONS}/press-1.csv"
    assert target.read("predictions", name) == fleet.store.read("predictions", name)


def test_existing_blobs_of_the_target_are_replaced(fleet: Fleet, tmp_path: Path) -> None:
    fleet.device()
    target = FolderStore(tmp_path / "target")
    target.write("models", "press-1.joblib", b"other")
    copy_inputs(fleet.store, target, Settings(), WINDOW, "press-1")
    assert target.read("models", "press-1.joblib") == fleet.store.read("models", "press-1.joblib")


def test_device_without_blobs_has_no_input(fleet: Fleet, tmp_path: Path) -> None:
    copied = copy_inputs(fleet.store, FolderStore(tmp_path), Settings(), WINDOW, "press-1")
    assert copied == NOTHING
    assert not copied.any_input


def test_model_above_the_limit_is_not_copied(fleet: Fleet, tmp_path: Path) -> None:
    fleet.device()
    with pytest.raises(BlobTooLarge):
        copy_inputs(fleet.store, FolderStore(tmp_path), Settings(limits=Limits(max_model_bytes=10)), WINDOW, "press-1")
