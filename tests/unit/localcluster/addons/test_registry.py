"""Requests to an OCI registry; tests/deploy/test_registry.py runs the real one."""

from pathlib import Path

import pytest

from localcluster.addons.registry import Registry
from tests.testkit.http_server import RequestHandler, serve


class RegistryHandler(RequestHandler):
    """A registry that responds to the check of its version."""

    status: int

    def handle_request(self) -> None:
        self.respond(self.status if self.path == "/v2/" else 404)


@pytest.mark.parametrize(("status", "responds"), [(200, True), (503, False)])
def test_registry_responds_if_the_check_of_its_version_succeeds(
    status: int,
    responds: bool,  # noqa: FBT001  a table's column
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # the request uses no proxy
    with serve(RegistryHandler, status=status) as url:
        registry = Registry(tmp_path, url.removeprefix("http://"))
        assert registry.responds() is responds
    assert not registry.responds()


def test_registry_that_does_not_run_can_be_stopped(tmp_path: Path) -> None:
    with Registry(tmp_path, "127.0.0.1:9") as registry:
        assert registry.log.parent.is_relative_to(tmp_path)
