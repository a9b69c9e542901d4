"""The entry point of `python -m scoring_operator`."""

import sys

from scoring_operator.cli import main

sys.exit(main())
