"""Schedules over REST: add, change, remove, and what one would do before it is saved."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from jupyter_wf.core.deployments import Deployment, DeploymentSchedule
from jupyter_wf.core.parameters import unmasked
from jupyter_wf.core.scheduling_errors import FormRefused, ScheduleNotFound
from jupyter_wf.core.scheduling_json import DeploymentJSON, PreviewJSON
from jupyter_wf.core.telling import upcoming, words_of, zone_name
from jupyter_wf.server.backend import Backend
from jupyter_wf.server.base import ApiHandler, may
from jupyter_wf.server.deployments import changed_deployment, shown
from jupyter_wf.server.forms import check_keys, judged_schedule
from jupyter_wf.store.base import Store

__all__ = ["PreviewHandler", "ScheduleHandler", "SchedulesHandler"]

_KEYS = ("slug", "spec", "parameters", "active", "start_at", "end_at", "max_runs", "jitter")
_BOUNDS = ("spec", "start_at", "end_at", "max_runs", "jitter")
_MOST = 100


class SchedulesHandler(ApiHandler):
    """``/api/deployments/{id}/schedules``."""

    @may("write")
    async def post(self, deployment: str) -> None:
        """Add a schedule; answer 201 with the deployment and the schedule's address."""
        self.query()
        body = self.json_body()
        check_keys(body, *_KEYS)
        backend = self.backend

        def work(store: Store) -> tuple[DeploymentJSON, str]:
            base = store.deployments.find(deployment)
            now = time.time()
            added = _checked(body, (), now)
            added = _with_deployment(backend, base, added, now)
            saved = store.deployments.set_schedule(added)
            known = {each.id for each in base.schedules}
            new = next(each.id for each in saved.schedules if each.id not in known)
            return shown(backend, saved), new

        made, schedule_id = await self.read(work)
        self.set_status(201)
        self.set_header("Location", f"{self.request.path.partition('/deployments/')[0]}/schedules/{schedule_id}")
        await self.finish(backend.dump(made))


class ScheduleHandler(ApiHandler):
    """``/api/schedules/{id}``."""

    @may("write")
    async def patch(self, schedule: str) -> None:
        """Change what the body has, the rest stays; answer with the deployment."""
        self.query()
        body = self.json_body()
        check_keys(body, *_KEYS)
        backend = self.backend

        def work(store: Store) -> DeploymentJSON:
            base, old = _find(store, schedule)
            now = time.time()
            given = {name: getattr(old, name) for name in _KEYS} | body | {"id": old.id}
            given["parameters"] = unmasked(given["parameters"], old.parameters)
            changed = _with_deployment(backend, base, _checked(given, base.schedules, now), now)
            return shown(backend, store.deployments.set_schedule(changed))

        await self.reply(work)

    @may("write")
    async def delete(self, schedule: str) -> None:
        """Remove the schedule from its deployment; runs of it that wait stay."""
        self.query()
        self.no_body()
        await self.read(lambda store: store.deployments.remove_schedule(schedule))
        self.set_status(204)
        await self.finish()


class PreviewHandler(ApiHandler):
    """``/api/schedules/preview``."""

    @may("write")
    async def post(self) -> None:
        """Answer with a schedule in words and its next times, or with what is wrong with it: 200 in either case."""
        self.query()
        body = self.json_body()
        check_keys(body, *_BOUNDS, "count")
        count = body.get("count", 5)
        if type(count) is not int or not 1 <= count <= _MOST:
            raise FormRefused([("count", f"Give a whole number from 1 to {_MOST}")])
        given = {name: value for name, value in body.items() if name != "count"}
        # Not in the loop's thread: some expressions take milliseconds to judge.
        await self.reply(lambda _: _preview(given, count, time.time()))


def _preview(given: Mapping[str, Any], count: int, now: float) -> PreviewJSON:
    found = judged_schedule(given, (), now)
    if isinstance(found, DeploymentSchedule):
        times = [each.isoformat() for each in upcoming(found, now, count)]
        return {"ok": True, "words": words_of(found), "timezone": zone_name(found), "next": times, "errors": []}
    spec = given.get("spec")
    zone = spec.get("timezone") if isinstance(spec, Mapping) else None
    return {
        "ok": False,
        "words": "",
        "timezone": zone if isinstance(zone, str) else "UTC",
        "next": [],
        "errors": [{"field": field, "message": message} for field, message in found],
    }


def _checked(given: Mapping[str, Any], before: tuple[DeploymentSchedule, ...], now: float) -> DeploymentSchedule:
    found = judged_schedule(given, before, now)
    if not isinstance(found, DeploymentSchedule):
        raise FormRefused(found)
    return found


def _find(store: Store, schedule_id: str) -> tuple[Deployment, DeploymentSchedule]:
    for deployment in store.deployments.list():
        for schedule in deployment.schedules:
            if schedule.id == schedule_id:
                return deployment, schedule
    raise ScheduleNotFound(schedule_id)


def _with_deployment(
    backend: Backend, base: Deployment, schedule: DeploymentSchedule, now: float
) -> DeploymentSchedule:
    """Return a schedule of a deployment, with its parameters held against those of the notebook."""
    checked = changed_deployment(backend, replace(base, schedules=(schedule,)), {}, now)
    return replace(schedule, deployment_id=base.id, parameters=checked.schedules[0].parameters)
