"""The tables of automations, the outbox and event triggers: only a new or an old file needs these statements."""

from __future__ import annotations

__all__ = ["AUTOMATIONS"]

# ``secrets`` holds what is masked in ``actions``. ``key`` of a delivery and of a notification is what makes the same
# thing happen once. ``seen`` is what a trigger has found when it was last looked at; of a webhook's secret only its
# hash is here.
#: The fourth step.
AUTOMATIONS = (
    """
    CREATE TABLE automations (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        description TEXT NOT NULL,
        enabled INTEGER NOT NULL,
        when_ TEXT NOT NULL,
        after_ REAL,
        filters TEXT NOT NULL,
        actions TEXT NOT NULL,
        secrets TEXT NOT NULL,
        created_at REAL NOT NULL,
        updated_at REAL NOT NULL
    )""",
    """
    CREATE TABLE outbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT NOT NULL UNIQUE,
        automation_id TEXT,
        trigger_id TEXT,
        action_id TEXT NOT NULL,
        occasion TEXT NOT NULL,
        payload TEXT,
        state TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        created_at REAL NOT NULL,
        next_at REAL NOT NULL,
        done_at REAL,
        error TEXT,
        outcome TEXT
    )""",
    "CREATE INDEX outbox_waiting ON outbox (next_at) WHERE state = 'waiting'",
    "CREATE INDEX outbox_done ON outbox (done_at) WHERE state <> 'waiting'",
    "CREATE INDEX outbox_automation ON outbox (automation_id, id) WHERE automation_id IS NOT NULL",
    "CREATE INDEX outbox_trigger ON outbox (trigger_id, id) WHERE trigger_id IS NOT NULL",
    """
    CREATE TABLE triggers (
        id TEXT PRIMARY KEY,
        deployment_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        spec TEXT NOT NULL,
        enabled INTEGER NOT NULL,
        secret_hash TEXT UNIQUE,
        seen TEXT,
        created_at REAL NOT NULL,
        fired_at REAL,
        error TEXT
    )""",
    "CREATE INDEX triggers_deployment ON triggers (deployment_id)",
    "CREATE TABLE watched (name TEXT PRIMARY KEY, seq INTEGER NOT NULL)",
    """
    CREATE TABLE notifications (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT NOT NULL UNIQUE,
        at REAL NOT NULL,
        title TEXT NOT NULL,
        message TEXT NOT NULL,
        level TEXT NOT NULL,
        run_id TEXT,
        deployment_id TEXT
    )""",
)
