"""ipykernel 6 beside the one that is here: ``python -m tests.ipython.older`` puts it into the environment's folder.

It is no part of the environment: a kernel that is to have it is started with the folder first on its path.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

__all__ = ["older_ipykernel"]

#: The last of the 6 series, and what it needs that the 7 series does not.
_WANTED = ("ipykernel>=6.29,<7", "nest-asyncio>=1.5")


@cache
def older_ipykernel() -> Path:
    """Return the folder with ipykernel 6; it is installed there when it is not there yet."""
    folder = Path(sys.prefix) / "ipykernel6"
    if not folder.exists():
        made = Path(tempfile.mkdtemp(prefix="ipykernel6-", dir=sys.prefix))
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(made), *_WANTED]
        subprocess.run(command, check=True, env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"})
        try:
            made.rename(folder)
        except OSError:
            # Somebody else was faster.
            shutil.rmtree(made)
    return folder


if __name__ == "__main__":
    older_ipykernel()
