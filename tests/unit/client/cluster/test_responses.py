"""Responses of the API server, and of other servers that answer in its place."""

import json

import pytest

from fleetscore.cluster.responses import parse_list, parse_object, parse_resource, response_error
from fleetscore.errors import AccessDenied, ClusterUnavailable, NotFound, UsageInvalid

SERVER = "https://kube.example"
RUNS = "/apis/fleetscore.dev/v1alpha1/namespaces/plant/scoringruns"
MAPS = "/api/v1/configmaps"
HTML = b"<html>Sign in</html>"


def status(message: str) -> bytes:
    return json.dumps({"kind": "Status", "message": message}).encode()


@pytest.mark.parametrize(
    ("code", "content", "path", "kind", "text"),
    [
        (302, b"", RUNS, ClusterUnavailable, r"302 Reason\); check the server .*, and log in"),
        (400, b"Client sent an HTTP request to an HTTPS server.\n", RUNS, UsageInvalid, "to https"),
        (400, status("the field is invalid"), RUNS, UsageInvalid, "cannot list runs: the field is invalid"),
        (401, status("Unauthorized"), RUNS, AccessDenied, r"rejects the credentials .* \(401\); log in again"),
        (403, HTML, RUNS, AccessDenied, "does not allow this user to list runs; ask for a Role with this right"),
        (403, status('admission webhook "a.example" denied the request: no'), RUNS, UsageInvalid, "a.example"),
        (403, status("forbidden: exceeded quota: runs"), RUNS, UsageInvalid, "exceeded quota: runs"),
        (404, b"404 page not found\n", RUNS, NotFound, "does not know ScoringRuns; `helm install` Fleetscore"),
        (404, b"404 page not found\n", MAPS, ClusterUnavailable, f"it does not know {MAPS}"),
        (404, HTML, RUNS, ClusterUnavailable, "is not an API server"),
        (404, status('namespaces "plant" not found'), RUNS, NotFound, "namespace plant does not exist; create it"),
        (404, status('scoringruns "x" not found'), RUNS, NotFound, "it does not exist in namespace plant; check"),
        (409, status('scoringruns "x" already exists'), RUNS, UsageInvalid, "already exists; choose another name"),
        (405, status(""), RUNS, ClusterUnavailable, "answered 405 Reason; check the server of the context"),
        (422, status("spec.tags is invalid: no"), RUNS, UsageInvalid, "invalid: no; correct the value that the"),
        (410, status("expired"), RUNS, ClusterUnavailable, "answered 410 Reason: expired; try again"),
        (429, status("too many requests."), RUNS, ClusterUnavailable, "429 Reason: too many requests; try again"),
        (503, HTML, RUNS, ClusterUnavailable, "cannot list runs: https://kube.example answered 503 Reason; try again"),
        (500, b"[" * 100_000, RUNS, ClusterUnavailable, "answered 500 Reason; try again"),
    ],
    ids=[
        "redirect", "plain-http", "bad-field", "login", "right", "webhook", "quota", "crd-missing", "other-server",
        "web-page", "namespace", "run", "name-taken", "method", "bad-value", "expired-list", "busy", "gateway", "deep",
    ],
)  # fmt: skip
def test_response_without_success_has_its_cause_and_next_step(
    code: int, content: bytes, path: str, kind: type[Exception], text: str
) -> None:
    error = response_error(code, "Reason", content, action="list runs", path=path, server=SERVER)
    assert "\n" not in str(error)
    with pytest.raises(kind, match=text):
        raise error


def test_long_message_with_control_characters_is_one_line() -> None:
    error = str(response_error(422, "", status("a\n\x1b[31m" + "b" * 9999), action="act", path=RUNS, server=SERVER))
    assert error.startswith("cannot act: a ?[31mb")
    assert len(error) < 600


@pytest.mark.parametrize("content", [b"", HTML, b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b"{}"])
def test_content_of_another_server_is_not_a_result(content: bytes) -> None:
    for parse in (parse_object, parse_resource, parse_list):
        if parse is parse_object and content == b"{}":
            continue
        with pytest.raises(ClusterUnavailable, match=r"is not an API server of Kubernetes.*; check the server"):
            parse(content, SERVER)


@pytest.mark.parametrize("items", [None, {}, [1], [{"metadata": 1}]])
def test_list_of_something_else_is_not_a_result(items: object) -> None:
    with pytest.raises(ClusterUnavailable, match="not a list of resources"):
        parse_list(json.dumps({"metadata": {}, "items": items}).encode(), SERVER)


def test_list_has_its_resources_and_the_token_of_the_next_page() -> None:
    one = {"metadata": {"name": "a"}}
    assert parse_list(json.dumps({"metadata": {"continue": "t"}, "items": [one]}).encode(), SERVER) == ([one], "t")
    assert parse_resource(json.dumps(one).encode(), SERVER) == one
