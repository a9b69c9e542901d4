"""The operator in a time in which an hour takes less: ``python -m bench.hasty SECONDS``.

The time that it leaves ended runs alone, and that between two deletions, are compressed. Nothing of this is a switch of
the product.
"""

import sys
from datetime import timedelta

from scoring_operator import __main__ as command
from scoring_operator import cleaning

if __name__ == "__main__":
    haste = 3600 / float(sys.argv[1])
    cleaning.GRACE = timedelta(seconds=cleaning.GRACE.total_seconds() / haste)
    cleaning.DELETE_PACE = round(cleaning.DELETE_PACE * haste)
    sys.exit(command.main(["run"]))
