"""What runs share: artifacts, variables and messages."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf.core.errors import InvalidRequest, RunNotFound
from jupyter_wf.core.events import ArtifactWritten
from jupyter_wf.core.ids import new_id
from jupyter_wf.core.shared import Artifact, StoredInput
from jupyter_wf.store.base import Store
from tests.contracts.processes import child
from tests.contracts.stores import Maker

#: JSON values that must come back as they are.
VALUES: list[Any] = [
    None,
    True,
    0,
    -1.5,
    10**400,
    "",
    "žluťoučký 🐎",
    "\0 and \ud800",
    [],
    {"a": [1, {"\0": None}], "": "x"},
    "y" * 200_000,
]
#: What is no JSON value.
WRONG: list[Any] = [object(), b"bytes", {1, 2}, float("nan"), float("inf"), 10**5000, {"x": object()}]
#: What is no name.
NAMELESS: list[Any] = ["", "a\0b", "\ud800", 3, None, b"x", "x" * 1001]


def endless() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


def deep() -> list[Any]:
    value: list[Any] = []
    for _ in range(200_000):
        value = [value]
    return value


class Gallery:
    """Writes artifacts through the journal of a store."""

    def __init__(self, maker: Maker) -> None:
        self.maker = maker

    def write(self, run_id: str | None, data: Any, **fields: Any) -> str:
        artifact_id = fields.pop("artifact_id", None) or new_id()
        at = fields.pop("at", None) or self.maker.tick()
        values = {"key": None, "type": "markdown", "description": None} | fields
        text = data if isinstance(data, str) else json.dumps(data)
        self.maker.journal.append(ArtifactWritten(run_id, at, artifact_id, data=text, **values))
        return str(artifact_id)


@pytest.fixture
def gallery(maker: Maker) -> Gallery:
    """Writes artifacts."""
    return Gallery(maker)


def artifact_events(store: Store) -> list[tuple[str, dict[str, Any]]]:
    events = store.events(after=0, limit=10_000)
    return [(event.run_id, dict(event.payload)) for event in events if event.kind == "artifact"]


# -- artifacts ---------------------------------------------------------------------------------------------------


def test_an_artifact_and_its_change(store: Store, maker: Maker, gallery: Gallery) -> None:
    run_id = maker.run("RUNNING")
    at = maker.tick()
    first = gallery.write(run_id, {"rows": [[1, None]]}, key="report", type="table", description="*so*", at=at)
    expected = Artifact(
        id=first,
        run_id=run_id,
        key="report",
        type="table",
        description="*so*",
        data={"rows": [[1, None]]},
        created_at=at,
        updated_at=at,
    )
    assert store.artifacts.get(first) == expected
    gallery.write(run_id, [2], artifact_id=first, type="table", at=at + 5)
    changed = store.artifacts.get(first)
    assert changed is not None
    assert (changed.data, changed.key, changed.description) == ([2], None, None)
    assert (changed.created_at, changed.updated_at) == (at, at + 5)
    assert store.artifacts.of_run(run_id) == [changed] == store.artifacts.latest()
    # The stream says that there is something to look at, not what.
    assert artifact_events(store) == [
        (run_id, {"id": first, "key": "report", "type": "table", "description": "*so*"}),
        (run_id, {"id": first, "key": None, "type": "table"}),
    ]


def test_an_artifact_stays_with_the_run_that_made_it(store: Store, maker: Maker, gallery: Gallery) -> None:
    run_id, other = maker.run("RUNNING"), maker.run("RUNNING")
    artifact = gallery.write(run_id, 0.1, type="progress")
    gallery.write(other, 0.5, artifact_id=artifact, type="progress")
    gallery.write(None, 1.0, artifact_id=artifact, type="progress")
    found = store.artifacts.get(artifact)
    assert found is not None and (found.run_id, found.data) == (run_id, 1.0)
    assert [run for run, _ in artifact_events(store)] == [run_id] * 3
    assert store.artifacts.of_run(other) == []


def test_an_artifact_outside_any_run(store: Store, maker: Maker, gallery: Gallery) -> None:
    artifact = gallery.write(None, "# Title".join('""'), key="alone")
    maker.journal.flush(10)
    found = store.artifacts.get(artifact)
    assert found is not None and (found.run_id, found.data) == (None, "# Title")
    assert artifact_events(store) == []
    run_id = maker.run("RUNNING")
    gallery.write(run_id, 1, artifact_id=artifact)
    assert [each.id for each in store.artifacts.of_run(run_id)] == [artifact]
    assert [run for run, _ in artifact_events(store)] == [run_id]


def test_artifacts_of_a_tree(store: Store, maker: Maker, gallery: Gallery) -> None:
    flow, apart = maker.run("RUNNING"), maker.run("RUNNING")
    task = maker.run("RUNNING", parent=flow)
    below = maker.run("RUNNING", parent=task)
    made = [gallery.write(run_id, index) for index, run_id in enumerate((below, flow, task, below, apart))]

    def data(run_id: str, *, tree: bool) -> list[Any]:
        return [each.data for each in store.artifacts.of_run(run_id, tree=tree)]

    assert data(flow, tree=True) == [0, 1, 2, 3] and data(flow, tree=False) == [1]
    assert data(task, tree=True) == [0, 2, 3] and data(below, tree=False) == [0, 3]
    for unknown in ("unknown", "\ud800", "\0"):
        assert data(unknown, tree=True) == data(unknown, tree=False) == []
        assert store.artifacts.get(unknown) is None
    assert [each.id for each in store.artifacts.latest()] == made[::-1]
    assert [each.id for each in store.artifacts.latest(limit=2)] == made[:-3:-1]


def test_artifacts_of_a_key(store: Store, maker: Maker, gallery: Gallery) -> None:
    run_id = maker.run("RUNNING")
    made = [gallery.write(run_id, index, key="daily") for index in range(5)]
    gallery.write(run_id, 9, key="other")
    gallery.write(run_id, 9)
    assert [each.id for each in store.artifacts.of_key("daily")] == made[::-1]
    assert [each.data for each in store.artifacts.of_key("daily", limit=2)] == [4, 3]
    assert store.artifacts.of_key("unknown") == []
    for limit in (0, -1, 1001, 10**30, "5", True):
        with pytest.raises(InvalidRequest, match="limit"):
            store.artifacts.of_key("daily", limit=limit)  # type: ignore[arg-type]
        with pytest.raises(InvalidRequest, match="limit"):
            store.artifacts.latest(limit=limit)  # type: ignore[arg-type]


def test_an_artifact_may_hold_any_text(store: Store, maker: Maker, gallery: Gallery) -> None:
    run_id = maker.run("RUNNING")
    odd = gallery.write(run_id, '"\ud800 \\u0000"', key="\0", description="\ud800", type="text/\0")
    large = gallery.write(run_id, {"image": "i" * 1_000_000})
    found = store.artifacts.get(odd)
    assert found is not None
    shown = (found.data, found.key, found.description, found.type)
    assert shown == ("\\ud800 \\x00", "\\x00", "\\ud800", "text/\\x00")
    assert [each.id for each in store.artifacts.of_key("\0")] == [odd]
    big = store.artifacts.get(large)
    assert big is not None and big.data == {"image": "i" * 1_000_000}


@pytest.mark.parametrize("data", ["", "{", "NaN", "[" * 100_000, "1" * 5000])
def test_what_is_no_artifact_is_left_out(store: Store, maker: Maker, gallery: Gallery, data: str) -> None:
    run_id = maker.run("RUNNING")
    gallery.write(run_id, data)
    gallery.write("unknown", 1)
    kept = gallery.write(run_id, 1)
    maker.state(run_id, "COMPLETED")
    assert [each.id for each in store.artifacts.latest()] == [kept]
    assert len(artifact_events(store)) == 1
    assert store.get_run(run_id).state.type == "COMPLETED"


def test_tags_of_a_run_are_patched(store: Store, maker: Maker) -> None:
    run_id = maker.run("RUNNING", tags='["old"]')
    maker.patch(run_id, tags=["a", "\ud800"])
    assert store.get_run(run_id).tags == ("a", "\\ud800")
    maker.patch(run_id, tags="abc")
    maker.patch(run_id, tags=[1])
    assert store.get_run(run_id).tags == ("a", "\\ud800")
    maker.patch(run_id, tags=[])
    assert store.get_run(run_id).tags == ()


# -- variables ---------------------------------------------------------------------------------------------------


def test_variables(store: Store, opened: Callable[[], Store]) -> None:
    other = opened()
    assert store.variables.get("answer") is None
    first = store.variables.set("answer", 42, tags=("a", "b"))
    assert first is not None and first == other.variables.get("answer")
    assert (first.name, first.value, first.tags, first.created_at) == ("answer", 42, ("a", "b"), first.updated_at)
    assert other.variables.set("answer", 0, overwrite=False) is None
    assert store.variables.get("answer") == first
    second = other.variables.set("answer", [1, 2])
    assert second is not None and second == store.variables.get("answer")
    assert (second.value, second.tags, second.created_at) == ([1, 2], (), first.created_at)
    assert second.updated_at >= first.updated_at
    store.variables.set("Zebra", None)
    store.variables.set("apple", None, overwrite=False)
    assert [each.name for each in other.variables.list()] == ["Zebra", "answer", "apple"]
    assert store.variables.unset("answer") is True
    assert other.variables.unset("answer") is False
    assert store.variables.get("answer") is None


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_values_come_back_as_they_are(store: Store, maker: Maker, value: Any) -> None:
    store.variables.set("v", value)
    found = store.variables.get("v")
    assert found is not None and found.value == value and type(found.value) is type(value)
    run_id = maker.run("RUNNING")
    sent = store.inputs.send(run_id, "k", value)
    assert sent.value == value and store.inputs.list(run_id) == [sent]


@pytest.mark.parametrize("value", [*WRONG, endless(), deep()], ids=range(len(WRONG) + 2))
def test_what_is_no_value(store: Store, maker: Maker, value: Any) -> None:
    with pytest.raises(InvalidRequest, match="JSON"):
        store.variables.set("v", value)
    run_id = maker.run("RUNNING")
    with pytest.raises(InvalidRequest, match="JSON"):
        store.inputs.send(run_id, "k", value)
    assert store.variables.list() == [] and store.inputs.list(run_id) == []


@pytest.mark.parametrize("name", NAMELESS, ids=range(len(NAMELESS)))
def test_what_is_no_name(store: Store, maker: Maker, name: Any) -> None:
    run_id = maker.run("RUNNING")
    calls: list[Callable[[], object]] = [
        lambda: store.variables.get(name),
        lambda: store.variables.set(name, 1),
        lambda: store.variables.unset(name),
        lambda: store.inputs.send(run_id, name, 1),
    ]
    if name is not None:
        calls.append(lambda: store.inputs.send(run_id, "k", 1, sender=name))
    if name != "":
        calls.append(lambda: store.inputs.list(run_id, key_prefix=name))
    for call in calls:
        with pytest.raises(InvalidRequest):
            call()
    assert store.variables.list() == [] and store.inputs.list(run_id) == []


@pytest.mark.parametrize("tags", ["abc", [1], [None], [b"x"]])
def test_what_are_no_tags(store: Store, tags: Any) -> None:
    with pytest.raises(InvalidRequest, match="tags"):
        store.variables.set("v", 1, tags=tags)
    assert store.variables.get("v") is None


def test_of_many_who_set_it_once_one_does(opened: Callable[[], Store]) -> None:
    start = threading.Barrier(4)
    done: list[int] = []

    def work(store: Store, number: int) -> None:
        start.wait(10)
        done.extend(number for index in range(10) if store.variables.set(f"v{index}", number, overwrite=False))

    threads = [threading.Thread(target=work, args=(opened(), number)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    values = [each.value for each in opened().variables.list()]
    assert len(done) == 10 and sorted(values) == sorted(done)


# -- messages ----------------------------------------------------------------------------------------------------


def test_messages_to_a_run(store: Store, maker: Maker, opened: Callable[[], Store]) -> None:
    run_id, other = maker.run("RUNNING"), maker.run("RUNNING")
    maker.journal.flush(10)
    client = opened()
    version = store.data_version()
    first = client.inputs.send(run_id, "chat-1", {"x": 1}, sender="cli")
    assert store.data_version() != version
    assert first == StoredInput(
        id=first.id, run_id=run_id, key="chat-1", value={"x": 1}, sender="cli", created_at=first.created_at
    )
    second = store.inputs.send(run_id, "chat-2", None)
    third = store.inputs.send(run_id, "Chat%", 3)
    apart = store.inputs.send(other, "chat-1", 4)
    assert first.id < second.id < third.id < apart.id
    assert store.inputs.list(run_id) == client.inputs.list(run_id) == [first, second, third]
    assert store.inputs.list(run_id, key_prefix="chat-") == [first, second]
    assert store.inputs.list(run_id, key_prefix="Chat%") == [third]
    assert store.inputs.list(run_id, key_prefix="%") == store.inputs.list(run_id, key_prefix="chat-11") == []
    assert store.inputs.list(run_id, after=first.id) == [second, third]
    assert store.inputs.remove(first.id) is True
    assert client.inputs.remove(first.id) is False
    assert store.inputs.list(run_id, key_prefix="chat") == [second]
    # A number is not given again.
    store.inputs.remove(apart.id)
    assert store.inputs.send(other, "k", 1).id > apart.id


def test_messages_to_nobody(store: Store) -> None:
    for unknown in ("unknown", "\0", "\ud800", "x" * 5000):
        with pytest.raises(RunNotFound):
            store.inputs.send(unknown, "k", 1)
        assert store.inputs.list(unknown) == []
    for number in (0, -1, 10**30, "1", True):
        with pytest.raises(InvalidRequest):
            store.inputs.remove(number)  # type: ignore[arg-type]
    for after in (-1, 10**30, "1"):
        with pytest.raises(InvalidRequest):
            store.inputs.list("unknown", after=after)  # type: ignore[arg-type]
    assert store.inputs.remove(12345) is False


def test_sending_tells_those_who_listen_here(store: Store, maker: Maker) -> None:
    run_id = maker.run("RUNNING")
    maker.journal.flush(10)
    heard = threading.Event()
    end = maker.journal.subscribe(lambda seq, entries: heard.set())
    store.inputs.send(run_id, "k", 1)
    assert heard.wait(10)
    end()


def test_a_message_is_received_once(maker: Maker, opened: Callable[[], Store]) -> None:
    run_id = maker.run("RUNNING")
    maker.journal.flush(10)
    stores = [opened() for _ in range(3)]
    sent = [stores[0].inputs.send(run_id, "k", index).id for index in range(20)]
    received: list[int] = []
    start = threading.Barrier(3)

    def work(store: Store) -> None:
        start.wait(10)
        received.extend(each.id for each in store.inputs.list(run_id) if store.inputs.remove(each.id))

    threads = [threading.Thread(target=work, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(received) == sent


def test_another_process_reads_what_one_has_written(kind: str, wf_home: Path, store: Store, maker: Maker) -> None:
    run_id = maker.run("RUNNING")
    maker.journal.flush(10)
    with child(kind, wf_home) as writer:
        artifact = writer.ask("share", run_id)
        found = store.artifacts.get(artifact)
        assert found is not None and found.data == {"from": writer.info["pid"]}
        variable = store.variables.get("shared")
        assert variable is not None and variable.value == writer.info["pid"]
        assert [each.value for each in store.inputs.list(run_id)] == [writer.info["pid"]]
        writer.kill()
    assert store.artifacts.get(artifact) == found
