"""The fields of a kubeconfig's cluster and user."""

import base64
from pathlib import Path
from typing import Any

import pytest

from scoring_operator.kube.credentials import Credentials
from scoring_operator.kube.kubeconfig_fields import (
    Cluster,
    Exec,
    KubeconfigError,
    User,
    _Extension,
    _Variable,
    identity_settings,
    plugin_cluster,
    server_settings,
)

V1 = "client.authentication.k8s.io/v1"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def server(folder: Path = Path(), **fields: Any) -> Credentials:
    return Credentials(**server_settings("c", folder, Cluster(**({"server": "https://host:1"} | fields)), {}))


def identity(folder: Path = Path(), **fields: Any) -> Credentials:
    return Credentials("https://host:1", **identity_settings("u", folder, User(**fields), {"server": "https://host:1"}))


def test_cluster_without_options_is_only_a_server() -> None:
    assert server(server="https://host:1/k8s/clusters/a/") == Credentials("https://host:1/k8s/clusters/a")


def test_server_without_a_scheme_is_https_only_with_tls_settings() -> None:
    assert server(server="host:1").server == "http://host:1"
    assert server(server="host:1", insecure_skip_tls_verify=True).server == "https://host:1"


def test_options_of_the_cluster_are_taken_over(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("CA")
    found = server(tmp_path, certificate_authority="ca.pem", tls_server_name="kube", proxy_url="http://u:p@proxy:3128")
    assert found == Credentials("https://host:1", ca="CA", server_name="kube", proxy="http://u:p@proxy:3128")
    assert server(insecure_skip_tls_verify=True).insecure
    assert server(certificate_authority_data=encoded("CA\n").replace("=", "=\n")).ca == "CA\n"


def test_proxy_of_the_environment_is_used_without_proxy_url() -> None:
    environment = {"HTTPS_PROXY": "http://proxy:1"}
    assert server_settings("c", Path(), Cluster(server="https://host:1"), environment)["proxy"] == "http://proxy:1"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"server": ""}, "clusters[c].server is missing"),
        ({"server": "ftp://host"}, "clusters[c].server has the scheme 'ftp'"),
        ({"server": "https://"}, "clusters[c].server is not a URL"),
        ({"server": "https://host:99999"}, "clusters[c].server is not a URL"),
        ({"server": "https://[::1"}, "clusters[c].server is not a URL"),
        ({"server": "https://a..b"}, "clusters[c].server is not a URL"),
        ({"server": f"https://{'a' * 64}.example"}, "clusters[c].server is not a URL"),
        ({"tls_server_name": "a..b"}, "clusters[c].tls-server-name is not the name of a host"),
        ({"server": "https://host/\r\nX: y"}, "clusters[c].server is not a URL"),
        ({"server": "https://host/?a=b"}, "must not have a query"),
        ({"proxy_url": "socks5://proxy:1080"}, "clusters[c].proxy-url has the scheme 'socks5', which is not supported"),
        ({"proxy_url": "proxy:3128"}, "clusters[c].proxy-url is not a URL"),
        ({"certificate_authority_data": "%"}, "clusters[c].certificate-authority-data is not base64"),
        ({"certificate_authority": "no.pem"}, "clusters[c].certificate-authority: no.pem: No such file"),
        ({"certificate_authority": "a", "certificate_authority_data": "YQ=="}, "has both certificate-authority and"),
        ({"certificate_authority_data": "YQ==", "insecure_skip_tls_verify": True}, "has both insecure-skip-tls-verify"),
    ],
)
def test_unusable_field_of_a_cluster_is_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(KubeconfigError) as raised:
        server(**fields)
    assert message in str(raised.value)


def test_user_without_fields_is_anonymous() -> None:
    assert identity() == Credentials("https://host:1")
    assert identity().authorization() is None


def test_token_file_precedes_the_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from the file\n")
    assert identity(tmp_path, token="given", token_file="token").authorization() == "Bearer from the file"
    assert identity(tmp_path, token=" given ", token_file="missing").authorization() == "Bearer given"


def test_token_precedes_an_exec_plugin_which_is_not_run(tmp_path: Path) -> None:
    program = Exec(api_version=V1, command="/nonexistent", interactive_mode="Never")
    found = identity(tmp_path, token="given", exec=program)
    assert found.authorization() == "Bearer given"
    assert found.ssl_context()
    assert identity(tmp_path, username="u", password="p", exec=program).authorization() == "Basic dTpw"


