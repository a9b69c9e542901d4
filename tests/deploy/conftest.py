"""The fixtures of the tests that need large tools of their own."""

import pytest

from tests.testkit.release import fleet_of, loaded_cluster, pods_azurite, release
from tests.testkit.running_controller import pytest_configure, running_controller

__all__ = ["fleet_of", "loaded_cluster", "pods_azurite", "pytest_configure", "release", "running_controller"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/deploy/" in item.nodeid:
            item.add_marker(pytest.mark.timeout(1800))  # tools are built, and az takes seconds for a command
