"""``python -m opzo``: the same as the console script ``opzo``."""

import sys

from opzo.host.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
