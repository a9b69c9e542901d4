"""``python -m bench [--quick] [TABLE...]``: print the tables; exit 1 where a goal is missed.

Without names: all but `windows`, which takes half an hour by itself. `--quick` proves only that they can be made.
"""

import signal
import sys
from collections.abc import Callable

from bench import concurrent_runs, consecutive_windows, containers, operator_load, scorer

TABLES: dict[str, Callable[..., bool]] = {
    "scorer": scorer.main,
    "containers": containers.main,
    "operator": operator_load.main,
    "many": concurrent_runs.main,
}
BY_NAME_ONLY: dict[str, Callable[..., bool]] = {"windows": consecutive_windows.main}


def main(arguments: list[str]) -> int:
    """Run the tables named, or all but the longest."""
    quick = "--quick" in arguments
    names = [argument for argument in arguments if argument != "--quick"]
    every = TABLES | BY_NAME_ONLY
    unknown = [name for name in names if name not in every]
    if unknown:
        print(f"no such table: {', '.join(unknown)}; there are {', '.join(every)}", file=sys.stderr)
        return 64
    results = [every[name](quick=quick) for name in names or TABLES]
    return 0 if all(results) else 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that clusters are taken down
    sys.exit(main(sys.argv[1:]))
