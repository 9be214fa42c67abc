"""A flow's arguments against its annotations: coerced where pydantic's lax mode coerces them, refused otherwise.

Most calls are decided here without pydantic, whose import costs more than a small flow: a parameter without
annotation, a value whose exact type is the annotation, short containers of such. The rest goes to
`jupyter_wf.engine.coercion`.
"""

from __future__ import annotations

import inspect
import sys
from abc import ABCMeta
from collections.abc import Callable, Iterable, Mapping
from enum import EnumMeta
from functools import partial
from pathlib import PurePath
from types import GenericAlias, NoneType, SimpleNamespace, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints
from weakref import WeakKeyDictionary

from jupyter_wf.core.errors import ParameterTypeError

__all__ = ["validate_parameters"]

#: What `_take` returns where pydantic has to say.
_ASK: Any = object()
#: The exact types that pass as they are, or a function from a value to the value to use (or `_ASK`).
_Check = frozenset[type] | Callable[[Any], Any]
_EMPTY = inspect.Parameter.empty
#: Longer containers are checked faster by pydantic, import included.
_LONGEST = 10_000
_CONTAINERS = (list, dict, set, frozenset, tuple)


def validate_parameters(
    fn: Callable[..., Any], signature: inspect.Signature | None, arguments: Mapping[str, Any], flow_name: str
) -> dict[str, Any]:
    """Return ``arguments`` (by parameter name, as bound to ``signature``) as the annotations of ``fn`` want them.

    A value is coerced as pydantic does (``"1"`` for an int, a dict for a model or dataclass, ISO text for a datetime,
    the value or name of an enum's member). Left as they are: defaults, what has no annotation or one that can't be
    resolved (names of a finished function), futures, states and the like, and models of pydantic 1.

    Raises `ParameterTypeError`, which names every field that does not fit; what a user's own validator raises beside
    `ValueError` and `AssertionError` comes through.
    """
    plan = _plan(fn, signature) if signature is not None else {}
    taken = dict(arguments)
    problems: list[tuple[str, str]] = []
    for name, parameter in plan.items():
        if name not in taken:
            continue
        value = taken[name]
        if value is parameter.default:
            taken[name] = parameter.standing(problems)
            continue
        quick = _take(parameter.check, value)
        taken[name] = parameter.coerced(value, problems) if quick is _ASK else quick
    if problems:
        raise ParameterTypeError(f"flow {flow_name!r}", problems)
    return taken


class _Parameter:
    """One annotated parameter: the quick check, and pydantic's once it was needed."""

    def __init__(self, parameter: inspect.Parameter, annotation: Any) -> None:
        self.name = parameter.name
        self.default = parameter.default
        kind = type(parameter.default)
        #: ``n: int = Field(default=1, gt=0)``: the default stands for constraints and, maybe, a value.
        self._by_field = kind.__name__ == "FieldInfo" and kind.__module__ == "pydantic.fields"
        self._is_rest = parameter.kind is parameter.VAR_KEYWORD
        self.annotation = Annotated[annotation, parameter.default] if self._by_field else annotation
        self.check: _Check = _make_check(self.annotation)
        self._coercer: Any = None

    def standing(self, problems: list[tuple[str, str]]) -> Any:
        """Return the value where none was given, or note in ``problems`` that one has to be."""
        if not self._by_field:
            return self.default
        if self.default.is_required():
            problems.append((self.name, "field required (missing)"))
        return self.default.get_default(call_default_factory=True)

    def coerced(self, value: Any, problems: list[tuple[str, str]]) -> Any:
        """Return what pydantic makes of ``value``, or note in ``problems`` why it makes nothing of it."""
        if _is_ours(value) or _is_of_pydantic_1(type(value)):
            return value
        # Only values that are not plainly of the type that is wanted pay for pydantic.
        from jupyter_wf.engine.coercion import make_coercer

        if self._coercer is None:
            self._coercer = make_coercer(self.annotation)
        return self._coercer.coerce("" if self._is_rest else self.name, value, problems)


_plans: WeakKeyDictionary[Callable[..., Any], dict[str, _Parameter]] = WeakKeyDictionary()


