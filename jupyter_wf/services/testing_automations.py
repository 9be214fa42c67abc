"""Trying an automation out: its messages are sent, at once and once, and of the rest is said what it would do."""

from __future__ import annotations

import time
from collections.abc import Callable

from jupyter_wf.core.automation_json import AutomationTestJSON, TestedActionJSON
from jupyter_wf.core.automations import Action, Occasion
from jupyter_wf.core.errors import JupyterWfError
from jupyter_wf.core.ids import new_id
from jupyter_wf.core.secrets import mask
from jupyter_wf.core.settings import Settings
from jupyter_wf.services.actions import Actions
from jupyter_wf.services.targets import Allowed
from jupyter_wf.store.base import Store

__all__ = ["try_automation"]


def try_automation(
    store: Store,
    settings: Settings,
    automation_id: str,
    *,
    now: float,
    allowed: Callable[[], Allowed] = Allowed.of_environment,
) -> AutomationTestJSON:
    """Do what of an automation does no harm, and return what came of each action.

    It takes up to ten seconds for each message. Raises `AutomationNotFound` and `StoreError`.
    """
    automation = store.automations.whole(automation_id)
    actions = Actions(store, settings, clock=time.time, allowed=allowed)
    occasion = Occasion(
        event="test", key=f"test:{new_id()}", at=now, message=f"a test of the automation {automation.name!r}"
    )

    def attempt(action: Action) -> TestedActionJSON:
        try:
            said = actions.check(action, occasion, automation=automation.name, key=f"{occasion.key}:{action.id}")
            return {"id": action.id, "type": action.type, "ok": True, "message": mask(said)}
        except JupyterWfError as error:
            return {"id": action.id, "type": action.type, "ok": False, "message": mask(str(error))}

    found = [attempt(each) for each in automation.actions]
    return {"ok": all(each["ok"] for each in found), "actions": found}
