"""``python -m bench [scorer]``: print the tables; exit 1 where a goal is missed."""

import sys

from bench import scorer

TABLES = {"scorer": scorer.main}


def main(names: list[str]) -> int:
    """Run the tables named, or all of them."""
    unknown = [name for name in names if name not in TABLES]
    if unknown:
        print(f"no such table: {', '.join(unknown)}; there are {', '.join(TABLES)}", file=sys.stderr)
        return 64
    results = [TABLES[name]() for name in names or TABLES]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
