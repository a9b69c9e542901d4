"""``python -m bench [--quick] [TABLE...]``: print the tables; exit 1 where a goal is missed."""

import signal
import sys
from collections.abc import Callable

from bench import containers, scale, scorer

TABLES: dict[str, Callable[..., bool]] = {
    "scorer": scorer.main,
    "containers": containers.main,
    "operator": scale.main,
}


def main(arguments: list[str]) -> int:
    """Run the tables named, or all of them; `--quick` proves only that they can be made."""
    quick = "--quick" in arguments
    names = [argument for argument in arguments if argument != "--quick"]
    unknown = [name for name in names if name not in TABLES]
    if unknown:
        print(f"no such table: {', '.join(unknown)}; there are {', '.join(TABLES)}", file=sys.stderr)
        return 64
    results = [TABLES[name](quick=quick) for name in names or TABLES]
    return 0 if all(results) else 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that clusters are taken down
    sys.exit(main(sys.argv[1:]))
