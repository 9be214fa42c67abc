"""Pools: settings that were made, and what deployments, runs and agents name."""

from __future__ import annotations

from jupyter_wf.core.deployments import Pool
from jupyter_wf.store.sqlite.claims import running_by
from jupyter_wf.store.sqlite.driver import sqlite
from jupyter_wf.store.sqlite.owners import Owners

__all__ = ["read_pools", "remove_pool", "write_pool"]

#: How long (seconds) the pools of an agent that is gone are still shown.
_SHOWN = 86_400.0
_NAMES = """
    SELECT name FROM pools
    UNION SELECT pool FROM deployments
    UNION SELECT pool FROM queue WHERE stage = 'waiting'
    UNION SELECT pool FROM queue WHERE stage = 'claimed'
    UNION SELECT p.value FROM agents a CROSS JOIN json_each(a.pools) p WHERE a.seen_at > ?"""


def read_pools(connection: sqlite.Connection, owners: Owners, now: float) -> list[Pool]:
    """Return the pools by name, with what waits and what runs."""
    made = {row[0]: row for row in connection.execute("SELECT name, places, paused, description FROM pools").fetchall()}
    waiting = dict(
        connection.execute(
            "SELECT pool, count(*) FROM queue WHERE stage = 'waiting' AND due_at <= ? GROUP BY pool", (now,)
        ).fetchall()
    )
    running = running_by("pool", connection, owners)
    pools = []
    for (name,) in connection.execute(f"{_NAMES} ORDER BY 1", (now - _SHOWN,)).fetchall():
        _, limit, paused, description = made.get(name, (name, None, 0, ""))
        pools.append(
            Pool(
                name=name,
                limit=limit,
                paused=bool(paused),
                description=description,
                waiting=waiting.get(name, 0),
                running=running[name],
            )
        )
    return pools


def write_pool(connection: sqlite.Connection, pool: Pool) -> None:
    """Make or change the settings of a pool."""
    connection.execute(
        "INSERT OR REPLACE INTO pools (name, places, paused, description) VALUES (?, ?, ?, ?)",
        (pool.name, pool.limit, int(pool.paused), pool.description),
    )


def remove_pool(connection: sqlite.Connection, name: str) -> bool:
    """Forget the settings of a pool; return whether there were any."""
    return bool(connection.execute("DELETE FROM pools WHERE name = ? RETURNING 1", (name,)).fetchall())
