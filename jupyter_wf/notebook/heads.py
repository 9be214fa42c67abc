"""The first line of a ``%%task`` or ``%%flow`` cell: its name, parameters, result and options."""

from __future__ import annotations

import argparse
import ast
import keyword
import math
import re
from dataclasses import dataclass

from jupyter_wf.core.errors import CellLineError
from jupyter_wf.core.states import StateType

__all__ = ["NAME", "Head", "delays", "non_negative_int", "positive_seconds", "split_head", "state_type", "tag_list"]

#: What a task or flow without parameters may be called.
NAME = re.compile(r"[^\W\d][\w.-]*")
_RESULT = re.compile(r"\s*->\s*(\S*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A cell's first line, taken apart.

    ``parameters`` is the text between the parentheses of ``NAME(…)``, None where there are none: then the cell runs,
    otherwise it defines. ``returns`` is the name behind ``->``. ``options`` is the rest of the line.
    """

    name: str
    parameters: str | None = None
    returns: str | None = None
    options: str = ""

    @property
    def signature(self) -> str:
        """``NAME(parameters)``, as it stands behind ``def``."""
        return f"{self.name}({self.parameters or ''})"


def split_head(kind: str, line: str) -> Head:
    """Take the line of a cell magic apart. ``kind`` is ``task`` or ``flow``, for messages.

    Raises `CellLineError`, whose text is one line, for a missing or bad name, parameter list or result name.
    """
    line = line.strip()
    name = re.match(r"[^\s(]*", line)
    called = name.group() if name else ""
    if not called or called.startswith("-"):
        raise CellLineError(
            f"%%{kind} needs a name first: %%{kind} NAME [options], or %%{kind} NAME(parameters) [-> out]"
        )
    rest = line[len(called) :]
    if not rest.startswith("("):
        if not NAME.fullmatch(called):
            raise CellLineError(
                f"bad {kind} name {called!r}: begin with a letter, go on with letters, digits, '_', '-', '.'"
            )
        if rest.lstrip().startswith("->"):
            raise CellLineError(f"'->' goes with a parameter list: %%{kind} {called}(parameters) -> out")
        return Head(name=called, options=rest)
    if not called.isidentifier() or keyword.iskeyword(called):
        raise CellLineError(f"bad {kind} name {called!r}: a callable {kind} needs a Python identifier")
    end = _closing(rest)
    if end is None:
        raise CellLineError(f"the parameter list of {called!r} has no closing parenthesis")
    parameters, rest = rest[1:end], rest[end + 1 :]
    try:
        ast.parse(f"def {called}({parameters}): pass")
    except SyntaxError as error:
        raise CellLineError(f"bad parameter list ({parameters}): {error.msg}") from None
    result = _RESULT.match(rest)
    if result is None:
        return Head(name=called, parameters=parameters, options=rest)
    returns = result.group(1)
    if not returns.isidentifier() or keyword.iskeyword(returns):
        raise CellLineError(f"bad result name {returns!r} after '->': it must be a variable of the cell")
    return Head(name=called, parameters=parameters, returns=returns, options=rest[result.end() :])


def _closing(text: str) -> int | None:
    """Return where the parenthesis that ``text`` begins with is closed, strings and nested brackets left out."""
    depth, quote, index = 0, "", 0
    while index < len(text):
        char = text[index]
        if quote:
            if char == "\\":
                index += 1
            elif char == quote:
                quote = ""
        elif char in "\"'":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
            if depth == 0:
                return index
        index += 1
    return None


def non_negative_int(text: str) -> int:
    """Return a whole number of at least 0. Raises `argparse.ArgumentTypeError`."""
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 0")
    return value


def positive_seconds(text: str) -> float:
    """Return a number of seconds above 0. Raises `argparse.ArgumentTypeError`."""
    value = _number(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def delays(text: str) -> float | list[float]:
    """Return one number of seconds of at least 0, or a list of them where ``text`` has commas.

    Raises `argparse.ArgumentTypeError`.
    """
    values = [_number(part) for part in text.split(",")]
    if not all(value >= 0 for value in values):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, or several with commas between")
    return values[0] if len(values) == 1 else values


def tag_list(text: str) -> list[str]:
    """Return the tags that commas separate."""
    return [tag.strip() for tag in text.split(",") if tag.strip()]


def state_type(text: str) -> str:
    """Return the type of state that ``text`` names, in capitals. Raises `argparse.ArgumentTypeError`."""
    value = text.upper()
    if value not in StateType.__members__:
        raise argparse.ArgumentTypeError(f"{text!r} is not a state; there are {', '.join(StateType)}")
    return value


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan
