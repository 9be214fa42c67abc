"""The facts of a run's record in words."""

from __future__ import annotations

from jupyter_wf.notebook.facts import spoken


def test_facts_are_told_as_people_read_them() -> None:
    source = {
        "notebook": "n.ipynb",
        "usage": {"cpu_seconds": 0.014, "memory_bytes": 4096},
        "kernel": {"name": "python3", "display_name": "Python 3", "command": "/usr/bin/python"},
        "environment": {"python": "3.11.7", "packages": 152, "digest": "ab" * 32},
        "git": {"commit": "0123456789abcdef", "branch": "main", "dirty": True},
        "given": [],
        "cell": 3,
    }
    assert dict(spoken(source)) == {
        "notebook": "n.ipynb",
        "usage": "0.01 s of processor time, memory grew by 4.0 KiB",
        "kernel": "Python 3 (/usr/bin/python)",
        "environment": "Python 3.11.7, 152 packages",
        "git": "0123456789ab on main, with changes",
        "cell": "3",
    }


def test_what_is_not_as_expected_is_told_as_it_is() -> None:
    assert dict(spoken({"usage": {"x": 1}, "git": "none", "memory": None})) == {"usage": '{"x": 1}', "git": "none"}


def test_sizes() -> None:
    usage = {"cpu_seconds": 1, "memory_bytes": 300 * 1024**2}
    assert dict(spoken({"usage": usage}))["usage"].endswith("300 MiB")
