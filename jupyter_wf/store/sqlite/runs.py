"""Reading runs: one, several, by the beginning of an id, and in pages."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from jupyter_wf.core.errors import AmbiguousRunId, InvalidRequest, RunNotFound
from jupyter_wf.core.models import Progress, Run, RunFilter, RunPage
from jupyter_wf.core.states import TERMINAL_TYPES
from jupyter_wf.store.sqlite.checks import checked_id, checked_integer
from jupyter_wf.store.sqlite.database import Database
from jupyter_wf.store.sqlite.driver import sqlite
from jupyter_wf.store.sqlite.owners import Dead, Owners, crashed, dead_json, type_expression
from jupyter_wf.store.sqlite.rows import OPEN, RUN_COLUMNS, run_from
from jupyter_wf.store.sqlite.texts import clean

__all__ = ["RunReader"]

_KINDS = ("flow", "task", "cell")
_PREFIX = re.compile(r"[0-9a-fA-F-]{1,36}")
_SHOWN_MATCHES = 5
_LONGEST_PAGE = 1_000
_LONGEST_TEXT = 1_000
_LONGEST_CURSOR = 200
_MOST_WORDS = 100
_TERMINAL = frozenset(t.value for t in TERMINAL_TYPES)


class RunReader:
    """Reads runs as they are shown: with a dead owner's open runs as CRASHED, and with progress."""

    def __init__(self, database: Database, owners: Owners) -> None:
        self._database = database
        self._owners = owners

    def get(self, run_id: str) -> Run:
        """Return the run with this id. Raises `RunNotFound`."""
        found = self.get_many((run_id,))
        if run_id not in found:
            raise RunNotFound(run_id[:100])
        return found[run_id]

    def get_many(self, run_ids: Iterable[str]) -> dict[str, Run]:
        """Return those of the runs that exist, by id, in the order asked for."""
        wanted = [each for each in dict.fromkeys(run_ids) if checked_id(each) is not None]
        if not wanted:
            return {}
        with self._database.snapshot() as connection:
            rows = connection.execute(
                f"SELECT {RUN_COLUMNS} FROM runs WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(wanted),)
            ).fetchall()
            runs = {run.id: run for run in self._shown(connection, [run_from(row) for row in rows])}
        return {each: runs[each] for each in wanted if each in runs}

    def find(self, prefix: str) -> Run:
        """Return the one run whose id begins with ``prefix``."""
        if not _PREFIX.fullmatch(prefix):
            raise InvalidRequest("id", prefix, "must be the first 1 to 36 characters of a run id (hex digits and '-')")
        low = prefix.lower()
        rows = self._database.rows(
            # 'g' comes after every character of an id.
            "SELECT id FROM runs WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
            (low, low + "g", _SHOWN_MATCHES),
        )
        if not rows:
            raise RunNotFound(prefix)
        if len(rows) > 1:
            raise AmbiguousRunId(prefix, [row[0] for row in rows])
        return self.get(rows[0][0])

    def page(self, where: RunFilter | None, limit: int, cursor: str | None) -> RunPage:
        """Return a page of runs by creation, of all of them without ``where``."""
        where = where or RunFilter()
        checked_integer("limit", limit, 1, _LONGEST_PAGE)
        with self._database.snapshot() as connection:
            dead = self._owners.dead(connection)
            conditions, parameters = _conditions(where, dead)
            if cursor is not None:
                conditions.append(f"(created_at, n) {'>' if where.oldest_first else '<'} (?, ?)")
                parameters += _decode_cursor(cursor)
            direction = "ASC" if where.oldest_first else "DESC"
            rows = connection.execute(
                f"SELECT {RUN_COLUMNS}, n FROM runs WHERE {' AND '.join(conditions) or '1'} "
                f"ORDER BY created_at {direction}, n {direction} LIMIT ?",
                (*parameters, limit + 1),
            ).fetchall()
            more = len(rows) > limit
            del rows[limit:]
            runs = self._shown(connection, [run_from(row) for row in rows], dead)
        return RunPage(
            items=tuple(runs), next_cursor=_encode_cursor(runs[-1].created_at, rows[-1][-1]) if more else None
        )

    def _shown(
        self, connection: sqlite.Connection, runs: Sequence[Run], dead: Mapping[str, Dead] | None = None
    ) -> list[Run]:
        if not runs:
            return []
        if dead is None:
            dead = self._owners.dead(connection)
        counts = _count_children(connection, [run.id for run in runs], dead)
        shown = []
        for run in runs:
            children = counts.get(run.id)
            if children is not None or run.kind == "flow" or run.expected is not None:
                run = replace(run, progress=_progress(run.expected, children or {}))
            run = crashed(run, dead)
            if self._can_retry(connection, run):
                run = replace(run, can_retry=True)
            shown.append(run)
        return shown

    def _can_retry(self, connection: sqlite.Connection, run: Run) -> bool:
        """Return whether the owner can try the run again: it waits for its next attempt, or ended with nobody above."""
        if run.process_id is None or run.state.is_completed():
            return False
        if run.state.name != "AwaitingRetry" and (run.parent_id is not None or not run.state.is_final()):
            return False
        return self._owners.judge(connection, run.process_id) is None


