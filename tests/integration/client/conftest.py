"""The fixtures of the client's tests on a real API server."""

from tests.testkit.running_controller import pytest_configure, running_controller

__all__ = ["pytest_configure", "running_controller"]
