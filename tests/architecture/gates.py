"""The imports that may happen inside a function: ``importer -> imported`` and why. An entry nobody uses fails."""

from __future__ import annotations

GATES: dict[str, str] = {
    "jupyter_wf -> (by name)": "the public names are handed out lazily: importing the package costs next to nothing",
    "jupyter_wf -> jupyter_wf.ipython": "the hook of %load_ext: only a kernel needs IPython",
    "jupyter_wf -> jupyter_wf.server.app": "the hook of jupyter_server: only a server needs it, and tornado with it",
    "jupyter_wf.engine.runtime -> anyio.from_thread": "a portal is only made when async work is called from sync code",
    "jupyter_wf.engine.runtime -> jupyter_core.paths": "not needed where JUPYTER_WF_HOME is set, and slow to import",
    "jupyter_wf.services.runner_main -> jupyter_wf.notebook.runner": "nbclient is heavy, and a flow run does without it",
}
