"""What a task and a flow have in common: a function with options, which is called by way of a run."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Literal, Self

from jupyter_wf.engine.callee import Callee
from jupyter_wf.engine.hooks import Hook, Hooks
from jupyter_wf.engine.options import bound_signature, check_names, make_callee
from jupyter_wf.engine.recording import RECORDING

__all__ = ["Decorated"]


class Decorated:
    """A decorated function: ``fn`` itself, its ``name``, and what the decorator was given.

    ``@thing.on_failure`` (and its like) adds a hook; see `engine.options` for the hooks there are.
    """

    kind: ClassVar[Literal["task", "flow"]]
    options_table: ClassVar[type]

    fn: Callable[..., Any]
    callee: Callee
    name: str
    description: str | None
    version: str | None
    retries: int
    timeout_seconds: float | None
    isasync: bool
    isgenerator: bool
    _options: dict[str, Any]
    #: What was decorated: ``fn``, or the class or static method that it is the function of.
    _given: Any
    #: What the bound ones have in common, with the callee that it was made of.
    _template: tuple[Callee, Callee] | None

    def _set_up(self, fn: Callable[..., Any], options: Mapping[str, Any]) -> None:
        """Take over what the decorator was given. Raises `ParameterError` for options that make no sense."""
        check_names(options, self.options_table)
        self._given = fn
        self._template = None
        if isinstance(fn, (classmethod, staticmethod)):
            fn = fn.__func__
        callee = make_callee(fn, self.kind, options)._replace(owner=self)
        self.fn = fn
        self.callee = callee
        self.name = callee.name
        self._options = dict(options)
        self.version = options.get("version")
        self.retries = callee.policy.retries
        self.timeout_seconds = callee.policy.timeout_seconds
        self.isasync = callee.is_async
        self.isgenerator = callee.yields
        # Not `inspect.getdoc`: for a method it looks through the class, and meets the decorated one itself there.
        doc = getattr(fn, "__doc__", None)
        given: str | None = options.get("description")
        self.description = inspect.cleandoc(doc) if given is None and doc else given
        wrapper: Any = self
        functools.update_wrapper(wrapper, fn)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """Bind like a function does, so that methods can be decorated; also class methods and static ones.

        A bound one is made at each access (4 µs), as bound methods are.
        """
        kind = type(self._given)
        if kind is classmethod:
            instance = type(instance) if owner is None else owner
        if kind is staticmethod or instance is None or not hasattr(self.fn, "__get__"):
            return self
        callee = self.callee
        fn = self.fn.__get__(instance)
        if self._template is None or self._template[0] is not callee:
            self._template = callee, callee._replace(**bound_signature(fn))
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin.__dict__["__wrapped__"] = twin.fn = twin._given = fn
        twin.callee = self._template[1]._replace(fn=fn, owner=twin)
        twin._template = None
        return twin

    def with_options(self, **options: Any) -> Self:
        """Return a copy with some of the decorator's options replaced.

        Raises `ParameterError` for an option that there is not.
        """
        return type(self)(self._given, **{**self._options, **options})  # type: ignore[call-arg]

    def _record(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], how: Literal["call", "submit", "map"]) -> Any:
        """Hand a call to the recorder, in place of executing it: the flow is being drawn."""
        recorder = RECORDING.get()
        assert recorder is not None
        return recorder.record(
            self.name,
            args,
            kwargs,
            kind=self.kind,
            how=how,
            is_async=self.isasync,
            viz_return_value=self._options.get("viz_return_value"),
        )

    def _iterate(self, args: tuple[Any, ...], kwargs: dict[str, Any], wait_for: Iterable[Any]) -> Any:
        """Return a generator of what this generator function yields; an asynchronous one where it is one."""
        # Only generator functions need them.
        if self.isasync:
            from jupyter_wf.engine.async_generators import iterate_async

            return iterate_async(self.callee, args, kwargs, wait_for)
        from jupyter_wf.engine.generators import iterate

        return iterate(self.callee, args, kwargs, wait_for)

    def _add_hook(self, name: str, hook: Hook) -> Hook:
        which = "transactional" if name in ("on_commit", "on_rollback") else "hooks"
        lists = getattr(self.callee, which)
        # New ones: bound methods, and copies that are made meanwhile, share the old ones.
        hooks = Hooks({} if lists is None else lists.lists)
        hooks.lists[name] = [*hooks.lists.get(name, ()), hook]
        changed: dict[str, Any] = {which: hooks}
        if which == "transactional":
            changed["quiet"] = False
        self.callee = self.callee._replace(**changed)
        self._options = {**self._options, name: hooks.lists[name]}
        return hook

    def on_running(self, hook: Hook) -> Hook:
        """Have ``hook(self, run, state)`` called when a run begins an attempt. Returns the hook: a decorator."""
        return self._add_hook("on_running", hook)

    def on_completion(self, hook: Hook) -> Hook:
        """Have ``hook(self, run, state)`` called when a run has completed. Returns the hook: a decorator."""
        return self._add_hook("on_completion", hook)

    def on_failure(self, hook: Hook) -> Hook:
        """Have ``hook(self, run, state)`` called when a run has failed for good. Returns the hook: a decorator."""
        return self._add_hook("on_failure", hook)

    def on_crashed(self, hook: Hook) -> Hook:
        """Have ``hook(self, run, state)`` called when a run has crashed. Returns the hook: a decorator."""
        return self._add_hook("on_crashed", hook)

    def on_cancellation(self, hook: Hook) -> Hook:
        """Have ``hook(self, run, state)`` called when a run was cancelled. Returns the hook: a decorator."""
        return self._add_hook("on_cancellation", hook)

    def on_late(self, hook: Hook) -> Hook:
        """Have ``hook(self, run, state)`` called when a run is late. Returns the hook: a decorator."""
        return self._add_hook("on_late", hook)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"
