"""The code of functions: its text where that is what runs, its instructions otherwise."""

from __future__ import annotations

import ast
import inspect
import linecache
from collections.abc import Callable, Iterator
from functools import partial
from opcode import hasjabs, hasjrel, opmap
from tokenize import TokenError
from types import CodeType, FunctionType, MethodType
from typing import Any

from jupyter_wf.engine.parts import Unhashable

try:
    # What hashlib itself uses, without the 3 ms of loading OpenSSL, which every script with a task would pay.
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

__all__ = ["blake2b", "code_of", "digest_of_code", "function_of", "source_of", "text_of"]

#: What stands for a callable that has no code of its own.
_NO_CODE = "0" * 16
_MOST_CODES = 10_000
_FUTURE = 0x1FF0000  # the flags of ``from __future__ import …``, see `__future__`
#: By id, with the code object, which so stays alive: equal code objects may differ in comments.
_codes: dict[int, tuple[CodeType, str]] = {}


def function_of(thing: Any) -> Any:
    """Return what a callable calls in the end.

    That is the function below decorators, a partial's, a method's, the ``__call__`` of an instance's class; a class or
    built-in function is returned as it is.
    """
    inner: Any
    for _ in range(100):
        if isinstance(thing, partial):
            inner = thing.func
        elif isinstance(thing, MethodType | staticmethod | classmethod):
            inner = thing.__func__
        else:
            # Looked up where nothing of the user's runs: ``__getattr__`` may do anything.
            inner = inspect.getattr_static(thing, "__wrapped__", None)
            if inner is None and not isinstance(thing, type) and not inspect.isroutine(thing):
                call = inspect.getattr_static(type(thing), "__call__", None)
                inner = call if isinstance(call, FunctionType) else None
        if inner is None:
            break
        thing = inner
    return thing


def code_of(fn: Callable[..., Any]) -> str:
    """Return 16 hexadecimal characters that stand for the code of ``fn``, equal in every process.

    They change with the function's text, but not with its decorators, its indentation or what it calls. What is not
    written in Python is known by its name. Never raises.
    """
    try:
        if type(fn) is FunctionType and not fn.__dict__:
            return digest_of_code(fn.__code__)
        target = function_of(fn)
        code = getattr(target, "__code__", None)
        return digest_of_code(code) if isinstance(code, CodeType) else _digest(source_of(target))
    except Exception:
        return _NO_CODE


def digest_of_code(code: CodeType) -> str:
    """Return the digest (16 hexadecimal characters) of what `text_of` returns."""
    known = _codes.get(id(code))
    if known is None:
        if len(_codes) >= _MOST_CODES:
            _codes.clear()
        known = _codes[id(code)] = (code, _digest(text_of(code)))
    return known[1]


