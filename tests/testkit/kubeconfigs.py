"""Kubeconfigs of fake API servers."""

from pathlib import Path

import yaml


def write_kubeconfig(folder: Path, server: str, *, namespace: str = "") -> Path:
    """Write a kubeconfig with one context, whose user has the token `t`, and return its path.

    Args:
        folder: The folder of the file.
        server: The URL of the API server.
        namespace: The namespace of the context; none if empty.
    """
    context = {"cluster": "test", "user": "test"} | ({"namespace": namespace} if namespace else {})
    document = {
        "current-context": "test",
        "contexts": [{"name": "test", "context": context}],
        "clusters": [{"name": "test", "cluster": {"server": server}}],
        "users": [{"name": "test", "user": {"token": "t"}}],
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return path
