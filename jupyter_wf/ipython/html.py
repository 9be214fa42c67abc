"""The static forms of a RunView: HTML that also reads well with its styles stripped, and plain text.

No script, no link, no id: GitHub, nbconvert and untrusted notebooks show it as it is. Everything that came from a run
is escaped.
"""

from __future__ import annotations

import html
import re
import unicodedata
from datetime import datetime

from jupyter_wf.core.codec import RunErrorJSON, RunJSON, StateJSON
from jupyter_wf.core.durations import duration as spoken
from jupyter_wf.core.ids import short_id
from jupyter_wf.core.tree_json import EarlierJSON
from jupyter_wf.ipython.looks import colour, sign
from jupyter_wf.ipython.snapshot import Row, RunViewJSON

__all__ = ["duration", "mark_stale", "marker", "view_html", "view_text"]

#: The order in which states are counted, and which of them are worth counting beside a row.
_BAD = ("FAILED", "CRASHED", "CANCELLED")
_ORDER = (*_BAD, "RUNNING", "CANCELLING", "PAUSED", "SCHEDULED", "PENDING", "COMPLETED")
_LONGEST = 300
_CELL = "text-align:left;padding:2px 12px 2px 0;vertical-align:top"


def marker(run_id: str) -> str:
    """Return the CSS class by which the live front end finds a run's static form."""
    return f"jupyter-wf-run-{re.sub(r'[^0-9A-Za-z-]', '', run_id)}"


def view_html(view: RunViewJSON) -> str:
    """Return a self-contained HTML table of a view."""
    run = view["run"]
    head = (
        f"<tr><th style='{_CELL};font-weight:normal' colspan='4'>{_badge(run['state'])} &nbsp;"
        f"{run['kind'].capitalize()} run <b>{_text(run['name'])}</b>{_of(run)} &nbsp;{_facts(view)}</th></tr>"
    )
    rows = [head]
    if run["error"]:
        rows.append(f"<tr><td style='{_CELL}' colspan='4'>{_error(run['error'])}</td></tr>")
    below = _rows_html(view)
    style = "border-collapse:collapse;font-size:13px;margin:4px 0"
    if not view["compact"]:
        rows += below
    if view["stale"]:
        rows.append(_stale_html(view["stale"]))
    table = f"<table class='jupyter-wf-run {marker(run['id'])}' style='{style}'>{''.join(rows)}</table>"
    if not view["compact"] or not below:
        return table
    return f"{table}<details><summary>Tasks</summary><table style='{style}'>{''.join(below)}</table></details>"


def view_text(view: RunViewJSON) -> str:
    """Return the view as lines of text: the run, its error, and a line for each task, but in a compact one."""
    run = view["run"]
    called = f"{run['kind'].capitalize()} run {_plain(run['name'])}{_plain_of(run)}"
    lines = [f"{sign(run['state']['type'])} {called} · {_plain_facts(view)}"]
    if run["error"]:
        lines.append(f"  {_plain_error(run['error'])}")
    if not view["compact"]:
        lines += [_row_text(row, view["now"]) for row in view["tasks"]]
        if view["more"]:
            lines.append(f"  … and {view['more']:,} more")
    if view["stale"]:
        lines.append(_stale_text(view["stale"]))
    return "\n".join(lines)


def mark_stale(html_form: str, text_form: str, why: str | None) -> tuple[str, str]:
    """Return a view's static forms, which do not say so, with why what the run has left is out of date."""
    if why is None:
        return html_form, text_form
    before, end, after = html_form.partition("</table>")
    return f"{before}{_stale_html(why)}{end}{after}", f"{text_form}\n{_stale_text(why)}"


