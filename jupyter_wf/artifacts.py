"""Artifacts: what a run makes to be looked at. Markdown, tables, links, images and progress bars.

Made inside a run they belong to it. Each call returns the artifact's id at once; the artifact is committed with the
states and log lines around it. The forms with ``a`` before their name are the same, to be awaited.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections import OrderedDict
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from jupyter_wf.core.errors import ArtifactNotFound, InvalidRequest
from jupyter_wf.core.events import ArtifactWritten
from jupyter_wf.core.ids import new_id
from jupyter_wf.core.secrets import mask_values
from jupyter_wf.core.shared import Artifact as StoredArtifact
from jupyter_wf.core.tables import table_data
from jupyter_wf.engine.context import ambient_parent, current_run
from jupyter_wf.engine.runtime import current_runtime

__all__ = [
    "Artifact",
    "ArtifactId",
    "StoredArtifact",
    "acreate_image_artifact",
    "acreate_link_artifact",
    "acreate_markdown_artifact",
    "acreate_progress_artifact",
    "acreate_table_artifact",
    "aupdate_progress_artifact",
    "create_image_artifact",
    "create_link_artifact",
    "create_markdown_artifact",
    "create_progress_artifact",
    "create_table_artifact",
    "get_artifact",
    "update_progress_artifact",
]

_KEY = re.compile(r"[a-z0-9-]{1,255}")
#: The longest JSON text of an artifact: it is committed with everything else that the process writes.
_LONGEST = 10 * 1024 * 1024
_REMEMBERED = 1_000


class ArtifactId(str):
    """The id of an artifact, a UUID as text. ``await`` on it gives it back, so that awaiting a ``create_…`` works."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, ArtifactId]:
        return self
        yield


@dataclass(frozen=True, slots=True)
class _Facts:
    """What an update of a progress bar leaves as it is."""

    run_id: str | None
    key: str | None
    description: str | None


class _Progress:
    """The facts of the progress bars that this process made last, so that an update need not ask the store."""

    def __init__(self) -> None:
        self.known: OrderedDict[str, _Facts] = OrderedDict()

    def note(self, artifact_id: str, facts: _Facts) -> None:
        self.known[artifact_id] = facts
        while len(self.known) > _REMEMBERED:
            self.known.popitem(last=False)

    def find(self, artifact_id: str) -> _Facts:
        facts = self.known.get(artifact_id)
        if facts is None:
            stored = current_runtime().store.artifacts.get(artifact_id)
            if stored is None:
                raise ArtifactNotFound(artifact_id)
            if stored.type != "progress":
                raise InvalidRequest("artifact_id", artifact_id, f"the artifact is of type {stored.type}, not progress")
            facts = _Facts(stored.run_id, stored.key, stored.description)
        return facts


_progress = _Progress()


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """An artifact of any type, before it is made: `create` makes it.

    ``type`` is a word (``markdown``, ``table``, ``link``, ``image``, ``progress``) or a MIME type; ``data`` is a JSON
    value.
    """

    type: str
    key: str | None = None
    description: str | None = None
    data: Any = None

    def create(self) -> ArtifactId:
        """Make it, for the current run, and return its id. Raises `InvalidRequest`."""
        return _write(self.type, self.data, self.key, self.description)

    async def acreate(self) -> ArtifactId:
        """Do as `create`."""
        return self.create()

    @staticmethod
    def get(key: str) -> StoredArtifact | None:
        """Return the newest artifact with this key, None where there is none. Raises `InvalidRequest` for no key."""
        found = current_runtime().store.artifacts.of_key(_checked_key(key) or "", limit=1)
        return found[0] if found else None

    @classmethod
    async def aget(cls, key: str) -> StoredArtifact | None:
        """Do as `get`."""
        return cls.get(key)

    @classmethod
    def get_or_create(
        cls, key: str, *, type: str, description: str | None = None, data: Any = None
    ) -> tuple[StoredArtifact, bool]:
        """Return the newest artifact with this key, made where there is none, and whether it was made."""
        stored = cls.get(key)
        if stored is not None:
            return stored, False
        made = get_artifact(cls(type=type, key=key, description=description, data=data).create())
        if made is None:
            raise ArtifactNotFound(key)
        return made, True


def create_markdown_artifact(markdown: str, key: str | None = None, description: str | None = None) -> ArtifactId:
    """Make an artifact of a Markdown text and return its id (a UUID as text).

    ``key`` (lower-case letters, digits and dashes) tells artifacts that are versions of one another; ``description`` is
    Markdown. Raises `InvalidRequest` (a `ValueError`) for another kind of key or value.
    """
    return _write("markdown", _text("markdown", markdown), key, description)


def create_table_artifact(table: Any, key: str | None = None, description: str | None = None) -> ArtifactId:
    """Make an artifact of a table and return its id; the rest is as for `create_markdown_artifact`.

    ``table`` is a list of dicts, a dict of lists, a list of lists, or a DataFrame of pandas or polars, or an arrow
    table. At most 10,000 rows are kept.
    """
    return _write("table", table_data(table), key, description)


