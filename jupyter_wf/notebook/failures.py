"""What is kept of a failure to be looked at later: the user's frames, with what their variables were.

Values are kept as texts. Secrets are masked by the names they stand under and by what they are; large tables and arrays
are told by their shape; a value whose ``repr`` raises, or does not return in time, is told by its type.
"""

from __future__ import annotations

import inspect
import linecache
import re
import reprlib
import sysconfig
import threading
from collections.abc import Iterator, Mapping
from types import CodeType, FrameType, ModuleType, TracebackType
from typing import Any, TypedDict

from jupyter_wf.core.parameters import MASK, is_secret
from jupyter_wf.core.secrets import mask
from jupyter_wf.engine.tracebacks import is_ours

__all__ = ["FrameJSON", "brief", "frames_of", "is_library", "remember_names", "remembered_names", "user_traceback"]

_LONGEST = 300
_MOST_NAMES = 50
_MOST_FRAMES = 20
#: Seconds that all values of a failure may take to be told.
_PATIENCE = 1.0
#: Secrets of fewer characters are masked under their own names only: they may stand in any text.
_SHORTEST = 6
#: Where the names that a failed cell had bound are kept with its exception.
_NAMES = "_jupyter_wf_names"
_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
#: ``password='hunter2'``, ``"token": "abc"``: as secrets stand in the ``repr`` of an object, and in a line of code.
_ASSIGNED = re.compile(
    r"""(?P<name>[^\W\d]\w*)(?P<sign>['"]?\s*[:=]\s*)(?P<value>(?:[bBrRfFuU]{0,2})(?:'[^']*'?|"[^"]*"?)|[^\s,;)\]}'"=]+)"""
)


class FrameJSON(TypedDict):
    """One frame of a traceback: where it was, and what its variables were.

    ``locals`` maps names to texts of at most 300 characters; ``more`` is how many names there were beside them.
    """

    file: str
    line: int
    function: str
    source: str
    locals: dict[str, str]
    more: int


def remember_names(error: BaseException, names: Mapping[str, Any]) -> None:
    """Keep with an exception what a cell had bound when it failed, before that is taken back."""
    if names:
        vars(error)[_NAMES] = _Names({**names, **remembered_names(error)})


def remembered_names(error: BaseException) -> dict[str, Any]:
    """Return what `remember_names` has kept with an exception; nothing for another one."""
    names: dict[str, Any] = vars(error).get(_NAMES, {})
    return names


class _Names(dict[str, Any]):
    """Names that stay in this process: a pickle of the exception is without them."""

    def __reduce__(self) -> tuple[type[_Names], tuple[()]]:
        return _Names, ()


def is_library(code: CodeType) -> bool:
    """Return whether code is of Python's own library or of an installed package."""
    name = code.co_filename
    return name.startswith(_LIBRARIES) or name.startswith("<frozen ")


def user_traceback(error: BaseException) -> TracebackType | None:
    """Return the traceback of an exception without the frames of this package; None where there are no others.

    The links are new ones: what happens to those of the exception does not change them.
    """
    kept: TracebackType | None = None
    for link in reversed(list(_links(error.__traceback__))):
        if not is_ours(link.tb_frame):
            kept = TracebackType(kept, link.tb_frame, link.tb_lasti, link.tb_lineno)
    return kept


def frames_of(error: BaseException, *, patience: float = _PATIENCE) -> list[FrameJSON]:
    """Return the user's frames of an exception, the outermost first: the innermost twenty where there are more.

    Frames of this package are left out, those of installed ones too where there are others. Of the names that a frame
    has, and of the notebook's names that its code uses, modules, functions, classes and those that begin with an
    underscore are left out. ``patience`` is how many seconds telling all values may take.
    """
    links = [link for link in _links(error.__traceback__) if not is_ours(link.tb_frame)]
    links = [link for link in links if not is_library(link.tb_frame.f_code)] or links
    bound = remembered_names(error)
    told: list[FrameJSON] = []
    wanted: list[tuple[dict[str, str], str, Any]] = []
    for link in links[-_MOST_FRAMES:]:
        frame = link.tb_frame
        names = [(name, value) for name, value in _variables(frame, bound) if not _is_left_out(name, value)]
        texts: dict[str, str] = {}
        wanted += [(texts, name, value) for name, value in names[:_MOST_NAMES]]
        told.append(
            FrameJSON(
                file=_safe(frame.f_code.co_filename),
                line=link.tb_lineno,
                function=_safe(
                    frame.f_code.co_qualname if hasattr(frame.f_code, "co_qualname") else frame.f_code.co_name
                ),
                source=_masked(linecache.getline(frame.f_code.co_filename, link.tb_lineno, frame.f_globals).strip()),
                locals=texts,
                more=max(0, len(names) - _MOST_NAMES),
            )
        )
    _tell(wanted, patience)
    return told


