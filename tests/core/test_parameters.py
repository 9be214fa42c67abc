"""What of a call's arguments is written down."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_wf.core.durations import duration
from jupyter_wf.core.ids import new_id, run_name, short_id
from jupyter_wf.core.parameters import is_secret, recordable, to_json


@pytest.mark.parametrize("name", ["password", "API_TOKEN", "my_secret", "key", "db_key", "aws_credentials"])
def test_secrets_are_masked(name: str) -> None:
    assert is_secret(name)
    assert "canary" not in to_json({name: "canary", "plain": {name: "canary"}, "deep": [{name: ["canary"]}]})


@pytest.mark.parametrize("name", ["monkey", "keys_pressed", "year", "tok"])
def test_ordinary_names_are_not(name: str) -> None:
    assert json.loads(to_json({name: 1})) == {name: 1}


def test_what_json_does_not_know_is_named_by_its_type_and_never_asked_for_its_repr() -> None:
    class Slow:
        def __repr__(self) -> str:
            raise AssertionError("called")

    assert "Slow" in recordable(Slow())
    assert recordable(float("nan")) == "nan"
    assert recordable(2**80) == "<int of 81 bits>"


def test_long_things_are_cut() -> None:
    assert len(recordable("x" * 100_000)) < 3_000
    assert len(recordable(list(range(100_000)))) == 101
    assert len(recordable({i: i for i in range(1000)})) == 101
    deep: list[object] = []
    for _ in range(1000):
        deep = [deep]
    assert len(to_json({"deep": deep})) < 200


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda t: st.lists(t) | st.dictionaries(st.text(), t),
        max_leaves=20,
    )
)
def test_always_strict_json(value: object) -> None:
    json.loads(to_json({"value": value}), parse_constant=pytest.fail)


def test_ids_are_version_4_uuids_and_names_are_two_words() -> None:
    import uuid

    made = {new_id() for _ in range(1000)}
    assert len(made) == 1000
    assert all(str(uuid.UUID(one)) == one and uuid.UUID(one).version == 4 for one in made)
    assert all(uuid.UUID(one).variant == uuid.RFC_4122 for one in made)
    assert len({run_name() for _ in range(100)}) > 50
    assert all(len(run_name().split("-")) == 2 for _ in range(50))
    assert short_id("12345678-aaaa") == "12345678"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-3, "0 ms"),
        (0.0004, "0 ms"),
        (0.999, "999 ms"),
        (0.9996, "1.0 s"),
        (59.9, "59.9 s"),
        (59.96, "1 min 00 s"),
        (3599.4, "59 min 59 s"),
        (3780, "1 h 03 min"),
    ],
)
def test_lengths_of_time_as_people_read_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said
