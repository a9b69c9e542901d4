"""The files of a kubeconfig: merging, selection and bounds."""

import copy
import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from scoring_operator.errors import InvalidSettings
from scoring_operator.kube import kubeconfig
from scoring_operator.kube.credentials import Credentials
from tests.testkit.waiting import shortest

DOCUMENT: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Config",
    "preferences": {},
    "current-context": "here",
    "contexts": [
        {"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "scoring"}},
        {"name": "2024-01-01", "context": {"cluster": "c", "user": ""}},
    ],
    "clusters": [{"name": "c", "cluster": {"server": "https://host:1"}}],
    "users": [{"name": "u", "user": {"token": "t", "exec": None}}],
}


def write(path: Path, document: Any = None, **changes: Any) -> Path:
    path.write_text(yaml.safe_dump((copy.deepcopy(DOCUMENT) if document is None else document) | changes))
    return path


def load(*paths: Path, context: str = "") -> Credentials:
    return kubeconfig.load(":".join(map(str, paths)), {}, context=context)


def test_current_context_and_a_named_one_are_selected(tmp_path: Path) -> None:
    file = write(tmp_path / "config")
    assert load(file) == Credentials(server="https://host:1", token="t", namespace="scoring")
    assert load(file, context="2024-01-01") == Credentials(server="https://host:1")


def test_first_file_with_an_entry_wins_and_missing_files_are_skipped(tmp_path: Path) -> None:
    one = write(tmp_path / "one", {"users": [{"name": "u", "user": {"token": "first"}}]})
    two = write(tmp_path / "two", clusters=[{"name": "c", "cluster": {"server": "https://two:2"}}])
    assert load(tmp_path / "missing", one, two) == Credentials(
        server="https://two:2", token="first", namespace="scoring"
    )
    three = write(tmp_path / "three", {"current-context": "2024-01-01"})
    assert load(three, one, two).token is None


def test_file_that_cannot_be_reached_is_named_next_to_a_usable_one(tmp_path: Path) -> None:
    usable = write(tmp_path / "config")
    with pytest.raises(InvalidSettings, match="File name too long"):
        load(tmp_path / ("x" * 300), usable)
    with pytest.raises(InvalidSettings, match="Not a directory"):
        load(usable / "below", usable)


def test_paths_are_relative_to_the_file_that_has_them(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "secret").write_text(f"token of {name}")
    users = {"users": [{"name": "u", "user": {"tokenFile": "secret"}}]}
    first, second = write(tmp_path / "a" / "config", users), write(tmp_path / "b" / "config", users=[])
    assert load(second, first).bearer_token() == "token of a"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"current-context": ""}, "current-context is missing; use --context with one of here, 2024-01-01"),
        ({"current-context": None, "contexts": []}, "current-context is missing; use --context with one of (none)"),
        ({"current-context": "there"}, "context 'there' does not exist; use one of here"),
        ({"clusters": []}, "contexts[here].cluster 'c' does not exist"),
        ({"users": []}, "contexts[here].user 'u' does not exist"),
        ({"users": [{"name": "u"}, {"name": "u"}]}, "users has the name 'u' twice"),
        ({"contexts": [{"context": {}}]}, "missing required field `name`"),
        ({"users": [{"name": "u", "user": {"token": 1}}]}, "$.users[0].user.token"),
        ({"clusters": "none"}, "$.clusters"),
    ],
)
def test_unusable_file_is_named_with_the_field(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSettings, match=r"kubeconfig .*config is invalid") as raised:
        load(write(tmp_path / "config", **changes))
    assert message in str(raised.value)


def test_missing_and_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="No such file"):
        load(tmp_path / "missing")
    with pytest.raises(InvalidSettings, match="none of its files exists"):
        load(tmp_path / "missing", tmp_path / "too")
    with pytest.raises(InvalidSettings, match="Is a directory"):
        load(tmp_path)
    with pytest.raises(InvalidSettings, match="more than 64 files"):
        load(*(tmp_path / str(number) for number in range(65)))


BOMB = "a0: &a0 {x: 1, y: 2}\n" + "".join(
    f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 40)
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[" * 100_000, "50 levels"),
        (b"- " * 2_000_000, "50 levels"),
        (b"a: 1\n" * 200_000, "100,000 values"),
        (BOMB.encode(), "aliases"),
        (b"clusters: &x [*x]", "aliases"),
        (b"x" * 4_194_305, "4,194,304 bytes"),
        (b"a: 1\n---\nb: 1\n", "single document"),
        (b"!!python/object/apply:os.system [id]", "tags"),
        (b"clusters: !!int ''", "tags"),
        (b"\xff\xfe\x00", "config"),
        (b"current-context: \x00", "config"),
        (b"current-context: " + b"9" * 100_000, "config"),
        (b"{", "config"),
        (b"[]", "config"),
        (b"", "current-context is missing"),
    ],
    ids=range(15),
)
def test_hostile_file_is_rejected_within_two_seconds(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "config"
    file.write_bytes(content)

    def seconds_to_reject() -> float:
        started = time.process_time()
        with pytest.raises(InvalidSettings) as raised:
            load(file)
        seconds = time.process_time() - started
        assert message in str(raised.value)
        assert len(str(raised.value)) < 1000
        return seconds

    assert shortest(seconds_to_reject, 2) < 2


USERS = [
    {"client-certificate-data": "Q0VSVA==", "client-key-data": "S0VZ"},
    {"as": "me", "as-uid": "1", "as-groups": ["a"], "as-user-extra": {"K": ["v"]}, "username": "u", "password": "p"},
    {"exec": {"command": "./x", "apiVersion": "client.authentication.k8s.io/v1beta1", "env": [{"name": "A"}]}},
    {"auth-provider": {"name": "gcp"}},
]
CLUSTER = {
    "server": "https://h",
    "tls-server-name": "n",
    "proxy-url": "http://p:1",
    "certificate-authority-data": "Q0E=",
}
SEEDS = [
    json.dumps(
        DOCUMENT | {"users": [{"name": "u", "user": user}], "clusters": [{"name": "c", "cluster": CLUSTER}]}
    ).encode()
    for user in USERS
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Return a sound file with some spans of bytes replaced."""
    content = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        content[at : at + draw(st.integers(0, 8))] = draw(
            st.one_of(
                st.binary(max_size=8), st.sampled_from([b"null", b"[]", b"{}", b"!!", b"&a ", b"<<", b"'", b"\n"])
            )
        )
    return bytes(content)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(content=st.one_of(mutated(), st.binary(max_size=200)))
@example(content=b'{"contexts": [{"name": "a", "context": null}], "current-context": "a"}')
def test_any_bytes_are_credentials_or_an_error_with_the_name_of_the_file(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "config"
    file.write_bytes(content)
    started = time.process_time()
    try:
        found: Credentials | InvalidSettings = load(file)
    except InvalidSettings as error:
        found = error
    assert time.process_time() - started < 2
    if isinstance(found, Credentials):
        assert found.server.startswith(("https://", "http://"))
    else:
        assert str(file) in str(found)
        assert "\n" not in str(found)
