"""The nodes of a cluster, in the notation of the command line."""

import re
from dataclasses import dataclass

from localcluster.errors import ClusterError


@dataclass(frozen=True)
class NodeLayout:
    """The nodes of a cluster: at most one container node, and any number of simulated nodes."""

    container: bool
    simulated: int

    @classmethod
    def parse(cls, text: str) -> "NodeLayout":
        """Parse ``container``, ``kwok:N``, both joined by a comma, or ``none``.

        Raises:
            ClusterError: The text is none of these.
        """
        container, simulated = False, 0
        for part in text.split(","):
            counted = re.fullmatch(r"kwok:([1-9]\d{0,3})", part.strip())
            if counted:
                simulated += int(counted[1])
            elif part.strip() == "container":
                container = True
            elif part.strip() != "none":
                raise ClusterError(
                    f"nodes {text!r} are invalid: use container, kwok:N (N from 1), both joined by a comma, or none"
                )
        return cls(container, simulated)

    @property
    def programs(self) -> list[str]:
        """The Kubernetes programs that these nodes need."""
        return ["kubelet", "kube-proxy"] if self.container else []

    def __str__(self) -> str:
        parts = [*(["container"] if self.container else []), *([f"kwok:{self.simulated}"] if self.simulated else [])]
        return ",".join(parts) or "none"
