"""The fixtures of the connection's tests."""

from tests.testkit.fake_release import fake_release

__all__ = ["fake_release"]
