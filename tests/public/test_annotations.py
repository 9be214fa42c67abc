"""Futures inside arguments: found and resolved in every kind of container and object, and the marks on arguments."""

from __future__ import annotations

import pickle
from collections import OrderedDict, defaultdict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import attrs
import pydantic
import pytest

import jupyter_wf
from jupyter_wf import flow, task
from jupyter_wf.annotations import allow_failure, quote, unmapped
from jupyter_wf.core.models import Run
from jupyter_wf.futures import RunFuture

Runs = Callable[[], list[Run]]
built: list[str] = []


@dataclass
class Plain:
    a: Any
    b: Any = 0

    def __post_init__(self) -> None:
        built.append("Plain")


@dataclass(frozen=True, slots=True)
class Frozen:
    a: Any
    b: Any = 0

    def __post_init__(self) -> None:
        built.append("Frozen")


@dataclass
class Late:
    a: Any
    missing: Any = field(init=False)


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True, extra="allow")
    a: Any
    b: Any = 0

    def model_post_init(self, context: Any) -> None:
        built.append("Model")


class FrozenModel(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True)
    a: Any
    b: Any = 0


@attrs.define
class Attrs:
    a: Any
    b: Any = 0

    def __attrs_post_init__(self) -> None:
        built.append("Attrs")


@attrs.frozen
class FrozenAttrs:
    a: Any
    b: Any = 0


Old = namedtuple("Old", ["a", "b"])


class New(NamedTuple):
    a: Any
    b: Any = 0


class Words(list[Any]):
    """A list with something of its own."""

    label = ""


class Table(dict[str, Any]):
    """A dictionary with something of its own."""

    label = ""


class Row(tuple[Any, ...]):
    """A tuple with something of its own."""

    label = ""


@task
def five() -> int:
    return 5


@task
def same(value: Any) -> Any:
    return value


OBJECTS = [Plain, Frozen, Model, FrozenModel, Attrs, FrozenAttrs, Old, New]


@pytest.mark.parametrize("kind", OBJECTS)
def test_objects_are_resolved_without_their_constructors(kind: Any, runs: Runs) -> None:
    @flow
    def main() -> tuple[Any, Any, RunFuture[Any]]:
        future = five.submit()
        given = kind(future, 1) if kind not in (Model, FrozenModel) else kind(a=future, b=1)
        built.clear()
        return same(given), given, future

    got, given, future = main()
    assert built == []
    assert type(got) is kind
    assert (got.a, got.b) == (5, 1)
    assert given.a is future, "the argument itself is not touched"
    assert runs()[2].upstream == (future.task_run_id,)


def test_a_field_that_is_not_set_and_fields_beyond_the_model() -> None:
    @flow
    def main() -> tuple[Any, Any]:
        future = five.submit()
        return same(Late(future)), same(Model(a=0, more=future))

    late, model = main()
    assert late.a == 5
    assert not hasattr(late, "missing")
    assert model.more == 5


def nested(kind: str, item: Any) -> Any:
    return {
        "list": lambda: [1, item],
        "tuple": lambda: (1, item),
        "set": lambda: {1, item},
        "frozenset": lambda: frozenset({1, item}),
        "dict": lambda: {"a": 1, "b": item},
        "key": lambda: {item: "b"},
        "OrderedDict": lambda: OrderedDict([("a", 1), ("b", item)]),
        "defaultdict": lambda: defaultdict(list, {"b": item}),
        "deep": lambda: [{"a": (Frozen(a=[item]),)}, {"z": New(1, Model(a=Plain(item)))}],
        "Words": lambda: Words([1, item]),
        "Table": lambda: Table(a=1, b=item),
        "Row": lambda: Row((1, item)),
    }[kind]()


@pytest.mark.parametrize(
    "kind",
    ["list", "tuple", "set", "frozenset", "dict", "key", "OrderedDict", "defaultdict", "deep", "Words", "Table", "Row"],
)
def test_containers_are_resolved_and_stay_what_they_are(kind: str) -> None:
    @flow
    def main() -> Any:
        given = nested(kind, five.submit())
        if kind in ("Words", "Table", "Row"):
            given.label = "mine"
        return same(given), given

    got, given = main()
    assert got == nested(kind, 5)
    assert type(got) is type(given)
    assert getattr(got, "label", None) == getattr(given, "label", None)
    if kind == "defaultdict":
        assert got.default_factory is list


