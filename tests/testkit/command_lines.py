"""Faults around the process of a command line: an output that cannot be written, and Ctrl-C during an import."""

import os
import subprocess
import sys
from collections.abc import Sequence


def without_reader() -> int:
    """Return the descriptor of a pipe whose reader is closed."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def on_a_full_disk() -> int:
    """Return the descriptor of a file on a disk without free space."""
    return os.open("/dev/full", os.O_WRONLY)


def interrupt_import(package: str, module: str, words: Sequence[str]) -> "subprocess.CompletedProcess[bytes]":
    """Run a command line that receives SIGINT when it imports a module, and return the ended process.

    Args:
        package: The package whose `__main__` has the command line.
        module: The module.
        words: The arguments.
    """
    code = (
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == {module!r}:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
        f"from {package}.__main__ import main\n"
        f"sys.argv[1:] = {list(words)!r}\n"
        "sys.exit(main())"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
