"""``GET meta``: what the server is."""

from __future__ import annotations

from jupyter_wf._version import __version__
from jupyter_wf.core.codec import MetaJSON
from jupyter_wf.server.base import ApiHandler, may
from jupyter_wf.store.base import Store

__all__ = ["API_VERSION", "MetaHandler"]

#: Grows when the REST API changes so that an older front end can't follow.
API_VERSION = 1


class MetaHandler(ApiHandler):
    """``/api/meta``."""

    @may("read")
    async def get(self) -> None:
        """Answer with the versions, the state file, and the number of the newest event."""
        self.query()
        await self.reply(_describe)


def _describe(store: Store) -> MetaJSON:
    return {
        "version": __version__,
        "api": API_VERSION,
        "database": store.location(),
        "sqlite": store.engine_version(),
        "seq": store.last_seq(),
    }
