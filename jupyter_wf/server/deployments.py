"""Deployments over REST: lists, one, make, change, delete, pause, and run now. Secrets come in and never go out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from jupyter_wf.core.codec import RunJSON
from jupyter_wf.core.deployment_json import encode_deployment
from jupyter_wf.core.deployments import Deployment
from jupyter_wf.core.errors import InvalidRequest, ParameterError, TargetError
from jupyter_wf.core.parameters import MASK, is_secret, unmasked
from jupyter_wf.core.scheduling_errors import FormRefused
from jupyter_wf.core.scheduling_json import DeploymentDetailJSON, DeploymentJSON, DeploymentPageJSON
from jupyter_wf.server.backend import Backend
from jupyter_wf.server.base import ApiHandler, may
from jupyter_wf.server.forms import all_or_refuse, check_keys, judged_schedule, sentence
from jupyter_wf.server.validation import integer, text
from jupyter_wf.services.deployables import Deployable, deployable_of, find_deployable
from jupyter_wf.services.deploying import GIVEN_KEYS, build_deployment, save_deployment, trigger
from jupyter_wf.services.submitting import FIRST
from jupyter_wf.store.base import Store

__all__ = [
    "DeploymentHandler",
    "DeploymentRunsHandler",
    "DeploymentsHandler",
    "PauseHandler",
    "UnpauseHandler",
    "changed_deployment",
    "new_deployment",
    "shown",
]

_LAST = 5
_LONGEST_REASON = 500
_MOST_JUDGED = 100


def shown(backend: Backend, deployment: Deployment) -> DeploymentJSON:
    """Return a deployment's JSON form, with the contents path of its notebook."""
    inside = backend.root is not None and deployment.kind == "notebook"
    path = backend.root.contents_path(deployment.target) if inside and backend.root else None
    return encode_deployment(deployment, now=time.time(), path=path)


def _details(backend: Backend, store: Store, found: Sequence[Deployment], last: int) -> list[DeploymentDetailJSON]:
    """Return deployments with their last runs, which are read together."""
    ids = {each.id: store.queue.runs_of(each.id, limit=last) for each in found}
    runs = store.get_runs([run_id for these in ids.values() for run_id in these])
    return [
        {
            "deployment": shown(backend, each),
            "last_runs": [backend.encode_run(runs[run_id]) for run_id in ids[each.id] if run_id in runs],
        }
        for each in found
    ]


class DeploymentsHandler(ApiHandler):
    """``/api/deployments``."""

    @may("read")
    async def get(self) -> None:
        """Answer with the deployments (of a ``pool``, of the notebook at ``path``, with ``text`` in their address)."""
        query = self.query(pool=text(250), path=text(4096), text=text(250))
        backend = self.backend

        def work(store: Store) -> DeploymentPageJSON:
            target = None if "path" not in query else str(_notebook(backend, query["path"]))
            found = store.deployments.list(pool=query.get("pool"), target=target, text=query.get("text", ""))
            agents = [each for each in store.agents.list(time.time()) if each.alive and each.status == "online"]
            return {
                "items": _details(backend, store, found, _LAST),
                "agents": len(agents),
                "scheduler": store.services.holder("scheduler") is not None,
            }

        await self.reply(work)

    @may("write")
    async def post(self) -> None:
        """Make a deployment of the notebook at ``path``; answer 201 with it, 409 where its name is taken."""
        self.query()
        body = self.json_body()
        check_keys(body, "path", *GIVEN_KEYS)
        backend = self.backend

        def work(store: Store) -> DeploymentJSON:
            now = time.time()
            built = new_deployment(backend, body, now)
            return shown(backend, save_deployment(store, built, paused=None, now=now, replace_it=False))

        made = await self.read(work)
        self.set_status(201)
        self.set_header("Location", f"{self.request.path.rstrip('/')}/{made['id']}")
        await self.finish(backend.dump(made))


