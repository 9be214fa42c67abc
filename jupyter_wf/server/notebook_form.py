"""What a form for a notebook needs: its parameters, the kernels, the zones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jupyter_wf.core.argument_schema import argument_defaults, argument_schema
from jupyter_wf.core.arguments import Arguments
from jupyter_wf.core.errors import InvalidRequest, TargetError
from jupyter_wf.core.schedules.zones import local_zone_name, zone_names
from jupyter_wf.core.scheduling_json import NotebookFormJSON
from jupyter_wf.notebook.parameters import notebook_arguments
from jupyter_wf.notebook.source import NotebookSource, read_notebook
from jupyter_wf.server.base import ApiHandler, may
from jupyter_wf.server.validation import text
from jupyter_wf.store.base import Store

__all__ = ["NotebookFormHandler"]


class NotebookFormHandler(ApiHandler):
    """``/api/notebooks/form``."""

    @may("read")
    async def get(self) -> None:
        """Answer with what a form for the notebook at ``path`` (below the server's root) needs."""
        query = self.query(path=text(4096))
        given = query.get("path")
        if given is None:
            raise InvalidRequest("path", given, "give the notebook's path below the server's root")
        root, kernels = self.backend.root, self.kernel_spec_manager

        def work(store: Store) -> NotebookFormJSON:
            if root is None:
                raise InvalidRequest("path", given, "this server's files are not files of its machine")
            path = root.notebook(given)
            return _form(given, path, store, kernels.get_all_specs())

        await self.reply(work)


def _form(given: str, path: Path, store: Store, specs: Mapping[str, Any]) -> NotebookFormJSON:
    notebook = read_notebook(path)
    problems: list[str] = []
    try:
        arguments = notebook_arguments(notebook)
    except TargetError as error:
        arguments = Arguments(owner="the notebook")
        problems.append(error.reason)
    kernel = _kernel(notebook)
    if kernel is not None and kernel not in specs:
        problems.append(f"its kernel {kernel!r} is not installed on the server: choose another one")
    return {
        "path": given,
        "schema": argument_schema(arguments),
        "defaults": argument_defaults(arguments),
        "kernel": kernel,
        "kernels": [_told(name, each.get("spec", {})) for name, each in sorted(specs.items())],
        "timezones": list(zone_names()),
        "timezone": local_zone_name(),
        "deployments": [each.name for each in store.deployments.list(target=str(path))],
        "problems": problems,
    }


def _kernel(notebook: NotebookSource) -> str | None:
    spec = notebook.content.get("metadata", {}).get("kernelspec", {})
    name = spec.get("name") if isinstance(spec, Mapping) else None
    return name if isinstance(name, str) and name else None


def _told(name: str, spec: Mapping[str, Any]) -> dict[str, str]:
    return {
        "name": name,
        "display_name": str(spec.get("display_name") or name),
        "language": str(spec.get("language") or ""),
    }
