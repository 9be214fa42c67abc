"""The names that a cell leaves (or had before it ran), stored so that another kernel can have them again."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jupyter_wf.core.errors import MissingResult
from jupyter_wf.store.blobs import Blobs, Payload
from jupyter_wf.store.manifests import Item, load_names, read_manifest, write_manifest

__all__ = ["Shelf", "Shelved"]

#: Values up to this size (bytes) lie in the list itself; all of them together take no more than `_ROOM` there.
_SMALL = 8 * 1024
_ROOM = 48 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelved:
    """What was stored: ``payload`` goes with the run, ``missing`` says of names why they could not be stored."""

    payload: Payload
    missing: dict[str, str]


class Shelf:
    """Stores values by name and gives them back, each in the form that is exact for it.

    Each value is stored for itself: what two names share are two things when they come back.
    """

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def keep(self, values: Mapping[str, Any], *, largest: int | None = None) -> Shelved:
        """Store values and return what stands for them; no value takes more than ``largest`` bytes.

        What can't be stored is said in ``missing`` of what is returned; only interrupts are raised.
        """
        items: dict[str, Item] = {}
        missing: dict[str, str] = {}
        room = _ROOM
        for name, value in values.items():
            try:
                payload = self._blobs.keep(value, inline=min(room, _SMALL), largest=largest)
                size = self._blobs.size(payload)
            except MissingResult as error:
                missing[name] = str(error)
                continue
            if not payload.in_file:
                room = max(room - size, 0)
            items[name] = Item(payload, size, _type_name(type(value)))
        return Shelved(payload=write_manifest(items, missing), missing=missing)

    def load(self, payload: Payload, names: Iterable[str] | None = None) -> dict[str, Any]:
        """Return the values of some names, or of all that are stored (None).

        Raises `MissingResult`, which names the name, where one is not stored or can't be read.
        """
        return load_names(payload, self._blobs.load, names)

    def missing(self, payload: Payload) -> dict[str, str]:
        """Return the names that could not be stored, with the reason of each."""
        return read_manifest(payload).missing

    def known(self, payload: Payload) -> dict[str, dict[str, Any]]:
        """Return of each stored name its ``format``, its ``size`` in bytes and its ``type``, without reading values."""
        return {
            name: {"format": item.payload.format, "size": item.size, "type": item.type}
            for name, item in read_manifest(payload).names.items()
        }


def _type_name(kind: type) -> str:
    """Return the name by which users know a type: where its library shows it, such as ``pandas.DataFrame``."""
    try:
        module, name = kind.__module__, kind.__qualname__
        if module in ("builtins", "__main__"):
            return name
        package = module.partition(".")[0]
        shown = vars(sys.modules[package]).get(name) is kind
    except Exception:
        # A class may answer with anything when it is asked where it comes from.
        return "object"
    return f"{package if shown else module}.{name}"
