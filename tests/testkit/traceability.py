"""The marks of tests that verify an item, and the check that every item is verified.

@pytest.mark.field("spec.parallelism")    the test changes the field and observes another outcome on a real API server
@pytest.mark.fault("F7", "T3", "D1")      the test covers these faults, threats and inputs of hack/hazards.py
@pytest.mark.value("operator.replicas")   the test sets the chart's value and observes another outcome

A mark is on a test, in its parameters, or in a list of the module that its decorators name; its arguments are
literals. The documents list the marks (`make generate`). A session over all tests fails if an id of SHOWN has no test
that passed.
"""

from collections.abc import Callable, Collection, Generator

import pytest
from hack.hazards import hazards
from hack.traceability import chart_values, spec_fields

# Each mark, and the items that tests with this mark have to verify.
SHOWN: dict[str, Callable[[], Collection[str]]] = {"field": spec_fields, "fault": hazards, "value": chart_values}
MARKS = {
    "field": "fields of spec that the test changes",
    "fault": "faults, threats and inputs that the test covers",
    "value": "values of the chart that the test sets",
}


def pytest_configure(config: pytest.Config) -> None:
    for mark, meaning in MARKS.items():
        config.addinivalue_line("markers", f"{mark}(*ids): {meaning}; see tests/testkit/traceability.py")


def ids_of(item: pytest.Item, mark: str) -> list[str]:
    """Return the arguments of all marks of this name on a test."""
    return [str(one) for found in item.iter_markers(mark) for one in found.args]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        report.user_properties += [(mark, ids_of(item, mark)) for mark in MARKS]
    return report


class Unproved:
    """The items that no passed test of a session over all tests has verified."""

    def __init__(self) -> None:
        self.left = {mark: set(ids()) for mark, ids in SHOWN.items()}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            for mark, ids in report.user_properties:
                if mark in self.left and isinstance(ids, list):
                    self.left[mark].difference_update(ids)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if any(self.left.values()) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for mark, left in self.left.items():
            for one in sorted(left):
                terminalreporter.write_line(f"FAILED no test that passed is marked with {mark} {one!r}", red=True)


def pytest_sessionstart(session: pytest.Session) -> None:
    config = session.config
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not hasattr(config, "workerinput")
    if whole and not config.option.markexpr and not config.option.keyword and not config.option.collectonly:
        config.pluginmanager.register(Unproved())
