"""The fixtures of the security tests."""

from tests.testkit.running_controller import pytest_configure, running_controller

__all__ = ["pytest_configure", "running_controller"]
