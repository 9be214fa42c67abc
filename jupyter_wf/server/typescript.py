"""Writes the API's TypeScript types from the ``TypedDict`` classes of `core.codec` and its siblings.

``python -m jupyter_wf.server.typescript`` writes them, with ``--check`` it only says, by exit code 1, that they are not
as they should be. It works in a checkout: the front end's sources are not part of an installed package.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

from jupyter_wf.core import automation_json, codec, scheduling_json

__all__ = ["TARGET", "generate", "main"]

#: The file that is written.
TARGET = Path(__file__).parents[2] / "labextension" / "src" / "api" / "schema.ts"
_SOURCES = (codec, scheduling_json, automation_json)
_HEADER = (
    "// Generated from jupyter_wf/core/codec.py and its siblings by `python -m jupyter_wf.server.typescript`."
    " Do not edit.\n"
)
_SIMPLE: dict[Any, str] = {
    str: "string",
    int: "number",
    float: "number",
    bool: "boolean",
    NoneType: "null",
    Any: "unknown",
}


def generate() -> str:
    """Return the text of the file: one interface for each ``TypedDict``, by name."""
    every = [getattr(module, name) for module in _SOURCES for name in module.__all__]
    found = [value for value in every if is_typeddict(value)]
    return "\n".join([_HEADER, *(_interface(cls) for cls in sorted(found, key=lambda cls: cls.__name__))])


def _interface(cls: Any) -> str:
    comment = (cls.__doc__ or "").strip().splitlines()[0]
    lines = [f"/** {comment} */", f"export interface {cls.__name__} {{"]
    for name, kind in get_type_hints(cls).items():
        mark = "?" if name in cls.__optional_keys__ else ""
        lines.append(f"  {name}{mark}: {_type(kind)};")
    return "\n".join([*lines, "}", ""])


def _type(kind: Any) -> str:
    """Return a Python type in TypeScript; raise `TypeError` for one that JSON has not."""
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if is_typeddict(kind):
        return str(kind.__name__)
    origin, of = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " | ".join(json.dumps(value).replace('"', "'") for value in of)
    if origin in (Union, UnionType):
        return " | ".join(_type(item) for item in of)
    if origin is list:
        item = _type(of[0])
        return f"({item})[]" if " | " in item else f"{item}[]"
    if origin is dict and of[0] is str:
        return f"Record<string, {_type(of[1])}>"
    raise TypeError(f"{kind!r} has no form in TypeScript; say in {__name__} which it has")


def main(argv: Sequence[str] | None = None, *, target: Path = TARGET) -> int:
    """Write or check ``target`` as ``argv`` says; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m jupyter_wf.server.typescript", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 when the file is stale")
    options = parser.parse_args(argv)
    wanted = generate()
    if options.check:
        fresh = target.is_file() and target.read_text() == wanted
        if not fresh:
            print(f"{target} is not what the API says: run python -m jupyter_wf.server.typescript", file=sys.stderr)
        return 0 if fresh else 1
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