def create_link_artifact(
    link: str, link_text: str | None = None, key: str | None = None, description: str | None = None
) -> ArtifactId:
    """Make an artifact of a link, shown as ``link_text``, and return its id; the rest as `create_markdown_artifact`."""
    url = _text("link", link)
    text = url if link_text is None else _text("link_text", link_text)
    return _write("link", {"url": url, "text": text}, key, description)


def create_image_artifact(image_url: str, key: str | None = None, description: str | None = None) -> ArtifactId:
    """Make an artifact of the image at a URL and return its id; the rest is as for `create_markdown_artifact`."""
    return _write("image", {"url": _text("image_url", image_url)}, key, description)


def create_progress_artifact(progress: float, key: str | None = None, description: str | None = None) -> ArtifactId:
    """Make a progress bar that stands at ``progress`` percent and return its id, for `update_progress_artifact`.

    The rest is as for `create_markdown_artifact`.
    """
    artifact_id = _write("progress", _percent(progress), key, description)
    _progress.note(artifact_id, _Facts(_run_id(), key, description))
    return artifact_id


def update_progress_artifact(artifact_id: str, progress: float, description: str | None = None) -> ArtifactId:
    """Set a progress bar to ``progress`` percent, with a new description if one is given; return its id.

    Raises `ArtifactNotFound`, and `InvalidRequest` for an artifact that is no progress bar.
    """
    ident = str(artifact_id)
    percent = _percent(progress)
    facts = _progress.find(ident)
    if description is not None:
        facts = _Facts(facts.run_id, facts.key, _text("description", description))
    _progress.note(ident, facts)
    return _append(ident, facts.run_id, "progress", percent, facts.key, facts.description)


async def acreate_markdown_artifact(
    markdown: str, key: str | None = None, description: str | None = None
) -> ArtifactId:
    """Do as `create_markdown_artifact`."""
    return create_markdown_artifact(markdown, key, description)


async def acreate_table_artifact(table: Any, key: str | None = None, description: str | None = None) -> ArtifactId:
    """Do as `create_table_artifact`."""
    return create_table_artifact(table, key, description)


async def acreate_link_artifact(
    link: str, link_text: str | None = None, key: str | None = None, description: str | None = None
) -> ArtifactId:
    """Do as `create_link_artifact`."""
    return create_link_artifact(link, link_text, key, description)


async def acreate_image_artifact(image_url: str, key: str | None = None, description: str | None = None) -> ArtifactId:
    """Do as `create_image_artifact`."""
    return create_image_artifact(image_url, key, description)


async def acreate_progress_artifact(
    progress: float, key: str | None = None, description: str | None = None
) -> ArtifactId:
    """Do as `create_progress_artifact`."""
    return create_progress_artifact(progress, key, description)


async def aupdate_progress_artifact(artifact_id: str, progress: float, description: str | None = None) -> ArtifactId:
    """Do as `update_progress_artifact`."""
    return update_progress_artifact(artifact_id, progress, description)


def get_artifact(artifact_id: str) -> StoredArtifact | None:
    """Return the artifact with this id, None where there is none."""
    return current_runtime().store.artifacts.get(str(artifact_id))


def _write(type_: str, data: Any, key: str | None, description: str | None) -> ArtifactId:
    checked = None if description is None else _text("description", description)
    return _append(new_id(), _run_id(), _text("type", type_), data, _checked_key(key), checked)


def _append(
    artifact_id: str, run_id: str | None, type_: str, data: Any, key: str | None, description: str | None
) -> ArtifactId:
    try:
        text = json.dumps(mask_values(data), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest("data", f"a {type(data).__qualname__}", f"must be a JSON value: {error}") from None
    if len(text) > _LONGEST:
        raise InvalidRequest(
            type_, f"{len(text):,} characters", f"at most {_LONGEST:,} are kept; save it to a file and link to that"
        )
    shown = None if description is None else str(mask_values(description))
    written = ArtifactWritten(run_id, time.time(), artifact_id, key, type_, shown, text)
    current_runtime().journal.append(written)
    return ArtifactId(artifact_id)


def _run_id() -> str | None:
    live = current_run()
    if live is not None:
        return live.id
    ambient = ambient_parent()
    return ambient.run_id if ambient is not None else None


def _checked_key(key: str | None) -> str | None:
    if key is not None and (type(key) is not str or not _KEY.fullmatch(key)):
        raise InvalidRequest("key", key, "an artifact's key has 1 to 255 lower-case letters, digits and dashes")
    return key


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidRequest(name, value, f"must be a text, not a {type(value).__qualname__}")
    return value


def _percent(progress: Any) -> float:
    # Numbers of numpy and fractions count as well; sums of steps may end a little above 100.
    number = math.nan if isinstance(progress, (str, bytes, bool)) or not hasattr(progress, "__float__") else progress
    if math.isnan(percent := float(number)):
        raise InvalidRequest("progress", progress, "must be a number from 0 to 100")
    return min(100.0, max(0.0, percent))
