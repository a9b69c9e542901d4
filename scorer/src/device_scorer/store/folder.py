"""A store in a local folder: FOLDER/models, FOLDER/data, FOLDER/predictions, blobs as files of the same names.

Metadata lies beside a container's files in `.meta/<name>.<etag>.json`, bound to the content by its ETag (the content's
MD5) and written first: a blob that can be seen has its metadata. Creating is a hard link, which fails where the name
exists, so that one of two writers wins; replacing compares and renames, which is good enough for one user's laptop.
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
    """The Store protocol on files."""

    in_call = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, container: str, name: str, *, max_bytes: int | None = None) -> Blob | None:
        """See Store."""
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
        """See Store."""
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
        """See Store."""
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

    def list(self, container: str, prefix: str = "") -> Iterator[BlobInfo]:
        """See Store."""
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
        """See Store."""
        previous = self.head(container, name)
        if previous is not None:
            self._path(container, name).unlink(missing_ok=True)
            self._metadata_path(container, name, previous.etag).unlink(missing_ok=True)

    def ensure_container(self, container: str) -> None:
        """See Store."""
        (self._folder / container).mkdir(parents=True, exist_ok=True)

    def with_deadline(self, deadline: float) -> "FolderStore":  # noqa: ARG002  a folder does not keep anyone waiting
        """See Store."""
        return self

    def close(self) -> None:
        """See Store."""

    def _path(self, container: str, name: str) -> Path:
        parts = name.split("/")
        if any(part in ("", ".", "..", _METADATA_FOLDER) for part in parts) or "\0" in name:
            raise ConfigurationInvalid(f"{name!r} is no blob name")
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
    """A whole copy of the content under a name that no listing shows, in the same directory."""
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
