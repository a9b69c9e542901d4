import subprocess
import sys

import pytest
from demo.workspace import CHECKOUT


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "demo", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=CHECKOUT)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--data", "/none.csv"], "DATA is /none.csv"),
        (["--window", "2018-08-28T23:00:00Z/2018-08-29T00:00:00Z"], "DATA=readings.csv"),
        (["--train", "all"], "DATA=readings.csv"),
        (["--context", "mine"], "CONTEXT and REGISTRY must be given together"),
    ],
)
def test_invalid_usage_ends_at_once_without_traceback(arguments: list[str], named: str) -> None:
    answer = demo("run", *arguments)
    assert answer.returncode == 1
    assert named in answer.stderr
    assert answer.stderr.rstrip().endswith("FAIL")
    assert "Traceback" not in answer.stderr
