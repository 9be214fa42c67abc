"""The options of a ``%%task`` or ``%%flow`` line: what they are called, what they take, and what is wrong with them.

The line is split as a shell splits it: quotes hold a text with spaces together. An expression may have quotes of its
own without being quoted as a whole: ``--when day=='monday'`` means what it says.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import io
import keyword
import re
import shlex
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NoReturn

from jupyter_wf.core.errors import CellLineError
from jupyter_wf.notebook.heads import NAME, Head, delays, non_negative_int, positive_seconds, tag_list

__all__ = ["CACHES", "EXECUTORS", "RUN_IF", "CellOptions", "options_help", "parse_cell_options"]

#: Where ``--executor`` runs the cell.
EXECUTORS = ("thread", "process", "dask")
#: When ``--run-if`` calls the cell; the rules of `core.triggers`.
RUN_IF = ("all_success", "all_done", "none_failed", "one_failed", "all_failed", "one_success")
#: What ``--cache`` finds earlier outputs by.
CACHES = ("inputs", "source", "none")

#: Options that a flow has too, and those of a task with parameters. The others are about a task cell that runs.
_OF_FLOWS = frozenset(("retries", "retry_delay_seconds", "timeout_seconds", "log_prints"))
_OF_CALLABLES = _OF_FLOWS | {"tags"}
#: Columns of the help, whatever the terminal's width: a notebook has none.
_WIDTH = 100
_EXPRESSIONS = ("--map", "--when")
_QUOTED = re.compile(r"""(--[\w-]+=)?(\w+=)?("([^"\\]|\\.)*"|'[^']*')""", re.DOTALL)
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_LENGTH = re.compile(r"(\d+(?:\.\d+)?|\.\d+)([smhd]?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class CellOptions:
    """The options of one cell's line; each has its default where the line does not name it.

    ``retry_delay_seconds``, ``timeout_seconds`` and ``cache_expires`` are in seconds. ``executor`` is one of
    `EXECUTORS`, ``run_if`` of `RUN_IF`, ``cache`` of `CACHES`. ``map`` is the name of the item and the expression of
    the items, ``when`` an expression; both are Python text. ``after`` are names of tasks. ``result`` is the output that
    is the result of the notebook's run.
    """

    retries: int | None = None
    retry_delay_seconds: float | list[float] | None = None
    timeout_seconds: float | None = None
    log_prints: bool = True
    tags: tuple[str, ...] = ()
    background: bool = False
    executor: str | None = None
    map: tuple[str, str] | None = None
    when: str | None = None
    run_if: str | None = None
    after: tuple[str, ...] = ()
    cache: str | None = None
    cache_expires: float | None = None
    refresh: bool = False
    result: str | None = None


def parse_cell_options(kind: str, head: Head) -> CellOptions:
    """Return the options of a line that `split_head` took apart; ``kind`` is ``task`` or ``flow``.

    Raises `CellLineError`, whose text is one line that names the option and the value, for an option that does not
    exist, has a bad value, or makes no sense for a flow or for a task with parameters.
    """
    where = f"%%{kind} {head.name}"
    try:
        words = _split(head.options)
    except ValueError:
        raise CellLineError(f"{where}: a quotation is not closed in {head.options.strip()!r}") from None
    parser = _parser("cell")
    try:
        given, rest = parser.parse_known_args(words)
    except _Wrong as wrong:
        raise CellLineError(f"{where}: {wrong}") from None
    if rest:
        raise CellLineError(f"{where}: {_unknown(parser, rest[0])}")
    values = vars(given)
    if kind == "flow" or head.parameters is not None:
        _refuse(kind, head, where, values)
    if "cache" not in values and values.keys() & {"cache_expires", "refresh"}:
        option = "--cache-expires" if "cache_expires" in values else "--refresh"
        raise CellLineError(f"{where}: {option} goes with --cache, which is not given; nothing is kept without it")
    for name in ("after", "tags"):
        if name in values:
            values[name] = tuple(dict.fromkeys(item for items in values[name] for item in items))
    return CellOptions(**values)


def options_help(kind: str) -> str:
    """Return the options of ``%%task`` or ``%%flow`` (``kind``) as text for people, one paragraph for each."""
    texts = [_parser("flow" if kind == "flow" else "cell").format_help().rstrip()]
    if kind == "task":
        texts.append(
            "A task with parameters, %%task NAME(parameters), is only defined by its cell:\n"
            f"it takes {', '.join(_names('callable'))}."
        )
    return "\n\n".join(texts) + "\n"


class _Wrong(Exception):
    """What argparse has to say, instead of ending the process."""


class _Parser(argparse.ArgumentParser):
    """Raises `_Wrong` where argparse's own would print and exit."""

    def error(self, message: str) -> NoReturn:
        raise _Wrong(re.sub(r"^argument (\S+?/)?(--?[\w-]+)(/\S+)?: ", r"\2: ", message))


@lru_cache(maxsize=3)
def _parser(what: str) -> _Parser:
    """Return the parser for a ``cell`` that is a task, for a ``callable`` task, or for a ``flow``."""
    magic = "flow" if what == "flow" else "task"
    parser = _Parser(
        prog=f"%%{magic}",
        # argparse takes a percent sign for a place to fill, so there are two for each.
        usage=f"%%%%{magic} NAME [options]\n       %%%%{magic} NAME(parameters) [-> out] [options]",
        formatter_class=lambda prog: argparse.HelpFormatter(prog, width=_WIDTH),
        add_help=False,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    group = parser.add_argument_group("options")
    _add_common(group)
    if what != "flow":
        group.add_argument(
            "--tags", type=tag_list, action="append", metavar="A,B", help="Tags of the run, with commas between."
        )
    if what == "cell":
        _add_running(parser.add_argument_group("where and when the cell runs"))
        _add_outputs(parser.add_argument_group("what becomes of its outputs"))
    return parser


def _add_common(group: Any) -> None:
    add = group.add_argument
    add("--retries", type=non_negative_int, metavar="N", help="How often to try again after a failure.")
    add(
        "--retry-delay",
        dest="retry_delay_seconds",
        type=delays,
        metavar="SECONDS",
        help="Seconds to wait before trying again; several with commas between, one for each retry.",
    )
    add(
        "--timeout",
        dest="timeout_seconds",
        type=positive_seconds,
        metavar="SECONDS",
        help="Seconds after which an attempt fails.",
    )
    add(
        "--log-prints",
        action=argparse.BooleanOptionalAction,
        help="Whether what is printed also goes to the run's log; it does if nothing is said.",
    )


def _add_running(group: Any) -> None:
    add = group.add_argument
    add(
        "-b",
        "--background",
        action="store_true",
        help="The cell returns at once, its task runs on. A later cell that reads what it makes waits for it.",
    )
    add("--executor", type=_one_of(EXECUTORS), metavar="|".join(EXECUTORS), help="Where the task runs.")
    add(
        "--after",
        type=_task_names,
        action="append",
        metavar="NAME[,NAME]",
        help="Tasks that come first, though this one reads nothing of theirs; may be given several times.",
    )
    add(
        "--map",
        type=_mapping,
        metavar="ITEM=EXPR",
        help="Run the cell once for each item of the expression's value; its outputs become lists, in order.",
    )
    add("--when", type=_expression, metavar="EXPR", help="Skip the cell where the expression is not true.")
    add(
        "--run-if",
        type=_one_of(RUN_IF),
        metavar="RULE",
        help=f"How the tasks before must have ended: {', '.join(RUN_IF)}; all_success if nothing is said.",
    )


def _add_outputs(group: Any) -> None:
    add = group.add_argument
    add(
        "--cache",
        nargs="?",
        const="inputs",
        type=_one_of(CACHES),
        metavar="|".join(CACHES),
        help="Take the outputs of an earlier run with this source and these inputs (inputs, also if no word follows), "
        "or with this source (source), instead of running; none turns it off.",
    )
    add("--cache-expires", type=_length, metavar="TIME", help="How long outputs are good for: 30s, 15m, 6h, 2d.")
    add("--refresh", action="store_true", help="Run whatever the cache has, and keep the new outputs in it.")
    add(
        "--return",
        dest="result",
        type=_variable,
        metavar="NAME",
        help="The output that is the result of the notebook's run.",
    )


def _names(what: str) -> list[str]:
    return [action.option_strings[0] for action in _parser(what)._actions]


def _refuse(kind: str, head: Head, where: str, values: dict[str, Any]) -> None:
    """Raise `CellLineError` for an option that only cells which run as a task have."""
    accepted = _OF_FLOWS if kind == "flow" else _OF_CALLABLES
    for action in _parser("cell")._actions:
        if action.dest in values and action.dest not in accepted:
            option = action.option_strings[-1]
            if kind == "flow":
                raise CellLineError(
                    f"{where}: {option} is for cells with %%task; a flow takes {', '.join(_names('flow'))}"
                )
            raise CellLineError(
                f"{where}: {option} is for a cell that runs; {head.name}(…) is only defined here, and takes "
                f"{', '.join(_names('callable'))}"
            )


def _unknown(parser: argparse.ArgumentParser, word: str) -> str:
    if not word.startswith("-"):
        return f"{word!r} is no option; quote an expression that has spaces"
    name = word.partition("=")[0]
    known = [option for action in parser._actions for option in action.option_strings]
    near = difflib.get_close_matches(name, known, n=1)
    return f"there is no option {name!r}" + (
        f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(known)}"
    )


def _split(text: str) -> list[str]:
    """Split a line into words as a shell does, expressions with quotes of their own left as they are.

    Raises `ValueError` where a quotation is not closed.
    """
    stream = io.StringIO(text)
    lexer = shlex.shlex(stream, posix=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    words: list[str] = []
    begin = 0
    while (word := lexer.get_token()) is not None:
        end = stream.tell()
        raw = text[begin:end].strip()
        begin = end
        expression = raw.startswith(tuple(f"{option}=" for option in _EXPRESSIONS)) or words[-1:] in (
            ["--map"],
            ["--when"],
        )
        words.append(raw if expression and not _QUOTED.fullmatch(raw) else word)
    return words


def _one_of(words: tuple[str, ...]) -> Any:
    """Return a function that accepts one of ``words``."""

    def check(text: str) -> str:
        if text not in words:
            raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(words)}")
        return text

    return check


def _expression(text: str) -> str:
    try:
        ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        why = error.msg if isinstance(error, SyntaxError) else str(error)
        raise argparse.ArgumentTypeError(f"{text!r} is not a Python expression: {why}") from None
    return text.strip()


def _mapping(text: str) -> tuple[str, str]:
    item, sign, items = text.partition("=")
    item = item.strip()
    if not sign or items.startswith("=") or not items.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form ITEM=EXPR, as in day=days")
    return _variable(item), _expression(items)


def _task_names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if not NAME.fullmatch(name):
            raise argparse.ArgumentTypeError(f"{name!r} is not the name of a task")
    return names


def _variable(text: str) -> str:
    if not text.isidentifier() or keyword.iskeyword(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a variable")
    return text


def _length(text: str) -> float:
    found = _LENGTH.fullmatch(text.strip())
    seconds = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a length of time above 0, such as 30s, 15m, 6h, 2d or 90")
    return seconds
