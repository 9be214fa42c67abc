"""Facts about the current run, as in Prefect 3: ``from jupyter_wf import runtime``, then ``runtime.flow_run.name``.

Each attribute is looked up when it is read. Outside any run it is None, an empty list or dict, or 0.
A test can give each by the environment: ``JUPYTER_WF__RUNTIME__FLOW_RUN__NAME=nightly``.
"""

from __future__ import annotations

from jupyter_wf.runtime import deployment, flow_run, task_run

__all__ = ["deployment", "flow_run", "task_run"]
