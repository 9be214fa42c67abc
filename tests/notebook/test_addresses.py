"""How people name runs: ids, names, ``last``, and tasks below a run."""

from __future__ import annotations

import pytest

from jupyter_wf import flow, task
from jupyter_wf.core.errors import AmbiguousRunId, RunNotFound, TargetError
from jupyter_wf.core.models import Run, RunFilter
from jupyter_wf.engine.runtime import current_runtime
from jupyter_wf.notebook.addresses import below, find_address, find_last
from jupyter_wf.store.base import Store


@task
def double(n: int) -> int:
    if n == 2:
        raise ValueError(n)
    return n * 2


@task(task_run_name="one/two")
def slashed() -> None:
    pass


@flow(name="inner")
def inner() -> None:
    double(7)


@flow(name="etl", flow_run_name="monday-a/b")
def etl() -> None:
    for n in range(4):
        double(n, return_state=True)
    slashed()
    inner()


@pytest.fixture
def store() -> Store:
    etl(return_state=True)
    double(5)
    runtime = current_runtime()
    runtime.journal.flush()
    return runtime.store


def all_runs(store: Store) -> list[Run]:
    return list(store.list_runs(RunFilter(oldest_first=True)).items)


def test_a_run_by_id_name_flow_and_last(store: Store) -> None:
    root = all_runs(store)[0]
    for address in (root.id, root.id[:10].upper(), root.name, "etl", " etl "):
        assert find_address(store, address).id == root.id
    assert find_address(store, "last").id == all_runs(store)[-1].id
    assert find_address(store, "inner").flow_name == "inner"
    task_run = next(run for run in all_runs(store) if run.name == "double-3")
    assert find_address(store, task_run.id[:12]).id == task_run.id


def test_a_task_below_a_run(store: Store) -> None:
    root = all_runs(store)[0]
    found = find_address(store, "etl/double-3")
    assert (found.name, found.root_id) == ("double-3", root.id)
    assert find_address(store, f"{root.id[:8]}/{found.id[:12]}").id == found.id
    assert find_address(store, "etl/one/two").task_name == "slashed"
    assert find_address(store, "etl/slashed").name == "one/two"
    assert find_address(store, "inner/double").parent_id == find_address(store, "inner").id
    assert find_address(store, "etl/inner").flow_name == "inner"


def test_of_several_the_one_that_failed_is_meant_where_that_matters(store: Store) -> None:
    assert find_address(store, "etl/double", failed=True).name == "double-2"
    with pytest.raises(TargetError, match=r"'double' fits 5 runs: double-0 \([0-9a-f]{8}\), .*give one of these"):
        find_address(store, "etl/double")


def test_a_name_goes_before_an_id_that_begins_like_it(store: Store) -> None:
    root = all_runs(store)[0]
    named = flow(name=root.id[:8])(lambda: None)
    named()
    current_runtime().journal.flush()
    assert find_address(store, root.id[:8]).flow_name == root.id[:8]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("nothing", "no run has this name, and it is no id"),
        ("ffffffffff/double", "no run has the id"),
        ("", "no run has this name"),
        ("etl/", "RUN/TASK"),
        ("/double", "RUN/TASK"),
        ("nothing/double", "'nothing': no run"),
        ("etl/tripple", r"no task of 'monday-a/b' \([0-9a-f]{8}\) is called 'tripple'; it has double-0"),
        ("etl/one/two/three", "is called 'one/two/three'"),
    ],
)
def test_what_fits_nothing_says_what_there_is(store: Store, address: str, message: str) -> None:
    with pytest.raises((TargetError, RunNotFound), match=message):
        find_address(store, address)


def test_too_short_an_id(store: Store) -> None:
    first = {run.id[0] for run in all_runs(store)}
    several = [char for char in first if sum(run.id[0] == char for run in all_runs(store)) > 1]
    while not several:
        double(1)
        current_runtime().journal.flush()
        several = [char for char in first if sum(run.id[0] == char for run in all_runs(store)) > 1]
    with pytest.raises(AmbiguousRunId):
        find_address(store, several[0])


def test_the_last_run() -> None:
    store = current_runtime().store
    with pytest.raises(TargetError, match="there is no run yet"):
        find_last(store)
    double(1)
    double(3)
    current_runtime().journal.flush()
    assert find_last(store).parameters == {"n": 3}
    assert find_last(store, "double").parameters == {"n": 3}
    with pytest.raises(TargetError, match="no run, flow or task has this name"):
        find_last(store, "doub")


def test_all_that_is_below(store: Store) -> None:
    root = all_runs(store)[0]
    assert len(list(below(store, root))) == 7
    inside = find_address(store, "inner")
    assert [run.name for run in below(store, inside)] == ["double-0"]


def test_the_name_of_a_mapped_cell_is_not_that_of_its_items() -> None:
    @task(name="each")
    def item() -> None:
        pass

    @task(name="each", task_run_name="each")
    def whole() -> None:
        for number in range(2):
            item.with_options(task_run_name=f"each[{number}]")()

    whole()
    store = current_runtime().store
    current_runtime().journal.flush()
    assert find_last(store, "each").name == "each"
    assert find_address(store, "each").parent_id is None

    @flow(name="outer")
    def outer() -> None:
        whole()

    outer()
    current_runtime().journal.flush()
    # The last one, though it does not stand alone.
    assert find_last(store, "each").parent_id == find_address(store, "outer").id
    assert find_address(store, "each[1]").name == "each[1]"
    assert find_address(store, "outer/each").name == "each"