def test_user_and_password_are_sent_as_basic_authentication() -> None:
    assert identity(username="u", password="pä").authorization() == "Basic dTpww6Q="


def test_impersonation_becomes_headers() -> None:
    found = identity(token="t", as_="me", as_uid="7", as_groups=["a", "b"], as_user_extra={"Scopes/x": ["v", "w"]})
    assert found.headers == (
        ("Impersonate-User", "me"),
        ("Impersonate-Group", "a"),
        ("Impersonate-Group", "b"),
        ("Impersonate-Uid", "7"),
        ("Impersonate-Extra-scopes%2Fx", "v"),
        ("Impersonate-Extra-scopes%2Fx", "w"),
    )


def test_certificate_and_key_come_from_data_or_files(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("KEY")
    found = identity(tmp_path, client_certificate_data=encoded("CERT"), client_key="key.pem")
    assert (found.certificate, found.key) == ("CERT", "KEY")


def test_plugin_has_its_settings_and_a_command_relative_to_the_file(tmp_path: Path) -> None:
    program = Exec(api_version=V1, command="bin/login", args=["a"], env=[_Variable("K", "v")], interactive_mode="Never")
    plugin = identity(tmp_path, exec=program).exec_plugin
    assert plugin
    assert plugin.command == (str(tmp_path / "bin/login"), "a")
    assert (plugin.variables, plugin.cluster, plugin.interactive_mode) == ({"K": "v"}, None, "Never")
    in_path = identity(exec=Exec(api_version=f"{V1}beta1", command="login", provide_cluster_info=True)).exec_plugin
    assert in_path
    assert (in_path.command, in_path.interactive_mode) == (("login",), "IfAvailable")
    assert in_path.cluster == {"server": "https://host:1"}


def test_plugin_gets_the_cluster_with_its_extension() -> None:
    cluster = Cluster(
        server="https://host:1",
        tls_server_name="kube",
        certificate_authority_data=encoded("CA"),
        extensions=[_Extension("other", 1), _Extension("client.authentication.k8s.io/exec", {"audience": "a"})],
    )
    assert plugin_cluster(cluster, server_settings("c", Path(), cluster, {})) == {
        "server": "https://host:1",
        "tls-server-name": "kube",
        "certificate-authority-data": encoded("CA"),
        "config": {"audience": "a"},
    }


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"auth_provider": {"name": "gcp"}}, "users[u].auth-provider 'gcp' is not supported; use an exec plugin"),
        ({"client_certificate_data": "YQ=="}, "users[u].client-key is missing"),
        ({"client_key_data": "YQ=="}, "users[u].client-certificate is missing"),
        ({"client_certificate": "c", "client_certificate_data": "YQ=="}, "has both client-certificate and"),
        ({"client_key": "no.pem"}, "users[u].client-key: no.pem: No such file"),
        ({"token": "t", "username": "u"}, "has both a token and a username"),
        ({"token": "a\nb"}, "users[u].token has characters that a header must not have"),
        ({"token_file": "missing"}, "users[u].tokenFile: missing: No such file"),
        ({"as_groups": ["a"]}, "without as"),
        ({"as_": "a\r\nX: y"}, "users[u].as has characters"),
        ({"exec": Exec(api_version=V1)}, "users[u].exec.command is missing"),
        ({"exec": Exec(command="x")}, "users[u].exec.apiVersion '' is not supported"),
        ({"exec": Exec(command="x", api_version=f"{V1}alpha1")}, "v1alpha1' is not supported"),
        ({"exec": Exec(command="x", api_version=V1)}, "users[u].exec.interactiveMode '' is invalid"),
        (
            {"exec": Exec(command="x", api_version=V1, interactive_mode="Never", env=[_Variable()])},
            "users[u].exec.env has a variable without a valid name",
        ),
    ],
)
def test_unusable_field_of_a_user_is_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(KubeconfigError) as raised:
        identity(**fields)
    assert message in str(raised.value)


def test_large_referenced_file_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"a" * 1_048_577)
    with pytest.raises(KubeconfigError, match="has more than 1,048,576 bytes"):
        server(tmp_path, certificate_authority="big")