def _plan(fn: Callable[..., Any], signature: inspect.Signature) -> dict[str, _Parameter]:
    """Return the parameters that are to be checked; made once for each function."""
    # A bound method is a new object at each access.
    key = getattr(fn, "__func__", fn)
    try:
        known = _plans.get(key)
    except TypeError:  # can't be hashed or referred to weakly
        return _make_plan(fn, signature)
    if known is None:
        known = _plans[key] = _make_plan(fn, signature)
    return known


def _make_plan(fn: Callable[..., Any], signature: inspect.Signature) -> dict[str, _Parameter]:
    plan: dict[str, _Parameter] = {}
    names: dict[str, Any] | None = None
    for parameter in signature.parameters.values():
        annotation = parameter.annotation
        if annotation is _EMPTY:
            continue
        if names is None:
            names = _names_of(fn)
        annotation = _resolved(annotation, names)
        if parameter.kind is parameter.VAR_POSITIONAL:
            annotation = GenericAlias(tuple, (annotation, ...))
        elif parameter.kind is parameter.VAR_KEYWORD:
            unpacked = getattr(get_origin(annotation), "_name", None) == "Unpack"
            annotation = get_args(annotation)[0] if unpacked else GenericAlias(dict, (str, annotation))
        if annotation is not Any and annotation is not object and not _mentions_pydantic_1(annotation):
            plan[parameter.name] = _Parameter(parameter, annotation)
    return plan


