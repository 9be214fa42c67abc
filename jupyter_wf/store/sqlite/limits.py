"""Concurrency and rate limits: slots that all processes on the file share."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.core.shared import Limit
from jupyter_wf.store.shared import LimitStore
from jupyter_wf.store.sqlite.checks import checked_integer
from jupyter_wf.store.sqlite.database import Database
from jupyter_wf.store.sqlite.driver import sqlite
from jupyter_wf.store.sqlite.journal import SqliteJournal
from jupyter_wf.store.sqlite.owners import Owners
from jupyter_wf.store.sqlite.texts import clean

__all__ = ["Limits"]

_LONGEST_NAME = 1_000
_HIGHEST = (1 << 31) - 1
#: After how many seconds a taken slot is asked for again although nobody has given one back: its holder may have died.
_ASK_AGAIN = 1.0
#: Rounding in the decay of a rate limit must not make anybody wait for a billionth of a slot.
_NOTHING = 1e-9
_COLUMNS = "name, slots, decay, active, used, used_at"
_NAMED = "name IN (SELECT value FROM json_each(?))"


@dataclass(frozen=True, slots=True)
class _Row:
    """A limit as it is stored: ``used`` slots of a rate limit were taken at ``used_at`` (epoch seconds)."""

    name: str
    slots: int
    decay: float
    active: int
    used: float
    used_at: float

    def used_now(self, now: float) -> float:
        """Return how much of a rate limit is taken; a clock that was set back gives nothing back."""
        return max(0.0, self.used - self.decay * max(0.0, now - self.used_at))


class Limits(LimitStore):
    """The `LimitStore` of a state file. The methods are documented there."""

    def __init__(self, database: Database, journal: SqliteJournal, owners: Owners) -> None:
        self._database = database
        self._journal = journal
        self._owners = owners

    def set(self, name: str, slots: int, *, decay: float = 0.0, active: bool = True) -> Limit:
        """Make or change a limit; who holds slots of it keeps them."""
        _checked_name(name)
        checked_integer("slots", slots, 0, _HIGHEST)
        if not _is_rate(decay):
            raise InvalidRequest("decay", decay, "must be a number of slots a second, 0 for a limit that is no rate")

        def work(connection: sqlite.Connection) -> Limit:
            now = time.time()
            connection.execute(
                f"INSERT INTO limits ({_COLUMNS}) VALUES (?, ?, ?, ?, 0, ?) ON CONFLICT (name) DO UPDATE SET "
                # What was taken of a rate limit went on coming back by the old rate until now.
                "used = max(0, used - decay * max(0, excluded.used_at - used_at)), used_at = excluded.used_at, "
                "slots = excluded.slots, decay = excluded.decay, active = excluded.active",
                (name, slots, float(decay), int(active), now),
            )
            return self._shown(connection, _find(connection, (name,)), now)[0]

        return self._journal.run(work, tells=False)

    def remove(self, name: str) -> bool:
        """Remove the limit, and what is held of it."""
        _checked_name(name)

        def work(connection: sqlite.Connection) -> bool:
            connection.execute("DELETE FROM leases WHERE name = ?", (name,))
            return bool(connection.execute("DELETE FROM limits WHERE name = ? RETURNING 1", (name,)).fetchall())

        return self._journal.run(work, tells=False)

    def get(self, name: str) -> Limit | None:
        """Return the limit with what is taken now."""
        _checked_name(name)
        with self._database.snapshot() as connection:
            found = self._shown(connection, _find(connection, (name,)), time.time())
        return found[0] if found else None

    def take(
        self,
        lease_id: str,
        names: Sequence[str],
        occupy: int,
        *,
        process_id: str,
        run_id: str | None = None,
        unlisted: int | None = None,
    ) -> float | None:
        """Take slots of all the limits, or of none. Slots of a rate limit are used up: nobody holds them."""
        wanted = tuple(dict.fromkeys(_checked_name(name) for name in names))
        checked_integer("occupy", occupy, 1, _HIGHEST)
        if not wanted:
            return None

        def work(connection: sqlite.Connection) -> float | None:
            if _holds(connection, lease_id):
                return None
            now = time.time()
            rows = _wanted(connection, wanted, unlisted)
            dead = self._dead(connection, wanted)
            if dead:
                connection.execute(
                    f"DELETE FROM leases WHERE {_NAMED} AND process_id IN (SELECT value FROM json_each(?))",
                    (json.dumps(wanted), json.dumps(dead)),
                )
            wait = _wait(rows, _held(connection, wanted, ()), occupy, now)
            for row in rows:
                if row.decay:
                    # Written also where it is refused, so that a clock that was set back does not stop the decay.
                    used = row.used_now(now) + (occupy if wait is None else 0)
                    connection.execute("UPDATE limits SET used = ?, used_at = ? WHERE name = ?", (used, now, row.name))
                elif wait is None:
                    connection.execute(
                        "INSERT INTO leases (id, name, slots, process_id, run_id, taken_at) VALUES (?, ?, ?, ?, ?, ?)",
                        (lease_id, row.name, occupy, process_id, run_id, now),
                    )
            return wait

        # Who has to wait asks again and again: that takes no write lock.
        with self._database.snapshot() as connection:
            now = time.time()
            rows = _wanted(connection, wanted, unlisted)
            if not rows:
                return None
            wait = _wait(rows, _held(connection, wanted, self._dead(connection, wanted)), occupy, now)
            if wait is not None and all(row.used_at <= now for row in rows) and not _holds(connection, lease_id):
                return wait
        return self._journal.run(work, tells=False)

    def release(self, lease_id: str) -> None:
        """Give back what is held under ``lease_id``."""

        def work(connection: sqlite.Connection) -> None:
            connection.execute("DELETE FROM leases WHERE id = ?", (lease_id,))

        self._journal.run(work, tells=False)

    def _dead(self, connection: sqlite.Connection, names: Iterable[str]) -> list[str]:
        """Return the ids of the dead among those who hold slots of these limits."""
        holders = connection.execute(
            f"SELECT DISTINCT process_id FROM leases WHERE {_NAMED}", (json.dumps(list(names)),)
        ).fetchall()
        return [holder for (holder,) in holders if self._owners.judge(connection, holder) is not None]

    def _shown(self, connection: sqlite.Connection, rows: Sequence[_Row], now: float) -> list[Limit]:
        names = [row.name for row in rows]
        held = _held(connection, names, self._dead(connection, names))
        return [
            Limit(
                name=row.name,
                slots=row.slots,
                decay=row.decay,
                active=bool(row.active),
                taken=row.used_now(now) if row.decay else float(held.get(row.name, 0)),
            )
            for row in rows
        ]

    def list(self) -> list[Limit]:
        """Return all limits by name."""
        with self._database.snapshot() as connection:
            rows = connection.execute(f"SELECT {_COLUMNS} FROM limits ORDER BY name").fetchall()
            return self._shown(connection, [_Row(*row) for row in rows], time.time())


def _checked_name(name: object) -> str:
    if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME or clean(name) != name:
        raise InvalidRequest("name", name, f"a limit's name must be a text of 1 to {_LONGEST_NAME} characters")
    return name


def _is_rate(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf


def _find(connection: sqlite.Connection, names: Collection[str]) -> list[_Row]:
    rows = connection.execute(f"SELECT {_COLUMNS} FROM limits WHERE {_NAMED}", (json.dumps(list(names)),)).fetchall()
    return [_Row(*row) for row in rows]


def _wanted(connection: sqlite.Connection, names: Collection[str], unlisted: int | None) -> list[_Row]:
    """Return the limits that bind whoever wants slots of these names; ``unlisted`` is what a name without one has."""
    rows = _find(connection, names)
    listed = {row.name for row in rows}
    binding = [row for row in rows if row.active]
    if unlisted is not None:
        binding += [_Row(name, unlisted, 0.0, 1, 0.0, 0.0) for name in names if name not in listed]
    return binding


def _held(connection: sqlite.Connection, names: Collection[str], dead: Collection[str]) -> dict[str, int]:
    """Return how many slots of each limit are held by others than the dead."""
    rows = connection.execute(
        f"SELECT name, sum(slots) FROM leases WHERE {_NAMED} "
        "AND process_id NOT IN (SELECT value FROM json_each(?)) GROUP BY name",
        (json.dumps(list(names)), json.dumps(list(dead))),
    ).fetchall()
    return dict(rows)


def _holds(connection: sqlite.Connection, lease_id: str) -> bool:
    return bool(connection.execute("SELECT 1 FROM leases WHERE id = ? LIMIT 1", (lease_id,)).fetchall())


def _wait(rows: Iterable[_Row], held: Mapping[str, int], occupy: int, now: float) -> float | None:
    """Return the seconds until it is worth while to ask again, None where all slots are free."""
    waits = [wait for row in rows if (wait := _wait_for(row, held.get(row.name, 0), occupy, now)) is not None]
    return max(waits, default=None)


def _wait_for(row: _Row, held: int, occupy: int, now: float) -> float | None:
    if occupy > row.slots:
        has = "no slots" if not row.slots else f"only {row.slots}"
        raise InvalidRequest("occupy", occupy, f"the limit {row.name!r} has {has}: this would wait for ever")
    if not row.decay:
        return None if held + occupy <= row.slots else _ASK_AGAIN
    over = row.used_now(now) + occupy - row.slots
    return None if over <= _NOTHING else over / row.decay
