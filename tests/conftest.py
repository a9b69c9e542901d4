"""What holds for all tests: shared fixtures, the mark `real`, the order, and that nothing passes by being skipped."""

import os
from collections.abc import Generator

import hypothesis
import pytest

pytest_plugins = ["tests.support.cluster", "tests.support.azurite", "tests.support.marks", "tests.support.faults"]

# Fixtures behind which a real part stands, from the cheapest to the dearest; tests run in that order, so that a mistake
# in a pure function shows before a cluster is started.
REAL = ("helm", "azurite", "tokens", "chart_cluster", "cluster", "fault_cluster", "container_cluster")

# A slow machine is no mistake of the code; and what CI says of a commit must not change from run to run.
hypothesis.settings.register_profile(
    "fleetscore",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    derandomize=bool(os.environ.get("FLEETSCORE_NO_SKIPS")),
)
hypothesis.settings.load_profile("fleetscore")


def _cost(item: pytest.Item) -> int:
    asked = getattr(item, "fixturenames", ())
    marked = len(REAL) + 1 if item.get_closest_marker("real") else 0  # it starts its parts itself: dearest of all
    return max((1 + index for index, name in enumerate(REAL) if name in asked), default=marked)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _cost(item):
            item.add_marker("real")
    items.sort(key=_cost)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under FLEETSCORE_NO_SKIPS a test that lacks a part fails; only the original's data may be absent."""
    report = yield
    if report.skipped and os.environ.get("FLEETSCORE_NO_SKIPS") and not item.get_closest_marker("original"):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be skipped: {report.longrepr}"
    return report
