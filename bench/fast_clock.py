"""The operator in a time in which an hour takes less: ``python -m bench.fast_clock SECONDS``.

The time that it leaves ended runs alone, and that between two deletions, are compressed. Nothing of this is a switch of
the product.
"""

import sys
from datetime import timedelta

from scoring_operator import cli as command
from scoring_operator.planner import finished_runs

if __name__ == "__main__":
    haste = 3600 / float(sys.argv[1])
    finished_runs.CLEANUP_DELAY = timedelta(seconds=finished_runs.CLEANUP_DELAY.total_seconds() / haste)
    finished_runs.DELETES_PER_SECOND = round(finished_runs.DELETES_PER_SECOND * haste)
    sys.exit(command.main(["run"]))
