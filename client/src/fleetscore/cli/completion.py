"""The command `completion`: the script by which a shell completes the commands; and the completion of kubectl."""

import contextlib
import io
import os
import shlex
import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer
from typer._completion_shared import get_completion_script

from fleetscore.cli.session import INSTALLATION, examples

PROGRAM = "fleetscore"
COMPLETE_VARIABLE = f"_{PROGRAM.upper()}_COMPLETE"
NO_FILES, FILES = ":4", ":0"
"""The last line of a completion, as Cobra defines it: whether the shell completes names of files, too."""

app = typer.Typer()


class Shell(StrEnum):
    """The shells with completion."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@app.command(rich_help_panel=INSTALLATION, epilog=examples("source <(fleetscore completion bash)"))
def completion(
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="Name of the shell: bash, zsh or fish.")],
) -> None:
    """Print the script by which a shell completes commands and options."""
    print(get_completion_script(prog_name=PROGRAM, complete_var=COMPLETE_VARIABLE, shell=shell.value))


def complete_for_kubectl(arguments: Sequence[str] | None = None) -> int:
    """Print the completions of `kubectl fleetscore`, one a line, and return the exit code.

    kubectl runs the program `kubectl_complete-fleetscore` with the words after `fleetscore` (KEP-2379, Shell Completion
    Support). The last one is incomplete, and may be empty.
    """
    from fleetscore.cli import main  # noqa: PLC0415  it imports this module

    words = [PROGRAM, *(sys.argv[1:] if arguments is None else arguments)]
    if len(words) == 1:
        words.append("")
    found = io.StringIO()
    variables = {COMPLETE_VARIABLE: "complete_bash", "COMP_WORDS": shlex.join(words), "COMP_CWORD": str(len(words) - 1)}
    os.environ |= variables
    try:
        with contextlib.redirect_stdout(found):
            main([])
    finally:
        for name in variables:
            del os.environ[name]
    lines = found.getvalue().split()
    print("\n".join([*lines, NO_FILES if lines else FILES]))
    return 0