def _links(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _variables(frame: FrameType, bound: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the frame's names with their values: its own, then those of the notebook that its code uses."""
    namespace = frame.f_globals
    own = {} if frame.f_locals is namespace else frame.f_locals
    yield from list(own.items())
    if frame.f_locals is not namespace and namespace.get("__name__") != "__main__":
        return
    for name in frame.f_code.co_names:
        if name not in own and (name in bound or name in namespace):
            yield name, bound[name] if name in bound else namespace[name]


def _is_left_out(name: str, value: Any) -> bool:
    return name.startswith(("_", ".")) or isinstance(value, (ModuleType, type)) or inspect.isroutine(value)


def _tell(wanted: list[tuple[dict[str, str], str, Any]], patience: float) -> None:
    """Write the texts of values into the dictionaries; those that do not come in time are told by their type."""
    done: list[str] = []
    # A secret goes on under other names: as an argument, as a part of a text.
    secrets = {value for _, name, value in wanted if type(value) is str and len(value) >= _SHORTEST and is_secret(name)}

    def work() -> None:
        for _, name, value in wanted:
            text = MASK if is_secret(name) else _told(value)
            for secret in secrets:
                text = text.replace(secret, MASK)
            done.append(text)

    # A repr can do anything; one that hangs must not keep a failure from being shown.
    worker = threading.Thread(target=work, name="jupyter-wf-locals", daemon=True)
    worker.start()
    worker.join(patience)
    texts = list(done)
    for number, (into, name, value) in enumerate(wanted):
        into[_safe(name)] = texts[number] if number < len(texts) else f"{_type_of(value)}: not told in time"


def _told(value: Any) -> str:
    try:
        text = _shape(value) or _Brief().repr(value)
        if not isinstance(text, str):
            return _type_of(value)
        return _masked(text)
    except BaseException as error:
        return f"{_type_of(value)}: its repr raised {type(error).__name__}"


def brief(name: str, value: Any) -> str:
    """Return a text of at most 300 characters that says what the variable ``name`` is; ``***`` for a secret."""
    texts: dict[str, str] = {}
    _tell([(texts, name, value)], _PATIENCE)
    return texts[_safe(name)]


def _shape(value: Any) -> str | None:
    """Tell tables and arrays by their shape; None for anything else."""
    kind = type(value)
    if kind.__module__.partition(".")[0] not in ("numpy", "pandas", "polars", "pyarrow", "xarray", "torch", "scipy"):
        return None
    shape = getattr(value, "shape", None)
    if not isinstance(shape, tuple) or not shape:
        return None
    size = " × ".join(f"{number:,}" for number in shape if isinstance(number, int))
    kinds = getattr(value, "dtype", None)
    columns = [str(column) for column in list(getattr(value, "columns", ()))[:20]]
    return (
        f"{_type_of(value)} of {size}"
        + (f", {kinds}" if kinds is not None else "")
        + (f", columns {', '.join(columns)}" if columns else "")
    )


class _Brief(reprlib.Repr):
    """A ``repr`` that is short whatever it is given, and shows no secret of a mapping."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 4
        self.maxtuple = self.maxlist = self.maxarray = self.maxdict = self.maxset = self.maxfrozenset = 20
        self.maxdeque = 20
        self.maxstring = self.maxlong = self.maxother = _LONGEST

    def repr1(self, x: Any, level: int) -> str:
        """Return the text of a value inside of another."""
        if level < self.maxlevel:
            return _shape(x) or super().repr1(x, level)
        return super().repr1(x, level)

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        """Return the text of a mapping in its own order, with what its keys call secret masked."""
        if not x:
            return "{}"
        if level <= 0:
            return "{...}"
        items = []
        for _, (key, value) in zip(range(self.maxdict), x.items(), strict=False):
            hidden = isinstance(key, str) and is_secret(key)
            items.append(f"{self.repr1(key, level - 1)}: {MASK if hidden else self.repr1(value, level - 1)}")
        return f"{{{', '.join((*items, '...') if len(x) > self.maxdict else items)}}}"

    def repr_int(self, x: int, level: int) -> str:
        """Return a number's digits, or how long it is."""
        return repr(x) if abs(x) < 10**_LONGEST else f"<int of {x.bit_length()} bits>"

    def repr_instance(self, x: Any, level: int) -> str:
        """Return what the object says of itself; what that raises goes on."""
        return repr(x)


def _masked(text: str) -> str:
    """Return a text cut to 300 characters without what is secret in it."""
    # A secret may lie across the cut; the search must not take long where the text is huge.
    text = mask(text[: 20 * _LONGEST])
    text = _safe(_ASSIGNED.sub(_without_value, text))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _without_value(found: re.Match[str]) -> str:
    return f"{found['name']}{found['sign']}{MASK}" if is_secret(found["name"]) else found[0]


def _type_of(value: Any) -> str:
    kind = type(value)
    module = str(kind.__module__)
    return _safe(kind.__qualname__ if module in ("builtins", "__main__") else f"{module}.{kind.__qualname__}")


def _safe(text: str) -> str:
    """Return a text that can be stored: without lone surrogates."""
    return str(text).encode("utf-8", "replace").decode("utf-8")