class DeploymentHandler(ApiHandler):
    """``/api/deployments/{id}``; an address (with ``%2F``), a name, or how the id begins does as well."""

    @may("read")
    async def get(self, deployment: str) -> None:
        """Answer with the deployment and its last runs."""
        query = self.query(limit=integer(1, 1000))

        def work(store: Store) -> DeploymentDetailJSON:
            found = store.deployments.find(deployment)
            return _details(self.backend, store, [found], query.get("limit", _LAST))[0]

        await self.reply(work)

    @may("write")
    async def patch(self, deployment: str) -> None:
        """Change what the body has; the rest stays, secrets that are sent as they were shown too."""
        self.query()
        body = self.json_body()
        check_keys(body, "path", *GIVEN_KEYS)
        backend = self.backend

        def work(store: Store) -> DeploymentJSON:
            base = store.deployments.find(deployment)
            now = time.time()
            built = changed_deployment(backend, base, body, now)
            if body.get("paused") is True and not base.paused:
                # First of all: what is stored next must not fire in between.
                store.deployments.pause(base.id, "paused by hand", now)
            saved = store.deployments.save(built)
            if body.get("paused") is False and saved.paused:
                saved = store.deployments.unpause(saved.id, now)
            return shown(backend, saved)

        await self.reply(work)

    @may("write")
    async def delete(self, deployment: str) -> None:
        """Delete the deployment; what waits of it is cancelled, what runs goes on, what has ended stays."""
        self.query()
        self.no_body()
        await self.read(lambda store: store.deployments.delete(store.deployments.find(deployment).id))
        self.set_status(204)
        await self.finish()


class PauseHandler(ApiHandler):
    """``/api/deployments/{id}/pause``."""

    @may("write")
    async def post(self, deployment: str) -> None:
        """Have its schedules make no more runs, for the ``reason`` in the body; answer with the deployment."""
        self.query()
        body = self.json_body()
        check_keys(body, "reason")
        reason = body.get("reason", "paused by hand")
        if not isinstance(reason, str) or not 1 <= len(reason.strip()) <= _LONGEST_REASON:
            raise FormRefused([("reason", f"Give a text of 1 to {_LONGEST_REASON} characters")])
        told = " ".join(reason.split())
        await self._answer(deployment, lambda store, each: store.deployments.pause(each.id, told, time.time()))

    async def _answer(self, deployment: str, work: Callable[[Store, Deployment], Deployment]) -> None:
        await self.reply(lambda store: shown(self.backend, work(store, store.deployments.find(deployment))))


class UnpauseHandler(PauseHandler):
    """``/api/deployments/{id}/unpause``."""

    @may("write")
    async def post(self, deployment: str) -> None:
        """Have its schedules make runs again, from now on; answer with the deployment."""
        self.query()
        self.no_body()
        await self._answer(deployment, lambda store, each: store.deployments.unpause(each.id, time.time()))


class DeploymentRunsHandler(ApiHandler):
    """``/api/deployments/{id}/runs``."""

    @may("write")
    async def post(self, deployment: str) -> None:
        """Make a run now, before those that schedules made; answer 201 with it and its address."""
        self.query()
        body = self.json_body()
        check_keys(body, "parameters")
        backend = self.backend

        def work(store: Store) -> RunJSON:
            found = store.deployments.find(deployment)
            given = _revealed(body, found)
            first = max(FIRST, found.priority)
            run_id = all_or_refuse(given, lambda rest: _trigger(backend, store, found, rest, first))
            return backend.encode_run(store.get_run(run_id))

        run = await self.read(work)
        self.set_status(201)
        self.set_header("Location", f"{self.request.path.partition('/deployments/')[0]}/runs/{run['id']}")
        await self.finish(backend.dump(run))


def _trigger(backend: Backend, store: Store, deployment: Deployment, given: Mapping[str, Any], priority: int) -> str:
    parameters = given.get("parameters", {})
    if not isinstance(parameters, Mapping):
        raise InvalidRequest("parameters", parameters, "give an object: parameters by name")
    return trigger(store, backend.settings, deployment, parameters, now=time.time(), priority=priority)


