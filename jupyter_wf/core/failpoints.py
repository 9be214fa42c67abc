"""Places where tests have a process die, fail or wait: ``JUPYTER_WF_FAILPOINT=claim.after_commit:exit``."""

from __future__ import annotations

import os
import threading

__all__ = ["FAILPOINT_VARIABLE", "FailpointReached", "failpoint"]

#: ``name:exit``, ``name:raise`` or ``name:sleep=SECONDS``; several are separated by commas.
FAILPOINT_VARIABLE = "JUPYTER_WF_FAILPOINT"
_EXIT_CODE = 70
_LONG = 3600.0


class FailpointReached(Exception):
    """A test has asked for a failure here."""


def failpoint(name: str) -> None:
    """Do what the environment asks for at the place ``name``; nothing where it asks for nothing.

    ``exit`` ends the process at once, without any clean-up, ``raise`` raises `FailpointReached`, ``sleep`` waits.
    """
    wanted = os.environ.get(FAILPOINT_VARIABLE)
    if not wanted:
        return
    for each in wanted.split(","):
        where, _, action = each.strip().partition(":")
        if where == name:
            _act(name, action)


def _act(name: str, action: str) -> None:
    kind, _, amount = action.partition("=")
    if kind == "exit":
        os._exit(_EXIT_CODE)
    if kind == "raise":
        raise FailpointReached(name)
    if kind == "sleep":
        threading.Event().wait(float(amount or _LONG))