def test_the_list_that_map_returns_is_an_argument_like_any_other(runs: Runs) -> None:
    @flow
    def main() -> Any:
        futures = same.map([1, 2, 3])
        return same(futures), same.submit(futures).result(), [future.task_run_id for future in futures]

    direct, submitted, ids = main()
    assert direct == submitted == [1, 2, 3]
    assert type(direct) is list
    assert all(set(run.upstream) == set(ids) for run in runs()[4:])


@pytest.mark.parametrize(
    "make", [lambda: [1, [2]], lambda: {"a": {"b": 1}}, lambda: (1, 2), lambda: Frozen([1]), lambda: Plain(1)]
)
def test_what_holds_no_future_is_the_very_same_object(make: Callable[..., Any]) -> None:
    given = make()
    assert same(given) is given

    @task
    def second(future: Any, value: Any) -> Any:
        return value

    @flow
    def main() -> Any:
        outer = [five.submit(), given]
        return second(five.submit(), given), same(outer)[1]

    alone, inside = main()
    assert alone is given
    assert inside is given


def test_containers_that_hold_themselves_and_parts_that_are_shared() -> None:
    @flow
    def main() -> None:
        future = five.submit()
        ring: list[Any] = [future]
        ring.append(ring)
        got = same(ring)
        assert got[0] == 5
        assert got[1] is got, "the copy holds itself, not the original"

        node = Plain(future)
        node.b = {"back": node}
        copy = same(node)
        assert copy.a == 5
        assert copy.b["back"] is copy

        shared = [future]
        one, two = same([shared, shared])
        assert one == [5]
        assert one is two

        alone: list[Any] = []
        alone.append(alone)
        assert same(alone) is alone

    main()


def test_a_wide_web_of_shared_parts_is_looked_into_once(runs: Runs) -> None:
    @flow
    def main() -> None:
        layer: Any = [five.submit()]
        for _ in range(60):
            layer = [layer, layer]
        got = same(layer)
        for _ in range(60):
            assert got[0] is got[1]
            got = got[0]
        assert got == [5]

    main()
    assert len(runs()[2].upstream) == 1


def test_a_quoted_value_is_handed_over_as_it_is(runs: Runs) -> None:
    @flow
    def main() -> None:
        future = five.submit()
        inside = [future]
        got = same(quote(inside))
        assert got is inside
        assert got[0] is future

    main()
    assert runs()[2].upstream == ()


def test_allowed_failures_arrive_as_exceptions() -> None:
    @task
    def bad() -> None:
        raise KeyError("no")

    @flow
    def main() -> None:
        failed = bad.submit()
        got = same(allow_failure(failed))
        assert isinstance(got, KeyError)
        inside = same({"a": allow_failure([failed, five.submit()])})
        assert isinstance(inside["a"][0], KeyError)
        assert inside["a"][1] == 5
        state = same(failed, return_state=True)  # type: ignore[call-arg]
        assert state.name == "NotReady"
        # Not excused where it also comes without the mark.
        assert same.submit([allow_failure(failed), failed]).state.name in ("Pending", "NotReady")

    main()


def test_a_future_that_comes_both_excused_and_not_is_not_excused() -> None:
    @task
    def bad() -> None:
        raise KeyError("no")

    @task
    def two(one: Any, other: Any) -> Any:
        return one, other

    @flow
    def main() -> str:
        failed = bad.submit()
        return two(allow_failure(failed), failed, return_state=True).name  # type: ignore[call-arg,no-any-return]

    assert main() == "NotReady"


def test_marks_are_values() -> None:
    for mark in (allow_failure, quote, unmapped):
        value = mark([1])
        assert value.unwrap() == [1]
        assert value == mark([1])
        assert value != mark([2])
        assert pickle.loads(pickle.dumps(value)) == value
        assert repr(value) == f"{mark.__name__}([1])"
        assert hash(mark(1)) == hash(mark(1))
        assert getattr(jupyter_wf, mark.__name__) is mark
    assert quote(3).unquote() == 3
    assert len({allow_failure(1), quote(1), unmapped(1)}) == 3


def test_marks_outside_any_flow_and_on_plain_values() -> None:
    assert same(quote(3)) == 3
    assert same(allow_failure(4)) == 4
    assert same(unmapped(5)) == 5
    assert same.submit(quote([6])).result() == [6]


def test_an_unhashable_value_where_a_set_held_its_future_fails_the_task(runs: Runs) -> None:
    @flow
    def main() -> Any:
        return same({same.submit([1])}, return_state=True)  # type: ignore[call-arg]

    state = main(return_state=True)  # type: ignore[call-arg]
    assert state.is_failed()
    assert isinstance(state.result(raise_on_failure=False), TypeError)
    assert [run.state.name for run in runs()] == ["Failed", "Completed", "Failed"]
