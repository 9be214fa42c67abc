"""Which Dask cluster makes the calls: somebody's, or one that is made for a while."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack
from importlib import import_module
from typing import Any, NamedTuple

from distributed import Client, LocalCluster

from jupyter_wf.executors.dask_worker import MadeOnce, Shielded

__all__ = ["Place"]

_LOGGER = logging.getLogger("jupyter_wf.dask")


class Place(NamedTuple):
    """Which cluster: the one at ``address``, the object ``cluster``, or one of our own for as long as it is needed.

    Our own is made by ``cluster_class`` (a class, or its dotted name; `distributed.LocalCluster` when None), which is
    given ``cluster_kwargs`` and ``asynchronous=True``. ``adapt_kwargs`` go to the cluster's ``adapt``, and
    ``client_kwargs`` to the `distributed.Client`.
    """

    address: str | None = None
    cluster: Any = None
    cluster_class: Any = None
    cluster_kwargs: Mapping[str, Any] | None = None
    adapt_kwargs: Mapping[str, Any] | None = None
    client_kwargs: Mapping[str, Any] | None = None

    @property
    def is_ours(self) -> bool:
        """Whether the cluster is made for this executor, and ends with it."""
        return self.address is None and self.cluster is None

    @property
    def is_local(self) -> bool:
        """Whether the workers are processes of ours on this machine."""
        return self.is_ours and self.cluster_class in (None, LocalCluster)

    async def enter(self, stack: AsyncExitStack) -> Any:
        """Return a client of the cluster, both of which end with ``stack``. Raises whatever connecting raises."""
        options = dict(self.client_kwargs or {})
        where: Any = self.address
        if self.cluster is not None:
            where = self.cluster.scheduler_address
            options.setdefault("security", getattr(self.cluster, "security", None))
            if self.adapt_kwargs is not None:
                self.cluster.adapt(**self.adapt_kwargs)
        elif where is None:
            make = self.cluster_class or LocalCluster
            if isinstance(make, str):
                module, _, name = make.rpartition(".")
                make = getattr(import_module(module), name)
            more = dict(self.cluster_kwargs or {})
            if self.is_local:
                # The usual port may be taken by another cluster of this machine, which Dask warns of.
                more.setdefault("dashboard_address", ":0")
            where = await stack.enter_async_context(make(asynchronous=True, **more))
            if self.adapt_kwargs is not None:
                where.adapt(**self.adapt_kwargs)
        make_client: Any = Client
        client = await stack.enter_async_context(make_client(where, asynchronous=True, set_as_default=False, **options))
        if self.is_local:
            await client.register_plugin(Shielded())
        try:
            await client.register_plugin(MadeOnce())
        except Exception as error:
            _LOGGER.warning("The scheduler may make a call again whose worker died: it takes no plugin: %r", error)
        return client
