"""``python -m jupyter_wf.cli`` is ``jupyter wf``."""

from __future__ import annotations

import sys

from jupyter_wf.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
