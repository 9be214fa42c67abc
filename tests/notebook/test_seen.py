"""Whether a name is bound to what it was bound to before."""

from __future__ import annotations

from jupyter_wf.notebook.seen import see


class Table:
    """Stands for a data frame: large, not plain, and it can be referred to weakly."""


def test_a_new_object_at_the_place_of_one_that_is_gone_is_another() -> None:
    seen = see({"name": Table()})["name"]
    # One of these is found where the first one was.
    others = [Table() for _ in range(1_000)]
    assert seen.id in map(id, others)
    assert not any(seen.is_now(other) for other in others)


def test_what_is_changed_inside_is_the_same_object() -> None:
    days = ["mon"]
    seen = see({"days": days})["days"]
    assert seen.held is days
    days.append("tue")
    assert seen.is_now(days)
    assert not seen.is_now(["mon", "tue"])
    assert seen.is_now(["mon"])


def test_a_table_is_not_kept_alive() -> None:
    table = Table()
    seen = see({"table": table})["table"]
    assert seen.is_now(table)
    del table
    assert seen.held() is None
