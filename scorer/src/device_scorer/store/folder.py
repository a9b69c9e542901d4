"""A store in a local folder: blobs are files in FOLDER/models, FOLDER/data and FOLDER/predictions.

Metadata is a file `.meta/<name>.<etag>.json` in the container's folder. The ETag is the MD5 of the content, so it binds
the metadata to the content. The metadata is written first, so that a visible blob always has its metadata. Writers of a
container exclude each other with a lock, which ends with its process. The first writer in a folder deletes what killed
processes have left there.
"""

import errno
import fcntl
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from device_scorer.errors import DISK_FULL, BlobTooLarge, ConfigurationInvalid, DeviceError, StorageUnavailable
from device_scorer.store.base import NO_METADATA, Blob, BlobInfo, md5_hex
from device_scorer.store.linked_files import list_files
from device_scorer.store.metadata import clean_metadata

_METADATA_FOLDER = ".meta"
_TEMPORARY_PREFIX = ".unfinished-"
_MAX_METADATA_BYTES = 64 * 1024
_ETAG_CHARS = 12
_MISSING = (errno.ENOENT, errno.ENOTDIR)
_PERMANENT = {
    errno.EACCES: "change its permissions",
    errno.EPERM: "change its permissions",
    errno.EROFS: "use a folder that can be written",
    errno.ENAMETOOLONG: "shorten the name",
    errno.ELOOP: "delete the link that leads to itself",
    errno.EISDIR: "delete the folder that is in the place of a blob",
    errno.ENOTDIR: "delete the file that is in the place of a folder",
    errno.EEXIST: "delete the file that is in the place of a folder",
    errno.ENOTEMPTY: "delete the folder that is in the place of a blob",
}
"""The next step for errors of the file system that no waiting ends."""


