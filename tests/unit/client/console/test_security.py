from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse

from fleetscore.console.security import HEADERS, LOCAL_HOSTS, SecurityMiddleware, allowed_hosts
from fleetscore.errors import UsageInvalid


def client(**options: Any) -> httpx.AsyncClient:
    app = SecurityMiddleware(PlainTextResponse("secret"))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), **{"base_url": "http://127.0.0.1:8087", **options})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:1", "localhost:8087", "LOCALHOST", "[::1]:8087"])
async def test_local_host_names_are_allowed(host: str) -> None:
    assert (await client().get("/", headers={"Host": host})).text == "secret"


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "127.0.0.1.evil.example", "evil@127.0.0.1", "127.0.0.1@evil.example", "", "127.0.0.1/x"),
        *("127.0.0.1:x", "[::1", "localhost.", "10.0.0.1", "127.0.0.1, evil.example"),
    ],
)
async def test_other_host_names_are_rejected(host: str) -> None:
    response = await client().get("/", headers={"Host": host})
    assert response.status_code == 421
    assert "secret" not in response.text
    assert response.headers["Content-Security-Policy"] == HEADERS["Content-Security-Policy"]


async def test_named_host_is_allowed_and_no_other_one() -> None:
    app = SecurityMiddleware(PlainTextResponse("secret"), allowed_hosts(["Console.Example.com"]))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://127.0.0.1") as found:
        hosts = ["console.example.com", "CONSOLE.example.com:443", "localhost", "example.com", "x.console.example.com"]
        codes = [(await found.get("/", headers={"Host": host})).status_code for host in hosts]
    assert codes == [200, 200, 200, 421, 421]


@pytest.mark.parametrize(
    "name", ["*", "*.example.com", "https://a", "a:80", "a/b", "a b", "", "a\n", "a" * 254, "-a", "ä.example", "[::1]"]
)
def test_invalid_host_name_is_rejected(name: str) -> None:
    with pytest.raises(UsageInvalid, match=r"allowed host .* is invalid: .*; correct --allowed-host"):
        allowed_hosts([name])
    assert allowed_hosts([]) == LOCAL_HOSTS


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
async def test_methods_that_write_are_rejected(method: str) -> None:
    response = await client().request(method, "/")
    assert (response.status_code, response.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    ("fetch", "status"),
    [
        ("none navigate document", 200),
        ("same-origin cors empty", 200),
        ("same-origin no-cors image", 200),
        ("cross-site navigate document", 200),
        ("same-site navigate document", 200),
        ("cross-site navigate iframe", 403),
        ("cross-site no-cors image", 403),
        ("cross-site cors empty", 403),
        ("same-site cors empty", 403),
        ("same-site no-cors script", 403),
    ],
)
async def test_other_sites_may_link_to_pages_and_embed_none(fetch: str, status: int) -> None:
    headers = dict(zip(("Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest"), fetch.split(), strict=True))
    assert (await client().get("/live", headers=headers)).status_code == status


async def test_policy_allows_no_inline_script_and_no_asset_from_elsewhere() -> None:
    headers = (await client().get("/")).headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "frame-ancestors 'none'" in policy
    assert {name: headers[name] for name in HEADERS} == HEADERS
