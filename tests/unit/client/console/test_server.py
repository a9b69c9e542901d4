import socket

import pytest

from fleetscore.console.server import listen


def connects(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=120).close()
    except OSError:
        return False
    return True


def test_listener_of_one_address_accepts_no_connection_to_another() -> None:
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        assert [connects(address, port) for address in ("127.0.0.1", "127.0.0.2", "::1")] == [True, False, False]


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="the machine has no IPv6")
def test_listener_of_all_addresses_accepts_connections_of_both_families() -> None:
    with listen("*", 0) as listener:
        port = listener.getsockname()[1]
        assert [connects(address, port) for address in ("127.0.0.1", "127.0.0.2", "::1")] == [True, True, True]


def test_machine_without_ipv6_listens_on_all_addresses_of_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    with listen("*", 0) as listener:
        assert listener.family == socket.AF_INET
        assert connects("127.0.0.2", listener.getsockname()[1])
