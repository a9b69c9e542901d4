"""A kubeconfig as kubectl reads it: every field is obeyed, or rejected by name.

The rules are those of client-go (tools/clientcmd). Files are merged, and the first file with an entry wins. Paths are
relative to the file that has them, and embedded data precede files. The content may be hostile, so files, YAML events
and nesting are bounded. Aliases are rejected, because they grow exponentially through merge keys, and so are tags.
"""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from scoring_operator.errors import InvalidSettings
from scoring_operator.kube.credentials import Credentials
from scoring_operator.kube.kubeconfig_fields import (
    Cluster,
    Context,
    KubeconfigError,
    User,
    identity_settings,
    plugin_cluster,
    server_settings,
)
from scoring_operator.kube.yaml_loader import text_loader

T = TypeVar("T")

MAX_FILES = 64
MAX_FILE_BYTES = 4_194_304
MAX_YAML_EVENTS = 100_000  # a cluster with its context and user has about sixty
MAX_YAML_DEPTH = 50


class _NamedCluster(msgspec.Struct):
    name: str
    cluster: Cluster = msgspec.field(default_factory=Cluster)


class _NamedUser(msgspec.Struct):
    name: str
    user: User = msgspec.field(default_factory=User)


class _NamedContext(msgspec.Struct):
    name: str
    context: Context = msgspec.field(default_factory=Context)


class _File(msgspec.Struct, rename="kebab"):
    current_context: str = ""
    clusters: list[_NamedCluster] = []
    users: list[_NamedUser] = []
    contexts: list[_NamedContext] = []


_Loader = text_loader("timestamp")  # kubectl keeps dates as text, too


def load(paths: str, environment: Mapping[str, str], *, context: str = "") -> Credentials:
    """Return the credentials of a context.

    Args:
        paths: The files, separated as in PATH. A missing file is skipped, unless all are missing.
        environment: The environment variables, for the proxy.
        context: The name of the context; empty: the current one.

    Raises:
        InvalidSettings: A file cannot be read or used; the message names the file and the field.
    """
    names = list(dict.fromkeys(filter(None, paths.split(os.pathsep))))
    try:
        return _select(_read_files(names), environment, context)
    except KubeconfigError as error:
        raise InvalidSettings(f"kubeconfig {paths} is invalid: {error}") from error


def _read_files(names: Sequence[str]) -> list[tuple[Path, _File]]:
    if len(names) > MAX_FILES:
        raise KubeconfigError(f"it has more than {MAX_FILES} files")
    found = [(Path(name), _read_file(Path(name))) for name in names if len(names) == 1 or _exists(Path(name))]
    if not found:
        raise KubeconfigError("none of its files exists")
    return found


def _exists(path: Path) -> bool:
    """Return False for a missing file, which kubectl skips. A file that cannot be reached fails when it is read."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True
    return True


def _read_file(path: Path) -> _File:
    try:
        return msgspec.convert(_without_nulls(_parse_yaml(_read(path))) or {}, _File)
    except (yaml.YAMLError, msgspec.MsgspecError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:500]
        raise KubeconfigError(reason if isinstance(error, KubeconfigError) else f"{path}: {reason}") from error


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise KubeconfigError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    if len(content) > MAX_FILE_BYTES:
        raise KubeconfigError(f"{path} has more than {MAX_FILE_BYTES:,} bytes")
    return content


def _parse_yaml(content: bytes) -> Any:
    """Parse bounded YAML or JSON; the events are checked first, because the parser of the nodes is recursive."""
    depth = 0
    for count, event in enumerate(yaml.parse(content, Loader=_Loader)):
        if isinstance(event, yaml.AliasEvent):
            raise KubeconfigError(f"YAML aliases (*{event.anchor}) are not supported; write the value out")
        if tag := getattr(event, "tag", None):  # a constructor of the library fails with any exception
            raise KubeconfigError(f"YAML tags ({tag}) are not supported; write the value without it")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if count >= MAX_YAML_EVENTS or depth > MAX_YAML_DEPTH:
            raise KubeconfigError(f"it has more than {MAX_YAML_EVENTS:,} values, or more than {MAX_YAML_DEPTH} levels")
    return yaml.load(content, Loader=_Loader)  # noqa: S506  # a subclass of the safe loader


def _without_nulls(value: Any) -> Any:
    """Return a document without the keys whose value is null, which mean the default."""
    if isinstance(value, dict):
        return {key: _without_nulls(entry) for key, entry in value.items() if entry is not None}
    return [_without_nulls(entry) for entry in value] if isinstance(value, list) else value


def _select(files: Sequence[tuple[Path, _File]], environment: Mapping[str, str], wanted: str) -> Credentials:
    contexts = _merge(files, lambda file: {one.name: one.context for one in _unique(file.contexts, "contexts")})
    clusters = _merge(files, lambda file: {one.name: one.cluster for one in _unique(file.clusters, "clusters")})
    users = _merge(files, lambda file: {one.name: one.user for one in _unique(file.users, "users")})
    name = wanted or next((file.current_context for _, file in files if file.current_context), "")
    if not name:
        raise KubeconfigError(f"current-context is missing; use --context with one of {_names(contexts)}")
    if name not in contexts:
        raise KubeconfigError(f"context {name!r} does not exist; use one of {_names(contexts)}")
    context = contexts[name][1]
    if context.cluster not in clusters:
        raise KubeconfigError(f"contexts[{name}].cluster {context.cluster!r} does not exist in clusters")
    if context.user and context.user not in users:
        raise KubeconfigError(f"contexts[{name}].user {context.user!r} does not exist in users")
    folder, cluster = clusters[context.cluster]
    user_folder, user = users.get(context.user, (folder, User()))
    server = server_settings(context.cluster, folder, cluster, environment)
    identity = identity_settings(context.user, user_folder, user, plugin_cluster(cluster, server))
    return Credentials(**server, **identity, namespace=context.namespace)


def _merge(
    files: Sequence[tuple[Path, _File]], entries: Callable[[_File], Mapping[str, T]]
) -> dict[str, tuple[Path, T]]:
    """Return the entries by name with the folder of their file; the first file with a name wins."""
    merged: dict[str, tuple[Path, T]] = {}
    for path, file in files:
        for name, entry in entries(file).items():
            merged.setdefault(name, (path.absolute().parent, entry))
    return merged


def _unique(entries: list[T], field: str) -> list[T]:
    counts = Counter(getattr(entry, "name", "") for entry in entries)
    if repeated := [name for name, count in counts.items() if count > 1]:
        raise KubeconfigError(f"{field} has the name {repeated[0]!r} twice")
    return entries


def _names(contexts: Mapping[str, object]) -> str:
    shown = ", ".join(list(contexts)[:10])
    return f"{shown} ..." if len(contexts) > 10 else shown or "(none)"
