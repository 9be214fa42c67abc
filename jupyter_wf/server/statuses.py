"""The one table that says which HTTP status answers which error."""

from __future__ import annotations

from jupyter_wf.core.errors import (
    AmbiguousRunId,
    ArtifactNotFound,
    InputRefused,
    InvalidRequest,
    InvalidTransition,
    JupyterWfError,
    ParameterError,
    RunFinished,
    RunnerError,
    RunNotFound,
    SecretNotFound,
    StoreError,
    TargetError,
    VariableExists,
)
from jupyter_wf.core.scheduling_errors import (
    AmbiguousDeployment,
    AutomationNotFound,
    BackfillNotFound,
    DeploymentExists,
    DeploymentNotFound,
    FormRefused,
    LeaseLost,
    ScheduleNotFound,
    ServiceUnavailable,
    TriggerNotFound,
)

__all__ = ["HTTP_STATUS", "http_status"]

#: Which HTTP status answers which error. The first class that fits wins.
HTTP_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (RunNotFound, 404),
    (SecretNotFound, 404),
    (ArtifactNotFound, 404),
    (AutomationNotFound, 404),
    (DeploymentNotFound, 404),
    (ScheduleNotFound, 404),
    (BackfillNotFound, 404),
    (TriggerNotFound, 404),
    (AmbiguousDeployment, 409),
    (DeploymentExists, 409),
    (LeaseLost, 409),
    (VariableExists, 409),
    (AmbiguousRunId, 409),
    (RunFinished, 409),
    (InvalidTransition, 409),
    (FormRefused, 422),
    (InputRefused, 422),
    (ParameterError, 422),
    (TargetError, 404),
    (InvalidRequest, 400),
    (RunnerError, 503),
    (ServiceUnavailable, 503),
    (StoreError, 503),
    (JupyterWfError, 400),
)


def http_status(error: Exception) -> int:
    """Return the HTTP status (an int from 400 to 599) that answers ``error``; 500 for a foreign one."""
    return next((status for cls, status in HTTP_STATUS if isinstance(error, cls)), 500)