def _names_of(fn: Callable[..., Any]) -> dict[str, Any]:
    """Return what names in the annotations of ``fn`` may stand for: its module's, and those that it closes over."""
    inner = inspect.unwrap(fn)
    while isinstance(inner, partial):
        inner = inspect.unwrap(inner.func)
    inner = getattr(inner, "__func__", inner)
    if not hasattr(inner, "__globals__"):
        inner = type(inner).__call__  # an object that can be called
    names = dict(getattr(inner, "__globals__", {}))
    for variable in getattr(inner, "__type_params__", ()):
        names[variable.__name__] = variable
    code = getattr(inner, "__code__", None)
    for name, cell in zip(code.co_freevars if code else (), getattr(inner, "__closure__", None) or (), strict=False):
        try:
            names[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return names


def _resolved(annotation: Any, names: dict[str, Any]) -> Any:
    """Return the annotation with its texts evaluated; `Any` where that can't be, so that it is not validated."""
    if isinstance(annotation, type):
        return annotation
    holder = SimpleNamespace(__annotations__={"value": annotation})
    try:
        return get_type_hints(holder, globalns=names, include_extras=True)["value"]
    except Exception:
        # An annotation may be anything (a text for people, a name that is gone): then it is none for us.
        return Any


def _make_check(annotation: Any) -> _Check:
    """Return the check that needs no pydantic for values that fit exactly; `_ask` where there is none."""
    if annotation is None:
        return frozenset((NoneType,))
    if annotation is Any or annotation is object:
        return _pass
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is None:
        return _class_check(annotation) if isinstance(annotation, type) else _ask
    if origin is Literal:
        return lambda value: value if any(type(value) is type(one) and value == one for one in args) else _ASK
    if origin is Union or origin is UnionType:
        return _union_check(args)
    if origin in _CONTAINERS:
        return _container_check(origin, args)
    return _ask


def _ask(_: Any) -> Any:
    return _ASK


def _pass(value: Any) -> Any:
    return value


def _class_check(cls: type) -> _Check:
    if cls in _CONTAINERS:
        # As pydantic: the flow gets a container of its own.
        return lambda value: cls(value) if type(value) is cls else _ASK
    if issubclass(cls, _CONTAINERS) or _is_pydantics(cls):
        return _ask
    module = cls.__module__.partition(".")[0]
    if issubclass(cls, PurePath) or (module not in sys.stdlib_module_names and type(cls) in (type, ABCMeta, EnumMeta)):
        # A class that pydantic does not know: it asks for an instance.
        return lambda value: value if isinstance(value, cls) else _ASK
    return frozenset((cls,))


def _is_pydantics(cls: type) -> bool:
    """Return whether the class brings a say of its own in what values it takes."""
    return any(hasattr(cls, name) for name in ("__get_pydantic_core_schema__", "__pydantic_core_schema__"))


def _union_check(members: tuple[Any, ...]) -> _Check:
    checks = [_make_check(member) for member in members]
    others = [check for check in checks if not isinstance(check, frozenset)]
    kinds: frozenset[type] = frozenset().union(*(check for check in checks if isinstance(check, frozenset)))
    if not others:
        return kinds
    containers = [member for member in members if (get_origin(member) or member) in _CONTAINERS]
    if _ask in others or len(containers) > 1:
        # None is none of the others, unless one of them has a validator that says so.
        simple = not any("Annotated[" in repr(member) for member in members)
        return (lambda value: None if value is None else _ASK) if NoneType in kinds and simple else _ask

    def check(value: Any) -> Any:
        if type(value) in kinds:
            return value
        found = (_take(other, value) for other in others)
        return next((taken for taken in found if taken is not _ASK), _ASK)

    return check


def _container_check(origin: Any, args: tuple[Any, ...]) -> _Check:
    if origin is tuple and not (len(args) == 2 and args[1] is Ellipsis):
        return _fixed_tuple_check([_make_check(arg) for arg in args])
    checks = [_make_check(arg) for arg in args if arg is not Ellipsis]
    if _ask in checks:
        return _ask
    if origin is dict:
        of_key, of_value = checks

        def check_dict(value: Any) -> Any:
            if type(value) is not dict or len(value) > _LONGEST:
                return _ASK
            keys, items = _take_all(of_key, value), _take_all(of_value, value.values())
            return _ASK if keys is _ASK or items is _ASK else dict(zip(keys, items, strict=True))

        return check_dict
    of_item = checks[0]

    def check(value: Any) -> Any:
        if type(value) is not origin or len(value) > _LONGEST:
            return _ASK
        items = _take_all(of_item, value)
        return _ASK if items is _ASK else items if origin is list else origin(items)

    return check


def _fixed_tuple_check(checks: list[_Check]) -> _Check:
    def check(value: Any) -> Any:
        if type(value) is not tuple or len(value) != len(checks):
            return _ASK
        items = tuple(_take(one, item) for one, item in zip(checks, value, strict=True))
        return _ASK if any(item is _ASK for item in items) else items

    return _ask if _ask in checks else check


def _take(check: _Check, value: Any) -> Any:
    """Return the value to use, or `_ASK`. An int is made a float where a float is wanted, as the language has it."""
    if not isinstance(check, frozenset):
        return check(value)
    kind = type(value)
    if kind in check:
        return value
    if kind is int and float in check:
        try:
            return float(value)
        except OverflowError:
            return _ASK
    return _ASK


def _take_all(check: _Check, values: Iterable[Any]) -> Any:
    """Return a new list of the values to use, or `_ASK` where one of them is to be asked for."""
    items = list(values)
    if isinstance(check, frozenset) and check.issuperset(map(type, items)):
        return items
    taken = [_take(check, item) for item in items]
    return _ASK if any(item is _ASK for item in taken) else taken


def _is_ours(value: Any, around: tuple[int, ...] = ()) -> bool:
    """Return whether the value is a future, a state, a wrapper such as ``unmapped`` or holds one in its containers."""
    kind = type(value)
    if kind not in _CONTAINERS:
        return any(cls.__module__.startswith("jupyter_wf.") for cls in kind.__mro__)
    if id(value) in around:
        return False
    items = value.values() if kind is dict else value
    # A long list of numbers has one type to look at.
    kinds = set(map(type, items))
    if any(cls.__module__.startswith("jupyter_wf.") for one in kinds for cls in one.__mro__):
        return True
    return not kinds.isdisjoint(_CONTAINERS) and any(
        _is_ours(item, (*around, id(value))) for item in items if type(item) in _CONTAINERS
    )


def _is_of_pydantic_1(cls: Any) -> bool:
    return hasattr(cls, "__get_validators__") and not _is_pydantics(cls)


def _mentions_pydantic_1(annotation: Any) -> bool:
    return _is_of_pydantic_1(annotation) or any(map(_mentions_pydantic_1, get_args(annotation)))
