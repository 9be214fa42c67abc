"""The half of `engine.validation` that needs pydantic: values that are not plainly what the annotation says."""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import typing_extensions
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic_core import SchemaError

from jupyter_wf.core.parameters import MASK, is_secret, recordable

__all__ = ["Coercer", "make_coercer"]

_CONFIG = ConfigDict(arbitrary_types_allowed=True, populate_by_name=True, validate_default=False)
_LONGEST = 120


class Coercer:
    """Coerces values for one annotation. Without a ``model`` (pydantic can't build one) values pass as they are."""

    def __init__(self, model: type[BaseModel] | None, secret: bool) -> None:
        self._model = model
        self._secret = secret

    def coerce(self, name: str, value: Any, problems: list[tuple[str, str]]) -> Any:
        """Return the coerced value, or append (field, reason) for each of its faults to ``problems``.

        ``name`` begins the fields' names; where it is empty they are those of ``value`` itself.
        """
        if self._model is None:
            return value
        try:
            # By the field's own name, so that no parameter's name can be one that pydantic uses itself.
            return getattr(self._model.model_validate({"value": value}), "value")  # noqa: B009
        except ValidationError as error:
            problems += _problems(error, name, value, self._secret)
        except TypeError as error:
            # A constraint that does not go with the type, such as gt= of a text.
            problems.append((name, str(error)))
        return value


def make_coercer(annotation: Any) -> Coercer:
    """Return the coercer for an annotation; it lets everything pass where pydantic can't build a schema of it."""
    secret = "Secret" in repr(annotation)
    try:
        model = create_model("Parameter", __config__=_CONFIG, value=(_prepared(annotation), ...))
        # What refers to a name that is not there yet is built at first use; then it must be there.
        model.model_rebuild(raise_errors=True)
    except (PydanticUserError, SchemaError, NameError, RecursionError):
        return Coercer(None, secret)
    return Coercer(model, secret)


def _prepared(annotation: Any) -> Any:
    """Return the annotation with enums that take their members' names too, and typed dicts that pydantic takes."""
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return Annotated[annotation, BeforeValidator(_by_name(annotation))]
    if typing.is_typeddict(annotation):
        return _typed_dict(annotation)
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return Annotated[(_prepared(args[0]), *args[1:])]
    if origin is Union or origin is UnionType:
        return Union.__getitem__(tuple(map(_prepared, args)))
    if origin in (list, set, frozenset, dict, tuple):
        return origin[tuple(arg if arg is Ellipsis else _prepared(arg) for arg in args)]
    return annotation


def _by_name(enum: type[Enum]) -> Any:
    def find(value: Any) -> Any:
        if isinstance(value, str) and value in enum.__members__:
            try:
                return enum(value)
            except ValueError:
                return enum[value]
        return value

    return find


def _typed_dict(cls: Any) -> Any:
    """Return a typed dict as pydantic wants it on every Python: the one of `typing` says too little before 3.12."""
    hints = get_type_hints(cls, include_extras=True)
    fields: dict[str, Any] = {}
    for name, hint in hints.items():
        required = name in cls.__required_keys__
        marked = get_origin(hint)
        if marked in (typing.Required, typing.NotRequired):
            # Of annotations that are texts, only this says it.
            required, hint = marked is typing.Required, get_args(hint)[0]
        wrapper: Any = typing_extensions.Required if required else typing_extensions.NotRequired
        fields[name] = wrapper[_prepared(hint)]
    make: Any = typing_extensions.TypedDict
    made = make(cls.__name__, fields)
    if hasattr(cls, "__pydantic_config__"):
        made.__pydantic_config__ = cls.__pydantic_config__
    return made


def _problems(error: ValidationError, name: str, value: Any, secret: bool) -> list[tuple[str, str]]:
    """Return (field, reason) for each fault; those of one field, as a union has them for each member, in one reason."""
    reasons: dict[str, list[str]] = {}
    for fault in error.errors(include_url=False, include_context=False):
        field, hidden = _field(name, value, fault["loc"][1:], missing=fault["type"] == "missing")
        hidden = hidden or secret
        message = fault["msg"]
        if hidden and fault["type"] in ("value_error", "assertion_error"):
            message = "value is not accepted"  # what the user's validator says may have the secret in it
        shown = MASK if hidden else _shown(fault["input"])
        rest = message.removeprefix("Input should ")
        said = f"should {rest}" if rest != message else f"{message[:1].lower()}{message[1:]}"
        said = f"{said} ({fault['type']})"
        before = reasons.setdefault(field, [])
        if not before and fault["type"] != "missing":
            said = f"{shown} {said}" if rest != message else f"{shown}: {said}"
        before.append(said)
    return [(field, ", or ".join(dict.fromkeys(said))) for field, said in reasons.items()]


def _field(name: str, value: Any, location: Sequence[str | int], *, missing: bool) -> tuple[str, bool]:
    """Return the name of the field at ``location``, without the members of unions, and whether it is secret."""
    path, hidden = name, is_secret(name)
    for number, part in enumerate(location):
        absent = missing and number == len(location) - 1
        if isinstance(part, int):
            path += f"[{part}]"
            value = value[part] if isinstance(value, Sequence) and part < len(value) else None
        elif absent or (part in value if isinstance(value, Mapping) else hasattr(value, part)):
            path = f"{path}.{part}" if path else part
            hidden = hidden or is_secret(part)
            value = value.get(part) if isinstance(value, Mapping) else getattr(value, part, None)
    return path or "**", hidden


def _shown(value: Any) -> str:
    """Return a value for a message: short, secrets in it masked, no object's own repr called."""
    plain = recordable(value)
    named = plain if isinstance(plain, str) and not isinstance(value, str) else repr(plain)
    return named if len(named) <= _LONGEST else f"{named[:_LONGEST]}…"
