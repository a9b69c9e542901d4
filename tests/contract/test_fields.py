"""Every field of a ScoringRun has a test that changes it, and a session in which none of a field's passed fails."""

import subprocess
import sys

import pytest

from tests.support.fields import ROOT, marked_tests, spec_fields


def test_every_field_of_spec_has_a_test_that_changes_it_and_no_mark_names_another() -> None:
    assert sorted(marked_tests()) == sorted(spec_fields())


@pytest.mark.walk  # two sessions of pytest take seconds
def test_a_session_over_all_tests_fails_where_a_fields_tests_did_not_run() -> None:
    whole = [sys.executable, "-m", "pytest", "-q", "-o", "testpaths=tests/operator/test_intervals.py"]
    done = subprocess.run(whole, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no test that passed is marked with field 'spec.parallelism'" in done.stdout
    part = subprocess.run([*whole, "-m", "not real"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert part.returncode == 0, part.stdout
