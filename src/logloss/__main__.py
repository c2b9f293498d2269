"""`python -m logloss` is the command line."""

import sys

from logloss.cli import main

sys.exit(main())
