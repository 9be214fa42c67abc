"""What a cell leaves comes back by name; what can't be stored is named with its reason."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf.core.errors import MissingResult
from jupyter_wf.notebook.shelf import Shelf
from jupyter_wf.store.blobs import Blobs, Payload


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "results")


def test_values_come_back_by_name(blobs: Blobs) -> None:
    values: dict[str, Any] = {"n": 1, "parts": (1, 2), "long": "x" * 100_000, "größe": None}
    shelved = Shelf(blobs).keep(values)
    assert shelved.missing == {}
    assert shelved.payload.format == "names"
    assert Shelf(blobs).load(shelved.payload) == values
    assert blobs.load(shelved.payload) == values
    assert Shelf(blobs).load(shelved.payload, ["parts"]) == {"parts": (1, 2)}
    assert Shelf(blobs).load(shelved.payload, []) == {}


def test_what_cannot_be_stored_is_said_and_the_rest_is_stored(blobs: Blobs) -> None:
    shelved = Shelf(blobs).keep({"lock": threading.Lock(), "n": 1})
    assert list(shelved.missing) == ["lock"]
    assert "a lock can't be stored" in shelved.missing["lock"]
    assert Shelf(blobs).missing(shelved.payload) == shelved.missing
    assert Shelf(blobs).load(shelved.payload) == {"n": 1}
    with pytest.raises(MissingResult, match="'lock' is not stored: a lock can't be stored"):
        Shelf(blobs).load(shelved.payload, ["n", "lock"])
    with pytest.raises(MissingResult, match="'other' is not stored: it is not among the names"):
        Shelf(blobs).load(shelved.payload, ["other"])


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"names":{"a":{}},"missing":{}}', b'{"names":1,"missing":{}}'])
def test_a_damaged_list_is_refused(blobs: Blobs, data: bytes) -> None:
    with pytest.raises(MissingResult, match="damaged"):
        Shelf(blobs).load(Payload("names", data))
    with pytest.raises(MissingResult, match="damaged"):
        blobs.load(Payload("names", data))


def test_only_lists_of_names_are_read(blobs: Blobs) -> None:
    with pytest.raises(MissingResult, match="'json' holds no names"):
        Shelf(blobs).load(Payload("json", b"{}"))
