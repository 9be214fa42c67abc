"""A run and everything below it over REST: what a page begins with before it follows the stream."""

from __future__ import annotations

import time

from jupyter_wf.core.events import LogWritten, RunCreated
from jupyter_wf.core.models import LogRecord
from jupyter_wf.core.tree import RunTree
from jupyter_wf.core.tree_json import LineJSON, TreeJSON
from jupyter_wf.core.tree_messages import whole_tree
from jupyter_wf.server.backend import Backend
from jupyter_wf.server.base import ApiHandler, may
from jupyter_wf.store.base import Store

__all__ = ["TreeHandler"]

#: How many of the newest log lines come along.
_MOST_LINES = 1000


class TreeHandler(ApiHandler):
    """``/api/runs/{id}/tree``."""

    @may("read")
    async def get(self, run_id: str) -> None:
        """Answer with a whole `TreeJSON`.

        Its ``seq`` is that of an event: nothing is missed by who follows the stream from there. A line's number is its
        event's; ``dropped`` is 1 where there are older lines.
        """
        self.query()
        backend = self.backend
        await self.reply(lambda store: _tree(backend, store, run_id))


def _tree(backend: Backend, store: Store, run_id: str) -> TreeJSON:
    run = store.find_run(run_id)
    seq = store.last_seq()
    lines = store.logs(run.id, limit=_MOST_LINES + 1, tail=True)
    entries = iter(store.tree(run.id))
    made = next(entries)
    assert isinstance(made, RunCreated)
    tree = RunTree(made)
    tree.feed(entries)
    tree.feed(LogWritten(line.run_id, line.at, line.level, line.logger, line.message) for line in lines)
    # Read last: it is at least as new as what the tree was made of.
    run = store.get_run(run.id)
    message = whole_tree(tree, time.time(), seq=seq, can_retry=run.can_retry)
    message["run"] = backend.encode_run(run)
    message["lines"] = [
        _line(line, place) for line in lines[-_MOST_LINES:] if (place := tree.place(line.run_id)) is not None
    ]
    message["dropped"] = int(len(lines) > _MOST_LINES)
    return message


def _line(line: LogRecord, place: int) -> LineJSON:
    return line.seq, line.at * 1e3, place - 1, line.level, line.message
