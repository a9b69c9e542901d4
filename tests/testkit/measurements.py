"""Faults at their full length, and the measurements of tests: `--long`, `--figures`, `record_measurement`.

record_measurement("2 relists, 0.4 s")    a measurement of a test marked `fault`; printed at the end of the session
pytest -m fault --long                    every fault at its full length and number
pytest ... --figures                      also saves the measurements for docs/development/traceability.md
                                          (`make faults` does both)
"""

import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hack.traceability import FIGURES

from tests.testkit.paths import ROOT
from tests.testkit.traceability import ids_of

RecordMeasurement = Callable[[str], None]
Long = bool


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="faults at their full length and number (make faults)")
    parser.addoption("--figures", action="store_true", help=f"write the figures to {FIGURES.relative_to(ROOT)}")
    parser.addoption("--fault-cluster", help="name of the cluster for tests/faults; it is left up")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long_only: only tried with --long")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--long"):
        return
    left = [item for item in items if item.get_closest_marker("long_only")]
    items[:] = [item for item in items if item not in left]
    config.hook.pytest_deselected(items=left)


@pytest.fixture
def record_measurement(request: pytest.FixtureRequest) -> RecordMeasurement:
    """Record a measurement of the test, whether the test passes or fails."""

    def note(text: str) -> None:
        request.node.user_properties.append(("figure", text))

    assert ids_of(request.node, "fault"), "a measurement belongs to a fault"
    return note


@pytest.fixture(scope="session")
def long(pytestconfig: pytest.Config) -> bool:
    """Return True if faults are tried at their full length and number."""
    return bool(pytestconfig.getoption("--long"))


def _figures(report: pytest.TestReport) -> str:
    return "; ".join(str(value) for key, value in report.user_properties if key == "figure")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    found = [(dict(one.user_properties)["fault"], one) for one in reports if one.when == "call" and _figures(one)]
    if found:
        terminalreporter.section("faults")
    for ids, report in sorted(found, key=lambda one: _place(one[0][0])):
        name = report.nodeid.rpartition("::")[2]
        terminalreporter.write_line(f"{', '.join(ids):<8} {report.outcome:<7} {name}: {_figures(report)}")
    if config.getoption("--figures"):
        whole = bool(config.getoption("--long"))
        _write({one.nodeid: {"ids": ids, "figure": _figures(one), "long": whole} for ids, one in found if one.passed})


def _place(hazard: str) -> tuple[str, int]:
    return hazard[0], int(hazard[1:])


def _write(found: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the figures down; those of tests that did not run stay, with the date on which they did."""
    today = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "cores": os.cpu_count()}
    known = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    known |= {name: {**one, **today} for name, one in found.items()}
    FIGURES.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
