"""The files under a folder, also those behind links to folders: a listing has the names that a read finds."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from device_scorer.errors import ConfigurationInvalid

MAX_LINKED_FOLDERS = 100_000
"""Links to folders above which a folder is rejected: links between folders multiply the names."""


def list_files(folder: Path, omitted: str, *, max_links: int = MAX_LINKED_FOLDERS) -> Iterator[Path]:
    """Yield the regular files under a folder, and those behind links, in any order; none if the folder is missing.

    A link to a folder that contains it is omitted: it adds only other names of the same files, without end.

    Args:
        folder: The folder.
        omitted: The name of folders that are omitted at any depth.
        max_links: The largest number of links to folders.

    Raises:
        ConfigurationInvalid: The folder has more links to folders.
        OSError: A folder cannot be read.
    """
    links = 0
    for parent, names, files in os.walk(folder, onerror=_raise_unless_missing, followlinks=True):
        here = Path(parent)
        names[:] = [name for name in names if name != omitted and not _leads_back(here / name)]
        links += sum((here / name).is_symlink() for name in names)
        if links > max_links:
            text = f"{folder} has more than {max_links:,} links to folders, the last ones in {here}"
            raise ConfigurationInvalid(f"{text}; delete links that lead from one linked folder to another")
        yield from (path for name in files if (path := here / name).is_file())


def _leads_back(path: Path) -> bool:
    """Return True if a path is a link to one of the folders on the way to it."""
    if not path.is_symlink():
        return False
    try:
        target = path.stat()
        return any(os.path.samestat(target, parent.stat()) for parent in path.parents)
    except FileNotFoundError:  # the link was deleted after the folder was read
        return False


def _raise_unless_missing(error: OSError) -> None:
    if error.errno not in (errno.ENOENT, errno.ENOTDIR):
        raise error
