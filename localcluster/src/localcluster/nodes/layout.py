"""What nodes a cluster has, as the command line says it."""

import re
from dataclasses import dataclass

from localcluster.errors import ClusterError


@dataclass(frozen=True)
class NodeLayout:
    """The nodes of a cluster: one real one, or none, and any number of simulated ones."""

    container: bool
    simulated: int

    @classmethod
    def parse(cls, text: str) -> "NodeLayout":
        """Read ``container``, ``kwok:N``, both joined by a comma, or ``none``.

        Raises:
            ClusterError: it is none of these.
        """
        container, simulated = False, 0
        for part in text.split(","):
            counted = re.fullmatch(r"kwok:([1-9]\d{0,3})", part.strip())
            if counted:
                simulated += int(counted[1])
            elif part.strip() == "container":
                container = True
            elif part.strip() != "none":
                raise ClusterError(f"nodes {text!r}: use container, kwok:N (N from 1), both with a comma, or none")
        return cls(container, simulated)

    @property
    def programs(self) -> list[str]:
        """Kubernetes' programs that these nodes need."""
        return ["kubelet", "kube-proxy"] if self.container else []

    def __str__(self) -> str:
        parts = [*(["container"] if self.container else []), *([f"kwok:{self.simulated}"] if self.simulated else [])]
        return ",".join(parts) or "none"
