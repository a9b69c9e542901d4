"""Faults at their full length, and the figures that tests find: `--long`, `--figures`, the fixture `figure`.

figure("2 relists, 0.4 s")    what a test marked `fault` measured; printed at the end of the session
pytest -m fault --long        every fault at its full length and number
pytest ... --figures          also writes the figures down, for docs/development/traceability.md (`make faults` does both)
"""

import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.testkit.hazards import FAULTS, INPUTS, THREATS
from tests.testkit.paths import ROOT
from tests.testkit.traceability import ids_of, links, marked_tests

FIGURES = ROOT / "tests" / "faults" / "figures.json"
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
    """Notes what a test measured; also what a failing one did, so that its figure can be seen."""

    def note(text: str) -> None:
        request.node.user_properties.append(("figure", text))

    assert ids_of(request.node, "fault"), "a figure belongs to a fault"
    return note


@pytest.fixture(scope="session")
def long(pytestconfig: pytest.Config) -> bool:
    """Whether faults are tried at their full length and number."""
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


def reliability_tables() -> str:
    """The tables hazard -> tests, figures in Markdown."""
    tests = marked_tests("fault")
    named = {f"{file}::{name}" for found in tests.values() for file, name in found}
    figures = {key: one for key, one in json.loads(FIGURES.read_text()).items() if key.partition("[")[0] in named}
    runs = sorted({(one["date"], one["cores"]) for one in figures.values()})
    when = ", ".join(f"{date} on {cores} cores" for date, cores in runs)
    text = f"The measurements are from `make faults`, those in italics from the shorter form in `make test`: {when}.\n"
    for title, hazards in (("Faults", FAULTS), ("Threats", THREATS), ("Inputs", INPUTS)):
        text += f"\n## {title}\n\n| id | hazard | tests | measured |\n|---|---|---|---|\n"
        for key, meaning in hazards.items():
            measured = [_measured(name, one) for name, one in figures.items() if key in one["ids"]]
            cells = (key, meaning, links(tests.get(key, ())), "<br>".join(measured))
            text += f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |\n"
    return text


def _measured(name: str, one: Mapping[str, Any]) -> str:
    """A test's figure, after the parameters of the test where it has some."""
    _, bracket, parameters = name.partition("[")
    text = f"{parameters.removesuffix(']')}: {one['figure']}" if bracket else str(one["figure"])
    return text if one["long"] else f"*{text}*"
