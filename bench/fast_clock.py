"""Run the operator in a time in which an hour is shorter: `python -P bench/fast_clock.py SECONDS`.

Two times are shorter by the ratio of SECONDS to an hour: the delay before the deletion of Jobs, and the time between
two deletions.

It runs in the operator's image, where `bench` is not a package. `-P` hides the other modules of its folder.
"""

import sys
from dataclasses import replace

from scoring_operator.cli import run
from scoring_operator.controller.timings import Timings
from scoring_operator.planner.types import DEFAULT_LIMITS

if __name__ == "__main__":
    factor = 3600 / float(sys.argv[1])
    limits = replace(
        DEFAULT_LIMITS,
        cleanup_delay=DEFAULT_LIMITS.cleanup_delay / factor,
        deletes_per_second=round(DEFAULT_LIMITS.deletes_per_second * factor),
    )
    sys.exit(run.serve(timings=Timings(planner=limits)))
