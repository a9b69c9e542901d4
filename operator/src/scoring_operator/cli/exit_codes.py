"""The exit codes of the commands, and their mapping from errors."""

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any

from scoring_operator.errors import ApiError, Invalid, InvalidSettings

EXIT_USAGE = 64  # sysexits.h EX_USAGE: invalid arguments or configuration; the Jobs of a CronJob fail at once
EXIT_REJECTED = 65  # EX_DATAERR: the API server never accepts the object; the Jobs of a CronJob fail at once
EXIT_RETRY = 75  # EX_TEMPFAIL: a retry may succeed
EXIT_INTERRUPTED, EXIT_CLOSED_PIPE = 130, 141  # as of a shell for a process that SIGINT or SIGPIPE ends


def run_to_exit_code(command: str, work: Coroutine[Any, Any, int]) -> int:
    """Run a command's coroutine and return its exit code; print an error as one line.

    Args:
        command: The name of the command, for the message.
        work: The coroutine, which returns an exit code.
    """
    try:
        return asyncio.run(work)
    except InvalidSettings as error:
        return _fail(command, str(error), EXIT_USAGE)
    except Invalid as error:
        return _fail(command, f"the API server rejects the run: {error}", EXIT_REJECTED)
    except ApiError as error:
        return _fail(command, f"{error}; a retry may succeed", EXIT_RETRY)


def _fail(command: str, message: str, code: int) -> int:
    print(f"{command}: {message}", file=sys.stderr)
    return code
