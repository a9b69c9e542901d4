"""The command line: `fleetscore`, and `kubectl fleetscore`, with one module per group of commands.

The package parses arguments and prints. The other packages read and decide for it.
"""
# ruff: noqa: PLC0415  Ctrl-C is handled before the commands are imported, which takes most of the time

# The module signal imports enum and more, and Ctrl-C is not handled before it is imported.
import _signal  # type: ignore[import-not-found]
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_ERROR = 1
EXIT_INTERRUPTED = 130


def main(arguments: "Sequence[str] | None" = None) -> int:
    """Run the command line and return the exit code.

    Args:
        arguments: The arguments; None for those of the process, which then ends at Ctrl-C.

    Returns:
        0, 1 for an error, 2 for an unknown argument or a failed run of `wait`, 3 for its timeout, 130 after Ctrl-C.
    """
    for name in ("COLUMNS", "LINES"):  # rich reads them when it is imported, and fails for 0
        if not os.environ.get(name, "80").strip("0").isdecimal():
            del os.environ[name]
    if arguments is not None:
        try:
            return _run(list(arguments))
        except KeyboardInterrupt:  # typer handles it only while a command runs
            return EXIT_INTERRUPTED
    if _signal.getsignal(_signal.SIGINT) == _signal.SIG_IGN:  # such as in the background of a shell script
        return _run(None)
    _signal.signal(
        _signal.SIGINT, lambda *_: os._exit(EXIT_INTERRUPTED)
    )  # nothing needs cleaning up before the command
    import fleetscore.cli.commands  # noqa: F401  the import takes most of the time of many commands
    from fleetscore.interrupts import Interrupts

    with Interrupts(EXIT_INTERRUPTED):
        return _run(None)


def _run(arguments: "Sequence[str] | None") -> int:
    from fleetscore.cli.next_steps import set_place
    from fleetscore.cli.output import console, finish_output, prepare_streams
    from fleetscore.errors import FleetscoreError

    prepare_streams()
    set_place()  # a command sets it, and the text of its error needs it
    code, text = EXIT_ERROR, ""
    try:
        code = _call(arguments)
    except FleetscoreError as error:
        text = str(error)
    except UnicodeEncodeError as error:  # an argument, such as the name of a run
        text = f"{error.object[:100]!a} is invalid: it has bytes that are not characters; correct it"
    except OSError as error:
        text = _file_error(error)
    unwritten = finish_output()
    if unwritten is not None and not text:
        code, text = EXIT_ERROR, _file_error(unwritten)
    if text:
        console(error=True).print(f"error: {text}")
    set_place()
    return code


def _call(arguments: "Sequence[str] | None") -> int:
    from fleetscore.cli.commands import app
    from fleetscore.cli.output import program

    try:
        app(arguments, prog_name=program())
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else EXIT_ERROR
    return 0


def _file_error(error: OSError) -> str:
    """Return the text for a file without an error of its own; empty if the reader of a pipe has closed it."""
    if isinstance(error, BrokenPipeError):
        return ""
    thing = error.filename or "the output"
    return f"{thing} cannot be used: {error.strerror or error}; free some space, or choose another file or folder"
