"""The release, read by the build; ``labextension/package.json`` says the same, and a test holds them together."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