def _count_children(
    connection: sqlite.Connection, run_ids: Sequence[str], dead: Mapping[str, Dead]
) -> dict[str, dict[tuple[str, bool], int]]:
    """Return for each run that has children how many are in which (type, closed)."""
    parameters = ([dead_json(dead)] if dead else []) + [json.dumps(run_ids)]
    rows = connection.execute(
        f"SELECT parent_id, {type_expression(dead)} AS shown, state_name = 'NotReady' AS never, count(*) FROM runs "
        "WHERE parent_id IN (SELECT value FROM json_each(?)) GROUP BY parent_id, shown, never",
        parameters,
    )
    counts: dict[str, dict[tuple[str, bool], int]] = {}
    for parent_id, type_, never, number in rows.fetchall():
        counts.setdefault(parent_id, {})[type_, bool(never) or type_ in _TERMINAL] = number
    return counts


def _progress(expected: int | None, children: Mapping[tuple[str, bool], int]) -> Progress:
    counts: dict[str, int] = {}
    for (type_, _), number in children.items():
        counts[type_] = counts.get(type_, 0) + number
    done = sum(number for (_, closed), number in children.items() if closed)
    return Progress(total=max(expected or 0, sum(counts.values())), done=done, counts=counts)


def _conditions(where: RunFilter, dead: Mapping[str, Dead]) -> tuple[list[str], list[object]]:
    conditions: list[str] = []
    parameters: list[object] = []

    def add(condition: str, *values: object) -> None:
        conditions.append(condition)
        parameters.extend(values)

    if where.kinds:
        for kind in where.kinds:
            if kind not in _KINDS:
                raise InvalidRequest("kind", kind, "must be flow, task or cell")
        add(f"kind IN ({_marks(where.kinds)})", *where.kinds)
    if where.states:
        words = [_text("state", word) for word in where.states]
        if len(words) > _MOST_WORDS:
            raise InvalidRequest("state", f"{len(words)} words", f"at most {_MOST_WORDS} can be asked for")
        ids = [dead_json(dead)] if dead else []
        for expression in (
            type_expression(dead),
            type_expression(dead, column="state_name", crashed_as="Crashed"),
        ):
            conditions.append(f"({expression}) COLLATE NOCASE IN ({_marks(words)})")
            parameters += [*ids, *words]
        conditions[-2:] = [f"({conditions[-2]} OR {conditions[-1]})"]
    if where.flow is not None:
        add("flow_name = ?", _text("flow", where.flow))
    if where.tasks:
        # Any number of them: SQLite bounds that of its parameters.
        add("task_name IN (SELECT value FROM json_each(?))", json.dumps([_text("task", name) for name in where.tasks]))
    if where.parent_id is not None:
        add("parent_id = ?", _text("parent", where.parent_id))
    if where.root_id is not None:
        add("root_id = ?", _text("root", where.root_id))
    if where.roots_only:
        add("parent_id IS NULL")
    if where.unowned:
        add(f"{OPEN} AND process_id IS NULL")
    if where.deployment is not None:
        add("n IN (SELECT n FROM queue WHERE deployment_id = ?)", _text("deployment", where.deployment))
    if where.text:
        pattern = "%" + re.sub(r"([%_^])", r"^\1", _text("text", where.text)) + "%"
        likes = [f"{field} LIKE ? ESCAPE '^'" for field in ("name", "flow_name", "task_name")]
        add(f"({' OR '.join(likes)})", *[pattern] * len(likes))
    return conditions, parameters


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        raise InvalidRequest(name, value, f"must be a text of at most {_LONGEST_TEXT} characters")
    return clean(value)


def _encode_cursor(created_at: float, n: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([created_at, n]).encode()).decode().rstrip("=")


def _decode_cursor(cursor: str) -> tuple[float, int]:
    try:
        if len(cursor) > _LONGEST_CURSOR:
            raise ValueError
        created_at, n = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True))
        if type(created_at) not in (int, float) or not math.isfinite(created_at) or type(n) is not int:
            raise ValueError
        if not 0 <= n < 1 << 63:
            raise ValueError
    except (ValueError, TypeError, RecursionError, OverflowError, binascii.Error):
        raise InvalidRequest("cursor", cursor, "must be the 'next' of the page before") from None
    return float(created_at), n
