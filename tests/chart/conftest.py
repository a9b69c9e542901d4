from collections.abc import Iterator

import pytest

from localcluster.cluster import Cluster
from localcluster.tools import ensure_program
from tests.support.cluster import session_cluster


@pytest.fixture(scope="session")
def helm() -> None:
    """Helm, built from source where a machine has none: asked for by what runs it, which is then no unit test."""
    ensure_program("helm")


@pytest.fixture(scope="session")
def chart_cluster() -> Iterator[Cluster]:
    """A control plane of the chart's own: installing and removing the CRD would get in the way of other tests."""
    with session_cluster(None, "chart", "none") as started:
        yield started
