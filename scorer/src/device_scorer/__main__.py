"""Entry point of `device-scorer` and of `python -m`: the command line of device-scorer."""

# The module signal imports enum and more, and Ctrl-C is not handled before it is imported.
import _signal  # type: ignore[import-not-found]
import os


def main() -> None:
    """Run the process's command line and exit. Ctrl-C during the imports ends the process without a traceback."""
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:  # it is ignored in the background of a script
        _signal.signal(_signal.SIGINT, lambda *_: os._exit(130))
    from device_scorer.cli import main as run_command_line  # noqa: PLC0415  after Ctrl-C is handled

    run_command_line()


if __name__ == "__main__":
    main()