def duration(start: str | None, end: str | None) -> str:
    """Return the time between two moments (ISO 8601) for people: ``12 ms``, ``3.4 s``, ``2 min 05 s``, ``1 h 03 min``.

    The empty text where one of them is None.
    """
    if start is None or end is None:
        return ""
    return spoken((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds())


def _rows_html(view: RunViewJSON) -> list[str]:
    rows: list[str] = []
    if view["tasks"]:
        titles = "".join(f"<th style='{_CELL}'>{title}</th>" for title in ("Task", "State", "Time", "Last line"))
        rows.append(f"<tr>{titles}</tr>")
        rows.extend(_row(row, view["now"]) for row in view["tasks"])
    if view["more"]:
        rows.append(f"<tr><td style='{_CELL}' colspan='4'>… and {view['more']:,} more</td></tr>")
    return rows


def _row(row: Row, now: str) -> str:
    attempt = f" (attempt {row['attempt']})" if row["attempt"] > 1 else ""
    last = _error(row["error"]) if row["error"] else _text(row["last_log"] or "")
    cells = (
        _text(row["name"]) + html.escape(_counted(row)),
        f"{_badge(row['state'])}{attempt}",
        f"<span style='white-space:nowrap'>{duration(row['started_at'], row['ended_at'] or now)}</span>",
        last,
    )
    return f"<tr>{''.join(map(_td, cells))}</tr>"


def _td(content: str) -> str:
    return f"<td style='{_CELL}'>{content}</td>"


#: What a sign says by itself.
_USUAL = ("Completed", "Failed", "Running", "Pending")


def _row_text(row: Row, now: str) -> str:
    took = duration(row["started_at"], row["ended_at"] or now)
    line = f"  {sign(row['state']['type'])} {_plain(row['name'])}{_counted(row)}  {took}"
    if row["state"]["name"] not in _USUAL:
        line += f"  {_plain(row['state']['name'])}"
    if row["attempt"] > 1:
        line += f"  attempt {row['attempt']}"
    if row["error"]:
        line += f"  {_plain_error(row['error'])}"
    return line.rstrip()


def _counted(row: Row) -> str:
    """Say how far the runs below a row, or those that it stands for, are: `` 3 of 5``, ``× 40 · 38 completed``."""
    progress = row["progress"]
    if progress is None or not progress["total"]:
        return ""
    counts = progress["counts"]
    if row["members"] > 1:
        return f" × {row['members']:,} · " + ", ".join(f"{counts[t]:,} {t.lower()}" for t in _ORDER if counts.get(t))
    bad = "".join(f", {counts[t]:,} {t.lower()}" for t in _BAD if counts.get(t))
    return f" {progress['done']:,} of {progress['total']:,}{bad}"


def _stale_html(why: str) -> str:
    said = f"<span style='{colour('CRASHED')};font-weight:600'>○ out of date:</span> {_text(why)}"
    return f"<tr><td style='{_CELL}' colspan='4'>{said}</td></tr>"


def _stale_text(why: str) -> str:
    return f"  ○ out of date: {_plain(why)}"


def _of(run: RunJSON) -> str:
    return html.escape(_plain_of(run))


def _plain_of(run: RunJSON) -> str:
    """Say which flow a flow run is of, where its own name is another one."""
    flow = run["flow_name"] if run["kind"] == "flow" else None
    return f" of {_plain(flow)}" if flow and flow != run["name"] else ""


def _facts(view: RunViewJSON) -> str:
    return html.escape(_plain_facts(view, with_state=False))


def _plain_facts(view: RunViewJSON, *, with_state: bool = True) -> str:
    run, progress = view["run"], view["progress"]
    facts = [_plain(run["state"]["name"])] if with_state else []
    facts.append(duration(run["started_at"], run["ended_at"] or view["now"]))
    if progress["total"]:
        facts.append(f"{progress['done']:,} of {progress['total']:,} tasks")
        counts = progress["counts"]
        facts.extend(f"{counts[t]:,} {t.lower()}" for t in _BAD if counts.get(t))
    if run["attempt"] > 1:
        facts.append(f"attempt {run['attempt']}")
    facts.append(f"id {short_id(run['id'])}")
    if view["earlier"]:
        facts.append(_plain_earlier(view["earlier"]))
    return " · ".join(fact for fact in facts if fact)


def _plain_earlier(earlier: EarlierJSON) -> str:
    """Say how the runs ended that the view has shown before: ``12 earlier runs: 11 completed, 1 failed``."""
    total = earlier["total"]
    counted = ", ".join(f"{number:,} {_plain(name).lower()}" for name, number in earlier["counts"].items())
    return f"run {total + 1:,}, {total:,} earlier {'run' if total == 1 else 'runs'}: {counted}"


def _badge(state: StateJSON) -> str:
    style = f"{colour(state['type'])};font-weight:600;white-space:nowrap"
    return f"<span style='{style}'>{sign(state['type'])} {_text(state['name'])}</span>"


def _error(error: RunErrorJSON) -> str:
    return f"<span style='{colour('FAILED')}'>{html.escape(_plain_error(error))}</span>"


def _plain_error(error: RunErrorJSON) -> str:
    message = _plain(error["message"])
    return f"{_plain(error['type'])}: {message}" if message else _plain(error["type"])


def _text(text: str) -> str:
    return html.escape(_plain(text))


def _plain(text: str) -> str:
    """Return one line of at most 300 characters without what a terminal or a page would act on."""
    if len(text) <= _LONGEST and text.isascii() and text.isprintable() and "  " not in text:
        return text.strip()
    safe = "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in text[: _LONGEST + 1])
    safe = "".join("�" if unicodedata.category(c) in ("Cf", "Cs") and c != "\u200d" else c for c in safe)
    safe = " ".join(safe.split())
    return f"{safe[:_LONGEST]}…" if len(safe) > _LONGEST or len(text) > _LONGEST else safe
