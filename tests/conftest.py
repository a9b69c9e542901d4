"""The rules for all tests: shared fixtures, the mark `needs_services`, the order, and the ban of skips."""

import os
from collections.abc import Generator

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
]

# The fixtures that start a service, from the cheapest to the most expensive. Tests run in this order, so that a
# mistake in a pure function shows before a cluster is started.
SERVICES = ("helm", "azurite", "tokens", "chart_cluster", "cluster", "fault_cluster", "container_cluster")

# A slow machine is not a mistake of the code, and the result of CI for a commit must not vary.
hypothesis.settings.register_profile(
    "fleetscore",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    derandomize=bool(os.environ.get("FLEETSCORE_NO_SKIPS")),
)
hypothesis.settings.load_profile("fleetscore")


def _cost(item: pytest.Item) -> int:
    requested = getattr(item, "fixturenames", ())
    # A test that is marked by hand starts its services itself and comes last.
    marked = len(SERVICES) + 1 if item.get_closest_marker("needs_services") else 0
    return max((1 + index for index, name in enumerate(SERVICES) if name in requested), default=marked)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _cost(item):
            item.add_marker("needs_services")
    items.sort(key=_cost)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under FLEETSCORE_NO_SKIPS a skipped test fails, except where the original project's data are absent."""
    report = yield
    if report.skipped and os.environ.get("FLEETSCORE_NO_SKIPS") and not item.get_closest_marker("needs_original_data"):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be skipped: {report.longrepr}"
    return report
