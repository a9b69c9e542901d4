"""Slots and ports: each cluster of a machine has a slot with its own ports and its own private network."""

import ipaddress
import secrets
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from localcluster.errors import ClusterError

MAX_SLOTS = 32
# Below Linux's range of ephemeral ports and below Kubernetes' range of node ports.
_FIRST_PORT = 24600
_PORTS_PER_SLOT = 10
_FREE_PORTS = range(10_000, _FIRST_PORT)
_FIRST_NETWORK = 160


@dataclass(frozen=True)
class Slot:
    """The ports and addresses of one cluster."""

    number: int

    def port(self, process: str) -> int:
        """Return the port of a control plane process, or of `etcd-peer`."""
        return _FIRST_PORT + self.number * _PORTS_PER_SLOT + _PROCESSES.index(process)

    @property
    def ports(self) -> list[int]:
        """Every port of the slot."""
        return [self.port(process) for process in _PROCESSES]

    @property
    def network(self) -> ipaddress.IPv4Network:
        """The /16 network that contains all addresses of the slot."""
        return ipaddress.IPv4Network(f"10.{_FIRST_NETWORK + self.number}.0.0/16")

    @property
    def pods(self) -> str:
        """The address range of pods that are containers."""
        return self._address("0.0/18")

    @property
    def simulated_pods(self) -> str:
        """The address range of simulated pods; no program listens there."""
        return self._address("64.1/18")

    @property
    def services(self) -> str:
        """The address range of services; the first address is the API server's."""
        return self._address("192.0/20")

    @property
    def api_service(self) -> str:
        """The API server's service address."""
        return self._address("192.1")

    @property
    def host(self) -> str:
        """The machine's address on the link to the node; pods and programs of the machine reach it."""
        return self._address("255.1")

    @property
    def node(self) -> str:
        """The node's address on the link to the machine."""
        return self._address("255.2")

    def _address(self, rest: str) -> str:
        return f"10.{_FIRST_NETWORK + self.number}.{rest}"


_PROCESSES = ("kube-apiserver", "etcd", "etcd-peer", "kube-controller-manager", "kube-scheduler")


def allocate(taken: Iterable[int], is_port_free: Callable[[int], bool], routes: list[ipaddress.IPv4Network]) -> Slot:
    """Return the first slot that is not taken, has free ports and has a network that is not routed yet.

    Args:
        taken: The numbers of the slots that clusters have.
        is_port_free: The check of a TCP port.
        routes: The networks that the machine routes.

    Raises:
        ClusterError: Every slot is taken or in conflict.
    """
    taken = set(taken)
    for number in range(MAX_SLOTS):
        slot = Slot(number)
        if number in taken or any(slot.network.overlaps(route) for route in routes):
            continue
        if all(is_port_free(port) for port in slot.ports):
            return slot
    last = Slot(MAX_SLOTS - 1).ports[-1]
    raise ClusterError(
        f"no free slot for a cluster: {len(taken)} of {MAX_SLOTS} are taken by clusters, the others lack a free port "
        f"between {_FIRST_PORT} and {last} or a free network between {Slot(0).network} "
        f"and {Slot(MAX_SLOTS - 1).network}; see `localcluster status`, `ss -ltn` and `ip route`"
    )


def is_port_free(port: int) -> bool:
    """Return True if no process of this machine listens on a TCP port."""
    with socket.socket() as probe:
        # Bind as a server does: connections in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))  # noqa: S104  bound for an instant, never listened on
        except OSError:
            return False
    return True


def free_port() -> int:
    """Return a TCP port for a server that is started next.

    It is below Linux's range of ephemeral ports, so no connection takes it before the server listens. It is drawn at
    random, so two processes that call at the same time get different ports.

    Raises:
        ClusterError: No port was free.
    """
    for _ in range(1000):
        port = secrets.choice(_FREE_PORTS)
        if is_port_free(port):
            return port
    raise ClusterError(f"no free TCP port between {_FREE_PORTS.start} and {_FREE_PORTS.stop - 1}; see `ss -ltn`")


def parse_routes(table: str) -> list[ipaddress.IPv4Network]:
    """Return the networks in the text of /proc/net/route, without the default route, which overlaps every network."""
    networks = []
    for row in table.splitlines()[1:]:
        fields = row.split()
        destination, mask = (int.from_bytes(bytes.fromhex(fields[column]), "little") for column in (1, 7))
        if mask:
            networks.append(ipaddress.IPv4Network((destination, mask.bit_count())))
    return networks


def read_routes() -> list[ipaddress.IPv4Network]:
    """Return the networks that this machine routes now."""
    return parse_routes(Path("/proc/net/route").read_text())
