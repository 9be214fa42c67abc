"""Secrets: where they come from, and that nothing shows them."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import cloudpickle
import pytest
from pydantic import BaseModel, SecretStr, TypeAdapter

from jupyter_wf.core.errors import InvalidRequest, SecretNotFound
from jupyter_wf.core.parameters import recordable, to_json
from jupyter_wf.core.secrets import SEEN, forget_secrets, mask, mask_values
from jupyter_wf.secrets import Secret

VALUE = "hunter2-and-more"


@pytest.fixture(autouse=True)
def nothing_seen() -> Iterator[None]:
    """Leave no secret of a test behind."""
    forget_secrets()
    yield
    forget_secrets()


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], str]:
    """Stand in for the package keyring; return what it holds."""
    held: dict[tuple[str, str], str] = {}
    module: Any = ModuleType("keyring")
    module.get_password = lambda service, name: held.get((service, name))
    monkeypatch.setitem(sys.modules, "keyring", module)
    return held


def test_a_secret_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_TOKEN", "plain name")
    assert Secret.load("API_TOKEN").get() == "plain name"
    monkeypatch.setenv("JUPYTER_WF_SECRET_API_TOKEN", VALUE)
    for name in ("API_TOKEN", "api-token", "api_token", "api.token"):
        assert Secret.load(name).get() == VALUE
        assert Secret.load(name).name == name
    assert asyncio.run(Secret.aload("api-token")).get() == VALUE


def test_a_secret_comes_from_the_keyring(keyring: dict[tuple[str, str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    keyring["jupyter_wf", "api-token"] = VALUE
    assert Secret.load("api-token").get() == VALUE
    monkeypatch.setenv("JUPYTER_WF_SECRET_API_TOKEN", "from the environment")
    assert Secret.load("api-token").get() == "from the environment"
    with pytest.raises(SecretNotFound, match=r"JUPYTER_WF_SECRET_OTHER.*keyring set jupyter_wf other"):
        Secret.load("other")


def test_a_secret_that_is_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(ValueError, match=r"'api-token'.*JUPYTER_WF_SECRET_API_TOKEN.*not installed"):
        Secret.load("api-token")

    def fails(service: str, name: str) -> str:
        raise RuntimeError("no backend")

    broken: Any = ModuleType("keyring")
    broken.get_password = fails
    monkeypatch.setitem(sys.modules, "keyring", broken)
    with pytest.raises(SecretNotFound, match="RuntimeError: no backend"):
        Secret.load("api-token")


@pytest.mark.parametrize("name", ["", "with space", "a/b", "x" * 256, "ä", None, 3])
def test_what_can_be_no_name(name: Any) -> None:
    with pytest.raises(InvalidRequest, match="name"):
        Secret.load(name)


def test_nothing_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_TOKEN", VALUE)
    for secret in (Secret(VALUE), Secret.load("API_TOKEN")):
        shown = [str(secret), repr(secret), f"{secret}", f"{secret!r:>40}", f"{[secret]}", json.dumps(str(secret))]
        shown += [json.dumps(recordable(secret)), to_json({"a": secret, "b": {"c": [secret]}})]
        assert not [text for text in shown if VALUE in text]
        assert str(secret) == "***" and recordable(secret) == "***"
        with pytest.raises(TypeError):
            json.dumps(secret)
        assert vars(type(secret)).keys().isdisjoint({"value", "_asdict"}) and not hasattr(secret, "__dict__")
    assert recordable(SecretStr(VALUE)) == "***"


def test_equality_is_that_of_the_values() -> None:
    assert Secret(VALUE) == Secret(VALUE) != Secret("another")
    assert Secret(VALUE) != VALUE
    assert len({Secret(VALUE), Secret(VALUE)}) == 1


def test_a_secret_with_a_name_is_pickled_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_TOKEN", VALUE)
    secret = Secret.load("API_TOKEN")
    assert secret.get() == VALUE
    for pickled in (pickle.dumps(secret), cloudpickle.dumps(secret)):
        assert VALUE.encode() not in pickled
        monkeypatch.setenv("API_TOKEN", "rotated")
        assert pickle.loads(pickled).get() == "rotated"
        monkeypatch.delenv("API_TOKEN")
        monkeypatch.setitem(sys.modules, "keyring", None)
        unknown = pickle.loads(pickled)
        with pytest.raises(SecretNotFound):
            unknown.get()
        monkeypatch.setenv("API_TOKEN", VALUE)
        assert copy.deepcopy(secret) == secret
    assert pickle.loads(pickle.dumps(Secret({"user": VALUE}))).get() == {"user": VALUE}


def test_what_was_used_is_masked() -> None:
    assert mask(f"with {VALUE}") == f"with {VALUE}" and not SEEN
    secret = Secret(VALUE)
    assert mask(VALUE) == VALUE, "nobody has used it"
    secret.get()
    assert mask(f"with {VALUE}, {VALUE!r}") == "with ***, '***'"
    Secret({"user": "me", "password": 'quo"te\\d', "keys": ["line one\nline two", b"some bytes"]}).get()
    assert mask('say quo"te\\d') == "say ***"
    assert mask(json.dumps({"p": 'quo"te\\d'})) == '{"p": "***"}'
    assert mask(repr({"k": "line one\nline two"})) == "{'k': '***'}"
    assert mask("line two; some bytes; me") == "***; ***; me"
    Secret(f"{VALUE}-longer").get()
    assert mask(f"{VALUE}-longer") == "***", "the longest is found first"
    assert mask_values({"a": [VALUE, 1, None], VALUE: True}) == {"a": ["***", 1, None], "***": True}


def test_short_texts_are_not_masked() -> None:
    for value in ("abc", "", 17, None):
        assert Secret(value).get() == value
    assert mask("abc 17 None") == "abc 17 None"


def test_pydantic_takes_and_hides_a_secret() -> None:
    class Model(BaseModel):
        token: Secret[str]
        other: Secret[str] = Secret("default")

    model = Model.model_validate({"token": VALUE})
    assert model.token.get() == VALUE
    assert VALUE not in repr(model) and VALUE not in model.model_dump_json()
    assert json.loads(model.model_dump_json()) == {"token": "***", "other": "***"}
    secret = Secret("mine")
    assert TypeAdapter(Secret).validate_python(secret) is secret
    assert Model.model_json_schema()["properties"]["token"]["format"] == "password"
