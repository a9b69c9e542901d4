"""The proxy of the environment for a server, by the rules of Go's golang.org/x/net/http/httpproxy.

urllib of the standard library does not know networks such as 10.0.0.0/8 in NO_PROXY.
"""

import ipaddress
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def environment_proxy(server: str, environment: Mapping[str, str]) -> str | None:
    """Return the URL of the proxy for a server, or None.

    Args:
        server: The URL of the server.
        environment: The environment variables: HTTPS_PROXY, HTTP_PROXY and NO_PROXY, in either case.
    """
    url = urlsplit(server)
    name = f"{url.scheme}_proxy"
    proxy = environment.get(name.upper()) or environment.get(name)
    address = _address(url.hostname or "")
    if not proxy or url.hostname == "localhost" or (address and address.is_loopback):
        return None
    rules = (environment.get("NO_PROXY") or environment.get("no_proxy") or "").lower().split(",")
    if any(_matches(rule.strip(), url, address) for rule in rules):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _address(host: str) -> _Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _matches(rule: str, url: SplitResult, address: _Address | None) -> bool:
    """Return True if a rule of NO_PROXY is the host, the host and its port, its network, or a domain above it."""
    host = url.hostname or ""
    if rule == "*" or (rule and rule in (host, f"{host}:{url.port}", f"[{host}]", f"[{host}]:{url.port}")):
        return True
    if address is None:
        return bool(rule) and host.endswith("." + rule.removeprefix("*").removeprefix("."))
    try:
        return "/" in rule and address in ipaddress.ip_network(rule, strict=False)
    except ValueError:
        return False
