"""The fixtures of the commands' tests."""

from tests.testkit.fake_release import fake_release

__all__ = ["fake_release"]
