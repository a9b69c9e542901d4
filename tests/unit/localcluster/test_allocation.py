import ipaddress
import secrets
import socket

import pytest

from localcluster import allocation
from localcluster.errors import ClusterError


def test_first_free_slot_is_allocated() -> None:
    busy = allocation.Slot(1).port("etcd")
    routed = [ipaddress.IPv4Network("10.162.5.0/24")]
    assert allocation.allocate([0], lambda port: port != busy, routed).number == 3


def test_slots_share_neither_ports_nor_networks() -> None:
    every = [allocation.Slot(number) for number in range(allocation.MAX_SLOTS)]
    ports = [port for slot in every for port in slot.ports]
    assert len(set(ports)) == len(ports)
    assert len({slot.network for slot in every}) == allocation.MAX_SLOTS
    for slot in every:
        parts = [ipaddress.ip_network(part, strict=False) for part in (slot.pods, slot.services, slot.simulated_pods)]
        assert all(part.subnet_of(slot.network) for part in parts)  # type: ignore[arg-type]  # all are version 4
        assert not any(a.overlaps(b) for a in parts for b in parts if a is not b)


def test_allocation_without_a_free_slot_names_localcluster_status() -> None:
    with pytest.raises(ClusterError, match="localcluster status"):
        allocation.allocate(range(allocation.MAX_SLOTS), lambda _: True, [])


def test_routes_are_parsed_without_the_default_route() -> None:
    table = (
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t0102000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth0\t0002000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
    )
    assert allocation.parse_routes(table) == [ipaddress.IPv4Network("10.0.2.0/24")]


def test_free_port_is_below_the_ports_of_connections_and_of_clusters() -> None:
    assert 10_000 <= allocation.free_port() < allocation.Slot(0).ports[0] == 24_600


def test_free_port_is_not_one_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    free = allocation.free_port()
    with socket.create_server(("127.0.0.1", 0)) as server:
        draws = iter([server.getsockname()[1], free])
        monkeypatch.setattr(secrets, "choice", lambda _ports: next(draws))
        assert allocation.free_port() == free
