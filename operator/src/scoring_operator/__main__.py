"""The entry point of `scoring-operator` and of `python -m scoring_operator`."""

# The module signal imports enum and more, and Ctrl-C is not handled before it is imported.
import _signal  # type: ignore[import-not-found]
import errno
import os
import sys


def main() -> int:
    """Run the process's command line and return its exit code, without a traceback for Ctrl-C or an unusable output."""
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:  # it is ignored in the background of a script
        _signal.signal(_signal.SIGINT, lambda *_: os._exit(130))
    # Ctrl-C is handled before these imports.
    from scoring_operator.cli import main as run_command_line  # noqa: PLC0415
    from scoring_operator.cli.exit_codes import EXIT_CLOSED_PIPE, EXIT_RETRY  # noqa: PLC0415

    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # it was closed
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115  until the end of the process
    try:
        try:
            return run_command_line()
        finally:
            sys.stdout.flush()
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EPIPE):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter writes the rest again
        if error.errno == errno.EPIPE:
            return EXIT_CLOSED_PIPE
        print(f"scoring-operator: the output cannot be written: {error.strerror}; free some space", file=sys.stderr)
        return EXIT_RETRY


if __name__ == "__main__":
    sys.exit(main())
