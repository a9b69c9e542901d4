"""The image of the container that keeps a pod's namespaces open; it contains only our pause program."""

import hashlib
import io
import json
import platform
import tarfile
from pathlib import Path
from typing import Any

IMAGE_NAME = "fleetscore.dev/pause:local"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def build_image(program: bytes) -> bytes:
    """Return the OCI archive of an image that runs `program`; the same program gives the same bytes."""
    layer = _tar_archive({"pause": program}, mode=0o755)
    blobs: dict[str, bytes] = {}

    def blob(content: bytes, media_type: str) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = content
        return {
            "mediaType": f"application/vnd.oci.image.{media_type}",
            "digest": f"sha256:{digest}",
            "size": len(content),
        }

    config = {
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob(json.dumps(config).encode(), "config.v1+json"),
        "layers": [blob(layer, "layer.v1.tar")],
    }
    entry = blob(json.dumps(manifest).encode(), "manifest.v1+json")
    index = {"schemaVersion": 2, "manifests": [entry | {"annotations": {"io.containerd.image.name": IMAGE_NAME}}]}
    files = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}', "index.json": json.dumps(index).encode()}
    return _tar_archive(files | blobs, mode=0o644)


def _tar_archive(files: dict[str, bytes], *, mode: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def read_program(folder: Path) -> bytes:
    """Return the program that `tools.ensure_tool("pause")` built."""
    return (folder / "pause").read_bytes()
