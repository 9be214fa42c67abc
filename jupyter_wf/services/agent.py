"""The agent: claims runs from the queue and has each executed by a runner process, as many at a time as it may."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from logging import Logger
from types import FrameType

from jupyter_wf.core.deployments import Claimed
from jupyter_wf.core.errors import RunFinished, RunNotFound, StoreError
from jupyter_wf.core.events import StateChanged
from jupyter_wf.core.failpoints import failpoint
from jupyter_wf.core.models import Run
from jupyter_wf.core.processes import ProcessInfo
from jupyter_wf.core.scheduling_errors import LeaseLost
from jupyter_wf.core.settings import Settings
from jupyter_wf.core.states import StateType
from jupyter_wf.services.agent_options import AgentOptions
from jupyter_wf.services.agent_runs import Held, Runners, run_folder
from jupyter_wf.services.runners import last_words
from jupyter_wf.services.settling import settle_ended, settle_safely
from jupyter_wf.store.base import Store
from jupyter_wf.store.bell import Bell

__all__ = ["Agent"]

#: Seconds between two looks at runs that may have to be ended.
_LOOK = 5.0
#: Seconds that a runner gets to end by itself, beyond what it needs to interrupt, TERM and KILL its kernel.
_PATIENCE = 30.0
#: After so many looks a runner that has not taken its run is not waited for any more. What the state file lets nobody
#: do counts for none.
_MOST_UNTAKEN = 12
#: Seconds after which it is tried again to do what the state file did not let us.
_AGAIN = 1.0
#: Seconds between two looks at what a dead agent has left running.
_LOOK_AT_LEFT = 1.0
_WAITING = (StateType.SCHEDULED, StateType.PENDING)
#: The lease that a host of services holds as long as one lives.
_HOST = "scheduler"


class Agent:
    """An agent, as long as `run` has not returned. ``process`` is this process, ``runners`` starts runners."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        process: ProcessInfo,
        runners: Runners,
        options: AgentOptions,
        *,
        log: Logger,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._settings = settings
        self._me = process
        self._runners = runners
        self._options = options
        self._log = log
        self._clock = clock
        self._bell = Bell(settings)
        self._held: dict[str, Held] = {}
        self._ended: deque[Held] = deque()
        self._started_at = clock()
        self._left = 0
        self._stops = 0
        self._stopping = False
        self._cancel_at: float | None = None
        self._kill_at: float | None = None
        self._renew_at = self._look_at = self._fresh_until = 0.0
        self._status = "online"
        self._complaint = ""
        self._host_seen = time.monotonic()

    # -- from outside ----------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Take no more runs, and end; from any thread or signal handler. A second call cancels what runs at once.

        A third one kills it.
        """
        self._stops += 1
        self._bell.wake()

    def heed_signals(self) -> None:
        """Let SIGTERM, SIGINT and SIGHUP be calls of `stop`. On the main thread."""

        def heed(signum: int, frame: FrameType | None) -> None:
            self.stop()

        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(signum, heed)

    def run(self) -> bool:
        """Work until `stop`, or until there is no need for this agent; return False where another one has its service.

        Raises `StoreError` where the state file can't be used at the beginning; later it is waited for.
        """
        self._store.register(self._me)
        if not self._hold_service():
            return False
        try:
            self._beat()
            while not self._round():
                self._bell.wait(self._pause())
        finally:
            self._leave()
        return True

    # -- one round -------------------------------------------------------------------------------------------------

    def _round(self) -> bool:
        """Do what is to be done now; return whether it was the last time."""
        try:
            self._heed_stops()
            self._take_in_ended()
            now = time.monotonic()
            # Its clock stands still while the machine sleeps, and nobody sets it; leases are by the other one.
            if now >= self._renew_at or self._clock() >= self._fresh_until:
                self._renew(now)
            if self._left:
                self._look_at_left()
            if self._held and now >= self._look_at:
                self._look_after(now)
            if self._stopping:
                self._drain(now)
                return not self._held
            if self._is_needless(now):
                self._log.info("no host of services is there, and there is nothing to do: the agent ends")
                return True
            self._claim()
        except StoreError as error:
            return self._is_hopeless(error)
        return False

    def _is_hopeless(self, error: StoreError) -> bool:
        """Return whether there is no use in waiting until the state file can be used again."""
        if not self._settings.home.exists():
            self._log.error("the state folder %s is gone: the agent ends", self._settings.home)
            return True
        if str(error) != self._complaint:
            self._log.warning("the state file can't be used: %s", error)
        self._complaint = str(error)
        self._renew_at = time.monotonic() + _AGAIN
        return self._stopping and not self._held

    def _pause(self) -> float:
        """Return how long (seconds) nothing is to be done, unless a bell rings or a runner ends."""
        now = time.monotonic()
        moments = [self._renew_at]
        if self._held:
            moments.append(self._look_at)
        if self._left:
            moments.append(now + _LOOK_AT_LEFT)
        moments += [each for each in (self._cancel_at, self._kill_at) if each is not None]
        if not self._stopping and self._free > 0:
            with contextlib.suppress(StoreError):
                due = self._store.queue.next_due(self._options.pools)
                if due is not None:
                    # What is due already waits for a place that is not this agent's: whoever frees it rings.
                    left = due - self._clock()
                    moments.append(now + (left if left > 0 else _LOOK))
        return max(0.0, min(moments) - now)

    @property
    def _free(self) -> int:
        return self._options.limit - len(self._held) - self._left

    # -- being there -----------------------------------------------------------------------------------------------

    def _hold_service(self) -> bool:
        name = self._options.service
        return name is None or self._store.services.hold(
            name, self._me.id, now=self._clock(), lease=self._options.lease
        )

    def _beat(self) -> None:
        now = self._clock()
        record = self._options.record(self._me, started_at=self._started_at, now=now, status=self._status)
        self._store.agents.beat(record, now)

    def _renew(self, now: float) -> None:
        """Give a sign of life and prolong the leases; end what is somebody else's by now."""
        options = self._options
        self._renew_at = now + options.lease / 2
        if options.idle is not None:
            self._renew_at = min(self._renew_at, now + options.idle / 4)
        held = self._store.queue.extend(list(self._held), self._me.id, until=self._clock() + options.lease)
        self._fresh_until = self._clock() + options.lease / 2
        for run_id in self._held.keys() - set(held):
            self._give_up(self._held[run_id])
        if not self._hold_service() and not self._stopping:
            self._log.warning("another agent has taken the place of this one: it ends")
            self.stop()
        self._beat()
        self._settle_ended()
        self._count_left()

    def _give_up(self, held: Held) -> None:
        """Kill the runner of a run that this agent has lost; one that has ended its run is left to end."""
        run = self._find(held.run_id)
        if run is not None and run.attempt == held.claimed.attempt and run.state.is_closed():
            return
        self._log.warning("run %s is somebody else's by now: its runner is killed", held.run_id)
        held.kill()

    def _count_left(self) -> None:
        """Count the runs that agents which are gone have left to their runners on this machine."""
        mine = set(self._options.pools)
        agents = self._store.agents.list(self._clock())
        self._left = sum(
            each.running
            for each in agents
            if not each.alive and each.host == self._me.host and mine.intersection(each.pools)
        )

    def _look_at_left(self) -> None:
        before = self._left
        self._count_left()
        if self._left < before:
            self._settle_ended()

    def _settle_ended(self) -> None:
        self._store.reap(self._clock())
        settle_ended(self._store, self._settings, self._clock())

    def _is_needless(self, now: float) -> bool:
        idle = self._options.idle
        if idle is None or self._held or self._left:
            return False
        if self._store.services.holder(_HOST) is not None:
            self._host_seen = now
        return now - self._host_seen > idle and self._store.queue.next_due(self._options.pools) is None

    def _leave(self) -> None:
        with contextlib.suppress(StoreError):
            self._store.agents.leave(self._me.id)
            if self._options.service is not None:
                self._store.services.release(self._options.service, self._me.id)
        self._runners.close()
        self._bell.close()

    # -- runs ------------------------------------------------------------------------------------------------------

    def _claim(self) -> None:
        options, free = self._options, max(0, self._free)
        if free == 0 and not self._left:
            return
        # Without a free place it has what dead agents had claimed, and no runner taken, wait again.
        claimed = self._store.queue.claim(
            options.pools, self._me.id, now=self._clock(), lease=options.lease, limit=free
        )
        if claimed:
            failpoint("claim.after_commit")
        for each in claimed:
            self._start(each)

    def _start(self, claimed: Claimed) -> None:
        queued = claimed.queued
        folder = run_folder(self._settings, queued.run_id, claimed.attempt)
        job = {"queued": queued.run_id, "attempt": claimed.attempt, "agent": self._me.id, "folder": os.getcwd()}
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            process = self._runners.start(job, log=folder / "runner.log", kernel=queued.kernel)
        except Exception as error:  # whatever it was, it must not end the agent
            self._crash(claimed, f"the runner can't be started: {error}")
            self._settle(queued.run_id)
            return
        held = self._held[queued.run_id] = Held(claimed=claimed, process=process, log=folder / "runner.log")
        self._log.info("run %s, attempt %d: runner %d", queued.run_id, claimed.attempt, process.pid)
        threading.Thread(
            target=self._watch, args=(held,), name=f"jupyter-wf-run-{queued.run_id[:8]}", daemon=True
        ).start()

    def _watch(self, held: Held) -> None:
        """Wait for a runner's end; on a thread of its own."""
        held.wait()
        self._ended.append(held)
        self._bell.wake()

    def _take_in_ended(self) -> None:
        """See to it that what has ended is recorded, and that what follows from it is done."""
        while self._ended:
            # It stays in the queue as long as the state file does not take it.
            held = self._ended[0]
            self._record(held)
            self._settle(held.run_id)
            self._ended.popleft()
            if self._held.get(held.run_id) is held:
                del self._held[held.run_id]
            self._log.info("run %s, attempt %d: its runner has ended", held.run_id, held.claimed.attempt)

    def _record(self, held: Held) -> None:
        self._store.reap(self._clock())
        run = self._find(held.run_id)
        waits = (
            run is not None and run.process_id is None and run.state.type in (StateType.SCHEDULED, StateType.PENDING)
        )
        if not waits:
            return
        code = held.code or 0
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        said = last_words(held.log)
        told = f"it said:\n{said}" if said else f"its log {held.log} is empty"
        self._crash(held.claimed, f"the runner ended before it took the run ({how}); {told}")

    def _find(self, run_id: str) -> Run | None:
        return self._store.get_runs([run_id]).get(run_id)

    def _crash(self, claimed: Claimed, message: str) -> None:
        """Make a run CRASHED that no runner has taken; one that is somebody else's is left alone."""
        run_id = claimed.queued.run_id
        with contextlib.suppress(RunFinished, RunNotFound, LeaseLost):
            self._store.queue.take(run_id, claimed.attempt, self._me.id, self._me.id)
            self._close(claimed, StateType.CRASHED, "Crashed", message)

    def _close(self, claimed: Claimed, type_: StateType, name: str, message: str) -> None:
        journal = self._store.journal()
        state = StateChanged(claimed.queued.run_id, self._clock(), claimed.attempt, type_.value, name, message)
        journal.append(state)
        journal.flush()

    def _settle(self, run_id: str) -> None:
        queued = self._store.queue.get(run_id)
        if queued is not None:
            settle_safely(self._store, self._settings, queued, self._clock())

    # -- ending ----------------------------------------------------------------------------------------------------

    def _look_after(self, now: float) -> None:
        """End runners that do not end by themselves, although they should have long ago."""
        self._look_at = now + _LOOK
        runs = self._store.get_runs(list(self._held))
        for held in list(self._held.values()):
            run = runs.get(held.run_id)
            if held.code is not None or run is None or run.attempt != held.claimed.attempt:
                continue
            held.untaken = held.untaken + 1 if run.process_id is None and not run.state.is_closed() else 0
            if held.untaken >= _MOST_UNTAKEN:
                self._log.warning("run %s: its runner %d has not taken it, and is killed", run.id, held.process.pid)
                held.kill()
                continue
            timeout = held.claimed.queued.policies.timeout
            late = timeout is not None and now - held.since > timeout
            if not (late or run.state.is_closed() or run.state.is_cancelling()):
                held.overdue = None
                continue
            if held.overdue is None:
                held.overdue = now
            if now - held.overdue > _PATIENCE:
                self._end(held, run)

    def _end(self, held: Held, run: Run) -> None:
        """Kill a runner and say why its run has ended; the record first, so that it does not tell of a crash."""
        if run.state.is_cancelling():
            self._close(held.claimed, StateType.CANCELLED, "Cancelled", "cancelled on request; its runner was killed")
        elif not run.state.is_closed():
            told = f"it took longer than {held.claimed.queued.policies.timeout:g} s; its runner was killed"
            self._close(held.claimed, StateType.FAILED, "TimedOut", told)
        self._log.warning("run %s: its runner %d does not end, and is killed", held.run_id, held.process.pid)
        held.kill()

    def _heed_stops(self) -> None:
        now = time.monotonic()
        if self._stops and not self._stopping:
            self._stopping = True
            self._status = "draining"
            self._log.info("the agent takes no more runs; %d go on", len(self._held))
            if self._options.drain is not None:
                self._cancel_at = now + self._options.drain
            self._beat()
        if self._stops > 1 and self._kill_at is None:
            self._cancel_at = now
        if self._stops > 2:
            self._kill_at = now

    def _drain(self, now: float) -> None:
        if self._cancel_at is not None and now >= self._cancel_at:
            self._cancel_at, self._kill_at = None, self._kill_at or now + _PATIENCE
            for run_id in self._held:
                with contextlib.suppress(RunFinished, RunNotFound):
                    self._store.request(run_id, "cancel")
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_at = now + _PATIENCE
            for held in self._held.values():
                run = self._find(held.run_id)
                if run is not None and run.attempt == held.claimed.attempt and not run.state.is_closed():
                    self._close(held.claimed, StateType.CANCELLED, "Cancelled", "the agent has ended; it did not stop")
                held.kill()
