"""Sending messages to flow runs, and receiving them."""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable
from typing import Any, Generic, Self, TypeVar

from jupyter_wf.engine.awaiting import is_awaiting
from jupyter_wf.engine.runtime import current_runtime
from jupyter_wf.input.models import AutomaticRunInput, RunInput, as_run_input, here, run_input_subclass_from_type

__all__ = ["GetInputHandler", "receive_input", "send_input"]

T = TypeVar("T")

#: How often (seconds) it is looked whether anybody has committed anything, which costs microseconds.
_INTERVAL = 0.02


def send_input(run_input: Any, flow_run_id: str, sender: str | None = None, key_prefix: str | None = None) -> Any:
    """Send a value to a flow run, which gets it from `receive_input` of the same type.

    ``run_input`` is a `RunInput`, a pydantic model, or anything that pydantic can write as JSON; ``sender`` is the flow
    run that the calling code is part of where nothing else is said. Returns None, in an event loop an awaitable of
    it. Raises `RunNotFound`, and pydantic's error for a value that is no JSON.
    """
    return as_run_input(run_input).send_to(str(flow_run_id), sender, key_prefix)


def receive_input(
    input_type: Any,
    timeout: float | None = 3600,
    poll_interval: float = 10,
    raise_timeout_error: bool = False,
    exclude_keys: set[str] | None = None,
    key_prefix: str | None = None,
    flow_run_id: str | None = None,
    with_metadata: bool = False,
) -> GetInputHandler[Any]:
    """Return what receives the messages of a type that are sent to a flow run, by default the current one.

    Use it with ``for`` or ``async for``, or its ``next()``. Each message is received once. ``timeout`` (seconds, None
    for no end) bounds each wait: a loop ends then, unless ``raise_timeout_error`` has it raise `TimeoutError`, which
    ``next()`` always does. What comes is seen in less than 50 ms, so ``poll_interval`` does not matter. Keys in
    ``exclude_keys`` are left alone. ``with_metadata``: plain values come wrapped, with `RunInput.metadata`.
    Raises `MissingContextError` outside any flow run where none is named.
    """
    return GetInputHandler(
        run_input_subclass_from_type(input_type),
        flow_run_id=str(flow_run_id or here("receive_input()")),
        timeout=timeout,
        raise_timeout_error=raise_timeout_error,
        exclude_keys=exclude_keys,
        key_prefix=key_prefix,
        unwraps=not with_metadata,
    )


class GetInputHandler(Generic[T]):
    """Receives the messages of one type to one run. See `receive_input`."""

    def __init__(
        self,
        run_input: type[RunInput],
        *,
        flow_run_id: str,
        timeout: float | None,
        raise_timeout_error: bool,
        exclude_keys: set[str] | None,
        key_prefix: str | None,
        unwraps: bool = False,
    ) -> None:
        self.run_input = run_input
        self.flow_run_id = flow_run_id
        self.timeout = timeout
        self.raise_timeout_error = raise_timeout_error
        self.exclude_keys = set(exclude_keys or ())
        self.key_prefix = key_prefix or run_input.prefix()
        self._unwraps = unwraps

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        try:
            return self._wait()
        except TimeoutError:
            if self.raise_timeout_error:
                raise
            raise StopIteration from None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        try:
            return await self._wait_async()
        except TimeoutError:
            if self.raise_timeout_error:
                raise
            raise StopAsyncIteration from None

    def next(self) -> T | Awaitable[T]:
        """Return the next message, in an event loop an awaitable of it. Raises `TimeoutError`."""
        return self._wait_async() if is_awaiting() else self._wait()

    def _look(self) -> list[T]:
        """Return the oldest message of ours in a list, an empty one where there is none."""
        inputs = current_runtime().store.inputs
        for stored in inputs.list(self.flow_run_id, key_prefix=f"{self.key_prefix}-"):
            if stored.key.rpartition("-")[0] != self.key_prefix or stored.key in self.exclude_keys:
                continue
            if inputs.remove(stored.id):
                made: Any = self.run_input.load_from_flow_run_input(stored)
                return [made.value if self._unwraps and isinstance(made, AutomaticRunInput) else made]
        return []

    def _left(self, until: float | None) -> float:
        if until is None:
            return _INTERVAL
        left = until - time.monotonic()
        if left <= 0:
            what = self.run_input.key_name()
            raise TimeoutError(f"no {what} was sent to run {self.flow_run_id} within {self.timeout:g} s")
        return min(_INTERVAL, left)

    def _until(self) -> float | None:
        return None if self.timeout is None else time.monotonic() + self.timeout

    def _wait(self) -> T:
        runtime = current_runtime()
        until, version = self._until(), None
        pause = threading.Event()
        with runtime.waiting():
            while True:
                now = runtime.store.data_version()
                if now != version:
                    version = now
                    found = self._look()
                    if found:
                        return found[0]
                pause.wait(self._left(until))

    async def _wait_async(self) -> T:
        # Only those who await need it.
        import asyncio

        store = current_runtime().store
        until, version = self._until(), None
        while True:
            now = store.data_version()
            if now != version:
                version = now
                found = await asyncio.to_thread(self._look)
                if found:
                    return found[0]
            await asyncio.sleep(self._left(until))
