"""A store in a folder, as `device-scorer` writes it: FOLDER/models, FOLDER/data and FOLDER/predictions.

The metadata of a blob is the file `.meta/<name>.<first 12 digits of its MD5>.json` in the folder of its container.
"""

import errno
import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path

from fleetscore.errors import DataInvalid, NotFound, StorageUnavailable, UsageInvalid
from fleetscore.interrupts import temporary_path
from fleetscore.store.base import MAX_BLOB_BYTES, Blob, BlobInfo, too_large
from fleetscore.store.linked_files import list_files

if sys.platform != "win32":
    import fcntl

_METADATA_FOLDER = ".meta"
_TEMPORARY_PREFIX = ".unfinished-"
_MAX_METADATA_BYTES = 64 * 1024
_MISSING = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)


class FolderStore:
    """A store of files. See Store for the methods.

    Args:
        folder: The folder of the containers' folders.

    Raises:
        NotFound: The folder does not exist.
    """

    def __init__(self, folder: Path) -> None:
        if not os.path.isdir(folder):  # noqa: PTH112  Path.is_dir raises for a name that is too long
            raise NotFound(f"folder {folder} does not exist; create it with `device-scorer simulate`, or name another")
        self._folder = folder

    @property
    def location(self) -> str:
        """The folder."""
        return str(self._folder)

    def list(self, container: str, prefix: str = "") -> Iterator[BlobInfo]:
        """Yield the files with the prefix, in the order of their names."""
        for name in self.names(container, prefix):
            if (info := self.info(container, name)) is not None:
                yield info

    def names(self, container: str, prefix: str = "") -> Iterator[str]:
        """Yield the names that begin with the prefix, in order. Links are followed."""
        root = self._folder / container
        within = root / prefix.rpartition("/")[0] if "/" in prefix else root
        try:
            files = list_files(within, omitted=_METADATA_FOLDER)
            found = [path.relative_to(root) for path in files]
        except OSError as error:
            raise _read_error(Path(error.filename), error) from error
        names = (path.as_posix() for path in found if _is_visible(path))
        yield from sorted(name for name in names if name.startswith(prefix))

    def folders(self, container: str, prefix: str = "") -> Iterator[str]:
        """Yield the names up to the first slash after the prefix, with that slash, once and in order."""
        root = self._folder / container
        within = root / prefix.rpartition("/")[0] if "/" in prefix else root
        try:
            found = [path.relative_to(root) for path in within.iterdir() if path.is_dir()]
        except OSError as error:
            if error.errno in _MISSING:
                return
            raise _read_error(Path(error.filename), error) from error
        yield from sorted(
            name for path in found if _is_visible(path) and (name := f"{path.as_posix()}/").startswith(prefix)
        )

    def exists(self, container: str, name: str) -> bool:
        """Return True if a file exists."""
        path = self._path(container, name)
        try:
            return path.is_file()
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return False
            raise StorageUnavailable(f"{path} cannot be read: {error.strerror}; check its permissions") from error

    def info(self, container: str, name: str) -> BlobInfo | None:
        """Return the properties of a file, or None if it does not exist."""
        path = self._path(container, name)
        try:
            if path.is_dir():
                return None
            with _open_file(path) as file:
                status, digest = os.fstat(file.fileno()), hashlib.file_digest(file, _md5)
        except OSError as error:
            if error.errno in _MISSING:
                return None
            raise _read_error(path, error) from error
        etag, modified = digest.hexdigest(), datetime.fromtimestamp(int(status.st_mtime), UTC)
        return BlobInfo(name, status.st_size, etag, self._metadata(container, name, etag), modified)

    def read(self, container: str, name: str, *, max_bytes: int = MAX_BLOB_BYTES) -> Blob | None:
        """Return a file and its metadata, or None if it does not exist."""
        path = self._path(container, name)
        try:
            with _open_file(path) as file:
                status = os.fstat(file.fileno())
                if status.st_size > max_bytes:
                    raise too_large(name, status.st_size, max_bytes)
                content = file.read()
        except OSError as error:
            if error.errno in _MISSING:
                return None
            raise _read_error(path, error) from error
        etag = _md5(content).hexdigest()
        modified = datetime.fromtimestamp(int(status.st_mtime), UTC)
        return Blob(BlobInfo(name, len(content), etag, self._metadata(container, name, etag), modified), content)

    def write(self, container: str, name: str, content: bytes, *, if_match: str | None) -> bool:
        """Write a file if it is unchanged."""
        path = self._path(container, name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with _lock(self._folder / container):
                existing = self.read(container, name)
                if (existing.info.etag if existing else None) != if_match:
                    return False
                with temporary_path(path.parent, _TEMPORARY_PREFIX) as temporary:
                    temporary.write_bytes(content)
                    temporary.replace(path)
        except OSError as error:
            text = f"{path} cannot be written: {error.strerror}"
            raise StorageUnavailable(f"{text}; check its permissions and the free space") from error
        return True

    def _metadata(self, container: str, name: str, etag: str) -> Mapping[str, str]:
        path = self._folder / container / _METADATA_FOLDER / f"{name}.{etag[:12]}.json"
        try:
            with _open_file(path) as file:
                content = file.read(_MAX_METADATA_BYTES + 1)
            found = json.loads(content) if len(content) <= _MAX_METADATA_BYTES else {}
        except (OSError, ValueError, RecursionError, DataInvalid):
            return {}
        return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}

    def _path(self, container: str, name: str) -> Path:
        if any(part in ("", ".", "..", _METADATA_FOLDER) for part in name.split("/")) or "\0" in name:
            raise UsageInvalid(f"blob name {name!r} is invalid: a segment is empty, '.', '..' or {_METADATA_FOLDER}")
        return self._folder / container / name


def _md5(content: bytes = b"") -> "hashlib._Hash":
    return hashlib.md5(content, usedforsecurity=False)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Exclude the other writers of a container, those of the scorer included. Windows has no such lock."""
    if sys.platform == "win32":
        yield
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _open_file(path: Path) -> BufferedReader:
    """Open a regular file for reading. Opening another kind of file does not wait.

    Raises:
        DataInvalid: The path is not a regular file.
        OSError: The file cannot be opened.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        kind = "a folder" if stat.S_ISDIR(mode) else "a special file"
        raise DataInvalid(f"{path} is {kind} in the place of a blob; delete it")
    return os.fdopen(handle, "rb")


def _read_error(path: Path, error: OSError) -> StorageUnavailable:
    loop = error.errno == errno.ELOOP
    next_step = "delete the link that leads to itself" if loop else "check its permissions"
    return StorageUnavailable(f"{path} cannot be read: {error.strerror}; {next_step}")


def _is_visible(path: Path) -> bool:
    return _METADATA_FOLDER not in path.parts and not path.name.startswith(_TEMPORARY_PREFIX)
