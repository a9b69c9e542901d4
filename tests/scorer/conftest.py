"""Fixtures of the scorer's tests."""

from pathlib import Path

import pytest

from tests.scorer.fleet import Fleet


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """An empty fleet in a folder; the environment of the developer does not reach it."""
    for name in ("FLEETSCORE_TERMINATION_LOG", "FLEETSCORE_ALLOW_OVERWRITE", "FLEETSCORE_MODELS_TRUST"):
        monkeypatch.delenv(name, raising=False)
    return Fleet(tmp_path / "fleet")
