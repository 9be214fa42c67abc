"""Doing what an automation or a trigger says. Each may be done twice for the same delivery, and then counts once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jupyter_wf.core.automations import Action, Delivery, Notification, Occasion, fill, told
from jupyter_wf.core.errors import JupyterWfError, MissingResult, RunFinished, RunNotFound, StoreError
from jupyter_wf.core.scheduling_errors import (
    AmbiguousDeployment,
    AutomationNotFound,
    DeliveryFailed,
    DeploymentNotFound,
    TriggerNotFound,
)
from jupyter_wf.core.secrets import mask
from jupyter_wf.core.settings import Settings
from jupyter_wf.services.deploying import trigger as run_deployment
from jupyter_wf.services.messages import send_message
from jupyter_wf.services.references import resolved
from jupyter_wf.services.results import result_of_run
from jupyter_wf.services.targets import Allowed
from jupyter_wf.services.webhooks import call_webhook, webhook_body
from jupyter_wf.store.base import Store

__all__ = ["Actions"]


class Actions:
    """Performs deliveries. Safe from any thread.

    ``allowed`` gives the targets inside that may be called, ``clock`` epoch seconds.
    """

    def __init__(
        self, store: Store, settings: Settings, *, clock: Callable[[], float], allowed: Callable[[], Allowed]
    ) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._allowed = allowed

    def perform(self, delivery: Delivery) -> str:
        """Do what a row of the outbox asks for; return what came of it, in a few words.

        Raises `DeliveryFailed`, final where trying again would change nothing, and `StoreError`.
        """
        try:
            if delivery.trigger_id is not None:
                return self._fire(delivery)
            automation = self._store.automations.whole(delivery.automation_id or "")
            action = next((each for each in automation.actions if each.id == delivery.action_id), None)
            if action is None:
                raise DeliveryFailed("the automation has no such action any more", final=True)
            return self.do(action, delivery.occasion, automation=automation.name, key=delivery.key)
        except (AutomationNotFound, TriggerNotFound, DeploymentNotFound, AmbiguousDeployment) as error:
            raise DeliveryFailed(str(error), final=True) from None
        except (DeliveryFailed, StoreError):
            raise
        except JupyterWfError as error:
            # A run that can't be made like that: parameters that do not fit, a notebook that is gone.
            raise DeliveryFailed(str(error), final=True) from None

    def do(self, action: Action, occasion: Occasion, *, automation: str, key: str) -> str:
        """Do one action for an occasion; ``action`` has its secret texts, or names them."""
        whole = resolved(action)
        options = whole.options
        if action.type == "send-notification":
            title, message, level = _texts(options, occasion)
            self._notify(key, Notification(title=title, message=message, level=level), occasion)
            return "shown in JupyterLab"
        if action.type == "send-message":
            title, message, _ = _texts(options, occasion)
            send_message(options["url"], title, message or title, allowed=self._allowed())
            return "sent"
        if action.type == "call-webhook":
            return call_webhook(
                options["url"],
                webhook_body(occasion, automation, key),
                delivery=key,
                now=self._clock(),
                secret=options.get("secret"),
                headers=options.get("headers"),
                allowed=self._allowed(),
            )
        if action.type == "run-deployment":
            return self._run(options["deployment"], options, occasion, key, {"automation": automation})
        if action.type == "pause-deployment":
            return self._pause(options.get("deployment") or occasion.deployment_id, automation)
        return self._cancel(occasion)

    def check(self, action: Action, occasion: Occasion, *, automation: str, key: str) -> str:
        """Do what of an action does no harm, for a test: messages are sent, the others only looked at."""
        if action.type in ("run-deployment", "pause-deployment"):
            address = action.options.get("deployment")
            if address is None:
                return "would pause the deployment of the run"
            found = self._store.deployments.find(address)
            return f"would {'run' if action.type == 'run-deployment' else 'pause'} {found.address}"
        if action.type == "cancel-flow-run":
            return "would cancel the run"
        return self.do(action, occasion, automation=automation, key=key)

    def _notify(self, key: str, notification: Notification, occasion: Occasion) -> None:
        found = Notification(
            title=mask(notification.title),
            message=mask(notification.message),
            level=notification.level,
            run_id=occasion.run_id,
            deployment_id=occasion.deployment_id,
        )
        self._store.notifications.add(key, found, self._clock())

    def _fire(self, delivery: Delivery) -> str:
        trigger = self._store.triggers.get(delivery.trigger_id or "")
        options = {"parameters": delivery.payload or {}, "result_as": trigger.spec.get("result_as")}
        source = {"trigger": trigger.kind, "trigger_id": trigger.id}
        return self._run(trigger.deployment_id, options, delivery.occasion, delivery.key, source)

    def _run(
        self, address: str, options: Mapping[str, Any], occasion: Occasion, key: str, source: Mapping[str, Any]
    ) -> str:
        deployment = self._store.deployments.find(address)
        parameters = dict(options.get("parameters") or {})
        if options.get("result_as"):
            parameters[options["result_as"]] = self._result(occasion)
        cause = {"triggered_by": occasion.run_id} if occasion.run_id else {}
        run_id = run_deployment(
            self._store,
            self._settings,
            deployment,
            parameters,
            now=self._clock(),
            key=key,
            source={**source, **cause},
        )
        return f"run {run_id}"

    def _result(self, occasion: Occasion) -> Any:
        """Return what the run of an occasion has returned. Raises `DeliveryFailed` for what is no JSON."""
        if occasion.run_id is None:
            raise DeliveryFailed("there is no run whose result could become a parameter", final=True)
        try:
            found = result_of_run(self._store, self._settings, self._store.get_run(occasion.run_id))
        except (RunNotFound, MissingResult) as error:
            raise DeliveryFailed(f"the run's result can't be read: {error}", final=True) from None
        if found is not None and not found["is_json"]:
            raise DeliveryFailed("the run's result is no JSON value, so it can't become a parameter", final=True)
        return found and found["value"]

    def _pause(self, deployment: str | None, automation: str) -> str:
        if deployment is None:
            raise DeliveryFailed("this was no run of a deployment: there is nothing to pause", final=True)
        found = self._store.deployments.find(deployment)
        if found.paused:
            return f"{found.address} was paused already"
        self._store.deployments.pause(found.id, f"by the automation {automation!r}", self._clock())
        return f"paused {found.address}"

    def _cancel(self, occasion: Occasion) -> str:
        if occasion.run_id is None:
            raise DeliveryFailed("there is no run to cancel", final=True)
        try:
            self._store.request(occasion.run_id, "cancel")
        except RunFinished:
            return "the run had ended"
        except RunNotFound as error:
            raise DeliveryFailed(str(error), final=True) from None
        return "asked the run to stop"


def _texts(options: Mapping[str, Any], occasion: Occasion) -> tuple[str, str, str]:
    title, message, level = told(occasion)
    return (
        fill(options["title"], occasion) if "title" in options else title,
        fill(options["message"], occasion) if "message" in options else message,
        str(options.get("level", level)),
    )
