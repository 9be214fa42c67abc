"""Agents: what they claim, how it is executed, and how they end."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import psutil
import pytest

from jupyter_wf.core.deployments import Deployment, Policies
from jupyter_wf.core.models import Run, RunFilter
from jupyter_wf.core.states import StateType
from jupyter_wf.flow_runs import wait_for_flow_run
from jupyter_wf.notebook.snapshots import keep_snapshot
from jupyter_wf.notebook.source import read_notebook
from jupyter_wf.services.results import plain_result
from tests.notebook.making import code, is_running, printed, read_cells, write_notebook
from tests.services.agents import Yard, agent_process
from tests.waiting import until


def _result(yard: Yard, run: Run) -> object:
    return plain_result(yard.store, yard.settings, run)


def test_higher_priority_goes_first_and_no_more_than_the_limit_at_a_time(yard: Yard) -> None:
    low = yard.submit("wait_for", {"name": "low"})
    high = yard.submit("wait_for", {"name": "high"}, priority=5)
    later = yard.submit("tell", {"word": "later"}, due_at=time.time() + 3600, priority=100)
    middle = yard.submit("wait_for", {"name": "middle"}, priority=1)
    with agent_process(yard.home, "--limit", "2"):
        yard.noted("begun high", "begun middle")
        assert yard.run(low).state.type is StateType.SCHEDULED
        yard.touch("middle")
        yard.noted("begun low")
        yard.touch("high")
        yard.touch("low")
        assert [yard.ended(each).state.name for each in (high, middle, low)] == ["Completed"] * 3
        assert yard.run(later).state.type is StateType.SCHEDULED
    assert yard.notes().index("begun low") > yard.notes().index("ended middle")


def test_flows_work_beside_their_file_and_log_what_they_print(yard: Yard) -> None:
    plain = yard.submit("tell", {"word": "ho"})
    later = yard.submit("tell_later", {"word": "so"})
    wrong = yard.submit("tell", {"wort": "x"})
    gone = yard.submit("nowhere")
    with agent_process(yard.home, "--limit", "2"):
        run = yard.ended(plain)
        assert run.state.name == "Completed" and run.parameters == {"word": "ho"}
        assert _result(yard, run) == "HO"
        assert "it says ho" in yard.logged(plain)
        assert _result(yard, yard.ended(later)) == "soso"
        assert sorted(yard.notes()) == ["ho", "so"]
        refused = yard.ended(wrong)
        assert refused.state.type is StateType.FAILED and "wort" in (refused.state.message or "")
        lost = yard.ended(gone)
        assert lost.state.type is StateType.CRASHED and "nowhere" in (lost.state.message or "")


def test_notebooks_run_as_they_are_now_or_as_they_were_pinned(yard: Yard) -> None:
    path = write_notebook(yard.folder / "n.ipynb", code("who = 'a'", "parameters"), "print('old', who)")
    notebook = read_notebook(path)
    keep_snapshot(yard.settings, notebook)
    pinned = yard.submit("n.ipynb", {"who": "p"}, policies=Policies(snapshot="pinned"), digest=notebook.digest)
    current = yard.submit("n.ipynb", {"who": "c"})
    output = yard.submit("n.ipynb", policies=Policies(output="out/{name}-{attempt}.ipynb", formats=("ipynb", "html")))
    wrong = yard.submit("n.ipynb", {"when": 1})
    gone = yard.submit("m.ipynb")
    write_notebook(path, code("who = 'a'", "parameters"), "print('new', who)\nfrom pathlib import Path\nPath('here')")
    with agent_process(yard.home, "--limit", "2"):
        run = yard.ended(current)
        assert run.state.name == "Completed", yard.logged(current)
        assert run.is_notebook and run.parameters == {"who": "c"}
        assert printed(read_cells(run.source["executed"])[2]).startswith("new c\n")
        assert run.source["executed"] == str(yard.settings.runs / current / "n.ipynb")
        assert printed(read_cells(yard.ended(pinned).source["executed"])[2]) == "old p\n"
        assert yard.ended(output).source["output"] == [str(yard.folder / f"out/n-1.{end}") for end in ("ipynb", "html")]
        refused = yard.ended(wrong)
        assert refused.state.type is StateType.FAILED and "when" in (refused.state.message or "")
        lost = yard.ended(gone)
        assert lost.state.type is StateType.CRASHED and "there is no such file" in (lost.state.message or "")


def test_a_run_that_fails_is_tried_again_and_restores_what_had_completed(yard: Yard) -> None:
    flow = yard.submit("fail_once", policies=Policies(retries=1, retry_delay=0.5))
    cells = ("%load_ext jupyter_wf", "%%task one\nx = 1", "from pathlib import Path\nassert Path('tried').exists()")
    write_notebook(yard.folder / "n.ipynb", *cells)
    with agent_process(yard.home, "--limit", "1"):
        run = wait_for_flow_run(flow, timeout=40)
        assert (run.state.name, run.attempt, _result(yard, run)) == ("Completed", 2, 2)
        assert yard.ended(flow).attempt == 2
        assert yard.notes() == ["step 1", "step 2"]
        (yard.folder / "tried").unlink()
        notebook = yard.submit("n.ipynb", policies=Policies(retries=1, retry_delay=0.5))
        until(lambda: yard.run(notebook).state.name == "AwaitingRetry")
        yard.touch("tried")
        run = yard.ended(notebook)
        assert (run.state.name, run.attempt) == ("Completed", 2)
        children = yard.store.list_runs(RunFilter(parent_id=notebook, kinds=("task",))).items
        assert [(child.name, child.state.name) for child in children] == [("one", "Resumed")]
        assert Path(run.source["executed"]).parent.name == "attempt-2"


def test_too_many_failures_in_a_row_pause_the_deployment(yard: Yard) -> None:
    policies = Policies(max_consecutive_failures=2, concurrency_limit=None)
    target = f"{yard.folder / 'flows.py'}:fail"
    deployment = yard.store.deployments.save(
        Deployment(id="", name="d", flow_name="fail", kind="flow", target=target, parameters={}, policies=policies)
    )
    with agent_process(yard.home):
        for failures in (1, 2):
            run_id = yard.submit("fail", policies=policies, deployment_id=deployment.id)
            assert yard.ended(run_id).state.type is StateType.FAILED
            until(lambda failures=failures: yard.store.deployments.get(deployment.id).failures == failures)
        until(lambda: yard.store.deployments.get(deployment.id).paused)
    assert run_id in (yard.store.deployments.get(deployment.id).paused_reason or "")


def test_what_swallows_interrupts_ends_at_its_time_out(yard: Yard) -> None:
    source = "import time\nwhile True:\n    try:\n        time.sleep(60)\n    except KeyboardInterrupt:\n        pass"
    write_notebook(yard.folder / "n.ipynb", source)
    policies = Policies(timeout=1.0, concurrency_limit=None)
    runs = [yard.submit("n.ipynb", policies=policies), yard.submit("swallow", policies=policies)]
    with agent_process(yard.home, "--limit", "2") as agent:
        for each in runs:
            run = yard.ended(each)
            assert (run.state.type, run.state.name) == (StateType.FAILED, "TimedOut"), run.state
        until(lambda: not yard.runners(agent.pid))


def test_nothing_is_left_running_after_a_run(yard: Yard) -> None:
    cell = "import subprocess\nprint(subprocess.Popen(['sleep', '600']).pid)"
    write_notebook(yard.folder / "n.ipynb", cell)
    notebook, flow = yard.submit("n.ipynb"), yard.submit("leave_behind")
    with agent_process(yard.home, "--limit", "2"):
        run = yard.ended(notebook)
        pids = [int(printed(read_cells(run.source["executed"])[0])), int(yard.ended(flow) and yard.notes()[0])]
        until(lambda: not any(map(is_running, pids)))


def test_an_agent_that_is_told_to_end_waits_for_its_runs(yard: Yard) -> None:
    run_id = yard.submit("wait_for", {"name": "go"})
    with agent_process(yard.home) as agent:
        yard.noted("begun go")
        agent.signal(signal.SIGTERM)
        until(lambda: [each.status for each in yard.store.agents.list(time.time())] == ["draining"])
        other = yard.submit("tell")
        yard.touch("go")
        assert agent.wait() == 0
    assert yard.run(run_id).state.name == "Completed"
    assert yard.run(other).state.type is StateType.SCHEDULED
    assert [each.alive for each in yard.store.agents.list(time.time())] == [False]


@pytest.mark.parametrize("how", ["twice", "after a while"])
def test_an_agent_cancels_what_does_not_end_in_time(yard: Yard, how: str) -> None:
    run_id = yard.submit("wait_for", {"name": "never"})
    options = () if how == "twice" else ("--drain", "0.2")
    with agent_process(yard.home, *options) as agent:
        yard.noted("begun never")
        agent.signal(signal.SIGTERM)
        if how == "twice":
            until(lambda: yard.store.agents.list(time.time())[0].status == "draining")
            agent.signal(signal.SIGTERM)
        assert agent.wait() == 0
    assert yard.run(run_id).state.name == "Cancelled"


def test_runs_outlive_a_killed_agent_and_keep_their_places(yard: Yard) -> None:
    first = yard.submit("wait_for", {"name": "go"})
    with agent_process(yard.home, "--limit", "1") as agent:
        yard.noted("begun go")
        second = yard.submit("tell", {"word": "second"})
        agent.kill()
    with agent_process(yard.home, "--limit", "1") as other:
        until(lambda: any(each.alive and each.pid == other.pid for each in yard.store.agents.list(time.time())))
        third = yard.submit("tell", {"word": "third"}, pool="elsewhere")
        until(lambda: yard.store.queue.next_due(["elsewhere"]) is not None)
        assert yard.run(second).state.type is StateType.SCHEDULED
        yard.touch("go")
        assert [yard.ended(each).state.name for each in (first, second)] == ["Completed", "Completed"]
    assert yard.notes() == ["begun go", "ended go", "second"]
    assert yard.run(third).state.type is StateType.SCHEDULED


def test_what_a_dead_agent_had_claimed_waits_again(yard: Yard) -> None:
    run_id = yard.submit("tell")
    with agent_process(yard.home, failpoint="claim.after_commit:exit") as agent:
        assert agent.wait() == 70
    assert yard.run(run_id).state.name == "Pending"
    with agent_process(yard.home, "--limit", "1"):
        run = yard.ended(run_id)
    assert (run.state.name, run.attempt) == ("Completed", 1)
    assert yard.notes() == ["hi"]


def test_what_an_agent_does_after_its_lease_has_run_out_is_refused(yard: Yard) -> None:
    run_id = yard.submit("tell")
    with agent_process(yard.home, lease=0.5, failpoint="claim.after_commit:sleep=4") as late:
        until(lambda: yard.run(run_id).state.name == "Pending")
        with agent_process(yard.home, lease=0.5):
            assert yard.ended(run_id).state.name == "Completed"
        # It wakes up, and starts a runner for what is done.
        until(lambda: "runner" in late.log.read_text(), late.log.read_text())
        until(lambda: "its runner has ended" in late.log.read_text())
    run = yard.run(run_id)
    assert (run.state.name, run.attempt, yard.notes()) == ("Completed", 1, ["hi"])
    assert yard.story(run_id).count("Running") == 1


def test_an_agent_that_was_stopped_goes_on_with_what_its_runners_have(yard: Yard) -> None:
    run_id = yard.submit("wait_for", {"name": "go"})
    with agent_process(yard.home, lease=0.5) as agent:
        yard.noted("begun go")
        agent.signal(signal.SIGSTOP)
        queued = yard.store.queue.get(run_id)
        assert queued is not None and queued.lease_until is not None
        until(lambda: time.time() > queued.lease_until + 0.5)
        with agent_process(yard.home, lease=0.5) as other:
            until(lambda: any(each.pid == other.pid for each in yard.store.agents.list(time.time())))
            agent.signal(signal.SIGCONT)
            yard.touch("go")
            assert yard.ended(run_id).state.name == "Completed"
    assert yard.notes() == ["begun go", "ended go"]


def test_a_run_whose_runner_dies_is_crashed_or_resumed(yard: Yard) -> None:
    resumed = yard.submit("die_once", policies=Policies(on_crash="resume"))
    with agent_process(yard.home, "--limit", "1"):
        run = yard.ended(resumed)
        assert (run.state.name, run.attempt, _result(yard, run)) == ("Completed", 2, 2)
        assert yard.notes() == ["step 1", "step 2"]
        (yard.folder / "died").unlink()
        crashed = yard.ended(yard.submit("die_once"))
        assert (crashed.state.name, crashed.attempt) == ("Crashed", 1)
        assert "is gone" in (crashed.state.message or "")


def test_a_warm_agent_runs_notebooks_and_flows_alike(yard: Yard) -> None:
    write_notebook(yard.folder / "n.ipynb", "from pathlib import Path\nprint(Path.cwd())")
    with agent_process(yard.home, "--limit", "2", warm=True) as agent:
        # The fork server, a runner that waits for a job, and its kernel: a flow has no need of that.
        until(lambda: len(psutil.Process(agent.pid).children(recursive=True)) >= 3, seconds=40)
        notebook, flow = yard.submit("n.ipynb"), yard.submit("tell")
        run = yard.ended(notebook)
        assert run.state.name == "Completed", yard.logged(notebook)
        assert printed(read_cells(run.source["executed"])[0]).strip() == str(yard.folder)
        assert yard.ended(flow).state.name == "Completed"
        assert yard.notes() == ["hi"]
