"""The fields of a kubeconfig's user that the package kubernetes ignores, as kubectl uses them."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fleetscore.errors import UsageInvalid

if TYPE_CHECKING:
    from kubernetes import client

MAX_TOKEN_BYTES = 65_536
Headers = Sequence[tuple[str, str]]


def kubeconfig_user(files: str, name: str | None) -> dict[str, Any]:
    """Return the fields of a user of a kubeconfig, with the whole path of `tokenFile`; none if it has no such user.

    Args:
        files: The files, separated as in PATH; the first one with the user wins.
        name: The name of the user.
    """
    from kubernetes.config.kube_config import KubeConfigMerger  # noqa: PLC0415  see connection.py

    users = KubeConfigMerger(files).config.safe_get("users") or []
    found = next((one for one in users if one["name"] == name), None)
    if found is None:
        return {}
    user = found.safe_get("user") or {}
    if user.get("tokenFile"):  # relative to the file that has it
        user["tokenFile"] = Path(found.path).absolute().parent / user["tokenFile"]
    return user


def follow_token_file(settings: "client.Configuration", path: Path) -> None:
    """Read the token of a file again for each request: another program replaces it before it expires.

    While the file cannot be read, or has no token, the last one is used.

    Args:
        settings: The settings from the kubeconfig, with the first token of the file or the user's own.
        path: The file.
    """

    def read(settings: "client.Configuration") -> None:
        with suppress(OSError, ValueError), path.open() as file:
            token = file.read(MAX_TOKEN_BYTES).strip()
            if token and token.isascii() and token.isprintable():
                settings.api_key["BearerToken"] = f"Bearer {token}"

    settings.refresh_api_key_hook = read  # type: ignore[assignment]  # its type is that of its first value, None
    read(settings)


def impersonation_headers(user: Mapping[str, Any], where: str) -> Headers:
    """Return the headers of an impersonation; none without one.

    https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation

    Args:
        user: The fields of the kubeconfig's user.
        where: The kubeconfig, for messages.

    Raises:
        UsageInvalid: A field is invalid, or the user to impersonate is missing.
    """
    name, uid, groups, extra = (user.get(key) for key in ("as", "as-uid", "as-groups", "as-user-extra"))
    if not any((name, uid, groups, extra)):
        return ()
    if not name:
        raise UsageInvalid(f"{where} is invalid: its user has other fields of an impersonation, but lacks `as`; add it")
    found = [("Impersonate-User", name), *(("Impersonate-Group", group) for group in _list(groups, where))]
    if uid:
        found.append(("Impersonate-Uid", uid))
    for key, values in (extra or {}).items():
        found += [(f"Impersonate-Extra-{quote(key.lower(), safe='')}", value) for value in _list(values, where)]
    for header, value in found:
        if not isinstance(value, str) or not value.isascii() or not value.isprintable():
            raise UsageInvalid(f"{where} is invalid: its value for {header} is not a text of visible characters")
    return found


def _list(values: object, where: str) -> list[Any]:
    if not isinstance(values or [], list):
        raise UsageInvalid(f"{where} is invalid: as-groups and the values of as-user-extra must be lists")
    return list(values or [])  # type: ignore[call-overload,no-any-return]
