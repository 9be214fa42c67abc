"""The logger of the run that the calling code is part of."""

from __future__ import annotations

import logging

from jupyter_wf.engine.capture import run_logger

__all__ = ["get_run_logger"]


def get_run_logger() -> logging.LoggerAdapter[logging.Logger]:
    """Return a standard logger whose lines, from INFO up, go to the log of the current task or flow run.

    Raises `MissingContextError` outside any run.
    """
    return run_logger()
