"""The tables of deployments, slots and the queue: only a new or an old file needs these statements."""

from __future__ import annotations

__all__ = ["SCHEDULING"]

# ``n`` of a queue's row is that of its run. ``stage``: waiting (for an agent), claimed (by one, or taken by a process),
# ended (it left the queue, and what follows is not done yet), settled. ``bound`` names what limits how many may be
# executed at once: the backfill, else the deployment. ``settled`` is the last attempt whose end was dealt with.
#: The third step.
SCHEDULING = (
    """
    CREATE TABLE deployments (
        id TEXT PRIMARY KEY,
        flow_name TEXT NOT NULL,
        name TEXT NOT NULL,
        kind TEXT NOT NULL,
        target TEXT NOT NULL,
        parameters TEXT NOT NULL,
        pool TEXT NOT NULL,
        tags TEXT NOT NULL,
        description TEXT NOT NULL,
        priority INTEGER NOT NULL,
        kernel TEXT,
        digest TEXT,
        policies TEXT NOT NULL,
        places INTEGER,
        paused_at REAL,
        paused_reason TEXT,
        failures INTEGER NOT NULL,
        declared_in TEXT,
        created_at REAL NOT NULL,
        updated_at REAL NOT NULL,
        UNIQUE (flow_name, name)
    )""",
    # ``live``: it is active, and its deployment not paused.
    """
    CREATE TABLE schedules (
        id TEXT PRIMARY KEY,
        deployment_id TEXT NOT NULL,
        position INTEGER NOT NULL,
        spec TEXT NOT NULL,
        slug TEXT,
        parameters TEXT NOT NULL,
        active INTEGER NOT NULL,
        start_at REAL,
        end_at REAL,
        max_runs INTEGER,
        jitter REAL NOT NULL,
        watermark REAL NOT NULL,
        next_slot REAL,
        made INTEGER NOT NULL,
        live INTEGER NOT NULL
    )""",
    "CREATE INDEX schedules_deployment ON schedules (deployment_id, position)",
    "CREATE INDEX schedules_due ON schedules (next_slot) WHERE live = 1 AND next_slot IS NOT NULL",
    """
    CREATE TABLE slots (
        schedule_id TEXT NOT NULL,
        slot REAL NOT NULL,
        run_id TEXT NOT NULL,
        PRIMARY KEY (schedule_id, slot)
    ) WITHOUT ROWID""",
    """
    CREATE TABLE queue (
        n INTEGER PRIMARY KEY,
        run_id TEXT NOT NULL UNIQUE,
        stage TEXT NOT NULL,
        pool TEXT NOT NULL,
        priority INTEGER NOT NULL,
        due_at REAL NOT NULL,
        bound TEXT,
        tags TEXT NOT NULL,
        late INTEGER NOT NULL,
        deployment_id TEXT,
        schedule_id TEXT,
        slot REAL,
        group_id TEXT,
        kind TEXT NOT NULL,
        target TEXT NOT NULL,
        parameters TEXT NOT NULL,
        kernel TEXT,
        digest TEXT,
        policies TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        agent_id TEXT,
        lease_until REAL,
        settled INTEGER NOT NULL
    )""",
    "CREATE INDEX queue_waiting ON queue (pool, priority DESC, due_at, n, bound, tags, stage) WHERE stage = 'waiting'",
    "CREATE INDEX queue_tags ON queue (tags) WHERE stage = 'waiting' AND tags <> '[]'",
    "CREATE INDEX queue_late ON queue (due_at) WHERE stage = 'waiting' AND late = 0",
    "CREATE INDEX queue_claimed ON queue (agent_id) WHERE stage = 'claimed'",
    "CREATE INDEX queue_ended ON queue (n) WHERE stage = 'ended'",
    "CREATE INDEX queue_open ON queue (deployment_id) WHERE stage IN ('waiting', 'claimed')",
    "CREATE INDEX queue_deployment ON queue (deployment_id, n) WHERE deployment_id IS NOT NULL",
    "CREATE INDEX queue_group ON queue (group_id, n) WHERE group_id IS NOT NULL",
    """
    CREATE TABLE pools (
        name TEXT PRIMARY KEY,
        places INTEGER,
        paused INTEGER NOT NULL,
        description TEXT NOT NULL
    )""",
    """
    CREATE TABLE agents (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        pools TEXT NOT NULL,
        places INTEGER NOT NULL,
        pid INTEGER NOT NULL,
        host TEXT NOT NULL,
        started_at REAL NOT NULL,
        seen_at REAL NOT NULL,
        status TEXT NOT NULL
    )""",
    """
    CREATE TABLE services (
        name TEXT PRIMARY KEY,
        process_id TEXT NOT NULL,
        lease_until REAL NOT NULL
    )""",
)
