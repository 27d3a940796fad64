"""The command line, as `python -m hea_flows`."""

import sys

from hea_flows.cli import main

if __name__ == "__main__":
    sys.exit(main())
