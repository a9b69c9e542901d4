"""The fixtures of the doctor's tests."""

from tests.testkit.fake_release import fake_release

__all__ = ["fake_release"]