def _digest(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def source_of(function: Any) -> str:
    """Return what stands for the code of a function or class: its text, its instructions, or for a built-in its name.

    Raises `Unhashable` where it has none of them.
    """
    target = function_of(function)
    code = getattr(target, "__code__", None)
    if isinstance(code, CodeType):
        return text_of(code)
    if isinstance(target, type):
        try:
            return inspect.getsource(target)
        except (OSError, TypeError):
            pass
    name = getattr(target, "__qualname__", None)
    if not isinstance(name, str):
        raise Unhashable(function, "it has no source")
    return f"{getattr(target, '__module__', None)}.{name}"


def text_of(code: CodeType) -> str:
    """Return the text of a function's code, from its ``def`` on and without its indentation.

    The text is what the file (or cell) holds now, which need not be what this process has loaded: it is compiled again,
    and where that does not give the same instructions (also for lambdas, whose text has no end of its own), the
    instructions are returned.
    """
    instructions = _instructions(code)
    if code.co_name == "<lambda>":
        return instructions
    linecache.checkcache(code.co_filename)
    lines = linecache.getlines(code.co_filename)[code.co_firstlineno - 1 :]
    for find_end in (_length, lambda _: len(inspect.getblock(lines))):
        try:
            text = _checked(code, lines[: find_end(code)])
        except (SyntaxError, ValueError, IndexError, RecursionError, TokenError):
            continue
        return instructions if text is None else text
    return instructions


def _length(code: CodeType) -> int:
    """Return how many lines a function has, its decorators included and comments at its end left out."""
    last = max((end or 0 for _, end, _, _ in code.co_positions()), default=0)
    inner = [_length(const) + const.co_firstlineno for const in code.co_consts if isinstance(const, CodeType)]
    return max(last + 1, *inner, code.co_firstlineno + 1) - code.co_firstlineno


def _checked(code: CodeType, lines: list[str]) -> str | None:
    """Return the text that begins at the ``def`` of some lines, if these instructions are made of it."""
    indent = lines[0][: len(lines[0]) - len(lines[0].lstrip())]
    block = ast.parse(("if 1:\n" if indent else "") + "".join(lines)).body[0]
    node = block.body[0] if isinstance(block, ast.If) else block
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return None
    first = node.lineno - (2 if indent else 1)
    if _shape(code) not in map(_shape, _compiled(code, node)):
        return None
    return "".join([line.removeprefix(indent).rstrip() + "\n" for line in lines[first:]])


def _compiled(code: CodeType, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[CodeType]:
    """Compile a function's text inside the like of what it was compiled in; yield what may be the function's code."""
    node.decorator_list = []
    body: list[ast.stmt] = [node]
    for name in reversed(code.co_qualname.rpartition("<locals>.")[2].split(".")[:-1]):
        # Names that begin with two underscores depend on the class.
        owner = ast.parse(f"class {name}: pass").body[0]
        assert isinstance(owner, ast.ClassDef)
        owner.body = body
        body = [owner]
    free = [name for name in code.co_freevars if name != "__class__"]
    if free:
        outer = ast.parse(f"def outer():\n {' = '.join(free)} = None").body[0]
        assert isinstance(outer, ast.FunctionDef)
        outer.body += body
        body = [outer]
    made = compile(ast.Module(body, []), code.co_filename, "exec", code.co_flags & _FUTURE, dont_inherit=True)
    level = [made]
    while level:
        inner = [const for each in level for const in each.co_consts if isinstance(const, CodeType)]
        yield from (each for each in inner if each.co_name == code.co_name)
        level = inner


#: What differs when a name is known to be a module's: how methods are called, and so how far jumps go.
_LOOSE = frozenset(opmap.get(name, -1) for name in ("LOAD_ATTR", "LOAD_METHOD", "LOAD_GLOBAL", "LOAD_SUPER_ATTR"))
_SILENT = frozenset(opmap.get(name, -1) for name in ("CACHE", "PUSH_NULL", "PRECALL", "EXTENDED_ARG", "NOP"))
_JUMPS = frozenset((*hasjrel, *hasjabs))


def _shape(code: CodeType) -> object:
    """Return what of a function's code does not depend on the rest of its module."""
    consts = [_shape(c) if isinstance(c, CodeType) else _constant(c) for c in code.co_consts]
    steps = [
        -1 if op in _LOOSE else (op, 0 if op in _JUMPS else arg)
        for op, arg in zip(code.co_code[::2], code.co_code[1::2], strict=True)
        if op not in _SILENT
    ]
    return code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars, code.co_flags, consts, steps


def _instructions(code: CodeType) -> str:
    """Return all of a code object that decides what it does, without names of files, lines and addresses."""
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    consts = ",".join(map(_constant, code.co_consts))
    return f"{code.co_name}{counts}{names}{code.co_code.hex()}/{code.co_exceptiontable.hex()}[{consts}]"


def _constant(value: Any) -> str:
    if isinstance(value, CodeType):
        return _instructions(value)
    if isinstance(value, tuple):
        return f"({','.join(map(_constant, value))})"
    if isinstance(value, frozenset):
        return f"{{{','.join(sorted(map(_constant, value)))}}}"
    return f"{type(value).__name__}:{value!r}"
