"""Log lines as JSON."""

import json
import logging
from collections.abc import Iterator

import pytest

from scoring_operator.observability import logs


@pytest.fixture
def logging_restored() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], level = before
    root.setLevel(level)


@pytest.mark.usefixtures("logging_restored")
def test_log_line_is_json_with_its_run_and_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("DEBUG")
    logs.current_run.set("scoring/hourly")
    logger = logging.getLogger("scoring_operator.x")
    logger.info("line\nbreak GET https://a/b?sig=CANARY&x=1 AccountKey=CANARY;")
    try:
        int("SharedAccessSignature=CANARY")
    except ValueError:
        logger.exception("failed")
    logging.getLogger("azure.core").info("CANARY")
    logging.getLogger("urllib3.connectionpool").debug("CANARY")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["run"] for line in lines] == ["scoring/hourly"] * 2
    assert lines[0]["level"] == "INFO"
    assert "ValueError" in lines[1]["error"]
    assert "CANARY" not in json.dumps(lines)
