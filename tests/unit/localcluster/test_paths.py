import pytest

from localcluster.errors import ClusterError
from localcluster.paths import cluster_dir


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a/b", "..", "a" * 31])
def test_invalid_cluster_name_is_rejected(name: str) -> None:
    with pytest.raises(ClusterError, match="cluster name"):
        cluster_dir(name)
