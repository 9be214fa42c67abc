"""What can be decorated: methods of every kind, callables with every kind of parameter, partials, objects."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jupyter_wf import Flow, Task, flow, task
from jupyter_wf.core.errors import ParameterError
from jupyter_wf.core.models import Run

Runs = Callable[[], list[Run]]


class Base:
    """Every kind of method, in both orders of the decorators."""

    factor = 2

    @task
    def plain(self, x: int, y: int = 1) -> int:
        """Multiply."""
        return self.factor * x * y

    @task
    @classmethod
    def inner_class(cls, x: int) -> str:
        return f"{cls.__name__} {x}"

    @classmethod
    @task
    def outer_class(cls, x: int) -> str:
        return f"{cls.__name__} {x}"

    @task
    @staticmethod
    def inner_static(x: int) -> int:
        return x + 1

    @staticmethod
    @task
    def outer_static(x: int) -> int:
        return x + 1

    @task
    async def awaited(self, x: int) -> int:
        await asyncio.sleep(0)
        return self.factor * x

    @task
    def items(self, many: int) -> Iterator[int]:
        for number in range(many):
            yield self.factor * number

    @flow
    def whole(self, x: int) -> int:
        return self.plain(x) + self.plain.submit(x).result()

    @classmethod
    @flow
    def class_flow(cls) -> str:
        return cls.inner_class(1)


class Derived(Base):
    factor = 10

    @task
    def plain(self, x: int, y: int = 1) -> int:
        return 1 + super().plain(x, y)


@pytest.mark.parametrize(
    ("name", "base", "derived"),
    [("inner_class", "Base 3", "Derived 3"), ("outer_class", "Base 3", "Derived 3")]
    + [(name, 4, 4) for name in ("inner_static", "outer_static")],
)
def test_class_and_static_methods(name: str, base: Any, derived: Any, runs: Runs) -> None:
    # Since 3.13 a class method binds by itself what it is given: a task below one can only be called.
    whole = name != "outer_class" or sys.version_info < (3, 13)
    for owner in (Base, Base()):
        assert getattr(owner, name)(3) == base
        if whole:
            assert getattr(owner, name).submit(3).result() == base
            assert getattr(owner, name).map([3]).result() == [base]
            assert getattr(owner, name).with_options(tags=["t"])(3) == base
    assert getattr(Derived, name)(3) == derived
    assert getattr(Derived(), name)(x=3) == derived
    assert {run.task_name for run in runs()} == {name}
    assert all(run.parameters["x"] == 3 for run in runs())


def test_methods(runs: Runs) -> None:
    assert Base().plain(3) == 6
    assert Base().plain(3, y=2) == 12
    assert Derived().plain(3) == 31
    assert Base().plain.submit(3).result() == 6
    assert Base().plain.map([1, 2]).result() == [2, 4]
    assert Base.plain(Base(), 3) == 6
    assert Base().plain.with_options(name="other")(1) == 2
    assert asyncio.run(Base().awaited(4)) == 8
    assert Base().awaited.submit(4).result() == 8
    assert list(Base().items(3)) == [0, 2, 4]
    assert Base().whole(1) == 4
    assert Derived().whole(1) == 22
    assert Derived.class_flow() == "Derived 1"
    assert isinstance(Base.plain, Task)
    assert isinstance(Base().whole, Flow)
    assert all("self" not in run.parameters for run in runs() if run.name != "plain-0")


def test_a_bound_task_is_as_short_lived_as_a_bound_method() -> None:
    one, other = Base(), Base()
    before = dict(vars(one))
    other.factor = 5
    assert (one.plain(1), other.plain(1)) == (2, 5)
    assert vars(one) == before, "nothing is left in the object"
    gone: list[weakref.ref[Base]] = []

    @flow
    def main() -> int:
        mine = Base()
        gone.append(weakref.ref(mine))
        bound = mine.plain
        assert bound.callee.owner is bound
        del mine
        return bound(1)

    assert main() == 2, "a bound task keeps its object"
    gc.collect()
    assert gone[0]() is None


def test_a_bound_task_looks_like_a_bound_method() -> None:
    bound = Base().plain
    assert bound.name == bound.__name__ == "plain"
    assert list(inspect.signature(bound).parameters) == ["x", "y"]
    assert bound.fn(2) == 4
    assert bound.description == "Multiply."
    assert Derived().inner_class.fn(2) == "Derived 2"


def test_objects_that_take_no_attributes_and_equal_objects() -> None:
    class Slotted:
        __slots__ = ("factor",)

        def __init__(self, factor: int) -> None:
            self.factor = factor

        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

        @task
        def times(self, x: int) -> int:
            return self.factor * x

    assert [Slotted(n).times(3) for n in (1, 2, 3)] == [3, 6, 9]


def test_hooks_that_are_added_later_count_for_objects_met_before() -> None:
    seen: list[str] = []

    class Thing:
        @task
        def step(self) -> None: ...

    thing = Thing()
    thing.step()
    Thing.step.on_completion(lambda task, run, state: seen.append(run.name))
    thing.step()
    assert len(seen) == 1


def positional_only(x: int, y: int = 2, /) -> Any:
    return x, y


def keyword_only(*, x: int, y: int = 2) -> Any:
    return x, y


def everything(a: int, /, b: int, *more: int, c: int = 3, **rest: int) -> Any:
    return a, b, more, c, rest


class Callable_:
    def __init__(self, factor: int) -> None:
        self.factor = factor

    def __call__(self, x: int, y: int = 1) -> int:
        return self.factor * x * y


class AsyncCallable:
    async def __call__(self, x: int) -> int:
        return x + 1


class Shape:
    def __init__(self, sides: int) -> None:
        self.sides = sides


@pytest.mark.parametrize(
    ("fn", "args", "kwargs", "value"),
    [
        (positional_only, (1,), {}, (1, 2)),
        (keyword_only, (), {"x": 1}, (1, 2)),
        (everything, (1, 2, 3, 4), {"c": 5, "d": 6, "a": 7}, (1, 2, (3, 4), 5, {"d": 6, "a": 7})),
        (everything, (1,), {"b": 2}, (1, 2, (), 3, {})),
        (functools.partial(everything, 1, b=2), (), {"c": 4}, (1, 2, (), 4, {})),
        (Callable_(3), (2,), {"y": 2}, 12),
        (len, ([1, 2],), {}, 2),
        (max, (1, 5, 2), {}, 5),
        (str.upper, ("a",), {}, "A"),
        ("-".join, (["a", "b"],), {}, "a-b"),
        (lambda x: x, (1,), {}, 1),
        (functools.lru_cache(positional_only), (1,), {}, (1, 2)),
    ],
)
def test_every_kind_of_callable(fn: Any, args: Any, kwargs: Any, value: Any) -> None:
    made = task(fn)
    assert made(*args, **kwargs) == value
    assert made.submit(*args, **kwargs).result() == value
    assert flow(fn)(*args, **kwargs) == value
    assert isinstance(made.name, str)


def test_names_of_what_has_none() -> None:
    assert task(Callable_(1)).name == "Callable_"
    assert task(functools.partial(everything, 1)).name == "everything"
    assert task(lambda: 1).name == "<lambda>"
    assert task(Callable_(1), name="mine").name == "mine"


def test_asynchronous_objects_partials_and_classes() -> None:
    async def add(x: int, y: int) -> int:
        return x + y

    assert asyncio.run(task(functools.partial(add, 1))(2)) == 3
    assert task(AsyncCallable()).submit(1).result() == 2
    assert asyncio.run(task(AsyncCallable())(1)) == 2
    assert asyncio.run(flow(AsyncCallable())(1)) == 2
    assert task(Shape)(4).sides == 4


def test_what_does_not_fit_names_the_parameter(runs: Runs) -> None:
    for fn, args, kwargs in [
        (positional_only, (), {"x": 1}),
        (keyword_only, (1,), {}),
        (everything, (1,), {}),
        (Callable_(1), (), {}),
    ]:
        with pytest.raises(ParameterError, match=r"x|b"):
            task(fn)(*args, **kwargs)
    assert runs() == []


def test_a_task_looks_like_its_function() -> None:
    @task
    def documented(x: int, y: str = "a") -> str:
        """Say something.

        More.
        """
        return y

    assert documented.__name__ == "documented"
    assert documented.__doc__ is not None and documented.__doc__.startswith("Say something.")
    assert documented.description == "Say something.\n\nMore."
    assert list(inspect.signature(documented).parameters) == ["x", "y"]
    assert documented.fn(1) == "a"
    assert documented.__wrapped__ is documented.fn  # type: ignore[attr-defined]
