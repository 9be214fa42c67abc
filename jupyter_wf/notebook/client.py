"""nbclient, with outputs that have a limit and messages that tell the kernel which run they belong to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from queue import Empty
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionComplete, DeadKernelError
from nbformat import NotebookNode

from jupyter_wf.notebook.streams import MOST_RICH, CellText

__all__ = ["CellClient"]

#: Seconds between two looks at whether the kernel's process lives.
_POLL = 0.1
_DAY = 86_400
#: Messages taken before the event loop has its turn again.
_AT_ONCE = 200
#: Seconds without any output after the kernel's reply, after which no more is waited for.
_QUIET = 3.0
#: Where messages of ours say something, in their metadata.
_METADATA = "jupyter_wf"
#: What may still come for a cell when another one is being executed: outputs of what it has left running.
_LATE = frozenset(("stream", "display_data", "execute_result", "update_display_data", "clear_output", "error"))

#: nbformat says nothing about its types.
_to_nodes: Callable[[Any], Any] = nbformat.from_dict
_new_cell: Callable[..., Any] = nbformat.v4.new_code_cell


@dataclass(slots=True, eq=False)
class _Place:
    """Where the outputs of one request go. ``clears`` tells that the next one replaces what is there."""

    cell: NotebookNode
    index: int
    text: CellText
    clears: bool = False


class CellClient(NotebookClient):
    """Executes single cells in a kernel that somebody else starts and stops.

    nbclient's own life of a kernel is not used: it replaces the process's signal handlers. ``started`` is set when the
    kernel has begun to execute the cell, so that an interrupt will reach it. Outputs of what a cell has left running
    go to that cell, whenever they come. ``restore`` gives, by a cell's index, the outputs to put back where the kernel
    says that it has restored the cell instead of running it; None where there are none.
    """

    def __init__(
        self,
        notebook: NotebookNode,
        manager: Any,
        client: Any,
        *,
        restore: Callable[[int], list[dict[str, Any]] | None] = lambda index: None,
    ) -> None:
        super().__init__(notebook, km=manager, record_timing=True, store_widget_state=False, iopub_timeout=_DAY)
        self.kc = client
        self._client = client
        self._asked: str | None = None
        self._restore = restore
        self._silent = False
        #: By the id of the request; and those to which something has come late.
        self._places: dict[str, _Place] = {}
        self._late: set[_Place] = set()
        self.text = CellText()
        self.started = asyncio.Event()
        #: How many messages with outputs have come so far.
        self.taken = 0

    @property
    def last_line(self) -> str:
        """The last line that the cell has printed so far."""
        return self.text.last_line

    async def execute_in_run(
        self, index: int, context: dict[str, Any], text: CellText, *, on_reply: Callable[[dict[str, Any]], None]
    ) -> None:
        """Execute the cell at ``index``; its outputs, number and timings are in the notebook afterwards.

        ``context`` goes into the metadata of the request, under ``jupyter_wf``. ``on_reply`` gets the kernel's answer
        before an error in it is raised. Raises `CellExecutionError` unless the cell's tags allow an error, and
        `DeadKernelError` when the kernel's process ends.
        """
        self._begin(context, text, silent=False)
        self.on_cell_executed = lambda cell, cell_index, execute_reply: self._replied(cell, execute_reply, on_reply)
        try:
            await self.async_execute_cell(self.nb.cells[index], index)
        except DeadKernelError:
            await self._drain(index)
            raise
        finally:
            text.end()

    async def execute_silently(self, source: str, context: dict[str, Any]) -> dict[str, Any]:
        """Execute code that is no cell; return the content of the kernel's answer, whatever that is.

        What it displays is dropped. Raises `DeadKernelError` when the kernel's process ends.
        """
        self._begin(context, CellText(), silent=True)
        cell = _new_cell(source, metadata={"execution": {}})
        asked = self._client.execute(source, silent=True, store_history=False, stop_on_error=False)
        alive = asyncio.ensure_future(self._async_poll_kernel_alive())
        outputs = asyncio.ensure_future(self._async_poll_output_msg(asked, cell, len(self.nb.cells)))
        self.task_poll_for_reply = asyncio.ensure_future(self._async_poll_for_reply(asked, cell, None, outputs, alive))
        try:
            reply = await self.task_poll_for_reply
        except asyncio.CancelledError:
            # Only what looks after the kernel's process cancels it.
            outputs.cancel()
            raise DeadKernelError("Kernel died") from None
        content: dict[str, Any] = reply["content"]
        return content

    def _begin(self, context: dict[str, Any], text: CellText, *, silent: bool) -> None:
        self.text = text
        self.started = asyncio.Event()
        self._silent = silent
        # JupyterLab names the cell as "cellId".
        self._client.session.metadata = {_METADATA: context, "cellId": context.get("cell_id")}

    def settle(self, *, last: bool = False) -> None:
        """Put what has come into the cells' outputs, so that the notebook can be saved; ``last``: no more will."""
        self.text.settle()
        for place in self._late:
            if last:
                place.text.end()
            else:
                place.text.settle()

    async def _drain(self, index: int) -> None:
        """Take what a kernel had sent before it died: its last words are the ones that matter."""
        with contextlib.suppress(Empty, CellExecutionComplete):
            while True:
                msg = await self._client.get_iopub_msg(timeout=0.05)
                if msg["parent_header"].get("msg_id") == self._asked:
                    self.process_message(msg, self.nb.cells[index], index)

    def _replied(self, cell: NotebookNode, reply: dict[str, Any], on_reply: Callable[[dict[str, Any]], None]) -> None:
        began = reply.get("metadata", {}).get("started")
        if isinstance(began, str):
            # JupyterLab writes this one too; nbclient does not.
            cell["metadata"]["execution"]["shell.execute_reply.started"] = began
        on_reply(reply)

    async def _async_poll_kernel_alive(self) -> None:
        """Look ten times as often as nbclient does: a death must be known within 2 seconds."""
        while True:
            await asyncio.sleep(_POLL)
            try:
                await self._async_check_alive()
            except DeadKernelError:
                if self.task_poll_for_reply is not None:
                    self.task_poll_for_reply.cancel()
                return

    async def _async_poll_output_msg(self, parent_msg_id: str, cell: NotebookNode, cell_index: int) -> None:
        """Take what has piled up without a turn of the event loop for each message, as nbclient would.

        The kernel's end of the connection throws messages away when a cell prints faster than it can send, the one
        that says that the cell has ended among them: after the reply, `_QUIET` seconds of silence mean the same.
        """
        channel, session = self._client.iopub_channel, self._client.session
        self._places[parent_msg_id] = _Place(cell, cell_index, self.text)
        with contextlib.suppress(CellExecutionComplete):
            while True:
                try:
                    msg = await channel.get_msg(timeout=_QUIET)
                except Empty:
                    if "shell.execute_reply" in cell["metadata"]["execution"]:
                        return
                    continue
                taken = 1
                while msg is not None:
                    if msg["parent_header"].get("msg_id") == parent_msg_id:
                        self.process_message(msg, cell, cell_index)
                    elif msg["msg_type"] in _LATE:
                        self._take_late(msg)
                    msg = session.recv(channel.socket)[1] if taken < _AT_ONCE else None
                    taken += 1

    def _take_late(self, msg: dict[str, Any]) -> None:
        place = self._places.get(msg["parent_header"].get("msg_id"))
        if place is None:
            return
        self._late.add(place)
        # nbclient has one flag of this kind: that of the cell which is being executed.
        mine, self.clear_before_next_output = self.clear_before_next_output, place.clears
        try:
            super().process_message(msg, place.cell, place.index)
        finally:
            place.clears, self.clear_before_next_output = self.clear_before_next_output, mine

    def process_message(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> NotebookNode | None:
        """Take one message of the kernel; see `NotebookClient.process_message`."""
        if msg["msg_type"] == "execute_input":
            self._asked = msg["parent_header"].get("msg_id")
            self.started.set()
        elif self._silent and msg["msg_type"] == "status":
            # Of what is executed silently, no execute_input is told.
            self.started.set()
        return super().process_message(msg, cell, cell_index)

    def output(
        self, outs: list[NotebookNode], msg: dict[str, Any], display_id: str | None, cell_index: int
    ) -> NotebookNode | None:
        """Add an output, within the limits; see `NotebookClient.output`."""
        self.taken += 1
        asked = msg["parent_header"].get("msg_id")
        if self.output_hook_stack[asked]:
            return super().output(outs, msg, display_id, cell_index)
        content = msg["content"]
        place = self._places.get(asked)
        text = self.text if place is None else place.text
        if msg["msg_type"] == "display_data" and self._put_back(outs, content, cell_index):
            return None
        if msg["msg_type"] == "stream":
            if self.clear_before_next_output:
                outs[:] = []
                self.clear_display_id_mapping(cell_index)
                self.clear_before_next_output = False
            text.take(outs, content["name"], content["text"])
            return None
        if not text.admits(content.get("data")):
            cut = f"<an output was left out: {MOST_RICH:,} characters of displayed data of a cell are kept>"
            msg = {**msg, "content": {**content, "data": {"text/plain": cut}, "metadata": {}}}
        return super().output(outs, msg, display_id, cell_index)

    def _put_back(self, outs: list[NotebookNode], content: dict[str, Any], cell_index: int) -> bool:
        """Put the earlier outputs of a cell back where the kernel has restored it; return whether it was so."""
        told = (content.get("metadata") or {}).get(_METADATA)
        if not isinstance(told, dict) or not told.get("restored"):
            return False
        saved = self._restore(cell_index)
        if not saved:
            return False
        outs.extend(_to_nodes(deepcopy(saved)))
        return True
