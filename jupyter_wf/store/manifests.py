"""The format "names": values that are stored each for itself, listed by name in one piece of JSON.

The list holds small values, and of large ones the digests of their files; each value has a format of its own. Reading
the list runs no code, so the server may; reading the values is for processes that execute the user's own runs.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from jupyter_wf.core.errors import MissingResult
from jupyter_wf.store.blobs import NAMES, Payload

__all__ = ["Item", "Manifest", "load_names", "read_manifest", "write_manifest"]


class Item(NamedTuple):
    """A stored value: its bytes or file, how many bytes (as they are stored) it has, and the name of its type."""

    payload: Payload
    size: int
    type: str


class Manifest(NamedTuple):
    """What is stored under which name, and why other names are not."""

    names: dict[str, Item]
    missing: dict[str, str]


def write_manifest(names: Mapping[str, Item], missing: Mapping[str, str]) -> Payload:
    """Return the list of stored values as a payload of the format "names"."""
    listed = {
        name: {"format": payload.format, "data": _as_text(payload), "size": size, "type": type_}
        for name, (payload, size, type_) in names.items()
    }
    text = json.dumps({"names": listed, "missing": dict(missing)}, separators=(",", ":"))
    return Payload(NAMES, text.encode())


def read_manifest(payload: Payload) -> Manifest:
    """Return the list in a payload of the format "names".

    Raises `MissingResult` for a payload of another format, and for one that is no such list.
    """
    if payload.format != NAMES:
        raise MissingResult(f"a stored result of the format {payload.format!r:.100} holds no names")
    try:
        told = json.loads(payload.data)
        names = {name: _item(told["names"][name]) for name in told["names"]}
        missing = {name: str(told["missing"][name]) for name in told["missing"]}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise MissingResult(f"a stored list of names is damaged: {type(error).__name__}: {error}") from error
    return Manifest(names, missing)


def load_names(payload: Payload, load: Callable[[Payload], Any], names: Iterable[str] | None = None) -> dict[str, Any]:
    """Return the values of some names (None: of all that are stored), each read by ``load``.

    Raises `MissingResult`, which names the name, where one is not stored or can't be read.
    """
    manifest = read_manifest(payload)
    values = {}
    for name in manifest.names if names is None else names:
        if name not in manifest.names:
            why = manifest.missing.get(name, "it is not among the names that were stored")
            raise MissingResult(f"{name!r} is not stored: {why}")
        try:
            values[name] = load(manifest.names[name].payload)
        except MissingResult as error:
            raise MissingResult(f"{name!r}: {error}") from error
    return values


def _as_text(payload: Payload) -> str:
    return payload.data.decode("ascii") if payload.in_file else b64encode(payload.data).decode("ascii")


def _item(told: Any) -> Item:
    format_, data = str(told["format"]), str(told["data"]).encode("ascii")
    payload = Payload(format_, data)
    if not payload.in_file:
        payload = Payload(format_, b64decode(data, validate=True))
    if format_ == NAMES:
        # Nobody writes lists in lists, and reading them would have no end.
        raise ValueError("a list of names inside of one")
    return Item(payload, int(told["size"]), str(told["type"]))
