"""How the modules of `jupyter_wf.runtime` answer for an attribute, and how the environment answers in their place."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.engine.lineage import Known

__all__ = ["look_up", "version_of"]

_PREFIX = "JUPYTER_WF__RUNTIME"


def look_up(module: str, fields: Mapping[str, Callable[[], Any]], name: str) -> Any:
    """Return what the attribute ``name`` of ``jupyter_wf.runtime.<module>`` is now.

    An environment variable ``JUPYTER_WF__RUNTIME__<MODULE>__<NAME>`` goes first; its text is read as the type of the
    value that it replaces (text for None, JSON for lists and dicts, ISO 8601 for times, UTC where no zone is named).
    Raises `AttributeError` for a name that neither knows, `InvalidRequest` for a text that can't be read so.
    """
    variable = f"{_PREFIX}__{module.upper()}__{name.upper()}"
    text = os.environ.get(variable)
    field = fields.get(name)
    if field is None:
        if text is None:
            raise AttributeError(f"module 'jupyter_wf.runtime.{module}' has no attribute {name!r}")
        return text
    real = field()
    return real if text is None else _read(variable, text, real)


def _read(variable: str, text: str, real: Any) -> Any:
    try:
        if isinstance(real, bool):
            return text.strip().lower() in ("true", "1")
        if isinstance(real, (int, float)):
            return type(real)(text)
        if isinstance(real, datetime):
            moment = datetime.fromisoformat(text)
            return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        if isinstance(real, (list, dict)):
            value = json.loads(text)
            if not isinstance(value, type(real)):
                raise ValueError(f"JSON of {type(value).__name__}")
            return value
    except ValueError as error:
        wanted = "JSON of a " if isinstance(real, (list, dict)) else "the text of a "
        raise InvalidRequest(variable, text, f"is not {wanted}{type(real).__name__} ({error})") from None
    return text


def version_of(run: Known) -> str | None:
    """Return the version that the run's flow was given, None where it has none."""
    version = run.source.get("version")
    return None if version is None else str(version)