class FolderStore:
    """A store on files. See Store for the methods.

    Args:
        folder: The folder that contains the folders of the containers.
    """

    lists_whole_folders = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._cleaned: set[Path] = set()

    @property
    def in_call(self) -> bool:
        """False: a call of the file system counts as immediate."""
        return False

    def read(self, container: str, name: str, *, max_bytes: int | None = None) -> Blob | None:
        """Return the file and its metadata, or None if it does not exist."""
        path = self._path(container, name)
        try:
            content = _read_file(path, name, max_bytes)
        except OSError as error:
            _raise_unless_missing(error, path)
            return None
        etag = md5_hex(content)
        return Blob(content, etag, self._read_metadata(container, name, etag))

    def head(self, container: str, name: str) -> BlobInfo | None:
        """Return the properties of a file, or None if it does not exist. The file is read in blocks."""
        path = self._path(container, name)
        try:
            with _open_file(path) as file:
                etag = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
                size = file.tell()
        except OSError as error:
            _raise_unless_missing(error, path)
            return None
        return BlobInfo(name, size, etag, self._read_metadata(container, name, etag), etag)

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
        path, etag, cleaned = self._path(container, name), md5_hex(content), clean_metadata(metadata)
        with self._lock(container):
            previous = self.head(container, name)
            if previous is None and if_match is not None:
                return None
            if previous is not None and not overwrite and previous.etag != if_match:
                return None
            self._delete_leftovers(container, path.parent)
            metadata_path = self._metadata_path(container, name, etag)
            if cleaned:
                _write_replacing(metadata_path, json.dumps(cleaned, indent=1).encode())
            _write_replacing(path, content)
            if not cleaned:
                metadata_path.unlink(missing_ok=True)
            if previous is not None and previous.etag != etag:
                self._metadata_path(container, name, previous.etag).unlink(missing_ok=True)
        return etag

    def list(self, container: str, prefix: str = "", *, with_metadata: bool = True) -> Iterator[BlobInfo]:  # noqa: ARG002
        """Yield the properties of the files with the prefix, in the order of their names. Links are followed."""
        root = self._folder / container
        try:
            names = sorted(
                path.relative_to(root).as_posix()
                for path in list_files(root, omitted=_METADATA_FOLDER)
                if not path.name.startswith(_TEMPORARY_PREFIX)
            )
        except OSError as error:
            raise _storage_error(error, root) from error
        for name in names:
            if name.startswith(prefix) and (info := self.head(container, name)) is not None:
                yield info

    def delete(self, container: str, name: str) -> None:
        """Delete a file and its metadata if they exist."""
        previous = self.head(container, name)
        if previous is None:
            return
        with self._lock(container):
            self._path(container, name).unlink(missing_ok=True)
            self._metadata_path(container, name, previous.etag).unlink(missing_ok=True)

    def ensure_container(self, container: str) -> None:
        """Create a container's folder if it does not exist."""
        folder = self._folder / container
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _storage_error(error, folder) from error

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
        return self._folder / container / _METADATA_FOLDER / f"{name}.{etag[:_ETAG_CHARS]}.json"

    def _read_metadata(self, container: str, name: str, etag: str) -> Mapping[str, str]:
        try:
            found = json.loads(_read_file(self._metadata_path(container, name, etag), name, _MAX_METADATA_BYTES))
        except (OSError, ValueError, RecursionError, BlobTooLarge, DeviceError):
            return NO_METADATA
        if not isinstance(found, dict):
            return NO_METADATA
        return {key: value for key, value in found.items() if isinstance(value, str)}

    @contextmanager
    def _lock(self, container: str) -> Iterator[None]:
        """Exclude the other writers of a container, and convert errors of the file system."""
        folder = self._folder / container
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                yield
            finally:
                os.close(handle)
        except OSError as error:
            raise _storage_error(error, folder) from error

    def _delete_leftovers(self, container: str, folder: Path) -> None:
        """Delete unfinished files and metadata without a blob in a folder, once per store. The caller has the lock."""
        if folder in self._cleaned:
            return
        self._cleaned.add(folder)
        metadata_folder = self._folder / container / _METADATA_FOLDER / folder.relative_to(self._folder / container)
        for directory in (folder, metadata_folder):
            for path in directory.glob(f"{_TEMPORARY_PREFIX}*"):
                path.unlink(missing_ok=True)
        etags: dict[str, list[str]] = {}
        for path in metadata_folder.glob("*.json"):
            name, _, etag = path.name.removesuffix(".json").rpartition(".")
            etags.setdefault(name, []).append(etag)
        for name, found in etags.items():
            if len(found) > 1 or not (folder / name).exists():
                current = self._current_etag(container, folder / name)[:_ETAG_CHARS]
                for etag in set(found) - {current}:
                    (metadata_folder / f"{name}.{etag}.json").unlink(missing_ok=True)

    def _current_etag(self, container: str, path: Path) -> str:
        info = self.head(container, path.relative_to(self._folder / container).as_posix())
        return "" if info is None else info.etag


@contextmanager
def _open_file(path: Path) -> Iterator[BufferedReader]:
    """Open a regular file for reading. Opening another kind of file does not wait.

    Raises:
        ConfigurationInvalid: The path is not a regular file.
        OSError: The file cannot be opened.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "a special file"
            raise ConfigurationInvalid(f"{path} is {kind} in the place of a blob; delete it")
        with os.fdopen(handle, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(handle)


def _read_file(path: Path, name: str, max_bytes: int | None) -> bytes:
    """Return the content of a regular file.

    Raises:
        BlobTooLarge: The file is larger than max_bytes.
        ConfigurationInvalid: The path is not a regular file.
        OSError: The file cannot be read.
    """
    with _open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if max_bytes is not None and size > max_bytes:
            raise BlobTooLarge(name, size, max_bytes)
        return file.read()


def _write_replacing(path: Path, content: bytes) -> None:
    """Write a file under a name that `list` omits, and rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=_TEMPORARY_PREFIX, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def _raise_unless_missing(error: OSError, path: Path) -> None:
    """Raise the error for people, except for a file that does not exist."""
    if error.errno not in _MISSING:
        raise _storage_error(error, path) from error


def _storage_error(error: OSError, path: Path) -> DeviceError:
    """Return the error for people: permanent if no waiting ends it.

    Args:
        error: The error of the file system.
        path: The file or folder, for an error of a read or write: it does not name its file.
    """
    text = f"{error.filename or path}: {error.strerror}"
    if next_step := _PERMANENT.get(error.errno or 0):
        return ConfigurationInvalid(f"{text}; {next_step}")
    return StorageUnavailable(f"{text}; {'free space on the disk' if error.errno in DISK_FULL else 'check the disk'}")
