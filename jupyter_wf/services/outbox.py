"""Delivers what the outbox holds: again and again with growing pauses, for a day, whatever is restarted meanwhile."""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from jupyter_wf.core.automations import Delivery, Notification
from jupyter_wf.core.ids import short_id
from jupyter_wf.core.scheduling_errors import AutomationNotFound, DeliveryFailed, DeploymentNotFound, TriggerNotFound
from jupyter_wf.core.secrets import mask
from jupyter_wf.store.base import Store

__all__ = ["GIVE_UP_AFTER", "Deliverer", "pause_after"]

_log = logging.getLogger(__name__)
#: Seconds after which a row that could not be delivered is given up.
GIVE_UP_AFTER = 86_400.0
#: Seconds for which rows that are done are kept, to be looked at.
_KEPT = 7 * 86_400.0
_FIRST, _LONGEST = 5.0, 900.0
_JITTER = 0.2
#: How many are delivered at the same time: one that waits for an answer holds the others up less.
_AT_ONCE = 4
_BATCH = 8


def pause_after(attempts: int, chance: float) -> float:
    """Return how long (seconds) to wait after so many tries that did not work; ``chance`` from 0 to 1 spreads it."""
    return float(min(_LONGEST, _FIRST * 2.0 ** min(attempts - 1, 20)) * (1 + _JITTER * (2 * chance - 1)))


class Deliverer:
    """Tries what is due. One at a time should do so for a state file; where two do, each thing still happens once.

    ``perform`` does what a row says and returns what came of it. ``chance`` gives numbers from 0 to 1.
    """

    def __init__(
        self, store: Store, perform: Callable[[Delivery], str], *, chance: Callable[[], float] = random.random
    ) -> None:
        self._store = store
        self._perform = perform
        self._chance = chance
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="jupyter_wf-deliver")
        self._pruned = -math.inf

    def step(self, now: float) -> float | None:
        """Try what is due now; return when something is due next, None where nothing waits. Raises `StoreError`."""
        found = self._store.outbox.due(now, limit=_BATCH)
        if found:
            self._deliver(found, now)
        elif now - self._pruned > 3600:
            self._store.outbox.prune(now - _KEPT)
            self._pruned = now
        return self._store.outbox.next_at()

    def close(self) -> None:
        """Return when nothing is under way any more."""
        self._pool.shutdown()

    def _deliver(self, found: Sequence[Delivery], now: float) -> None:
        for delivery, outcome in zip(found, self._pool.map(self._try, found), strict=True):
            if isinstance(outcome, str):
                self._store.outbox.sent(delivery.id, mask(outcome), now)
                self._note_trouble(delivery, None)
                continue
            why = mask(_said(outcome))
            final = isinstance(outcome, DeliveryFailed) and outcome.final
            pause = pause_after(delivery.attempts + 1, self._chance())
            if final or now + pause - delivery.created_at > GIVE_UP_AFTER:
                self._give_up(delivery, why if final else f"given up after a day: {why}", now)
            else:
                self._store.outbox.again(delivery.id, why, now + pause)

    def _try(self, delivery: Delivery) -> str | Exception:
        try:
            return self._perform(delivery)
        except DeliveryFailed as error:
            return error
        except Exception as error:  # whatever one delivery meets, the others are delivered
            _log.warning("%s: delivery %d has failed: %s", self._asked_by(delivery), delivery.id, mask(_said(error)))
            return error

    def _give_up(self, delivery: Delivery, why: str, now: float) -> None:
        self._store.outbox.fail(delivery.id, why, now)
        self._note_trouble(delivery, why)
        _log.warning("%s: %s", self._asked_by(delivery), why if why.startswith("given up") else f"given up: {why}")
        notification = Notification(
            title="A trigger could not start its run" if delivery.trigger_id else "An automation could not act",
            message=why,
            level="error",
            run_id=delivery.occasion.run_id,
            deployment_id=delivery.occasion.deployment_id,
        )
        self._store.notifications.add(f"given up:{delivery.key}", notification, now)

    def _asked_by(self, delivery: Delivery) -> str:
        """Return which automation or trigger wants something done, and because of what, in words for the log."""
        told = ""
        with suppress(AutomationNotFound, TriggerNotFound, DeploymentNotFound):
            if delivery.automation_id is not None:
                told = f"automation {self._store.automations.get(delivery.automation_id).name!r}"
            elif delivery.trigger_id is not None:
                trigger = self._store.triggers.get(delivery.trigger_id)
                told = f"{trigger.kind} trigger {short_id(trigger.id)}"
                told = f"{told} of {self._store.deployments.get(trigger.deployment_id).address}"
        about = delivery.occasion.deployment or delivery.occasion.event
        return f"{told or 'what is gone'}, for {about}"

    def _note_trouble(self, delivery: Delivery, why: str | None) -> None:
        if delivery.trigger_id is not None:
            try:
                self._store.triggers.trouble(delivery.trigger_id, why)
            except TriggerNotFound:
                _log.debug("trigger %s is gone", delivery.trigger_id)


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, DeliveryFailed) else f"{type(error).__name__}: {error}"
