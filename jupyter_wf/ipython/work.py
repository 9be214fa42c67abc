"""A cell as a piece of work that can be run, and run again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from jupyter_wf.flows import Flow
from jupyter_wf.ipython.interrupts import HeededInterrupts
from jupyter_wf.ipython.sources import CellSource
from jupyter_wf.notebook.cells import CellBody, Namespace, NamespaceGuard, compile_body, compile_function
from jupyter_wf.notebook.failures import remember_names
from jupyter_wf.tasks import Task

__all__ = ["Options", "define", "make_flow"]

Options = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Body:
    """A compiled body in its namespace: all of what it assigns arrives there, or nothing."""

    body: CellBody
    namespace: Namespace

    def run(self) -> Any:
        guard = NamespaceGuard(self.namespace, self.body.names)
        try:
            with HeededInterrupts():
                value = self.body.bind(self.namespace)()
            guard.keep()
        except BaseException as error:
            remember_names(error, guard.take_back())
            raise
        return value

    async def run_async(self) -> Any:
        guard = NamespaceGuard(self.namespace, self.body.names)
        try:
            value = await self.body.bind(self.namespace)()
            guard.keep()
        except BaseException as error:
            remember_names(error, guard.take_back())
            raise
        return value


def make_flow(shell: InteractiveShell, source: CellSource, filename: str, options: Options) -> Flow[[], Any]:
    """Return the flow, without parameters, that a cell's body is.

    ``filename`` is the name of the cell in tracebacks. Raises `SyntaxError`, and `ParameterError` for options that
    make no sense.
    """
    body = compile_body(
        source.text,
        filename=filename,
        name=source.head.name,
        flags=shell.compile.flags,
        show=shell.ast_node_interactivity,
        transform=shell.transform_ast if shell.ast_transformers else None,
    )
    piece = _Body(body=body, namespace=shell.user_ns)
    return Flow(piece.run_async if body.is_async else piece.run, **options)


def define(
    shell: InteractiveShell, kind: str, source: CellSource, filename: str, options: Options
) -> Task[..., Any] | Flow[..., Any]:
    """Return the callable task or flow that a cell with parameters defines, and bind it to its name.

    Raises `SyntaxError`, `ParameterError`, and what the parameters' defaults raise.
    """
    function = compile_function(source.text, filename=filename, flags=shell.compile.flags)(shell.user_ns)
    made: Task[..., Any] | Flow[..., Any] = Task(function, **options) if kind == "task" else Flow(function, **options)
    shell.user_ns[source.head.name] = made
    return made
