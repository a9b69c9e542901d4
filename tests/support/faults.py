"""Which test stands for which fault, and the figure it found: the mark `fault`, the fixture `figure`, `--long`.

@pytest.mark.fault("F7")          the test stands for fault F7 of tests/support/hazards.py
figure("2 relists, 0.4 s")        what it measured; printed at the end of the session
pytest -m fault --long            every fault at its full length and number, as `make faults` runs them
"""

from collections.abc import Callable, Generator

import pytest

Figure = Callable[[str], None]
Long = bool


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="faults at their full length and number (make faults)")
    parser.addoption("--fault-cluster", help="name of the cluster for tests/faults; it is left up")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long_only: only tried with --long")
    config.addinivalue_line("markers", "fault(*ids): the faults, threats and inputs that the test stands for")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--long"):
        return
    left = [item for item in items if item.get_closest_marker("long_only")]
    items[:] = [item for item in items if item not in left]
    config.hook.pytest_deselected(items=left)


def faults_of(item: pytest.Item) -> list[str]:
    """The ids of the faults that a test stands for."""
    return [str(fault) for mark in item.iter_markers("fault") for fault in mark.args]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        report.user_properties.append(("faults", faults_of(item)))
    return report


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Figure:
    """Notes what a test measured; also what a failing one did, so that its figure can be seen."""

    def note(text: str) -> None:
        request.node.user_properties.append(("figure", text))

    return note


@pytest.fixture(scope="session")
def long(pytestconfig: pytest.Config) -> bool:
    """Whether faults are tried at their full length and number."""
    return bool(pytestconfig.getoption("--long"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    found = []
    for report in [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]:
        noted = dict(report.user_properties) if report.when == "call" else {}
        texts = [str(value) for key, value in report.user_properties if key == "figure"]
        if noted.get("faults") and texts:
            found.append((", ".join(noted["faults"]), report.outcome, report.nodeid.rpartition("::")[2], texts))
    if found:
        terminalreporter.section("faults")
    for ids, outcome, name, texts in sorted(found, key=lambda one: (one[0].rstrip("0123456789"), one[0])):
        terminalreporter.write_line(f"{ids:<8} {outcome:<7} {name}: {'; '.join(texts)}")
