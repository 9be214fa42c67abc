"""Which waiting run is the next: paused pools, and the places of pools, deployments, backfills and tags."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from jupyter_wf.store.sqlite.driver import sqlite
from jupyter_wf.store.sqlite.owners import Owners

__all__ = ["Candidate", "Places", "lost_claims", "running_by"]

# What agents have given to a process that has not ended; what is suspended needs no place.
_EXECUTING = """
    SELECT q.pool, q.bound, q.tags, r.process_id, q.agent_id FROM queue q CROSS JOIN runs r ON r.n = q.n
    WHERE q.stage = 'claimed' AND r.ended_at IS NULL AND NOT (r.state_name = 'Suspended' AND r.process_id IS NULL)"""
_LOST = """
    SELECT q.n, q.run_id, q.agent_id, q.lease_until, q.pool FROM queue q CROSS JOIN runs r ON r.n = q.n
    WHERE q.stage = 'claimed' AND q.agent_id IS NOT NULL AND r.ended_at IS NULL AND r.process_id IS NULL
        AND r.state_type IN ('SCHEDULED', 'PENDING')"""
_FREE = (
    "stage = 'waiting' AND pool = ? AND priority = ? AND coalesce(bound, '') NOT IN (SELECT value FROM json_each(?)) "
    "AND tags NOT IN (SELECT value FROM json_each(?))"
)
# Jumps in an index from one value to the next, however many rows each has.
_PRIORITIES = """
    WITH RECURSIVE each(priority) AS (
        SELECT max(priority) FROM queue WHERE stage = 'waiting' AND pool = ?1
        UNION ALL
        SELECT (SELECT max(priority) FROM queue WHERE stage = 'waiting' AND pool = ?1 AND priority < each.priority)
        FROM each WHERE each.priority IS NOT NULL
    )
    SELECT priority FROM each WHERE priority IS NOT NULL"""
_TAGS = """
    WITH RECURSIVE each(tags) AS (
        SELECT min(tags) FROM queue WHERE stage = 'waiting' AND tags <> '[]'
        UNION ALL
        SELECT (SELECT min(tags) FROM queue WHERE stage = 'waiting' AND tags <> '[]' AND tags > each.tags)
        FROM each WHERE each.tags IS NOT NULL
    )
    SELECT tags FROM each WHERE tags IS NOT NULL"""


class Candidate(NamedTuple):
    """A run that waits: what decides about its turn, and which places it needs."""

    order: tuple[int, float, int]
    n: int
    pool: str
    bound: str | None
    tags: tuple[str, ...]


class Places:
    """The free places at one moment, inside of one transaction."""

    def __init__(self, connection: sqlite.Connection, owners: Owners) -> None:
        self._connection = connection
        self._pools: Counter[str] = Counter()
        self._bounds: Counter[str] = Counter()
        self._tags: Counter[str] = Counter()
        for pool, bound, tags, _ in _executing(connection, owners):
            self._count(pool, bound, json.loads(tags))
        self._pool_limits = _pool_limits(connection)
        self._bound_limits = _bound_limits(connection, self._bounds)
        self._tag_limits = _tag_limits(connection, owners)

    def next(self, pools: Iterable[str], now: float) -> Candidate | None:
        """Return the run that is due and whose turn it is, None where none of these pools may have one."""
        found = [each for pool in self._open(pools) for each in self._first_of(pool, now)]
        return min(found, default=None)

    def next_due(self, pools: Iterable[str]) -> float | None:
        """Return when the first of the runs is due that have a free place."""
        wanted = set(pools)
        times = [until for *_, until, pool in self._connection.execute(_LOST).fetchall() if pool in wanted]
        for pool in self._open(wanted):
            for priority in self._priorities(pool):
                (due_at,) = self._connection.execute(
                    f"SELECT min(due_at) FROM queue WHERE {_FREE}", (pool, priority, *self._full())
                ).fetchone()
                if due_at is not None:
                    times.append(due_at)
        return min(times, default=None)

    def take(self, candidate: Candidate) -> None:
        """Count a run that has just got its places."""
        self._count(candidate.pool, candidate.bound, candidate.tags)
        if candidate.bound is not None and candidate.bound not in self._bound_limits:
            self._bound_limits |= _bound_limits(self._connection, (candidate.bound,))

    def _count(self, pool: str, bound: str | None, tags: Iterable[str]) -> None:
        self._pools[pool] += 1
        if bound is not None:
            self._bounds[bound] += 1
        self._tags.update(set(tags))

    def _open(self, pools: Iterable[str]) -> Iterator[str]:
        for pool in dict.fromkeys(pools):
            limit = self._pool_limits.get(pool)
            if limit is None or self._pools[pool] < limit:
                yield pool

    def _first_of(self, pool: str, now: float) -> list[Candidate]:
        for priority in self._priorities(pool):
            row = self._connection.execute(
                f"SELECT due_at, n, bound, tags FROM queue WHERE {_FREE} AND due_at <= ? ORDER BY due_at, n LIMIT 1",
                (pool, priority, *self._full(), now),
            ).fetchone()
            if row is not None:
                due_at, n, bound, tags = row
                return [Candidate((-priority, due_at, n), n, pool, bound, tuple(json.loads(tags)))]
        return []

    def _priorities(self, pool: str) -> list[int]:
        return [priority for (priority,) in self._connection.execute(_PRIORITIES, (pool,)).fetchall()]

    def _full(self) -> tuple[str, str]:
        """Return, as JSON lists, the deployments and backfills, and the lists of tags, that have no free place."""
        bounds = [bound for bound, limit in self._bound_limits.items() if self._bounds[bound] >= limit]
        tags = {tag for tag, slots in self._tag_limits.items() if self._tags[tag] >= slots}
        lists = []
        if tags:
            waiting = [text for (text,) in self._connection.execute(_TAGS).fetchall()]
            lists = [text for text in waiting if not tags.isdisjoint(json.loads(text))]
        return json.dumps(bounds), json.dumps(lists)


def running_by(what: Literal["pool", "agent"], connection: sqlite.Connection, owners: Owners) -> Counter[str]:
    """Return how many runs are being executed, by pool or by agent."""
    executing = _executing(connection, owners)
    return Counter(pool if what == "pool" else agent_id or "" for pool, _, _, agent_id in executing)


def _executing(connection: sqlite.Connection, owners: Owners) -> Iterator[tuple[str, str | None, str, str | None]]:
    """Yield pool, bound, tags (JSON) and agent of what is being executed: not by the dead."""
    for pool, bound, tags, process_id, agent_id in connection.execute(_EXECUTING).fetchall():
        if owners.judge(connection, process_id) is None:
            yield pool, bound, tags, agent_id


def lost_claims(connection: sqlite.Connection, owners: Owners, now: float) -> list[tuple[int, str]]:
    """Return number and id of the claimed runs whose agent is gone or silent, and that no runner has taken."""
    return [
        (n, run_id)
        for n, run_id, agent_id, lease_until, _ in connection.execute(_LOST).fetchall()
        if lease_until <= now or owners.judge(connection, agent_id, fresh=True) is not None
    ]


def _pool_limits(connection: sqlite.Connection) -> dict[str, int]:
    """Return how many runs of each pool may be executed, where that is limited."""
    rows = connection.execute("SELECT name, CASE WHEN paused THEN 0 ELSE places END FROM pools").fetchall()
    return {name: limit for name, limit in rows if limit is not None}


def _bound_limits(connection: sqlite.Connection, bounds: Iterable[str]) -> dict[str, int]:
    rows = connection.execute(
        "SELECT id, places FROM deployments WHERE places IS NOT NULL AND id IN (SELECT value FROM json_each(?1)) "
        "UNION ALL SELECT id, parallel FROM backfills WHERE id IN (SELECT value FROM json_each(?1))",
        (json.dumps(sorted(bounds)),),
    )
    return dict(rows.fetchall())


def _tag_limits(connection: sqlite.Connection, owners: Owners) -> dict[str, int]:
    """Return how many slots of each limited tag are not held by tasks."""
    rows: Sequence[tuple[str, int]] = connection.execute(
        "SELECT name, slots FROM limits WHERE name >= 'tag:' AND name < 'tag;' AND active = 1 AND decay = 0"
    ).fetchall()
    free = {name.removeprefix("tag:"): slots for name, slots in rows}
    if free:
        held = connection.execute(
            "SELECT name, slots, process_id FROM leases WHERE name >= 'tag:' AND name < 'tag;'"
        ).fetchall()
        for name, slots, process_id in held:
            tag = name.removeprefix("tag:")
            if tag in free and owners.judge(connection, process_id) is None:
                free[tag] -= slots
    return free
