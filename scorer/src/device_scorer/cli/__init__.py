"""The command line `device-scorer COMMAND ...`, which turns errors into a message and an exit code.

The package has the arguments, the output and the exit code of each command. The work of a command is in the other
packages. Each command is a module with `add_arguments(parser)` and `run(arguments) -> int`. A module is imported only
if its command is used, so that a scoring pod does not import the other commands.
"""

import argparse
import gc
import importlib
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from device_scorer import __version__, log
from device_scorer.errors import PermanentError, ScorerError, TransientError, UsageInvalid


class Command(NamedTuple):
    """A command: its module, and a summary of one line."""

    module: str
    summary: str


COMMANDS = {
    "score": Command("device_scorer.cli.score", "score devices' readings of a window against their models"),
    "train": Command("device_scorer.cli.train", "train one model per device and tag from the readings in the store"),
    "simulate": Command("device_scorer.cli.simulate", "write a simulated fleet's readings with known anomalies"),
    "import": Command("device_scorer.cli.import_", "convert a shared CSV and single-file models to the store's layout"),
    "fetch": Command("device_scorer.cli.fetch", "copy a device's readings and models to a folder, to score them again"),
    "report": Command("device_scorer.cli.report", "write a window's summary, lists and report.html"),
    "inspect": Command("device_scorer.cli.inspect", "describe a bundle: its tags, detectors and unusable models"),
    "check": Command("device_scorer.cli.check", "check a store before its first window, or an installation"),
}

_HELP_WIDTH = 78
"""The width of help texts, in characters. To ask for the terminal's, argparse imports shutil and its compressors."""

EXIT_SUCCESS, EXIT_USAGE, EXIT_PERMANENT, EXIT_TRANSIENT = 0, 64, 65, 75
EXIT_INTERRUPTED, EXIT_CLOSED_PIPE = 130, 141
"""The exit codes of a shell for a process that SIGINT or SIGPIPE ends."""


class Output(io.TextIOWrapper):
    """An output stream that discards all text after its first error: a command's work matters more than its lines.

    Attributes:
        error: The first error; None without one.
    """

    error: OSError | None = None

    def write(self, text: str) -> int:
        """Write a text and return its length."""
        self._attempt(lambda: super(Output, self).write(text))
        return len(text)

    def flush(self) -> None:
        """Write the buffered text."""
        self._attempt(super().flush)

    def _attempt(self, action: Callable[[], object]) -> None:
        if self.error is None:
            try:
                action()
            except OSError as error:
                self.error = error


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors become the exit code for wrong usage."""

    def error(self, message: str) -> None:  # type: ignore[override]  # the base declares NoReturn, and this always raises
        raise UsageInvalid(f"{message}\n{self.format_usage().strip()}")


def whole_number(least: int, most: int = 10_000_000) -> Callable[[str], int]:
    """Return the parser of an argument that is a whole number.

    Args:
        least: The smallest allowed number; at least 0.
        most: The largest allowed number.
    """

    def parse(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from {least:,} to {most:,}")
        return int(text)

    return parse


def build_parser(name: str) -> argparse.ArgumentParser:
    """Import a command's module and return its parser.

    Args:
        name: The command, a key of COMMANDS.
    """
    module = importlib.import_module(COMMANDS[name].module)
    formatter = partial(argparse.RawDescriptionHelpFormatter, width=_HELP_WIDTH)
    parser = _Parser(prog=f"device-scorer {name}", formatter_class=formatter)
    module.add_arguments(parser)
    return parser


def run(argv: Sequence[str]) -> int:
    """Run one command line and return its exit code; an error is printed as one line on stderr.

    Args:
        argv: The arguments after the program's name.
    """
    if not argv or argv[0] in ("-h", "--help") or argv[0] not in COMMANDS:
        return _print_overview(argv)
    name, *rest = argv
    try:
        arguments = build_parser(name).parse_args(rest)
        module = importlib.import_module(COMMANDS[name].module)
        code = module.run(arguments)
    except UsageInvalid as error:
        return _fail(str(error), EXIT_USAGE)
    except TransientError as error:
        return _fail(str(error), EXIT_TRANSIENT)
    except PermanentError as error:
        return _fail(str(error), EXIT_PERMANENT)
    except ScorerError as error:
        return _fail(str(error), EXIT_USAGE)
    return int(code)


def main() -> None:
    """Run the process's command line and exit.

    The interpreter is not finalized: that takes longer than scoring a device.
    """
    name = "".join(sys.argv[1:2])
    if name == "score":
        gc.disable()  # imports and one device leave little garbage; for many devices the worker pool collects it
    _prepare_streams()
    if name in COMMANDS:
        importlib.import_module(COMMANDS[name].module)
    try:
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)  # from here on a command may have to clean up
        code = run(sys.argv[1:])
    except SystemExit as request:
        code = request.code if isinstance(request.code, int) else EXIT_USAGE
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    unwritten = _finish_output()
    os._exit(code or unwritten)


def _prepare_streams() -> None:
    """Make the streams discard what they cannot write, and escape a character that the locale lacks."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name) or open(os.devnull, "w")  # noqa: PTH123, SIM115  None: it was closed
        encoding, line_buffering, write_through = stream.encoding, stream.line_buffering, stream.write_through
        output = Output(stream.detach(), encoding, "backslashreplace", None, line_buffering, write_through)
        setattr(sys, name, output)


def _finish_output() -> int:
    """Write the rest of standard output and return 0, or report an error and return its exit code."""
    sys.stdout.flush()
    error = sys.stdout.error if isinstance(sys.stdout, Output) else None
    if isinstance(error, BrokenPipeError):
        return EXIT_CLOSED_PIPE
    if error is None:
        return 0
    return _fail(f"the output cannot be written: {error.strerror}; free some space and repeat", EXIT_TRANSIENT)


def _print_overview(argv: Sequence[str]) -> int:
    if argv and argv[0] in ("-V", "--version"):
        print(f"device-scorer {__version__}")
        return EXIT_SUCCESS
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
    text = "\n".join(
        [
            "usage: device-scorer COMMAND ...",
            "",
            *lines,
            "",
            "`device-scorer COMMAND --help` explains each with an example, `--version` shows the version.",
        ],
    )
    if argv and argv[0] in ("-h", "--help"):
        print(text)
        return EXIT_SUCCESS
    print(f"unknown command {argv[0]!r}\n{text}" if argv else text, file=sys.stderr)
    return EXIT_USAGE


def _fail(message: str, code: int) -> int:
    log.error(message)
    return code
