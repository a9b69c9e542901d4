"""Kubeconfigs of fake API servers."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml


def write_kubeconfig(
    folder: Path, server: str, *, namespace: str = "", user: Mapping[str, Any] = MappingProxyType({"token": "t"})
) -> Path:
    """Write a kubeconfig with one context, and return its path.

    Args:
        folder: The folder of the file.
        server: The URL of the API server.
        namespace: The namespace of the context; none if empty.
        user: The fields of the context's user.
    """
    context = {"cluster": "test", "user": "test"} | ({"namespace": namespace} if namespace else {})
    document = {
        "current-context": "test",
        "contexts": [{"name": "test", "context": context}],
        "clusters": [{"name": "test", "cluster": {"server": server}}],
        "users": [{"name": "test", "user": dict(user)}],
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return path