def new_deployment(backend: Backend, body: Mapping[str, Any], now: float, *, keep: bool = True) -> Deployment:
    """Return the deployment that a body asks for, as it is to be stored. Raises `FormRefused`, `TargetError`.

    Without ``keep`` it is only judged: no snapshot is kept of a notebook that is to be pinned.
    """
    given = _revealed(body, None)
    what = _target(backend, given.pop("path", None))
    return _built(backend, what, given, now=now, keep=keep)


def changed_deployment(
    backend: Backend, base: Deployment, body: Mapping[str, Any], now: float, *, keep: bool = True
) -> Deployment:
    """Return a deployment as it is to be stored with what a body changes. Raises `FormRefused`, `TargetError`.

    A notebook that is pinned stays pinned as it was, unless the body has its ``path``: that deploys it anew. ``keep``
    is as in `new_deployment`.
    """
    given = _revealed(body, base)
    path = given.pop("path", None)
    what = _target(backend, path) if "path" in body else _as_it_is(backend, base)
    return _built(backend, what, given, now=now, base=base, repin="path" in body, keep=keep)


def _built(
    backend: Backend,
    what: Deployable,
    given: dict[str, Any],
    *,
    now: float,
    base: Deployment | None = None,
    repin: bool = True,
    keep: bool = True,
) -> Deployment:
    """Return the deployment that was given. Raises `FormRefused` with all that is wrong, schedules by their number."""
    known: list[tuple[str, str]] = []
    if not isinstance(given.get("paused", False), bool):
        known.append(("paused", "Give true or false"))
    schedules = given.get("schedules")
    for number, each in enumerate(schedules[:_MOST_JUDGED] if isinstance(schedules, list) else ()):
        found = judged_schedule(each, base.schedules if base else (), now)
        if isinstance(found, list):
            known += [(f"schedules.{number}.{field}", message) for field, message in found]
    wrong = {field.partition(".")[0] for field, _ in known}
    rest = {name: value for name, value in given.items() if name not in wrong}
    return all_or_refuse(
        rest,
        lambda left: build_deployment(backend.settings, what, left, now=now, base=base, repin=repin, keep=keep),
        known=known,
    )


def _as_it_is(backend: Backend, base: Deployment) -> Deployable:
    """Return what a deployment names, as it is now; its snapshot where it is pinned and the notebook is gone."""
    current = replace(base, policies=replace(base.policies, snapshot="current"))
    try:
        return deployable_of(backend.settings, current)
    except TargetError:
        return deployable_of(backend.settings, base)


def _target(backend: Backend, path: Any) -> Deployable:
    if not isinstance(path, str):
        raise FormRefused([("path", "Give the notebook's path below the server's root")])
    try:
        return find_deployable(_notebook(backend, path))
    except InvalidRequest as error:
        raise FormRefused([("path", sentence(error.reason))]) from error


def _notebook(backend: Backend, path: str) -> str:
    if backend.root is None:
        raise InvalidRequest("path", path, "this server's files are not files of its machine")
    return str(backend.root.notebook(path))


def _revealed(body: Mapping[str, Any], base: Deployment | None) -> dict[str, Any]:
    """Return a body with the secrets that it shows masked as they are stored.

    Raises `FormRefused` for a masked one that is not stored.
    """
    given = dict(body)
    if "parameters" in given:
        given["parameters"] = unmasked(given["parameters"], base.parameters if base else {})
        _refuse_masked(given["parameters"])
    if isinstance(given.get("schedules"), list):
        known = {each.id: each for each in base.schedules} if base else {}
        given["schedules"] = [_revealed_schedule(each, known) for each in given["schedules"]]
    return given


def _revealed_schedule(given: Any, known: Mapping[str, Any]) -> Any:
    if not isinstance(given, Mapping) or "parameters" not in given:
        return given
    old = known.get(str(given.get("id")))
    parameters = unmasked(given["parameters"], old.parameters if old else {})
    _refuse_masked(parameters)
    return {**given, "parameters": parameters}


def _refuse_masked(parameters: Any) -> None:
    if isinstance(parameters, Mapping):
        for name, value in parameters.items():
            if value == MASK and is_secret(name):
                reason = f"{MASK} stands for a secret that is stored; none is: give its value"
                raise FormRefused([(f"parameters.{name}", reason)]) from ParameterError(name, reason)
