"""What is sent to runs: pydantic models, and plain values wrapped into one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import copy
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypedDict, TypeVar, cast, get_origin

from pydantic import BaseModel, ConfigDict, PrivateAttr, create_model

from jupyter_wf.core.errors import MissingContextError, MissingResult, ParameterError
from jupyter_wf.core.ids import new_id
from jupyter_wf.core.shared import StoredInput
from jupyter_wf.engine.awaiting import either
from jupyter_wf.engine.lineage import flow_runs
from jupyter_wf.engine.runtime import current_runtime

if TYPE_CHECKING:
    from jupyter_wf.input.receiving import GetInputHandler

__all__ = [
    "AutomaticRunInput",
    "Keyset",
    "RunInput",
    "RunInputMetadata",
    "as_run_input",
    "here",
    "keyset_from_base_key",
    "run_input_subclass_from_type",
]

T = TypeVar("T")

#: What stands before the id of a flow run in the name of a sender.
_FLOW_RUN = "flow-run."


class Keyset(TypedDict):
    """Under which keys the parts of a form are left for a run."""

    description: str
    response: str
    schema: str


def keyset_from_base_key(base_key: str) -> Keyset:
    """Return the keys of the form that is called ``base_key``."""
    return Keyset(description=f"{base_key}-description", response=f"{base_key}-response", schema=f"{base_key}-schema")


class RunInputMetadata(BaseModel):
    """What is known of a message beside its content: its key, who sent it, and the id of the run that it went to."""

    key: str
    sender: str | None = None
    receiver: str


def here(what: str) -> str:
    """Return the id of the flow run that the calling code is part of. Raises `MissingContextError` outside any."""
    run = next(flow_runs(), None)
    if run is None:
        raise MissingContextError(f"{what} outside any flow run needs the argument flow_run_id")
    return run.id


class RunInput(BaseModel):
    """Base of the models that flow runs send each other, and that a paused flow run asks people for.

    Fields that there are not are refused.
    """

    model_config = ConfigDict(extra="forbid")

    _description: ClassVar[str | None] = None
    #: Where the initial data of a form are, by field.
    _initial: ClassVar[Mapping[str, Any]] = {}
    _metadata: RunInputMetadata = PrivateAttr()

    @property
    def metadata(self) -> RunInputMetadata:
        """Who sent it, and under which key. Raises `AttributeError` for one that was made here."""
        return self._metadata

    @classmethod
    def key_name(cls) -> str:
        """Return the name that messages of this class have in their keys."""
        return cls.__name__

    @classmethod
    def with_initial_data(cls, description: str | None = None, **initial: Any) -> type[Self]:
        """Return the same form with a description (Markdown) and with values that its fields have at first.

        Raises `ParameterError` for a field that there is not.
        """
        fields: dict[str, Any] = {}
        for name, value in initial.items():
            known = cls.model_fields.get(name)
            if known is None:
                raise ParameterError(name, f"{cls.__name__} has no such field; it has {', '.join(cls.model_fields)}")
            field = copy(known)
            field.default, field.default_factory = value, None
            fields[name] = (known.annotation, field)
        made = create_model(cls.__name__, __base__=cls, __module__=cls.__module__, __doc__=cls.__doc__, **fields)
        made._description = description
        made._initial = {**cls._initial, **initial}
        return made

    @classmethod
    def save(cls, keyset: Keyset, flow_run_id: str | None = None) -> Any:
        """Leave the form's schema and description with a flow run (the current one). Gives an awaitable in a loop."""
        run_id = flow_run_id or here("RunInput.save()")

        def work() -> None:
            runtime = current_runtime()
            runtime.journal.flush()
            inputs = runtime.store.inputs
            inputs.send(run_id, keyset["schema"], cls.model_json_schema())
            if cls._description is not None:
                inputs.send(run_id, keyset["description"], cls._description)

        return either(work)

    @classmethod
    def load(cls, keyset: Keyset, flow_run_id: str | None = None) -> Any:
        """Return the newest response to the form, validated. Gives an awaitable in a loop.

        Raises `MissingResult` where there is none, pydantic's ``ValidationError`` for one that does not fit.
        """
        run_id = flow_run_id or here("RunInput.load()")

        def work() -> RunInput:
            found = current_runtime().store.inputs.list(run_id, key_prefix=keyset["response"])
            same = [stored for stored in found if stored.key == keyset["response"]]
            if not same:
                raise MissingResult(f"nobody has left {keyset['response']!r} for run {run_id}")
            return cls.load_from_flow_run_input(same[-1])

        return either(work)

    @classmethod
    def load_from_flow_run_input(cls, flow_run_input: StoredInput) -> Self:
        """Return what a stored message says. Raises pydantic's ``ValidationError`` where it is something else."""
        made = cls.model_validate_json(json.dumps(flow_run_input.value))
        made._metadata = RunInputMetadata(
            key=flow_run_input.key, sender=flow_run_input.sender, receiver=flow_run_input.run_id
        )
        return made

    def send_to(self, flow_run_id: str, sender: str | None = None, key_prefix: str | None = None) -> Any:
        """Send this to a flow run. Gives an awaitable in a loop. Raises `RunNotFound`.

        ``sender`` is the flow run that the calling code is part of where nothing else is said.
        """
        run = next(flow_runs(), None)
        who = sender or (None if run is None else f"{_FLOW_RUN}{run.id}")
        key = f"{key_prefix or self.prefix()}-{new_id().replace('-', '')}"
        value = self.model_dump(mode="json")

        def work() -> None:
            runtime = current_runtime()
            # The run may be one of this process, begun just now.
            runtime.journal.flush()
            runtime.store.inputs.send(str(flow_run_id), key, value, sender=who)

        return either(work)

    @classmethod
    def prefix(cls) -> str:
        """Return how the keys of messages of this class begin."""
        return f"{cls.key_name().lower()[:200]}-auto"

    def respond(self, run_input: Any, sender: str | None = None, key_prefix: str | None = None) -> Any:
        """Send an answer to the flow run that has sent this. Gives an awaitable in a loop.

        Raises `MissingContextError` where no flow run has.
        """
        metadata = getattr(self, "_metadata", None)
        who = None if metadata is None else metadata.sender
        if who is None or not who.startswith(_FLOW_RUN):
            raise MissingContextError("there is no flow run to respond to: this was not sent by one")
        return as_run_input(run_input).send_to(who.removeprefix(_FLOW_RUN), sender, key_prefix)

    @classmethod
    def receive(
        cls,
        timeout: float | None = 3600,
        poll_interval: float = 10,
        raise_timeout_error: bool = False,
        exclude_keys: set[str] | None = None,
        key_prefix: str | None = None,
        flow_run_id: str | None = None,
    ) -> GetInputHandler[Self]:
        """Return what receives messages of this class. See `receive_input`."""
        # It is built on this module.
        from jupyter_wf.input.receiving import GetInputHandler

        return GetInputHandler(
            cls,
            flow_run_id=flow_run_id or here("receive()"),
            timeout=timeout,
            raise_timeout_error=raise_timeout_error,
            exclude_keys=exclude_keys,
            key_prefix=key_prefix,
        )


