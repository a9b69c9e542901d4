"""The entry point of `python -m scoring_operator`."""

import sys

from scoring_operator.cli import main

if __name__ == "__main__":
    sys.exit(main())
