"""Entry point of `python -m`: the command line of scoring-operator."""

import sys

from scoring_operator.cli import main

sys.exit(main())
