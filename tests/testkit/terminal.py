"""The client on a terminal: a pseudo-terminal of 80 columns and 24 lines."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence

from rich.cells import cell_len

COLUMNS, LINES = 80, 24
_BEGIN = "\x1e"
_DRIVER = f"""
import json, sys
from fleetscore.cli import main
for words in json.loads(sys.argv[1]):
    print({_BEGIN!r}, end="", flush=True)
    main(words)
    sys.stdout.flush()
"""
_MAIN = "import sys; from fleetscore.cli import main; sys.exit(main())"
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
_OF_TERMINALS = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "GITHUB_ACTIONS", "PY_COLORS")


def outputs(commands: Sequence[Sequence[str]], **environment: str) -> list[str]:
    """Run commands one after the other in a process whose three streams are a terminal, and return their texts.

    Args:
        commands: The words of each command.
        environment: The variables that the process has in addition, such as TERM.
    """
    process, master = _started([sys.executable, "-c", _DRIVER, json.dumps(commands)], environment)
    found = b"".join(iter(lambda: _read(master), b""))
    os.close(master)
    assert process.wait() == 0, found.decode()
    return found.decode().split(_BEGIN)[1:]


def interrupted(words: Sequence[str], shown: str, **environment: str) -> tuple[int, str]:
    """Run a command, send SIGINT when it has shown a text, and return its exit code and what it has shown.

    Args:
        words: The words of the command.
        shown: The text.
        environment: The variables that the process has in addition.
    """
    process, master = _started([sys.executable, "-c", _MAIN, *words], environment)
    found = b""
    while part := _read(master):
        is_due = shown.encode() not in found
        found += part
        if is_due and shown.encode() in found:
            process.send_signal(signal.SIGINT)
    os.close(master)
    return process.wait(), found.decode()


def _started(command: Sequence[str], environment: Mapping[str, str]) -> tuple[subprocess.Popen[bytes], int]:
    """Start a process whose three streams are a terminal, and return it with the other end of the terminal."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    variables = {key: value for key, value in os.environ.items() if key not in _OF_TERMINALS}
    variables = {"TERM": "xterm-256color", **variables, **environment}
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=variables)
    os.close(slave)
    return process, master


def _read(master: int) -> bytes:
    """Return the next bytes; none after the process has closed the terminal, which is an error (EIO) on Linux."""
    try:
        return os.read(master, 65536)
    except OSError:
        return b""


def lines_of(text: str) -> list[str]:
    """Return the lines of an output without escape sequences and spaces at their ends."""
    return [line.rstrip() for line in re.split(r"[\r\n]+", _ESCAPE.sub("", text))]


def too_wide(lines: Sequence[str]) -> list[str]:
    """Return the lines with more cells than the terminal has columns."""
    return [line for line in lines if cell_len(line) > COLUMNS]
