"""`python -m lossband`: the shell command by another name."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
