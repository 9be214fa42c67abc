"""What a task and a flow have in common: a function with options, which is called by way of a run."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Self

from jupyter_wf.core.errors import ParameterError
from jupyter_wf.engine.calls import Callee

__all__ = ["Decorated"]


class Decorated:
    """A decorated function: ``fn`` itself, its ``name``, and what the decorator was given."""

    fn: Callable[..., Any]
    callee: Callee
    name: str
    description: str | None
    retries: int
    timeout_seconds: float | None
    _options: dict[str, Any]

    def _set_up(self, callee: Callee, options: Mapping[str, Any]) -> None:
        """Take over what the decorator was given; ``options`` are the constructor's keyword arguments."""
        self.fn = callee.fn
        self.callee = callee
        self.name = callee.name
        self._options = dict(options)
        self.retries = callee.policy.retries
        self.timeout_seconds = callee.policy.timeout_seconds
        # Not `inspect.getdoc`: for a method it looks through the class, and meets the decorated one itself there.
        doc = getattr(callee.fn, "__doc__", None)
        given: str | None = options.get("description")
        self.description = inspect.cleandoc(doc) if given is None and doc else given
        wrapper: Any = self
        functools.update_wrapper(wrapper, callee.fn)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """Bind like a function does, so that methods can be decorated."""
        if instance is None:
            return self
        return type(self)(self.fn.__get__(instance, owner), **{**self._options, "name": self.name})  # type: ignore[call-arg]

    def with_options(self, **options: Any) -> Self:
        """Return a copy with some of the decorator's options replaced.

        Raises `ParameterError` for an option that there is not.
        """
        unknown = sorted(set(options) - set(self._options))
        if unknown:
            raise ParameterError(unknown[0], f"there is no such option; there are {', '.join(sorted(self._options))}")
        return type(self)(self.fn, **{**self._options, **options})  # type: ignore[call-arg]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"
