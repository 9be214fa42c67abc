"""The server extension: reads its settings, adds the routes, and stops what it started."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from jupyter_server.extension.application import ExtensionApp
from traitlets import Bool, Float, Int, List, Unicode

from jupyter_wf.core.errors import StoreError
from jupyter_wf.core.settings import HOME_VARIABLE, are_services_wanted
from jupyter_wf.engine.runtime import load_settings
from jupyter_wf.server.backend import Backend
from jupyter_wf.server.base import BACKEND, dump
from jupyter_wf.server.paths import ContentsRoot
from jupyter_wf.server.routes import routes
from jupyter_wf.services.agent_options import DRAIN_VARIABLE, PRELOAD_VARIABLE
from jupyter_wf.services.host import ServiceHost
from jupyter_wf.services.hosting import make_host
from jupyter_wf.services.reaper import Reaper
from jupyter_wf.services.submitting import submit_or_launch
from jupyter_wf.store.base import Store
from jupyter_wf.store.processes import this_process
from jupyter_wf.store.sqlite import open_store

__all__ = ["ACTIVITY", "WorkflowsApp"]

#: Jupyter looks at settings with this ending when it judges whether a server is idle.
ACTIVITY = "jupyter_wf_last_activity"


class WorkflowsApp(ExtensionApp):
    """Workflows in the Jupyter server: see and start runs of notebooks, flows and tasks."""

    name = "jupyter_wf"
    description = "Workflows in the Jupyter server: see and start runs of notebooks, flows and tasks."
    extension_url = "/lab"
    load_other_extensions = True

    home = Unicode(
        "",
        help="""The folder of the state file and of the runs.

        Kernels and runs that this server starts use it too. Empty: the environment variable JUPYTER_WF_HOME,
        or where that is not set the folder jupyter_wf in Jupyter's data folder.""",
    ).tag(config=True)

    services = Bool(
        True,
        help="""Whether this server makes the runs of schedules, and what else is done in the background.

        Any number of servers may; one of them does it. The environment variable JUPYTER_WF_SERVICES=0 denies it.""",
    ).tag(config=True)

    agent = Bool(
        True,
        help="""Whether this server sees to it that an agent, which executes queued runs, works on this machine.

        There is one for each state folder, and it outlives the server by a minute. Needs `services`.""",
    ).tag(config=True)

    agent_limit = Int(
        0, min=0, help="How many runs that agent executes at a time. 0: as many as the machine has cores."
    ).tag(config=True)

    agent_drain = Float(
        None,
        allow_none=True,
        min=0,
        help="""After how many seconds that agent cancels what runs when it is told to end (SIGTERM). None: never.""",
    ).tag(config=True)

    preload = List(
        Unicode(),
        help="""Modules that notebooks import, such as pandas: imported once, in advance, for all its runs.""",
    ).tag(config=True)

    backend: Backend | None = None

    def initialize_settings(self) -> None:
        """Make the backend; nothing is opened yet."""
        if self.home:
            # Kernels and runners inherit it, so that their runs are found here.
            os.environ[HOME_VARIABLE] = str(Path(self.home).expanduser().absolute())
        # The agent, which outlives this process, inherits these.
        if self.agent_drain is not None:
            os.environ[DRAIN_VARIABLE] = str(self.agent_drain)
        if self.preload:
            os.environ[PRELOAD_VARIABLE] = ",".join(self.preload)
        app = self.serverapp
        assert app is not None
        self.backend = Backend(
            load_settings(),
            root=ContentsRoot.of(app.contents_manager),
            opener=open_store,
            launch=submit_or_launch,
            process=lambda: this_process("server"),
            dump=dump,
            log=self.log,
            host=self._make_host if self.services and are_services_wanted(os.environ) else self._make_reaper,
        )
        self.settings[BACKEND] = self.backend
        self.settings[ACTIVITY] = datetime.now(UTC)

    def _make_host(self, store: Store) -> ServiceHost:
        backend = self.backend
        assert backend is not None
        return make_host(
            store,
            backend.settings,
            process=backend.process(),
            log=self.log,
            agent=self.agent,
            limit=self.agent_limit or None,
            on_look=self._note_activity,
        )

    def _make_reaper(self, store: Store) -> Reaper:
        return Reaper(store, on_look=self._note_activity)

    def initialize_handlers(self) -> None:
        """Add the routes."""
        self.handlers.extend(routes())

    async def _start_jupyter_server_extension(self, _serverapp: object) -> None:
        """Open the store when the server has begun to serve, so that its services begin."""
        if self.backend is None:
            return
        try:
            await self.backend.call(lambda store: store.location())
        except StoreError as error:
            self.log.error("jupyter_wf: %s", error)

    def _note_activity(self, open_runs: int) -> None:
        """Keep the server from being culled as idle while runs are open; on the reaper's thread."""
        app = self.serverapp
        if open_runs and app is not None:
            # The key is there since the start: a thread may give it a new value while the loop walks over the settings.
            app.web_app.settings[ACTIVITY] = datetime.now(UTC)

    def current_activity(self) -> list[str] | None:
        """Return what goes on: None when no run is open."""
        count = self.backend.open_runs if self.backend else 0
        return [f"{count} open runs"] if count else None

    async def stop_extension(self) -> None:
        """End the subscriptions, the threads and the store."""
        if self.backend is not None:
            await self.backend.stop()
