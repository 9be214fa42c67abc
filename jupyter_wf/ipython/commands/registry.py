"""All commands of ``%wf`` by name, in the order in which the list shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from jupyter_wf.ipython.commands import dataflow, debugging, runs, scheduling, steering, views
from jupyter_wf.ipython.commands.base import Command

__all__ = ["COMMANDS"]


class _Group(Protocol):
    """A module with commands."""

    COMMANDS: tuple[Command, ...]


#: The modules with commands; a new one is added here.
_GROUPS: Iterable[_Group] = (dataflow, runs, steering, scheduling, debugging, views)

COMMANDS: Mapping[str, Command] = {command.name: command for group in _GROUPS for command in group.COMMANDS}
