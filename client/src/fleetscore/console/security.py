"""The middleware that every response passes: methods, the Host header, and the security headers.

The console has no login: its user is a browser on this machine or an authenticating proxy. A page of another site must
not read it. So the Host header must be an allowed name, which prevents DNS rebinding, and no other site may embed a
response. The headers Sec-Fetch-* of browsers show the requests that a page of another site sends (W3C, "Fetch Metadata
Request Headers"). Only links to pages are allowed, so other sites cannot measure responses or occupy streams.
"""

import re
from collections.abc import Collection, Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fleetscore.errors import UsageInvalid

LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
REPORT_POLICY = (
    "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The policy of a stored report, which has its style and script inline. Its origin is opaque: it can read no page."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


_HOST_PATTERN = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)


def allowed_hosts(names: Iterable[str]) -> frozenset[str]:
    """Return the local names of the Host header and further ones.

    Args:
        names: The further names, without a port.

    Raises:
        UsageInvalid: A name is invalid. A wildcard would allow DNS rebinding.
    """
    further = [name.lower() for name in names]
    for name in further:
        if not _HOST_PATTERN.fullmatch(name):
            text = "it must be a host name without scheme, port and wildcard, such as console.example.com"
            raise UsageInvalid(f"allowed host {name[:100]!r} is invalid: {text}; correct --allowed-host")
    return LOCAL_HOSTS.union(further)


class SecurityMiddleware:
    """An ASGI application that checks the request and adds the security headers to the response.

    Args:
        app: The application.
        hosts: The allowed names of the Host header, without a port.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] = LOCAL_HOSTS) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await (self._rejection(scope) or self._app)(scope, receive, send_with_headers)

    def _rejection(self, scope: Scope) -> ASGIApp | None:
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("the console only reads: use GET\n", 405, {"Allow": "GET, HEAD"})
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or _host_name(hosts[0]) not in self._hosts:
            allowed = ", ".join(sorted(self._hosts))
            return PlainTextResponse(f"the Host header is invalid: use one of {allowed}\n", 421)
        if _is_of_another_site(Headers(scope=scope)):
            return PlainTextResponse("requests by pages of other sites are rejected: open the address itself\n", 403)
        return None


def _is_of_another_site(headers: Headers) -> bool:
    """Return True if a browser sends the request for a page of another site, except for a link that a user follows."""
    link = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) == ("navigate", "document")
    return headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and not link


def _host_name(header: str) -> str:
    """Return the name of a Host header without its port; empty if the header is invalid."""
    try:
        found = urlsplit(f"//{header}")
        found.port  # noqa: B018  it raises ValueError for an invalid port
    except ValueError:
        return ""
    return found.hostname or "" if found.netloc == header and "@" not in header else ""
