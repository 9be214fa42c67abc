"""What a runner is to do with a notebook run: run it, or go on with what earlier attempts left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

__all__ = ["Mode", "Plan"]

#: ``run`` restores nothing; ``resume`` and ``rerun`` restore task cells whose source and inputs are the same,
#: ``repair`` all that completed; none restores those of ``again``.
Mode = Literal["run", "resume", "repair", "rerun"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Tells the kernel which task cells may be restored instead of run.

    ``from_run`` is the run whose children may be restored, ``again`` are the names of tasks that must run whatever
    there is (None where none must). ``executed`` are the executed notebooks of earlier attempts, absolute paths, the
    newest first: the outputs of restored cells are put back from there.
    """

    mode: Mode = "run"
    from_run: str | None = None
    again: tuple[str, ...] | None = None
    executed: tuple[str, ...] = ()

    def told(self, attempt: int) -> dict[str, Any]:
        """Return what the kernel is told with each cell."""
        again = None if self.again is None else list(self.again)
        return {"attempt": attempt, "mode": self.mode, "from_run": self.from_run, "again": again}

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Plan:
        """Return the plan that `to_json` has written. Raises `ValueError` for a mode that there is not."""
        if given["mode"] not in get_args(Mode):
            raise ValueError(f"there is no mode {given['mode']!r}")
        again = given["again"]
        return cls(
            mode=given["mode"],
            from_run=given["from_run"],
            again=None if again is None else tuple(again),
            executed=tuple(given["executed"]),
        )
