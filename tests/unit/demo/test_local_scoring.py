from datetime import UTC, datetime
from pathlib import Path

import pytest
from demo import local_scoring
from demo.dataset import Dataset
from demo.errors import DemoError

from device_scorer.window import Window, parse_instant


@pytest.mark.slow
def test_local_demo_finds_the_injected_anomalies(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert local_scoring.run(tmp_path, datetime(2026, 3, 2, 11, 30, tzinfo=UTC)) == 0
    shown = capfd.readouterr().out
    assert "No Kubernetes and no Azurite" in shown
    assert "2026-03-02T11:00:00Z" in shown
    assert shown.rstrip().endswith("PASS")


def test_scorer_that_fails_is_an_error_with_its_exit_code(tmp_path: Path) -> None:
    window = Window(parse_instant("2026-03-02T10:00:00Z"), parse_instant("2026-03-02T11:00:00Z"))
    with pytest.raises(DemoError, match=r"device-scorer unknown ended with exit code \d+"):
        local_scoring.run_scorer("unknown", Dataset(tmp_path, window, ("press-1",), None))
