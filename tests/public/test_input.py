"""Messages between flow runs: sent and received, in threads, event loops and other processes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from jupyter_wf import flow, wait_for_flow_run
from jupyter_wf.core.errors import CancelledRun, MissingContextError, MissingResult, ParameterError, RunNotFound
from jupyter_wf.engine.runtime import current_runtime
from jupyter_wf.input import RunInput, keyset_from_base_key, receive_input, send_input
from jupyter_wf.runtime import flow_run
from tests.waiting import until

Background = Callable[..., "Future[Any]"]


class Greeting(RunInput):
    text: str
    day: date = date(2020, 1, 1)


class Point(BaseModel):
    x: int


@pytest.fixture
def background() -> Iterator[Background]:
    """Return a function that calls something in a thread and gives its future."""
    with ThreadPoolExecutor(4) as pool:
        yield pool.submit


@pytest.fixture
def run_id() -> str:
    """A run to which messages can be sent."""

    @flow
    def main() -> str:
        return flow_run.id

    return main()


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (int, 3),
        (str, "text"),
        (list[int], [1, 2]),
        (dict, {"a": [None]}),
        (bool, True),
        (float, 0.5),
        (date, date(2024, 2, 29)),
        (Greeting, Greeting(text="hello", day=date(2021, 2, 3))),
    ],
    ids=str,
)
def test_what_is_sent_is_received(run_id: str, kind: Any, value: Any) -> None:
    assert send_input(value, run_id) is None
    got = receive_input(kind, flow_run_id=run_id, timeout=10).next()
    assert got == value or got.model_dump() == value.model_dump()
    assert type(got) is type(value)
    with pytest.raises(TimeoutError, match="within 0 s"):
        receive_input(kind, flow_run_id=run_id, timeout=0).next()


def test_a_plain_model_is_received_as_one(run_id: str) -> None:
    send_input(Point(x=3), run_id)
    got: Any = receive_input(Point, flow_run_id=run_id, timeout=10).next()
    assert isinstance(got, Point) and isinstance(got, RunInput) and got.x == 3


def test_each_type_has_messages_of_its_own(run_id: str) -> None:
    for value in (1, "a", 2, Greeting(text="hi"), "b"):
        send_input(value, run_id)
    assert list(receive_input(str, flow_run_id=run_id, timeout=0.01)) == ["a", "b"]
    assert list(receive_input(int, flow_run_id=run_id, timeout=0.01)) == [1, 2]
    assert [each.text for each in Greeting.receive(flow_run_id=run_id, timeout=0.01)] == ["hi"]


def test_prefixes_and_excluded_keys(run_id: str) -> None:
    send_input(1, run_id, key_prefix="mine")
    send_input(2, run_id, key_prefix="mine-too")
    send_input(3, run_id)
    keys = {stored.value["value"]: stored.key for stored in current_runtime().store.inputs.list(run_id)}
    without = receive_input(int, flow_run_id=run_id, key_prefix="mine", exclude_keys={keys[1]}, timeout=0.01)
    assert list(without) == []
    assert list(receive_input(int, flow_run_id=run_id, key_prefix="mine", timeout=0.01)) == [1]
    assert list(receive_input(int, flow_run_id=run_id, key_prefix="mine-too", timeout=0.01)) == [2]


def test_a_loop_ends_with_its_time_out_or_raises_it(run_id: str) -> None:
    send_input(1, run_id)
    got = []
    with pytest.raises(TimeoutError):
        for each in receive_input(int, flow_run_id=run_id, timeout=0.02, raise_timeout_error=True):
            got.append(each)
    assert got == [1]

    async def loop() -> list[int]:
        await send_input(2, run_id)
        return [each async for each in receive_input(int, flow_run_id=run_id, timeout=0.05)]

    assert asyncio.run(loop()) == [2]

    async def strict() -> None:
        async for _ in receive_input(int, flow_run_id=run_id, timeout=0.02, raise_timeout_error=True):
            pass

    with pytest.raises(TimeoutError):
        asyncio.run(strict())


def test_two_flows_talk(background: Background) -> None:
    there: Future[str] = Future()

    @flow
    def server() -> str:
        there.set_result(flow_run.id)
        for greeting in Greeting.receive(timeout=30):
            if greeting.text == "stop":
                return "stopped"
            greeting.respond(f"{greeting.text} to you too")
        return "timed out"

    @flow
    async def client() -> Any:
        other = await asyncio.to_thread(there.result, 30)
        await Greeting(text="hello").send_to(other)
        answer = await receive_input(str, timeout=30).next()
        await send_input(Greeting(text="stop"), other)
        return answer

    serving = background(server)
    assert asyncio.run(client()) == "hello to you too"
    assert serving.result(30) == "stopped"


def test_who_has_sent_it(run_id: str) -> None:
    send_input(5, run_id, sender="me")
    got: Any = receive_input(int, flow_run_id=run_id, timeout=10, with_metadata=True).next()
    assert (got.value, got.metadata.sender, got.metadata.receiver) == (5, "me", run_id)
    assert got.metadata.key.startswith("int-auto-")
    with pytest.raises(MissingContextError, match="respond"):
        got.respond("thanks")
    with pytest.raises(MissingContextError):
        Greeting(text="made here").respond("nobody")


def test_each_message_is_received_once(run_id: str, background: Background) -> None:
    begin = threading.Barrier(4)

    def receive() -> list[int]:
        begin.wait(30)
        return list(iter(receive_input(int, flow_run_id=run_id, timeout=60).next, -1))

    waiting = [background(receive) for _ in range(3)]
    begin.wait(30)
    for number in (*range(30), -1, -1, -1):
        send_input(number, run_id)
    assert sorted(number for each in waiting for number in each.result(60)) == list(range(30))


def test_another_process_sends(run_id: str, background: Background) -> None:
    waiting = background(receive_input(list[int], flow_run_id=run_id, timeout=60).next)
    code = f"from jupyter_wf.input import send_input; send_input([1, 2], {run_id!r})"
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    subprocess.run([sys.executable, "-c", code], check=True, env=env, timeout=60)
    assert waiting.result(60) == [1, 2]


def test_waiting_for_a_message_can_be_cancelled(background: Background) -> None:
    begun: Future[str] = Future()

    @flow
    def main() -> None:
        begun.set_result(flow_run.id)
        receive_input(int).next()

    result = background(main)
    run_id = begun.result(30)
    until(lambda: current_runtime().store.get_run(run_id).state.is_running())
    current_runtime().store.request(run_id, "cancel")
    with pytest.raises(CancelledRun):
        result.result(30)


def test_forms_that_are_left_for_a_run(run_id: str) -> None:
    keys = keyset_from_base_key("approval")
    Greeting.with_initial_data(description="Say *hello*", text="hello").save(keys, run_id)
    with pytest.raises(MissingResult, match="approval-response"):
        Greeting.load(keys, run_id)
    inputs = current_runtime().store.inputs
    found = {stored.key: stored.value for stored in inputs.list(run_id, key_prefix="approval-")}
    assert found["approval-description"] == "Say *hello*"
    assert found["approval-schema"]["properties"]["text"]["default"] == "hello"
    inputs.send(run_id, keys["response"], {"text": "bye"})
    assert Greeting.load(keys, run_id).text == "bye"

    async def awaited() -> Any:
        return await Greeting.load(keys, run_id)

    assert asyncio.run(awaited()).text == "bye"
    inputs.send(run_id, keys["response"], {"words": "bye"})
    with pytest.raises(ValidationError):
        Greeting.load(keys, run_id)


def test_what_cannot_be_sent_or_received(run_id: str) -> None:
    with pytest.raises(RunNotFound):
        send_input(1, "no such run")
    with pytest.raises(MissingContextError, match="flow_run_id"):
        receive_input(int)
    with pytest.raises(MissingContextError):
        Greeting.receive()
    with pytest.raises(ParameterError, match="'nothing'"):
        Greeting.with_initial_data(nothing=1)
    with pytest.raises(ValidationError):
        Greeting(text="hi", more=1)  # type: ignore[call-arg]


def test_a_run_that_has_just_begun_can_be_sent_to_and_waited_for(background: Background) -> None:
    """Whoever hears of a run of this process need not care whether it is committed."""

    @flow
    def main() -> str:
        ids.put(flow_run.id)
        return str(receive_input(str, timeout=30).next())

    ids: SimpleQueue[str] = SimpleQueue()
    for _ in range(20):
        result = background(main)
        run_id = ids.get(timeout=30)
        send_input("at once", flow_run_id=run_id)
        assert wait_for_flow_run(run_id, timeout=30).state.is_completed()
        assert result.result(30) == "at once"
