"""The table of simulated faults in the documentation."""

from pathlib import Path

import pytest
from hack import trouble_table


@pytest.mark.slow
def test_table_of_faults_is_current() -> None:
    page = trouble_table.PAGE.read_text()
    assert trouble_table.with_table(page) == page, "run `python -m hack.trouble_table` and review the difference"


def test_check_reports_a_table_that_is_out_of_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "sensors.md"
    page.write_text(f"before\n{trouble_table.BEGIN}old\n{trouble_table.END}after\n")
    monkeypatch.setattr(trouble_table, "PAGE", page)
    monkeypatch.setattr(trouble_table, "table", lambda: "| new |\n")
    assert trouble_table.main(["--check"]) == 1
    assert trouble_table.main([]) == 0
    assert page.read_text() == f"before\n{trouble_table.BEGIN}\n| new |\n\n{trouble_table.END}after\n"
    assert trouble_table.main(["--check"]) == 0


def test_command_that_fails_ends_the_table_with_its_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="device-scorer train ended with exit code"):
        trouble_table._scorer("train", "--store", tmp_path)
