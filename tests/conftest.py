"""The rules for all tests: shared fixtures, the mark `needs_services`, the order, and the ban of skips."""

import logging
import os
import signal
from collections.abc import Generator, Iterator

import hypothesis
import pytest

# Plugins that import neither the operator nor the scorer. A folder's conftest.py imports the fixtures that do.
pytest_plugins = [
    "tests.testkit.cluster",
    "tests.testkit.azurite",
    "tests.testkit.entra",
    "tests.testkit.canned_api",
    "tests.testkit.runs",
    "tests.testkit.traceability",
    "tests.testkit.measurements",
    "tests.testkit.scheduling",
]

# The fixtures that start a service, in the order of their tests. The tests of containers cannot be divided among
# workers, so they begin first. Pure tests are short, and any worker can run them: see testkit/scheduling.py.
# A test that is marked needs_services by hand starts its services itself.
PURE, BY_HAND = "", "by hand"
ORDER = ("container_cluster", "cluster", "fault_cluster", BY_HAND, "chart_cluster", "tokens", "azurite", "helm", PURE)
# The services that exist once per session. A node with containers is expensive. Each control plane takes a dozen of the
# 128 inotify instances of a machine, so each worker has one control plane for the files of `cluster`.
ONE_WORKER = ("container_cluster", "chart_cluster")
MAY_SKIP = ("needs_original_data", "needs_history")
STRONGEST_FIRST = ("container_cluster", "fault_cluster", "cluster", "chart_cluster", "tokens", "azurite", "helm")

# A shell without job control ignores SIGINT in what it starts in the background. The programs under test inherit that,
# and some tests interrupt them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A slow machine is not a mistake of the code, and the result of CI for a commit must not vary.
hypothesis.settings.register_profile(
    "fleetscore",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    derandomize=bool(os.environ.get("FLEETSCORE_NO_SKIPS")),
)
hypothesis.settings.load_profile("fleetscore")


def _service(item: pytest.Item) -> str:
    """Return the most expensive service of a test; PURE for a test without one."""
    requested = getattr(item, "fixturenames", ())
    by_hand = BY_HAND if item.get_closest_marker("needs_services") else PURE
    return next((name for name in STRONGEST_FIRST if name in requested), by_hand)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    services = {item: _service(item) for item in items}
    for item, service in services.items():
        if service:
            item.add_marker("needs_services")
            # With several workers, the tests of a file share a worker and its services: see testkit/scheduling.py.
            item.add_marker(
                pytest.mark.xdist_group(service if service in ONE_WORKER else item.nodeid.partition("::")[0])
            )
    items.sort(key=lambda item: ORDER.index(services[item]))


@pytest.fixture(autouse=True)
def root_logger_restored() -> Iterator[None]:
    """Remove the handlers that a test leaves: they write to a closed stream, and logging prints a traceback."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under FLEETSCORE_NO_SKIPS a skipped test fails, unless a mark states that it needs what a clone may lack."""
    report = yield
    if report.skipped and os.environ.get("FLEETSCORE_NO_SKIPS") and not any(map(item.get_closest_marker, MAY_SKIP)):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be skipped: {report.longrepr}"
    return report
