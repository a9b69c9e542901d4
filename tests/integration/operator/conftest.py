"""The fixtures of the controller's tests."""

from tests.testkit.running_controller import pytest_configure, running_controller

__all__ = ["pytest_configure", "running_controller"]
