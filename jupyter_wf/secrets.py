"""Secrets: values that are used and never shown.

``Secret.load("api-token").get()`` takes the value from the environment or from the system's keyring. Whatever was taken
out of a `Secret` is masked in the log lines, error messages and artifacts of this process's runs.
"""

from __future__ import annotations

import os
import re
from typing import Any, Generic, TypeVar, cast

from jupyter_wf.core.errors import InvalidRequest, SecretNotFound
from jupyter_wf.core.parameters import MASK
from jupyter_wf.core.secrets import remember_secret

__all__ = ["SERVICE", "VARIABLE_PREFIX", "Secret"]

T = TypeVar("T")

#: ``Secret.load("api-token")`` looks for the environment variable ``JUPYTER_WF_SECRET_API_TOKEN``.
VARIABLE_PREFIX = "JUPYTER_WF_SECRET_"
#: The service under which the keyring holds our secrets: ``keyring set jupyter_wf api-token``.
SERVICE = "jupyter_wf"
_UNSET: Any = object()


class Secret(Generic[T]):
    """A value that `get` gives out, and that is shown as ``***`` everywhere else.

    As a task's or flow's argument it is recorded as ``***``. One that was loaded by name is pickled as its name: who
    unpickles it (a worker, a later attempt) takes the value from its own environment. One made from a value is pickled
    with the value.
    """

    __slots__ = ("_name", "_value")
    #: What recognises a secret without importing this module (`core.parameters.recordable`).
    __jupyter_wf_secret__ = True

    def __init__(self, value: T) -> None:
        self._name: str | None = None
        self._value: T = value

    @classmethod
    def load(cls, name: str) -> Secret[str]:
        """Return the secret ``name``, a text of letters, digits, ``-``, ``_`` and ``.``.

        It is the environment variable ``JUPYTER_WF_SECRET_<NAME>`` (in capitals, other characters as ``_``), else the
        variable with the very name, else what the keyring holds for the service ``jupyter_wf``, where the package
        ``keyring`` is installed. Raises `SecretNotFound`, and `InvalidRequest` for what is no name; both are
        `ValueError`.
        """
        secret = _named(name)
        secret._value = _look_up(name)
        return secret

    @classmethod
    async def aload(cls, name: str) -> Secret[str]:
        """Do as `load`, with a keyring that is asked in another thread."""
        # Only who awaits needs it, and has it already.
        import asyncio

        return await asyncio.to_thread(cls.load, name)

    @property
    def name(self) -> str | None:
        """The name it was loaded by, None for one made from a value."""
        return self._name

    def get(self) -> T:
        """Return the value; from then on it is masked in what this process's runs write down."""
        if self._value is _UNSET:
            self._value = cast(T, _look_up(self._name or ""))
        remember_secret(self._value)
        return self._value

    def __str__(self) -> str:
        return MASK

    def __repr__(self) -> str:
        return f"Secret({MASK!r})" if self._name is None else f"Secret.load({self._name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.get() == other.get()

    def __hash__(self) -> int:
        return hash((Secret, self.get()))

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return (Secret, (self._value,)) if self._name is None else (_named, (self._name,))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Tell pydantic, which calls this, to take a `Secret` or a plain value, and to write ``***``."""
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, Secret) else Secret(value),
            json_schema_input_schema=core_schema.str_schema(),
            serialization=core_schema.plain_serializer_function_ser_schema(str, when_used="json"),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, Any]:
        """Tell pydantic what a form asks for."""
        return {"type": "string", "format": "password", "writeOnly": True}


def _named(name: str) -> Secret[str]:
    """Return a secret whose value is looked up when it is wanted."""
    if type(name) is not str or not re.fullmatch(r"[A-Za-z0-9_.-]{1,255}", name):
        raise InvalidRequest("name", name, "a secret's name has 1 to 255 letters, digits, '-', '_' and '.'")
    secret: Secret[str] = Secret(_UNSET)
    secret._name = name
    return secret


def _look_up(name: str) -> str:
    variable = VARIABLE_PREFIX + re.sub("[^A-Z0-9]", "_", name.upper())
    for each in (variable, name):
        if (value := os.environ.get(each)) is not None:
            return value
    value, trouble = _from_keyring(name)
    if value is None:
        raise SecretNotFound(name, variable, trouble)
    return value


def _from_keyring(name: str) -> tuple[str | None, str]:
    """Return what the system's keyring holds, and why it could not be asked."""
    try:
        import keyring
    except ImportError:
        return None, "the package keyring, which would ask the system's keyring, is not installed"
    try:
        found: str | None = keyring.get_password(SERVICE, name)
    except Exception as error:
        # A machine without a keyring: whatever its parts raise is only a reason for not having it.
        return None, f"the keyring can't be asked: {type(error).__name__}: {error}"
    return found, f"the keyring holds nothing for {SERVICE!r} (keyring set {SERVICE} {name})"
