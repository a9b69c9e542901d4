"""A fleet in a folder with a history, incidents, flagged sensors, predictions and a model."""

from pathlib import Path

import pytest

from tests.testkit.console_fleet import write_fleet


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_fleet(tmp_path)
