"""`python -m jaxrec` is the command line."""

import sys

from jaxrec.cli import main

if __name__ == "__main__":
    sys.exit(main())
