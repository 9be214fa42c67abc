"""Templates for where the executed notebook of a run is saved: ``reports/{name}-{scheduled:%Y-%m-%d}.ipynb``.

A template is relative to the notebook's folder and can't lead out of it, whatever the names are that are filled in.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from datetime import datetime
from difflib import get_close_matches
from pathlib import PurePosixPath
from string import Formatter
from typing import Any

from jupyter_wf.core.errors import InvalidRequest

__all__ = ["FIELDS", "check_output", "fill_output"]

#: Field → what it stands for.
FIELDS = {
    "name": "the deployment's name, or the notebook's where there is no deployment",
    "flow": "the flow's name: that of the notebook's file, without its ending",
    "deployment": "the deployment's name",
    "scheduled": "when the run was due, in the schedule's zone; a format may follow: {scheduled:%Y-%m-%d}",
    "run_id": "the run's id",
    "attempt": "the number of the attempt; a format may follow: {attempt:02d}",
}
_ENDINGS = (".ipynb", ".html")
_LONGEST = 500
_LONGEST_PART = 200
#: How a time is written where the template does not say: no colons, which not every file system takes.
_MOMENT = "%Y-%m-%dT%H-%M-%S"
_NUMBER = re.compile(r"0?[0-9]{0,2}d?")
_TIME = re.compile(r"(?:[^%{}\\]|%[aAbBdHIjmMpSUwWyYzZGVuf%])+")
_SAMPLE = datetime(2026, 1, 2, 3, 4, 5)


def check_output(template: Any) -> str:
    """Return a template that can be filled.

    Raises `InvalidRequest`, with the field ``output``, for one that is absolute or leads out of the folder (``..``),
    does not end in ``.ipynb`` or ``.html``, or has a field that there is not.
    """
    if not isinstance(template, str) or not 1 <= len(template) <= _LONGEST:
        raise InvalidRequest("output", template, f"give a path as a text of 1 to {_LONGEST} characters")
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in template):
        raise InvalidRequest("output", template, "it has a control character")
    fixed = "".join("x" if part is None else part for part in _parts(template))
    if template.startswith(("/", "~")) or "\\" in fixed or re.match(r"[A-Za-z]:", fixed):
        raise InvalidRequest("output", template, "give a path relative to the notebook's folder, with / in it")
    if any(part in ("", ".", "..") for part in fixed.split("/")):
        raise InvalidRequest("output", template, "it must stay below the notebook's folder: no '..', '.' or '//'")
    if not template.endswith(_ENDINGS):
        raise InvalidRequest("output", template, f"it must end in {' or '.join(_ENDINGS)}")
    if PurePosixPath(fixed).name in _ENDINGS:
        raise InvalidRequest("output", template, "the file needs a name before its ending")
    fill_output(template, name="x", flow="x", deployment="x", scheduled=_SAMPLE, run_id="x", attempt=1)
    return template


def _parts(template: str) -> Iterator[str | None]:
    """Yield the fixed texts of a template, and None for each field. Raises `InvalidRequest` for a wrong field."""
    try:
        parsed = list(Formatter().parse(template))
    except ValueError as error:
        raise InvalidRequest("output", template, f"{error}; write {{{{ or }}}} for a brace itself") from None
    for text, field, form, conversion in parsed:
        yield text
        if field is None:
            continue
        if field not in FIELDS:
            near = get_close_matches(field, FIELDS, n=1)
            known = ", ".join(f"{{{each}}}" for each in FIELDS)
            hint = f"did you mean {{{near[0]}}}?" if near else f"there are {known}"
            raise InvalidRequest("output", template, f"there is no field {{{field}}}; {hint}")
        if conversion:
            raise InvalidRequest("output", template, f"write {{{field}}} without !{conversion}")
        if form:
            _check_form(template, field, form)
        yield None


def _check_form(template: str, field: str, form: str) -> None:
    rule = {"scheduled": _TIME, "attempt": _NUMBER}.get(field)
    if rule is None:
        raise InvalidRequest("output", template, f"{{{field}}} takes no format")
    if not rule.fullmatch(form):
        example = "%Y-%m-%d" if field == "scheduled" else "02d"
        raise InvalidRequest("output", template, f"{form!r} is no format for {{{field}}}; {example} is one")


def fill_output(
    template: str, *, name: str, flow: str, deployment: str, scheduled: datetime, run_id: str, attempt: int
) -> PurePosixPath:
    """Return the relative path that a template gives for one run.

    ``scheduled`` is in the zone in which its date and time are to be written. What of a name is no part of a file name
    (slashes, control characters, dots at the beginning) becomes ``_``. Raises `InvalidRequest` as `check_output`, and
    for a path whose parts are too long.
    """
    values: dict[str, Callable[[str], str]] = {
        "name": lambda form: _safe(name),
        "flow": lambda form: _safe(flow),
        "deployment": lambda form: _safe(deployment),
        "scheduled": lambda form: scheduled.strftime(form or _MOMENT),
        "run_id": lambda form: _safe(run_id),
        "attempt": lambda form: format(attempt, form),
    }
    list(_parts(template))
    texts: list[str] = []
    for text, field, form, _ in Formatter().parse(template):
        texts.append(text)
        if field is not None:
            texts.append(values[field](form or ""))
    path = "".join(texts)
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise InvalidRequest("output", template, f"it gives {path!r}, which is no path below the notebook's folder")
    if any(len(part.encode("utf-8", "replace")) > _LONGEST_PART for part in parts):
        raise InvalidRequest("output", template, f"it gives a name of more than {_LONGEST_PART} bytes")
    return PurePosixPath(path)


def _safe(text: str) -> str:
    """Return a name as a part of a file's name, never empty."""
    kept = "".join("_" if c in '/\\:*?"<>|' or unicodedata.category(c) in ("Cc", "Cs") else c for c in text).strip()
    return re.sub(r"^\.+", lambda dots: "_" * len(dots[0]), kept) or "_"
