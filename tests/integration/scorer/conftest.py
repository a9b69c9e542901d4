"""The fixtures of the scorer's tests with services."""

from tests.testkit.scorer_fleet import fleet

__all__ = ["fleet"]
