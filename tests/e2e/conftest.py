"""The fixtures of the end-to-end tests."""

from tests.testkit.release import fleet_of, loaded_cluster, pods_azurite, release

__all__ = ["fleet_of", "loaded_cluster", "pods_azurite", "release"]
