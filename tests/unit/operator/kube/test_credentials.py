"""The identity of a client: its certificates, its token and the name of its server."""

import contextlib
import ssl
from pathlib import Path

import pytest

from scoring_operator.errors import InvalidSettings
from scoring_operator.kube.credentials import Credentials
from tests.testkit.tls import Tls


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"ca": "no certificate"}, "the certificate authority of https://host is invalid"),
        ({"ca": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"}, "the certificate authority of"),
        ({"certificate": "CERT", "key": "KEY"}, "the client certificate for https://host cannot be used"),
    ],
)
def test_certificate_that_cannot_be_used_is_named(fields: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidSettings, match=message):
        Credentials("https://host", **fields).ssl_context()  # type: ignore[arg-type]  # all of them are texts


def test_server_is_verified_by_the_name_that_the_kubeconfig_gives(tmp_path: Path) -> None:
    tls = Tls.create(tmp_path, "kube.internal")
    listener = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    listener.load_cert_chain(tls.certificate, tls.key)

    def handshake(name: str, *, insecure: bool = False) -> None:
        account = Credentials("https://127.0.0.1", ca=tls.authority.read_text(), server_name=name, insecure=insecure)
        ends = [ssl.MemoryBIO() for _ in range(4)]
        client = account.ssl_context().wrap_bio(ends[0], ends[1], server_hostname="127.0.0.1")
        server = listener.wrap_bio(ends[2], ends[3], server_side=True)
        for _ in range(4):
            for side, source, target in ((client, ends[1], ends[2]), (server, ends[3], ends[0])):
                with contextlib.suppress(ssl.SSLWantReadError):
                    side.do_handshake()
                target.write(source.read())

    handshake("kube.internal")
    handshake("other", insecure=True)
    for name in ("", "other"):
        with pytest.raises(ssl.SSLCertVerificationError):
            handshake(name)


def test_first_64_kib_of_a_token_file_are_read(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_bytes(b"a" * 65_536 + b"b")
    assert Credentials("https://host:1", token_file=path).authorization() == f"Bearer {'a' * 65_536}"


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"one\r\nX-Header: two", "ключ".encode()])
def test_file_without_a_bearer_token_is_named_unless_there_is_another_token(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(InvalidSettings, match=f"the file {path} has no bearer token"):
        Credentials("https://host:1", token_file=path).authorization()
    assert Credentials("https://host:1", token="t", token_file=path).authorization() == "Bearer t"
