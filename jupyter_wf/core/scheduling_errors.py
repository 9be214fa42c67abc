"""What can be wrong with deployments, schedules and agents."""

from __future__ import annotations

from collections.abc import Sequence

from jupyter_wf.core.errors import JupyterWfError

__all__ = [
    "AmbiguousDeployment",
    "AutomationNotFound",
    "BackfillNotFound",
    "DeliveryFailed",
    "DeploymentExists",
    "DeploymentNotFound",
    "FormRefused",
    "LeaseLost",
    "ScheduleError",
    "ScheduleNotFound",
    "ServiceUnavailable",
    "TargetRefused",
    "TriggerNotFound",
]


class DeploymentNotFound(JupyterWfError, LookupError):
    """There is no such deployment."""

    def __init__(self, address: str) -> None:
        self.address = address
        super().__init__(f"there is no deployment {address!r}; 'jupyter wf deployments' lists them")


class AmbiguousDeployment(JupyterWfError):
    """Several deployments have this name."""

    def __init__(self, name: str, addresses: tuple[str, ...]) -> None:
        self.name = name
        self.addresses = addresses
        super().__init__(f"several deployments are named {name!r}; say which: {', '.join(addresses)}")


class DeploymentExists(JupyterWfError):
    """There is a deployment of this name already."""

    def __init__(self, address: str) -> None:
        self.address = address
        super().__init__(f"there is a deployment {address!r} already; change or delete it, or choose another name")


class ScheduleNotFound(JupyterWfError, LookupError):
    """The deployment has no such schedule."""

    def __init__(self, schedule: str) -> None:
        self.schedule = schedule
        super().__init__(f"there is no schedule {schedule!r}; 'jupyter wf schedules' lists them")


class BackfillNotFound(JupyterWfError, LookupError):
    """There is no such backfill, or several whose ids begin so."""

    def __init__(self, backfill: str) -> None:
        self.backfill = backfill
        super().__init__(f"there is no backfill {backfill!r}; 'jupyter wf backfills' lists them")


class ScheduleError(JupyterWfError, ValueError):
    """A schedule that can't be, with the field that is wrong, its value and the reason."""

    def __init__(self, field: str, value: object, why: str) -> None:
        self.field = field
        self.value = value
        self.why = why
        super().__init__(f"{field} {value!r:.300}: {why}")


class FormRefused(JupyterWfError, ValueError):
    """What was sent is wrong in some fields: pairs of a field's name and what is wrong with it."""

    def __init__(self, errors: Sequence[tuple[str, str]]) -> None:
        self.errors = tuple(errors)
        super().__init__("; ".join(f"{field}: {message}" if field else message for field, message in errors))


class LeaseLost(JupyterWfError):
    """Somebody else has what an agent held: it must stop at once, and what it says of the run is refused."""

    def __init__(self, run_id: str, why: str) -> None:
        self.run_id = run_id
        super().__init__(f"run {run_id}: {why}")


class ServiceUnavailable(JupyterWfError):
    """Nobody is there to do what was asked for: no agent, or no scheduler."""


class AutomationNotFound(JupyterWfError, LookupError):
    """There is no such automation."""

    def __init__(self, automation: str) -> None:
        self.automation = automation
        super().__init__(f"there is no automation {automation!r:.300}; 'jupyter wf automations' lists them")


class TriggerNotFound(JupyterWfError, LookupError):
    """There is no such trigger."""

    def __init__(self, trigger: str) -> None:
        self.trigger = trigger
        super().__init__(f"there is no trigger {trigger!r:.300}; 'jupyter wf triggers' lists them")


class DeliveryFailed(JupyterWfError):
    """What an automation was to do did not work; ``final`` says that trying again would be no use."""

    def __init__(self, why: str, *, final: bool = False) -> None:
        self.why = why
        self.final = final
        super().__init__(why)


class TargetRefused(DeliveryFailed):
    """A URL that leads to where automations must not go: inside this machine or its network, or not by HTTP."""

    def __init__(self, why: str) -> None:
        super().__init__(why, final=True)
