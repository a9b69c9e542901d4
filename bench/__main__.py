"""The command line of the benchmarks: ``python -m bench [--quick] [TABLE...]``."""

import argparse
import signal
import sys
from collections.abc import Callable

from bench import (
    concurrent_runs,
    consecutive_windows,
    console,
    containers,
    history,
    operator_load,
    report_load,
    scorer,
)
from localcluster.errors import ClusterError

TABLES: dict[str, Callable[..., bool]] = {
    "scorer": scorer.main,
    "containers": containers.main,
    "operator": operator_load.main,
    "many": concurrent_runs.main,
    "report": report_load.main,
    "history": history.main,
    "console": console.main,
}
BY_NAME_ONLY: dict[str, Callable[..., bool]] = {"windows": consecutive_windows.main}


def main(arguments: list[str]) -> int:
    """Measure and print the tables.

    Returns:
        0 if every goal is met, 1 if a goal is missed or the machine lacks a requirement, 64 if a table is unknown.
    """
    every = TABLES | BY_NAME_ONLY
    parser = argparse.ArgumentParser(
        prog="bench", description="Measure and print tables; exit with 1 if a goal is missed."
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, which only prove that the tables work")
    parser.add_argument(
        "tables",
        nargs="*",
        metavar="TABLE",
        help=f"{', '.join(every)}; the default is all of them except windows, which takes half an hour",
    )
    parsed = parser.parse_args(arguments)
    unknown = [name for name in parsed.tables if name not in every]
    if unknown:
        print(f"table {', '.join(unknown)} is unknown; use {', '.join(every)}", file=sys.stderr)
        return 64
    try:
        results = [every[name](quick=parsed.quick) for name in parsed.tables or TABLES]
    except ClusterError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0 if all(results) else 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that clusters are removed
    sys.exit(main(sys.argv[1:]))
