"""The imports that may happen inside a function: ``importer -> imported`` and why. An entry nobody uses fails."""

from __future__ import annotations

GATES: dict[str, str] = {
    "jupyter_wf -> (by name)": "the public names are handed out lazily: importing the package costs next to nothing",
    "jupyter_wf -> jupyter_wf.ipython": "the hook of %load_ext: only a kernel needs IPython",
    "jupyter_wf -> jupyter_wf.server.app": "the hook of jupyter_server: only a server needs it, and tornado with it",
    "jupyter_wf.cli.app -> (by name)": "a command is loaded when it is used: listing must not wait for running",
    "jupyter_wf.cli.files -> yaml": "only a parameters file in YAML needs it",
    "jupyter_wf.concurrency.slots -> jupyter_wf.engine.limits_async": "only those who await slots pay for asyncio",
    "jupyter_wf.engine.kinds -> cloudpickle": "only inputs of an unknown kind are hashed by their pickle",
    "jupyter_wf.engine.futures -> asyncio": "only those who await pay for asyncio",
    "jupyter_wf.engine.interrupts -> ctypes": "only a thread that is interrupted needs it, 2 ms",
    "jupyter_wf.engine.remote -> jupyter_wf.engine.runtime": "most calls in a worker process need no store",
    "jupyter_wf.engine.runtime -> anyio.from_thread": "a portal is only made when async work is called from sync code",
    "jupyter_wf.engine.runtime -> jupyter_core.paths": "not needed where JUPYTER_WF_HOME is set, and slow to import",
    "jupyter_wf.engine.runtime -> asyncio": "only a later attempt of async work needs it",
    "jupyter_wf.engine.submit -> jupyter_wf.engine.asynchronous": "only submitted async tasks need it",
    "jupyter_wf.executors.parcels -> (by name)": "the module of a decorated function, which a pickle refers to",
    "jupyter_wf.executors.parcels -> jupyter_wf.executors.pickling": "40 ms that most workers do not need: cloudpickle",
    "jupyter_wf.executors.registry -> importlib.metadata": "30 ms that nobody needs who uses our own executors",
    "jupyter_wf.executors.registry -> jupyter_wf.executors.process": "most flows never start a process",
    "jupyter_wf.flows -> jupyter_wf.engine.asynchronous": "only async flows pay for asyncio, 30 ms",
    "jupyter_wf.ipython.screens -> jupyter_wf.ipython.run_view": "only runs that last or fail pay for ipywidgets",
    "jupyter_wf.services.runner_main -> jupyter_wf.notebook.runner": "what nbclient costs is cut before it is imported",
    "jupyter_wf.sources -> (by name)": "an entrypoint names a module of the user's",
    "jupyter_wf.store.blobs -> jupyter_wf.store.blob_forms": "pickle, zlib, hashlib: only values that are not small JSON",
    "jupyter_wf.store.pickles -> cloudpickle": "25 ms that values whose types can be imported do not pay",
    "jupyter_wf.store.sqlite.migrations -> sqlite_utils": "slow to import, and only a new or old file needs it",
    "jupyter_wf.tasks -> jupyter_wf.engine.asynchronous": "only async tasks pay for asyncio, 30 ms",
    "jupyter_wf.tasks -> jupyter_wf.engine.results": "only tasks with a cache policy pay for hashing and pickling",
    "jupyter_wf.validation -> jupyter_wf.coercion": "pydantic costs 50 ms and more, and most flows never need it",
}
