"""The command line where it is not installed as a command: ``python -m jupyter_wf``."""

from __future__ import annotations

import sys

from jupyter_wf.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
