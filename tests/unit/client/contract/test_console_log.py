import pytest

from fleetscore.contract.console_log import last_fault

FAULT = "storage cannot be read: container models does not exist; check the settings"


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ([], ""),
        (["console on http://localhost:8087/"], ""),
        ([FAULT, "another line"], "container models does not exist; check the settings"),
        (["storage cannot be read: old", FAULT], "container models does not exist; check the settings"),
        ([FAULT, "storage can be read again"], ""),
        (["storage can be read again", FAULT], "container models does not exist; check the settings"),
        ([f"page of {FAULT}"], ""),
    ],
    ids=["empty", "other", "fault", "newest-fault", "again", "fault-again", "inside-a-line"],
)
def test_log_has_the_last_fault_until_storage_can_be_read_again(lines: list[str], fault: str) -> None:
    assert last_fault(lines) == fault
