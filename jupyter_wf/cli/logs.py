"""``jupyter wf logs``: the log lines of a run and of everything below it, once or as they come."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable

import click

from jupyter_wf.cli.runs import reading_store
from jupyter_wf.cli.text import clean, clock, label
from jupyter_wf.core.codec import encode_log
from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.core.models import LogRecord
from jupyter_wf.engine.tail import Tail
from jupyter_wf.notebook.addresses import find_address
from jupyter_wf.store.base import Store

__all__ = ["logs"]

_PAGE = 1000
_COLOURS = ((logging.ERROR, "red"), (logging.WARNING, "yellow"))
#: How often (seconds) a followed run is looked at without an event: a dead process commits nothing.
_RECHECK = 0.5


@click.command(short_help="Print the log lines of a run.")
@click.argument("address", metavar="RUN")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends.")
@click.option("--level", default="NOTSET", metavar="LEVEL", help="Only this level (name or number) and above.")
@click.option("--after", default=0, metavar="SEQ", type=click.IntRange(min=0), help="Only lines behind this number.")
@click.option("--limit", default=_PAGE, show_default=True, type=click.IntRange(1, _PAGE), help="With --json: how many.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print what GET /jupyter_wf/api/runs/ID/logs answers; with -f one line a JSON object, as they come.",
)
def logs(address: str, follow: bool, level: str, after: int, limit: int, as_json: bool) -> int:
    """Print the log lines of a run and of everything below it, oldest first.

    RUN is how its id begins, its name, its flow's or task's name (the newest is meant) or "last"; RUN/TASK is a task
    below it.
    """
    least = _level(level)
    with reading_store() as store:
        run = find_address(store, address)
        if as_json and not follow:
            items = store.logs(run.id, after=after, limit=limit, min_level=least)
            last = items[-1].seq if items else after
            click.echo(json.dumps({"items": [encode_log(item) for item in items], "next_after": last}))
            return 0
        printer = _Printer(store, as_json)
        if follow:
            _follow(store, run.id, after, least, printer)
        else:
            printer.drain(run.id, after, least)
    return 0


def _level(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 6:
        return int(text)
    known = logging.getLevelNamesMapping()
    if text.upper() not in known:
        raise InvalidRequest("--level", text, f"is none of {', '.join(known)}")
    return known[text.upper()]


class _Printer:
    """Prints log lines; looks up once what the runs are called."""

    def __init__(self, store: Store, as_json: bool) -> None:
        self._store = store
        self._as_json = as_json
        self._names: dict[str, str] = {}

    def drain(self, run_id: str, after: int, least: int) -> int:
        """Print all lines behind ``after``; return the number of the last one."""
        while items := self._store.logs(run_id, after=after, limit=_PAGE, min_level=least):
            self._print(items)
            after = items[-1].seq
            if len(items) < _PAGE:
                break
        return after

    def _print(self, items: Iterable[LogRecord]) -> None:
        unknown = {item.run_id for item in items} - self._names.keys()
        self._names |= {run_id: label(run) for run_id, run in self._store.get_runs(unknown).items()}
        for item in items:
            if self._as_json:
                click.echo(json.dumps(encode_log(item)))
                continue
            colour = next((colour for level, colour in _COLOURS if item.level >= level), None)
            level = click.style(f"{logging.getLevelName(item.level):<7}", fg=colour)
            name = click.style(self._names.get(item.run_id, item.run_id), dim=True)
            click.echo(f"{clock(item.at)}  {level}  {name}  {clean(item.message)}")


def _follow(store: Store, run_id: str, after: int, least: int, printer: _Printer) -> None:
    tail = Tail(store, after=store.last_seq())
    while True:
        # The state is read first: what was logged before the end is committed by then.
        ended = store.get_run(run_id).state.is_closed()
        after = printer.drain(run_id, after, least)
        if ended:
            return
        tail.wait(_RECHECK)
