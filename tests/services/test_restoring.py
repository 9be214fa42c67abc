"""What restored cells leave is what they had left: next attempts of notebooks in real kernels."""

from __future__ import annotations

from tests.services.desk import FAILS, LOAD, Desk, shown

#: The last cell of a notebook that fails once.
LAST = f"%%task last\n{FAILS}"


def resumed(desk: Desk, *cells: str) -> dict[str, tuple[int, str]]:
    """Run a notebook whose last cell fails, resume it, and return what became of its children."""
    desk.write(LOAD, *cells, LAST)
    run = desk.start()
    assert desk.story(run)["last"] == (1, "Failed"), desk.logged(run)
    desk.mend()
    done = desk.resume(run)
    assert done.state.name == "Completed", desk.logged(done)
    return desk.story(done)


def test_a_cell_whose_functions_use_what_stays_in_it_runs_again(desk: Desk) -> None:
    story = resumed(
        desk,
        "%%task closed\n_rate = 3\ndef f(): return _rate",
        "%%task default\n_start = 4\ndef g(n=_start): return n",
        "%%task helped\ndef _half(n): return n / 2\ndef h(n): return _half(n)",
        "%%task nested\nif True:\n    import math as m\n    def k(): return m.floor(2.5)",
        "%%task stored\n_much = 5\nj = lambda: _much",
        "assert (f(), g(), h(4), k(), j()) == (3, 4, 2, 2, 5)",
    )
    run_again, restored = (2, "Completed"), (2, "Resumed")
    assert (story["closed"], story["default"], story["nested"]) == (run_again,) * 3
    assert (story["helped"], story["stored"]) == (restored,) * 2


def test_why_a_cell_runs_again_is_told(desk: Desk) -> None:
    desk.write(LOAD, "%%task closed\n_rate = 3\ndef f(): return _rate", LAST)
    run = desk.start()
    desk.mend()
    assert "run again: what it defines uses '_rate', which stays in the cell" in desk.logged(desk.resume(run))


def test_names_that_a_cell_deletes_are_gone_again(desk: Desk) -> None:
    story = resumed(
        desk,
        "x = 1\ny = 2",
        "%%task tidy\ndel y\nif x > 1:\n    del x\nz = 1",
        "assert 'y' not in globals() and (x, z) == (1, 1)",
    )
    assert story["tidy"] == (2, "Resumed")


def test_what_a_cell_has_changed_in_place_is_changed_again(desk: Desk) -> None:
    story = resumed(
        desk,
        "options = {'a': 1}\nrows = [1]\nkept = (1, 2)\ndef fill(what): what['filled'] = True",
        "%%task first\noptions['b'] = 2\nfill(options)\nx = len(kept)",
        "%%task second\nrows.append(len(options))\ny = 1",
        "assert options == {'a': 1, 'b': 2, 'filled': True} and rows == [1, 3] and kept == (1, 2)",
    )
    assert (story["first"], story["second"]) == ((2, "Resumed"), (2, "Resumed"))


def test_a_definition_that_can_not_be_made_again_makes_its_cell_run(desk: Desk) -> None:
    (desk.folder / "helping.py").write_text("VALUE = 5")
    desk.write(LOAD, "%%task uses\nimport helping\nx = helping.VALUE", LAST)
    run = desk.start()
    (desk.folder / "helping.py").unlink()
    desk.mend()
    again = desk.resume(run)
    assert desk.story(again)["uses"] == (2, "Failed")
    assert "run again: what it defines can't be made again: ModuleNotFoundError: No module named 'helping'" in (
        desk.logged(again)
    )


def test_a_completed_cell_is_restored_whatever_it_comes_after_ran_again(desk: Desk) -> None:
    first = "%%task first\nx = 1\n"
    desk.write(LOAD, first, "%%task second\ny = x + 1", LAST)
    run = desk.start()
    desk.write(LOAD, first + "z = 1 / 0", "%%task second\ny = x + 1", LAST)
    run = desk.resume(run)
    assert desk.story(run)["first"] == (2, "Failed")
    desk.write(LOAD, first, "%%task second\ny = x + 1", LAST, "print(x, y)")
    desk.mend()
    done = desk.resume(run)
    assert desk.story(done)["first"] == (3, "Completed")
    assert desk.story(done)["second"] == (2, "Resumed"), "neither its source nor its input has changed"
    assert shown(done, 4) == "1 2\n"
