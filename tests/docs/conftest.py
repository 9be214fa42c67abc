"""The shell in which the pages' cells run."""

from __future__ import annotations

from tests.ipython.conftest import ip

__all__ = ["ip"]
