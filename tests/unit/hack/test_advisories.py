"""The audit of the pins; tests/security/test_pins.py compares the pins with the stored snapshot."""

from datetime import date
from pathlib import Path

import pytest
from hack import advisories

ADVISORY = """
id: PYSEC-2023-192
modified: 2023-10-10T14:28:19.389317Z
affected:
- package: {ecosystem: PyPI, name: urllib3}
  ranges:
  - {type: GIT, events: [{introduced: "0"}, {fixed: 644124e}]}
  - type: ECOSYSTEM
    events: [{introduced: 2.0.0}, {fixed: 2.0.6}, {introduced: "0"}, {fixed: 1.26.17}, {introduced: "3.10"}]
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Return the folder of urllib3 in a database of advisories, with one advisory."""
    folder = tmp_path / "vulns" / "urllib3"
    folder.mkdir(parents=True)
    (folder / "PYSEC-2023-192.yaml").write_text(ADVISORY)
    return folder


@pytest.mark.fault("T16")
def test_vulnerable_pin_is_found_in_the_snapshot(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (database / "PYSEC-2023-193.yaml").write_text(f"{ADVISORY.replace('192', '193')}withdrawn: 2023-10-11T00:00:00Z\n")
    snapshot = advisories.snapshot_of(tmp_path)
    weak = {
        v
        for v in ("1.26.16", "1.26.17", "2.0.5", "2.0.6", "3.9", "3.10")
        if advisories.affecting("urllib3", v, snapshot)
    }
    assert weak == {"1.26.16", "2.0.5", "3.10"}
    path = tmp_path / "advisories.json"
    monkeypatch.setattr(advisories, "pins", lambda: [("urllib3", "2.0.5")])
    assert advisories.main([str(tmp_path)], today=date(2023, 11, 1), path=path) == 1
    assert "urllib3 2.0.5: PYSEC-2023-192; to take a newer version" in capsys.readouterr().out
    assert advisories.main([str(tmp_path / "vulns")], path=path) == 64


@pytest.mark.fault("T16")
@pytest.mark.usefixtures("database")
def test_advisories_older_than_60_days_fail_the_audit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "advisories.json"
    monkeypatch.setattr(advisories, "pins", lambda: [("urllib3", "2.0.6")])
    assert advisories.main([str(tmp_path)], today=date(2023, 12, 9), path=path) == 0
    assert "not inspected: Debian's packages in the images; " in capsys.readouterr().out
    assert advisories.main([str(tmp_path)], today=date(2023, 12, 10), path=path) == 1
    assert "the newest is 61 days old and --max-age-days is 60; fetch" in capsys.readouterr().out
    assert advisories.main([str(tmp_path), "--max-age-days", "61"], today=date(2023, 12, 10), path=path) == 0
