"""Every id that needs tests has tests, and a full session without a passed test of an id fails."""

import subprocess
import sys

import pytest
from hack.traceability import marked_tests

from tests.testkit.paths import ROOT
from tests.testkit.traceability import SHOWN


@pytest.mark.parametrize("mark", SHOWN)
def test_marks_name_exactly_the_ids_that_need_tests(mark: str) -> None:
    assert sorted(marked_tests(mark)) == sorted(SHOWN[mark]())


@pytest.mark.slow  # two sessions of pytest take seconds
def test_full_session_without_the_tests_of_an_id_fails() -> None:
    whole = [sys.executable, "-m", "pytest", "-q", "-o", "testpaths=tests/unit/operator/api/test_intervals.py"]
    done = subprocess.run(whole, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no test that passed is marked with field 'spec.parallelism'" in done.stdout
    part = subprocess.run([*whole, "-m", "not needs_services"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert part.returncode == 0, part.stdout
