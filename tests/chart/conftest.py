from collections.abc import Iterator

import pytest

from localcluster.cluster import Cluster
from tests.support.cluster import _session_cluster


@pytest.fixture(scope="session")
def chart_cluster() -> Iterator[Cluster]:
    """A control plane of the chart's own: installing and removing the CRD would get in the way of other tests."""
    with _session_cluster(None, "chart", "none") as started:
        yield started
