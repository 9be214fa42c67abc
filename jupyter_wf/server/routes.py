"""Which address has which handler."""

from __future__ import annotations

from tornado.web import RequestHandler

from jupyter_wf.server import again, automations, checks, deployments, event_triggers, pools, results, runs, schedules
from jupyter_wf.server.base import NotFoundHandler
from jupyter_wf.server.events import EventsHandler
from jupyter_wf.server.meta import MetaHandler
from jupyter_wf.server.notebook_form import NotebookFormHandler
from jupyter_wf.server.notebooks import NotebookCopyHandler, NotebookHandler
from jupyter_wf.server.tree import TreeHandler

__all__ = ["PREFIX", "routes"]

PREFIX = "/jupyter_wf"
_API = f"{PREFIX}/api"
_RUN = rf"{_API}/runs/([^/]+)"


def routes() -> list[tuple[str, type[RequestHandler]]]:
    """Return pairs of a pattern (below the server's base URL) and the handler of the addresses that fit it whole."""
    return [
        (rf"{_API}/runs", runs.RunsHandler),
        (rf"{_RUN}", runs.RunHandler),
        (rf"{_RUN}/children", runs.ChildrenHandler),
        (rf"{_RUN}/logs", runs.LogsHandler),
        (rf"{_RUN}/tree", TreeHandler),
        (rf"{_RUN}/cancel", runs.CancelHandler),
        (rf"{_RUN}/retry", runs.RetryHandler),
        (rf"{_RUN}/resume", again.ResumeHandler),
        (rf"{_RUN}/repair", again.RepairHandler),
        (rf"{_RUN}/rerun", again.RerunHandler),
        (rf"{_RUN}/result", results.ResultHandler),
        (rf"{_RUN}/environment", results.EnvironmentHandler),
        (rf"{_RUN}/notebook", NotebookHandler),
        (rf"{_RUN}/notebook/copy", NotebookCopyHandler),
        (rf"{_API}/events", EventsHandler),
        (rf"{_API}/meta", MetaHandler),
        (rf"{_API}/deployments", deployments.DeploymentsHandler),
        (rf"{_API}/deployments/([^/]+)", deployments.DeploymentHandler),
        (rf"{_API}/deployments/([^/]+)/pause", deployments.PauseHandler),
        (rf"{_API}/deployments/([^/]+)/unpause", deployments.UnpauseHandler),
        (rf"{_API}/deployments/([^/]+)/runs", deployments.DeploymentRunsHandler),
        (rf"{_API}/deployments/([^/]+)/schedules", schedules.SchedulesHandler),
        (rf"{_API}/schedules/check", checks.CheckHandler),
        (rf"{_API}/schedules/preview", schedules.PreviewHandler),
        (rf"{_API}/schedules/([^/]+)", schedules.ScheduleHandler),
        (rf"{_API}/notebooks/form", NotebookFormHandler),
        (rf"{_API}/pools", pools.PoolsHandler),
        (rf"{_API}/pools/([^/]+)", pools.PoolHandler),
        (rf"{_API}/agents", pools.AgentsHandler),
        (rf"{_API}/automations", automations.AutomationsHandler),
        (rf"{_API}/automations/([^/]+)", automations.AutomationHandler),
        (rf"{_API}/automations/([^/]+)/deliveries", automations.AutomationDeliveriesHandler),
        (rf"{_API}/automations/([^/]+)/test", automations.AutomationTestHandler),
        (rf"{_API}/notifications", automations.NotificationsHandler),
        (rf"{_API}/deployments/([^/]+)/triggers", event_triggers.EventTriggersHandler),
        (rf"{_API}/deployments/([^/]+)/triggers/([^/]+)", event_triggers.EventTriggerHandler),
        (rf"{_API}/triggers/([^/]+)", event_triggers.WebhookHandler),
        (rf"{_API}/triggers(?:/.*)?", event_triggers.SecretNotFoundHandler),
        (rf"{PREFIX}(?:/.*)?", NotFoundHandler),
    ]
