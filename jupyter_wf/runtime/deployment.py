"""The deployment that the calling code runs for: ``jupyter_wf.runtime.deployment.name`` and so on."""

from __future__ import annotations

from typing import Any

from jupyter_wf.engine.lineage import Known, flow_runs
from jupyter_wf.runtime.attributes import look_up

__all__ = ["flow_run_id", "id", "name", "parameters", "version"]

#: The flow run that was made for the deployment; also inside flows that it calls.
flow_run_id: str | None
id: str | None
name: str | None
#: The parameters of that flow run.
parameters: dict[str, Any]
version: str | None


def _deployed() -> Known | None:
    return next((run for run in flow_runs() if run.source.get("deployment_id") is not None), None)


def _said(key: str) -> str | None:
    run = _deployed()
    value = None if run is None else run.source.get(key)
    return None if value is None else str(value)


def _flow_run_id() -> str | None:
    run = _deployed()
    return None if run is None else run.id


def _parameters() -> dict[str, Any]:
    run = _deployed()
    return {} if run is None else dict(run.parameters)


def _name() -> str | None:
    address = _said("deployment")
    return None if address is None else address.rpartition("/")[2]


_FIELDS = {
    "flow_run_id": _flow_run_id,
    "id": lambda: _said("deployment_id"),
    "name": _name,
    "parameters": _parameters,
    "version": lambda: _said("deployment_version"),
}


def __getattr__(name: str) -> Any:
    return look_up("deployment", _FIELDS, name)


def __dir__() -> list[str]:
    return sorted(__all__)
