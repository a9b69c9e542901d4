"""The fixtures of the scorer's tests."""

from tests.testkit.scorer_fleet import fleet

__all__ = ["fleet"]
