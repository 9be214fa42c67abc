"""The imports that may happen inside a function: ``importer -> imported`` and why. An entry nobody uses fails."""

from __future__ import annotations

GATES: dict[str, str] = {}
