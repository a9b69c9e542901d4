"""The fields of a kubeconfig's cluster and user, and the settings of a connection that follow from them.

https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
"""

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from scoring_operator.kube.environment_proxy import environment_proxy
from scoring_operator.kube.exec_plugin import API_VERSIONS, ExecPlugin
from scoring_operator.kube.header_values import is_header_value

MAX_LABEL_LENGTH = 63  # of the name of a host
MAX_REFERENCED_BYTES = 1_048_576  # of a certificate, a key or a token in a file
EXEC_EXTENSION = "client.authentication.k8s.io/exec"  # the extension of a cluster that its exec plugin gets


class KubeconfigError(ValueError):
    """A reason why a kubeconfig is invalid; the message begins with the field."""


class _Extension(msgspec.Struct):
    name: str = ""
    extension: Any = None


class Cluster(msgspec.Struct, rename="kebab"):
    """A server and how to connect to it."""

    server: str = ""
    tls_server_name: str = ""
    insecure_skip_tls_verify: bool = False
    certificate_authority: str = ""
    certificate_authority_data: str = ""
    proxy_url: str = ""
    disable_compression: bool = False  # responses are never compressed
    extensions: list[_Extension] = []


class _Variable(msgspec.Struct):
    name: str = ""
    value: str = ""


class Exec(msgspec.Struct, rename="camel"):
    """A program that prints a credential."""

    api_version: str = ""
    command: str = ""
    args: list[str] = []
    env: list[_Variable] = []
    install_hint: str = ""
    provide_cluster_info: bool = False
    interactive_mode: str = ""


class User(msgspec.Struct, rename="kebab"):
    """An identity."""

    client_certificate: str = ""
    client_certificate_data: str = ""
    client_key: str = ""
    client_key_data: str = ""
    token: str = ""
    token_file: str = msgspec.field(default="", name="tokenFile")
    as_: str = msgspec.field(default="", name="as")
    as_uid: str = ""
    as_groups: list[str] = []
    as_user_extra: dict[str, list[str]] = {}
    username: str = ""
    password: str = ""
    auth_provider: dict[str, Any] | None = None
    exec: Exec | None = None


class Context(msgspec.Struct):
    """A pair of a cluster and a user, by their names, and a default namespace."""

    cluster: str = ""
    user: str = ""
    namespace: str = ""


