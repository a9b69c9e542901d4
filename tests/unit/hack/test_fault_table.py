"""The table of simulated faults in the documentation."""

from pathlib import Path

import pytest
from hack import fault_table


@pytest.mark.slow
def test_table_of_faults_is_current() -> None:
    page = fault_table.PAGE.read_text()
    assert fault_table.with_table(page) == page, "run `python -m hack.fault_table` and review the difference"


def test_check_reports_a_table_that_is_out_of_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "sensors.md"
    page.write_text(f"before\n{fault_table.BEGIN}old\n{fault_table.END}after\n")
    monkeypatch.setattr(fault_table, "table", lambda: "| new |\n")
    assert fault_table.main(["--check"], page) == 1
    assert fault_table.main([], page) == 0
    assert page.read_text() == f"before\n{fault_table.BEGIN}\n| new |\n\n{fault_table.END}after\n"
    assert fault_table.main(["--check"], page) == 0


def test_command_that_fails_ends_the_table_with_its_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="device-scorer train ended with exit code"):
        fault_table._scorer("train", "--store", tmp_path)
