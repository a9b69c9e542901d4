"""A store in a local folder: blobs are files in FOLDER/models, FOLDER/data and FOLDER/predictions.

Metadata is a file `.meta/<name>.<etag>.json` in the container's folder. The ETag is the MD5 of the content, so it binds
the metadata to the content. The metadata is written first, so that a visible blob always has its metadata. A blob is
created with a hard link, which fails if the name exists; so exactly one of two writers succeeds. A replacement compares
the ETag and renames a file. That is not atomic, but sufficient for one user.
"""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from device_scorer.errors import BlobTooLarge, ConfigurationInvalid, StorageUnavailable
from device_scorer.store.base import NO_METADATA, Blob, BlobInfo, md5_hex

_METADATA_FOLDER = ".meta"
_TEMPORARY_PREFIX = ".unfinished-"


class FolderStore:
    """A store on files. See Store for the methods.

    Args:
        folder: The folder that contains the folders of the containers.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def in_call(self) -> bool:
        """False: a call of the file system counts as immediate."""
        return False

    def read(self, container: str, name: str, *, max_bytes: int | None = None) -> Blob | None:
        """Return the file and its metadata, or None if it does not exist."""
        path = self._path(container, name)
        try:
            if max_bytes is not None and (size := path.stat().st_size) > max_bytes:
                raise BlobTooLarge(name, size, max_bytes)
            content = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _storage_error(error) from error
        etag = md5_hex(content)
        return Blob(content, etag, self._read_metadata(container, name, etag))

    def head(self, container: str, name: str) -> BlobInfo | None:
        """Return the properties of a file, or None if it does not exist."""
        blob = self.read(container, name)
        return None if blob is None else BlobInfo(name, len(blob.content), blob.etag, blob.metadata, blob.etag)

    def write(
        self,
        container: str,
        name: str,
        content: bytes,
        *,
        metadata: Mapping[str, str] = NO_METADATA,
        if_match: str | None = None,
        overwrite: bool = False,
    ) -> str | None:
        """Write the whole file or nothing."""
        path, etag = self._path(container, name), md5_hex(content)
        previous = self.head(container, name)
        if if_match is not None and (previous is None or previous.etag != if_match):
            return None
        try:
            if metadata:
                _write_replacing(
                    self._metadata_path(container, name, etag), json.dumps(dict(metadata), indent=1).encode()
                )
            if if_match is not None or overwrite:
                _write_replacing(path, content)
            elif not _write_new(path, content):
                return None
            if previous is not None and previous.etag != etag:
                self._metadata_path(container, name, previous.etag).unlink(missing_ok=True)
        except OSError as error:
            raise _storage_error(error) from error
        return etag

    def list(self, container: str, prefix: str = "", *, with_metadata: bool = True) -> Iterator[BlobInfo]:  # noqa: ARG002
        """Yield the properties of the files with the prefix, in the order of their names."""
        root = self._folder / container
        names = sorted(
            path.relative_to(root).as_posix()
            for path in root.rglob("*")
            if path.is_file() and _METADATA_FOLDER not in path.parts and not path.name.startswith(_TEMPORARY_PREFIX)
        )
        for name in names:
            if name.startswith(prefix) and (info := self.head(container, name)) is not None:
                yield info

    def delete(self, container: str, name: str) -> None:
        """Delete a file and its metadata if they exist."""
        previous = self.head(container, name)
        if previous is not None:
            self._path(container, name).unlink(missing_ok=True)
            self._metadata_path(container, name, previous.etag).unlink(missing_ok=True)

    def ensure_container(self, container: str) -> None:
        """Create a container's folder if it does not exist."""
        (self._folder / container).mkdir(parents=True, exist_ok=True)

    def with_deadline(self, deadline: float) -> "FolderStore":  # noqa: ARG002  see in_call
        """Return this store. Its calls do not wait."""
        return self

    def close(self) -> None:
        """Do nothing: a folder has no connections."""

    def _path(self, container: str, name: str) -> Path:
        parts = name.split("/")
        if any(part in ("", ".", "..", _METADATA_FOLDER) for part in parts) or "\0" in name:
            raise ConfigurationInvalid(
                f"blob name {name!r} is invalid: a segment is empty, '.', '..' or {_METADATA_FOLDER}"
            )
        return self._folder.joinpath(container, *parts)

    def _metadata_path(self, container: str, name: str, etag: str) -> Path:
        self._path(container, name)
        return self._folder / container / _METADATA_FOLDER / f"{name}.{etag[:12]}.json"

    def _read_metadata(self, container: str, name: str, etag: str) -> Mapping[str, str]:
        try:
            found = json.loads(self._metadata_path(container, name, etag).read_bytes())
        except (OSError, ValueError):
            return NO_METADATA
        return found if isinstance(found, dict) else NO_METADATA


def _write_replacing(path: Path, content: bytes) -> None:
    unfinished = _write_temporary(path, content)
    try:
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise


def _write_new(path: Path, content: bytes) -> bool:
    unfinished = _write_temporary(path, content)
    try:
        path.hardlink_to(unfinished)
    except FileExistsError:
        return False
    finally:
        unfinished.unlink(missing_ok=True)
    return True


def _write_temporary(path: Path, content: bytes) -> Path:
    """Write the content to a file in the same directory, with a name that `list` omits, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=_TEMPORARY_PREFIX, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).chmod(0o644)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def _storage_error(error: OSError) -> StorageUnavailable:
    return StorageUnavailable(f"{error.filename}: {error.strerror}")
