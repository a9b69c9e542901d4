"""A fleet in a folder that the scorer's own commands wrote."""

from pathlib import Path

import pytest

from tests.testkit.client_fleet import DEVICES, FIRST, LAST, make_folder, score, write_inputs

__all__ = ["DEVICES", "FIRST", "LAST", "make_folder", "score", "scored_folder", "write_inputs"]


@pytest.fixture(scope="session")
def scored_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a fleet that no test changes."""
    return make_folder(tmp_path_factory.mktemp("fleet") / "store")