def server_settings(name: str, folder: Path, cluster: Cluster, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the arguments of Credentials that belong to the server.

    Args:
        name: The name of the cluster.
        folder: The folder of its file.
        cluster: The cluster.
        environment: The environment variables, for the proxy.

    Raises:
        KubeconfigError: A field cannot be used.
    """
    where = f"clusters[{name}]"
    ca = _pem(where, "certificate-authority", folder, cluster.certificate_authority, cluster.certificate_authority_data)
    if ca and cluster.insecure_skip_tls_verify:
        raise KubeconfigError(
            f"{where} has both insecure-skip-tls-verify and a certificate-authority; remove one of them"
        )
    server = _server_url(where, cluster.server, tls=bool(ca) or cluster.insecure_skip_tls_verify)
    if cluster.tls_server_name and not (cluster.tls_server_name.isascii() and _is_host(cluster.tls_server_name)):
        raise KubeconfigError(f"{where}.tls-server-name is not the name of a host")
    if cluster.proxy_url:
        _check_url(f"{where}.proxy-url", cluster.proxy_url, ("http", "https"))
    return {
        "server": server,
        "ca": ca or None,
        "insecure": cluster.insecure_skip_tls_verify,
        "server_name": cluster.tls_server_name,
        "proxy": cluster.proxy_url or environment_proxy(server, environment),
    }


def plugin_cluster(cluster: Cluster, server: Mapping[str, Any]) -> dict[str, Any]:
    """Return the cluster that an exec plugin gets in KUBERNETES_EXEC_INFO.

    Args:
        cluster: The cluster.
        server: Its settings.
    """
    config = next((one.extension for one in cluster.extensions if one.name == EXEC_EXTENSION), None)
    ca = server["ca"]
    info = {
        "server": server["server"],
        "tls-server-name": cluster.tls_server_name,
        "insecure-skip-tls-verify": cluster.insecure_skip_tls_verify,
        "certificate-authority-data": base64.b64encode(ca.encode()).decode() if ca else "",
        "proxy-url": cluster.proxy_url,
        "disable-compression": cluster.disable_compression,
        "config": config,
    }
    return {key: value for key, value in info.items() if value}


def identity_settings(name: str, folder: Path, user: User, cluster: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of Credentials that belong to the user.

    Args:
        name: The name of the user.
        folder: The folder of its file.
        user: The user.
        cluster: The cluster that an exec plugin may get.

    Raises:
        KubeconfigError: A field cannot be used, or two of them exclude each other.
    """
    where = f"users[{name}]"
    if user.auth_provider is not None:
        provider = user.auth_provider.get("name", "")
        raise KubeconfigError(
            f"{where}.auth-provider {provider!r} is not supported; use an exec plugin, such as kubelogin"
        )
    certificate = _pem(
        where, "client-certificate", folder, user.client_certificate, user.client_certificate_data, strict=True
    )
    key = _pem(where, "client-key", folder, user.client_key, user.client_key_data, strict=True)
    if bool(certificate) != bool(key):
        missing = "client-key" if certificate else "client-certificate"
        raise KubeconfigError(f"{where}.{missing} is missing; a client certificate needs a certificate and its key")
    if user.token and (user.username or user.password):
        raise KubeconfigError(f"{where} has both a token and a username; remove one of them")
    token_file = folder / user.token_file if user.token_file else None
    if token_file and not user.token:
        _read(f"{where}.tokenFile", token_file)
    return {
        "token": _header(f"{where}.token", user.token.strip()) or None,
        "token_file": token_file,
        "certificate": certificate or None,
        "key": key or None,
        "basic": (user.username, user.password) if user.username or user.password else None,
        "headers": _impersonation(where, user),
        "exec_plugin": _plugin(name, folder, user.exec, cluster) if user.exec else None,
    }


def _server_url(where: str, server: str, *, tls: bool) -> str:
    if not server:
        raise KubeconfigError(f"{where}.server is missing")
    url = (server if "://" in server else f"{'https' if tls else 'http'}://{server}").rstrip("/")
    _check_url(f"{where}.server", url, ("http", "https"))
    if urlsplit(url).query or urlsplit(url).fragment or urlsplit(url).username:
        raise KubeconfigError(f"{where}.server must not have a query, a fragment or a user")
    return url


def _check_url(where: str, text: str, schemes: tuple[str, ...]) -> None:
    try:
        url = urlsplit(text)
        valid = is_header_value(text) and _is_host(url.hostname or "") and (url.port is None or url.port > 0)
    except ValueError:
        valid = False
    if not valid or " " in text:
        raise KubeconfigError(f"{where} is not a URL, such as https://host:6443")
    if url.scheme not in schemes:
        raise KubeconfigError(
            f"{where} has the scheme {url.scheme!r}, which is not supported; use {' or '.join(schemes)}"
        )


def _is_host(name: str) -> bool:
    """Return True for a name whose labels have 1 to 63 characters (RFC 1035, 2.3.4), or an IP address."""
    return ":" in name or all(1 <= len(label) <= MAX_LABEL_LENGTH for label in name.removesuffix(".").split("."))


def _pem(where: str, field: str, folder: Path, path: str, data: str, *, strict: bool = False) -> str:
    """Return a PEM text from embedded data or from a file; without non-ASCII characters, which only comments have."""
    if path and data:
        raise KubeconfigError(f"{where} has both {field} and {field}-data; remove one of them")
    if not data:
        return _read(f"{where}.{field}", folder / path).decode("ascii", "ignore") if path else ""
    try:
        found = base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        raise KubeconfigError(f"{where}.{field}-data is not base64") from None
    if strict and not found:
        raise KubeconfigError(f"{where}.{field}-data is empty")
    return found.decode("ascii", "ignore")


def _read(where: str, path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_REFERENCED_BYTES + 1)
    except (OSError, ValueError) as error:
        raise KubeconfigError(f"{where}: {path}: {getattr(error, 'strerror', None) or error}") from error
    if len(content) > MAX_REFERENCED_BYTES:
        raise KubeconfigError(f"{where}: {path} has more than {MAX_REFERENCED_BYTES:,} bytes")
    return content


def _header(where: str, value: str) -> str:
    """Return the value of a header; a line break would begin another header."""
    if not is_header_value(value):
        raise KubeconfigError(f"{where} has characters that a header must not have")
    return value


def _impersonation(where: str, user: User) -> tuple[tuple[str, str], ...]:
    """Return the headers of an impersonation.

    https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation
    """
    if not user.as_:
        if user.as_uid or user.as_groups or user.as_user_extra:
            raise KubeconfigError(f"{where} has as-uid, as-groups or as-user-extra without as")
        return ()
    headers = [("Impersonate-User", user.as_), *(("Impersonate-Group", group) for group in user.as_groups)]
    if user.as_uid:
        headers.append(("Impersonate-Uid", user.as_uid))
    for key, values in user.as_user_extra.items():
        headers += [(f"Impersonate-Extra-{quote(key.lower(), safe='')}", value) for value in values]
    return tuple((name, _header(f"{where}.as", value)) for name, value in headers)


def _plugin(name: str, folder: Path, found: Exec, cluster: Mapping[str, Any]) -> ExecPlugin:
    where = f"users[{name}].exec"
    if not found.command:
        raise KubeconfigError(f"{where}.command is missing")
    if found.api_version not in API_VERSIONS:
        raise KubeconfigError(f"{where}.apiVersion {found.api_version!r} is not supported; use {API_VERSIONS[0]}")
    mode = found.interactive_mode or ("" if found.api_version == API_VERSIONS[0] else "IfAvailable")
    if mode not in ("Never", "IfAvailable", "Always"):
        raise KubeconfigError(f"{where}.interactiveMode {mode!r} is invalid; use Never, IfAvailable or Always")
    if any(not variable.name or "=" in variable.name for variable in found.env):
        raise KubeconfigError(f"{where}.env has a variable without a valid name")
    # A path is relative to the file; a name without a folder is found in PATH.
    command = str(folder / found.command) if "/" in found.command else found.command
    return ExecPlugin(
        user=name,
        command=(command, *found.args),
        api_version=found.api_version,
        variables={variable.name: variable.value for variable in found.env},
        cluster=cluster if found.provide_cluster_info else None,
        interactive_mode=mode,
        install_hint=found.install_hint,
    )
