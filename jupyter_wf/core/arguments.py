"""The arguments of a flow or notebook: their names and types, and how values for them are read and judged.

Values travel as JSON (in a request, in a run's record), so each type says how its JSON form is made from a text of
the command line (`read_text`), how a JSON value is judged (`read_value`), and what Python object it stands for
(`materialise`).
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from jupyter_wf.core.errors import ParameterError

__all__ = [
    "ANY",
    "Argument",
    "Arguments",
    "ValueType",
    "materialise",
    "parse_assignment",
    "parse_type",
    "read_text",
    "read_value",
    "signature_arguments",
    "type_of",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueType:
    """What values an argument takes.

    ``kind`` is one of any, none, int, float, bool, literal, date, datetime, list, tuple, set, dict, path, str, union.
    ``args`` are the types inside (of items, of keys and values, of a union's members), or a literal's values.
    """

    kind: str
    args: tuple[Any, ...] = ()

    def __str__(self) -> str:
        if self.kind == "union":
            return " | ".join(map(str, self.args))
        if self.kind == "literal":
            return "one of " + ", ".join(map(repr, self.args))
        name = {"none": "None", "any": "any value"}.get(self.kind, self.kind)
        return f"{name}[{', '.join(map(str, self.args))}]" if self.args else name


ANY = ValueType(kind="any")
_NONE = ValueType(kind="none")

#: The last part of an annotation's name → kind.
_KINDS = {
    "int": "int",
    "float": "float",
    "bool": "bool",
    "str": "str",
    "None": "none",
    "NoneType": "none",
    "date": "date",
    "datetime": "datetime",
    "Path": "path",
    "PurePath": "path",
    "list": "list",
    "List": "list",
    "Sequence": "list",
    "Iterable": "list",
    "Collection": "list",
    "tuple": "tuple",
    "Tuple": "tuple",
    "set": "set",
    "Set": "set",
    "frozenset": "set",
    "dict": "dict",
    "Dict": "dict",
    "Mapping": "dict",
}
#: In which order a union's members are tried: the ones that take least come first.
_STRICTEST_FIRST = (
    "none", "int", "float", "bool", "literal", "datetime", "date", "list", "tuple", "set", "dict", "path", "str", "any",
)  # fmt: skip
_INTEGER = re.compile(r"[+-]?[0-9](_?[0-9])*")
_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def parse_type(annotation: str) -> ValueType:
    """Return what the text of an annotation (``int | None``, ``list[str]``, ``typing.Literal['a']``) stands for.

    What is not known here (a class of the user's, a type variable) takes any value.
    """
    try:
        return _parse_node(ast.parse(annotation.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError):
        return ANY


def _parse_node(node: ast.expr) -> ValueType:
    if isinstance(node, ast.Constant):
        if node.value is None:
            return _NONE
        return parse_type(node.value) if isinstance(node.value, str) else ANY
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _union((_parse_node(node.left), _parse_node(node.right)))
    if isinstance(node, ast.Subscript):
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        return _parse_subscript(_last_name(node.value), inner)
    kind = _KINDS.get(_last_name(node))
    return ValueType(kind=kind) if kind else ANY


def _parse_subscript(name: str, inner: Sequence[ast.expr]) -> ValueType:
    if name == "Literal":
        return ValueType(kind="literal", args=tuple(ast.literal_eval(item) for item in inner))
    if name == "Annotated":
        return _parse_node(inner[0])
    args = tuple(_parse_node(item) for item in inner)
    if name == "Optional":
        return _union((*args, _NONE))
    if name == "Union":
        return _union(args)
    kind = _KINDS.get(name)
    if kind is None:
        return ANY
    if kind == "tuple":
        homogeneous = len(inner) == 2 and isinstance(inner[1], ast.Constant) and inner[1].value is Ellipsis
        return ValueType(kind="list", args=args[:1]) if homogeneous else ValueType(kind="tuple", args=args)
    return ValueType(kind=kind, args=args)


def _last_name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _union(members: Iterable[ValueType]) -> ValueType:
    flat: list[ValueType] = []
    for member in members:
        flat += member.args if member.kind == "union" else [member]
    if ANY in flat:
        return ANY
    unique = tuple(dict.fromkeys(flat))
    return unique[0] if len(unique) == 1 else ValueType(kind="union", args=unique)


def type_of(value: object) -> ValueType:
    """Return the type that a default value suggests: its own; any for None and for what is not a plain value."""
    for cls, kind in ((bool, "bool"), (int, "int"), (float, "float"), (str, "str"), (list, "list"), (dict, "dict")):
        if isinstance(value, cls):
            return ValueType(kind=kind)
    return ValueType(kind="list") if isinstance(value, tuple | set) else ANY


def read_text(kind: ValueType, text: str) -> Any:
    """Return the JSON value that a text of the command line stands for.

    Raises `ValueError` where it stands for none of this type.
    """
    if kind.kind == "union":
        return _first_that_fits(kind, text, read_text)
    if kind.kind == "literal":
        return (
            next((value for value in kind.args if str(value) == text), None) if text in map(str, kind.args) else _no()
        )
    reader = _TEXT_READERS.get(kind.kind)
    if reader is not None:
        return reader(text)
    return read_value(kind, _structure(text, strict=kind.kind != "any"))


def _first_that_fits(union: ValueType, value: Any, read: Callable[[ValueType, Any], Any]) -> Any:
    for member in sorted(union.args, key=lambda m: _STRICTEST_FIRST.index(m.kind)):
        try:
            return read(member, value)
        except ValueError:
            continue
    return _no()


def _no(_: object = None) -> Any:
    raise ValueError


def _structure(text: str, *, strict: bool) -> Any:
    """Read JSON, else a Python literal, else the text itself (or `ValueError` where ``strict``)."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return _plain(ast.literal_eval(text.strip()))
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return _no() if strict else text


def _plain(value: Any) -> Any:
    """Return the JSON form of a Python literal. Raises `ValueError` for bytes and complex numbers."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError


def _boolean(text: str) -> bool:
    value = _BOOLEANS.get(text.strip().lower())
    return _no() if value is None else value


def _date(value: Any) -> str:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    return date.fromisoformat(_string(value)).isoformat()


def _datetime(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else datetime.fromisoformat(_string(value)).isoformat()


def _string(value: Any) -> str:
    return value if isinstance(value, str) else _no()


_TEXT_READERS: dict[str, Callable[[str], Any]] = {
    "int": lambda text: int(text) if _INTEGER.fullmatch(text.strip()) else _no(),
    "float": float,
    "bool": _boolean,
    "str": str,
    "path": str,
    "none": lambda text: None if text.strip().lower() in ("none", "null", "") else _no(),
    "date": _date,
    "datetime": _datetime,
}
_VALUE_READERS: dict[str, Callable[[Any], Any]] = {
    "any": lambda value: value,
    "none": lambda value: None if value is None else _no(),
    "int": lambda value: value if isinstance(value, int) and not isinstance(value, bool) else _no(),
    "float": lambda value: float(value) if isinstance(value, int | float) and not isinstance(value, bool) else _no(),
    "bool": lambda value: value if isinstance(value, bool) else _no(),
    "str": _string,
    "path": _string,
    "date": _date,
    "datetime": _datetime,
}


def read_value(kind: ValueType, value: Any) -> Any:
    """Return ``value`` (as JSON or YAML gave it) in its JSON form. Raises `ValueError` where it is of another type."""
    if kind.kind == "union":
        return _first_that_fits(kind, value, read_value)
    if kind.kind == "literal":
        return value if any(value == known and type(value) is type(known) for known in kind.args) else _no()
    if kind.kind == "dict":
        if not isinstance(value, dict):
            _no()
        of_key, of_item = kind.args if len(kind.args) == 2 else (ANY, ANY)
        for key in value:
            read_text(of_key, str(key))
        return {str(key): read_value(of_item, item) for key, item in value.items()}
    if kind.kind in ("list", "set", "tuple"):
        if not isinstance(value, list | tuple):
            _no()
        if kind.kind == "tuple" and kind.args:
            return [read_value(of, item) for of, item in zip(kind.args, value, strict=True)]
        return [read_value(kind.args[0] if kind.args else ANY, item) for item in value]
    return _VALUE_READERS[kind.kind](value)


def materialise(kind: ValueType, value: Any) -> Any:
    """Return the Python object that a JSON value of this type stands for (a `date`, a `Path`, a set, …)."""
    if kind.kind == "union":
        member = _first_that_fits(kind, value, lambda member, v: (read_value(member, v), member)[1])
        return materialise(member, value)
    simple = _OBJECTS.get(kind.kind)
    if simple is not None:
        return simple(value)
    if kind.kind == "tuple" and kind.args:
        return tuple(materialise(of, item) for of, item in zip(kind.args, value, strict=True))
    if kind.kind in ("list", "set", "tuple"):
        items = [materialise(kind.args[0] if kind.args else ANY, item) for item in value]
        return items if kind.kind == "list" else set(items) if kind.kind == "set" else tuple(items)
    if kind.kind == "dict" and len(kind.args) == 2:
        of_key, of_item = kind.args
        return {materialise(of_key, read_text(of_key, key)): materialise(of_item, item) for key, item in value.items()}
    return value


_OBJECTS: dict[str, Callable[[Any], Any]] = {
    "date": date.fromisoformat,
    "datetime": datetime.fromisoformat,
    "path": Path,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """One argument: its name, what it takes, and whether it must be given. ``default`` is source text, for people."""

    name: str
    type: ValueType = ANY
    required: bool = False
    default: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """All arguments of a flow or notebook. ``owner`` names it in messages; ``open_ended`` takes unknown names too."""

    owner: str
    items: tuple[Argument, ...] = ()
    open_ended: bool = False

    def bind(self, values: Mapping[str, Any], texts: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return the JSON value of each argument that was given: by value (JSON), or by text, which wins.

        Raises `ParameterError` for a name that is not known, a value of another type, and a required one not given.
        """
        texts = texts or {}
        known = {item.name: item for item in self.items}
        bound: dict[str, Any] = {}
        for name in dict.fromkeys((*values, *texts)):
            self.check_name(name)
            argument = known.get(name) or Argument(name=name)
            given = texts[name] if name in texts else values[name]
            try:
                bound[name] = (read_text if name in texts else read_value)(argument.type, given)
            except ValueError:
                raise ParameterError(name, f"expects {argument.type}, got {given!r:.100}") from None
        for item in self.items:
            if item.required and item.name not in bound:
                raise ParameterError(item.name, f"{self.owner} needs it ({item.type}); give it with -p {item.name}=…")
        return bound

    def check_name(self, name: str) -> None:
        """Raise `ParameterError` for a name that is not known."""
        if not self.open_ended and name not in (known := [item.name for item in self.items]):
            raise ParameterError(name, self._unknown(name, known))

    def defaults(self) -> dict[str, Any]:
        """Return what holds for arguments that are not given: a literal's value, of anything else its source text."""
        return {item.name: _literal(item.default) for item in self.items if item.default is not None}

    def materialise(self, bound: Mapping[str, Any]) -> dict[str, Any]:
        """Return the Python objects that the result of `bind` stands for, by name."""
        kinds = {item.name: item.type for item in self.items}
        return {name: materialise(kinds.get(name, ANY), value) for name, value in bound.items()}

    def _unknown(self, name: str, known: list[str]) -> str:
        if not known:
            return f"{self.owner} takes no parameters"
        close = get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        return f"{self.owner} has no such parameter; {hint}known: {', '.join(known)}"


def parse_assignment(text: str) -> tuple[str, str]:
    """Split ``name=value``. Raises `ParameterError` where there is no ``=`` or what is before it is no Python name."""
    name, equals, value = text.partition("=")
    name = name.strip()
    if not equals:
        raise ParameterError(text, "write it as name=value")
    if not name.isidentifier():
        raise ParameterError(name, "a parameter's name must be a Python name")
    return name, value


def signature_arguments(function: Callable[..., Any], owner: str) -> Arguments:
    """Return the arguments that a function's signature declares, typed by its annotations, else by its defaults."""
    items: list[Argument] = []
    open_ended = False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            open_ended = True
        if parameter.kind not in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY):
            continue
        required = parameter.default is inspect.Parameter.empty
        if parameter.annotation is inspect.Parameter.empty:
            kind = ANY if required else type_of(parameter.default)
        else:
            annotation = parameter.annotation
            kind = parse_type(annotation if isinstance(annotation, str) else inspect.formatannotation(annotation))
        default = None if required else repr(parameter.default)
        items.append(Argument(name=parameter.name, type=kind, required=required, default=default))
    return Arguments(owner=owner, items=tuple(items), open_ended=open_ended)


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