class AutomaticRunInput(RunInput, Generic[T]):
    """A plain value as a message."""

    _named: ClassVar[str] = "value"
    value: T

    @classmethod
    def key_name(cls) -> str:
        """Return the name of the value's type."""
        return cls._named


_wrapped: dict[Any, type[RunInput]] = {}


def run_input_subclass_from_type(type_: Any) -> type[RunInput]:
    """Return the `RunInput` for a type: itself, one made of a pydantic model, or one with a field ``value``."""
    if isinstance(type_, type) and issubclass(type_, RunInput):
        return type_
    try:
        known = _wrapped.get(type_)
    except TypeError:  # an annotation that can't be hashed
        return _make(type_)
    if known is None:
        known = _wrapped[type_] = _make(type_)
    return known


def _make(type_: Any) -> type[RunInput]:
    if isinstance(type_, type) and get_origin(type_) is None and issubclass(type_, BaseModel):
        bases: Any = (RunInput, type_)
        form = create_model(type_.__name__, __base__=bases, __module__=type_.__module__, __doc__=type_.__doc__)
        return cast("type[RunInput]", form)
    # list[int] and list are sent alike: what comes is a list.
    plain = get_origin(type_) or type_
    name = getattr(plain, "__name__", None) or str(plain)
    fields: dict[str, Any] = {"value": (type_, ...)}
    made = create_model(f"{name}Input", __base__=AutomaticRunInput, __module__=__name__, **fields)
    made._named = name
    return cast("type[RunInput]", made)


def as_run_input(value: Any) -> RunInput:
    """Return a value as a message. Raises pydantic's ``ValidationError`` for what is none of its own type."""
    if isinstance(value, RunInput):
        return value
    made = run_input_subclass_from_type(type(value))
    if isinstance(value, BaseModel):
        return made.model_validate(value.model_dump())
    return made.model_validate({"value": value})
