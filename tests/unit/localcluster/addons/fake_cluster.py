"""A cluster without processes, for the tests of what is added to one."""

from pathlib import Path
from typing import Any, cast

from localcluster.cluster import Cluster
from localcluster.nodes.layout import NodeLayout


class FakeCluster:
    """A cluster whose API server returns given responses and records the requests."""

    def __init__(self, folder: Path, nodes: str, **responses: Any) -> None:
        self.name = "mine"
        self.folder = folder
        self.kubeconfig = folder / "admin.kubeconfig"
        self.nodes = NodeLayout.parse(nodes)
        self.responses = responses
        self.requests: list[tuple[str, str]] = []
        self.created: dict[str, Any] = {}
        self.applied: list[str] = []

    @property
    def api(self) -> "FakeCluster":
        return self

    @property
    def cluster(self) -> Cluster:
        return cast("Cluster", self)

    def create(self, path: str, body: Any) -> None:
        self.created[path] = body

    def request(self, method: str, path: str) -> Any:
        self.requests.append((method, path))
        return self.responses.get(path.rpartition("/")[2])

    def kubectl(self, *arguments: str) -> str:
        self.applied += [argument for argument in arguments if argument.startswith("--filename=")]
        return ""

    def wait_for_crds(self) -> None:
        """Return at once."""

    def log(self, role: str) -> Path:
        return self.folder / f"{role}.log"
