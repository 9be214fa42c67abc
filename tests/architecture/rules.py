"""The rules themselves: each takes a `Package` and returns one line for every place that breaks it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Mapping

from tests.architecture.source import FunctionNode, Import, Module, Package

MAX_FILE = 400
MAX_FUNCTION = 60

#: Packages and root modules by layer. What is not named here is a public module of the package root: layer 3.
LAYERS: Mapping[str, int] = {
    "_version": 0,
    "core": 0,
    "store": 1,
    "engine": 2,
    "executors": 2,
    "notebook": 3,
    "services": 4,
    # What users import of it is called in kernels, and starts runners.
    "notebooks": 4,
    # The same: it reads notebooks, and starts what executes runs.
    "deployments": 4,
    "server": 5,
    "ipython": 5,
    "cli": 5,
    "testing": 5,
    "pytest_plugin": 5,
    # The package's own face: it hands out names lazily and has the hooks that Jupyter calls.
    "": 6,
    "__main__": 6,
}
PUBLIC = 3
#: Inside one layer these may import those, and nothing else.
SIDEWAYS: Mapping[str, tuple[str, ...]] = {
    "deployments": (
        "jupyter_wf.services.deployables",
        "jupyter_wf.services.deploying",
        "jupyter_wf.services.flow_serving",
        "jupyter_wf.services.given_schedules",
    ),
    "engine": ("jupyter_wf.executors.base", "jupyter_wf.executors.registry"),
    "notebooks": ("jupyter_wf.services.notebook_calls",),
    "pytest_plugin": ("jupyter_wf.testing",),
}
#: Methods that are another name for a function of a layer above, which is imported when they are called.
UPWARDS = frozenset(("jupyter_wf.flows -> jupyter_wf.deployments",))

#: The package's own face: it names the types of the hooks that Jupyter calls, which are no part of what users import.
HOOKS = frozenset(("load_ipython_extension", "unload_ipython_extension"))

_HOMES: Mapping[str, tuple[str, ...]] = {
    # The translation of magics needs no shell, and a notebook is looked at where no kernel is.
    "IPython": ("ipython", "notebook.translate", "services.spare"),
    "anyio": ("engine", "executors", "services"),
    "anywidget": ("ipython",),
    "apprise": ("services.apprise_main",),
    "click": ("cli",),
    "cloudpickle": ("store.pickles", "engine", "executors"),
    "cron_descriptor": ("core.schedules",),
    "cronsim": ("core.schedules",),
    "dateutil": ("core.schedules",),
    "distributed": ("executors.dask", "executors.dask_place", "executors.dask_worker"),
    "ipykernel": ("notebook", "services", "ipython"),
    "ipywidgets": ("ipython",),
    "jupyter_client": ("notebook",),
    "jupyter_core": ("engine", "cli"),
    "jupyter_events": ("server",),
    "jupyter_server": ("server",),
    "keyring": ("secrets",),
    "nbclient": ("notebook",),
    "nbconvert": ("notebook.exports",),
    "nbformat": ("notebook",),
    "psutil": ("notebook",),
    "pandas": ("store.frames",),
    "polars": ("store.frames",),
    "pyarrow": ("store.frames",),
    "pydantic": ("engine.coercion", "input"),
    "pydantic_core": ("engine.coercion", "secrets"),
    "pysqlite3": ("store.sqlite",),
    "pytest": ("pytest_plugin",),
    "rich": ("cli",),
    "sqlite3": ("store.sqlite",),
    "sqlite_utils": ("store.sqlite",),
    "strawberry": ("server",),
    "tornado": ("server",),
    "traitlets": ("notebook", "server", "ipython"),
    "typing_extensions": ("engine.coercion",),
    "watchfiles": ("services.files",),
    "yaml": ("cli",),
}
#: Where a package that is not ours may be imported. ``sqlite3`` stands here because SQL lives in one place.
HOMES: Mapping[str, tuple[str, ...]] = {
    name: tuple(f"jupyter_wf.{home}" for home in homes) for name, homes in _HOMES.items()
}


def unit(module: str) -> str:
    """Return the part of a dotted name that has a layer: ``core``, ``flows``, or nothing for the package itself."""
    return [*module.split("."), ""][1]


def layer(module: str) -> int:
    """Return the number of a module's layer, 0 at the bottom."""
    return LAYERS.get(unit(module), PUBLIC)


def wrong_layers(package: Package) -> list[str]:
    """Imports that do not go down. Types are knowledge too: imports under ``TYPE_CHECKING`` are judged alike."""
    return [str(found) for found in package.imports if found.top == package.name and not _goes_down(found)]


def _goes_down(found: Import) -> bool:
    here, there = unit(found.importer), unit(found.target)
    upper, lower = layer(found.importer), layer(found.target)
    if here == there or lower < upper:
        return True
    if found.function and f"{found.importer} -> {found.target}" in UPWARDS:
        return True
    if lower > upper:
        return False
    if upper == PUBLIC:
        return there != "notebook"
    return any(_is_in(found.target, home) for home in SIDEWAYS.get(here, ()))


def wrong_homes(package: Package) -> list[str]:
    """Third-party packages imported outside their home, or that have none."""
    wrong = []
    for found in package.imports:
        homes = HOMES.get(found.top)
        if homes is None and (found.top == package.name or found.top in sys.stdlib_module_names):
            continue
        if found.target == "(by name)" or (homes and any(_is_in(found.importer, home) for home in homes)):
            continue
        if found.typing_only and found.importer == package.name:
            continue
        wrong.append(f"{found} (home: {', '.join(homes) if homes else 'none; name one in rules.HOMES'})")
    return wrong


def _is_in(module: str, home: str) -> bool:
    return module == home or module.startswith(f"{home}.")


def imports_in_functions(package: Package, gates: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the imports inside functions that no gate allows, and the gates that nothing uses."""
    inside = {f"{found.importer} -> {found.target}": found for found in package.imports if found.function}
    allowed = set(gates)
    return [f"{inside[key]} in {inside[key].function}" for key in sorted(inside.keys() - allowed)], sorted(
        allowed - inside.keys()
    )


def circles(package: Package) -> list[str]:
    """Circles among the imports that happen when modules load, each as ``a -> b -> a``."""
    edges: dict[str, list[str]] = {name: [] for name in package.modules}
    for found in package.imports:
        if found.target in edges and not found.function and not found.typing_only and found.target != found.importer:
            edges[found.importer].append(found.target)
    done: set[str] = set()
    found_circles: list[str] = []

    def walk(name: str, path: list[str]) -> None:
        if name in path:
            found_circles.append(" -> ".join((*path[path.index(name) :], name)))
        elif name not in done:
            for target in edges[name]:
                walk(target, [*path, name])
            done.add(name)

    for name in edges:
        walk(name, [])
    return found_circles


def too_long(package: Package) -> list[str]:
    """Files over `MAX_FILE` lines, functions over `MAX_FUNCTION` (decorators not counted)."""
    wrong = []
    for module in package.modules.values():
        lines = len(module.text.splitlines())
        if lines > MAX_FILE:
            wrong.append(f"{module.name} has {lines} lines, {MAX_FILE} are allowed")
        for function in module.functions():
            length = (function.end_lineno or function.lineno) - function.lineno + 1
            if length > MAX_FUNCTION:
                wrong.append(f"{module.name}.{function.name} has {length} lines, {MAX_FUNCTION} are allowed")
    return wrong


def wrong_exports(package: Package) -> list[str]:
    """Modules without ``__all__``, names in it that are not there, public definitions that are not in it."""
    return [line for module in package.modules.values() for line in _wrong_exports(module)]


def _wrong_exports(module: Module) -> list[str]:
    defined, imported = _bindings(module)
    exported = _exported(module)
    if exported is None:
        needs = (defined or imported) and not module.name.endswith(".__main__")
        return [f"{module.name} has no __all__"] if needs else []
    lazy = "__getattr__" in defined
    wrong = [f"{module.name}.__all__ names {name!r} twice" for name in {n for n in exported if exported.count(n) > 1}]
    if not lazy:
        missing = [name for name in exported if name not in defined | imported]
        wrong += [f"{module.name}.__all__ names {name!r}, which is not there" for name in missing]
    hooks = HOOKS if module.name.count(".") == 0 else frozenset()
    public = sorted(name for name in defined - hooks if not name.startswith("_"))
    return wrong + [f"{module.name}.{name} is public but not in __all__" for name in public if name not in exported]


def _exported(module: Module) -> list[str] | None:
    for node in module.tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            return list(ast.literal_eval(node.value))  # type: ignore[union-attr]
    return None


def _bindings(module: Module) -> tuple[set[str], set[str]]:
    """Return the names that a module defines at top level, and those it imports there."""
    defined: set[str] = set()
    imported: set[str] = set()
    for node in _top_level(module.tree.body):
        if isinstance(node, ast.ClassDef | FunctionNode):
            defined.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            if getattr(node, "module", None) != "__future__":
                imported.update((alias.asname or alias.name).partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and not _is_type_variable(node.value):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            defined.update(n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name))
    return defined - {"__all__"}, imported


def _top_level(body: Iterable[ast.stmt]) -> Iterable[ast.stmt]:
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try):
            yield from _top_level(node.body)
            yield from _top_level(node.orelse)
            for handler in getattr(node, "handlers", ()):
                yield from _top_level(handler.body)


def _is_type_variable(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Call) and ast.unparse(value.func) in ("TypeVar", "ParamSpec", "TypeVarTuple")


def without_docstring(package: Package) -> list[str]:
    """Modules, public classes, and their public functions and methods that say nothing about themselves."""
    wrong = []
    for module in package.modules.values():
        if not ast.get_docstring(module.tree):
            wrong.append(module.name)
        wrong += [f"{module.name}.{name}" for name in _silent(module.tree.body)]
    return wrong


def _silent(body: Iterable[ast.stmt], prefix: str = "") -> list[str]:
    wrong = []
    for node in body:
        if not isinstance(node, ast.ClassDef | FunctionNode) or node.name.startswith("_"):
            continue
        name = f"{prefix}{node.name}"
        marks = {ast.unparse(decorator) for decorator in node.decorator_list}
        inherited = any(mark.endswith(("override", "overload", ".setter", ".deleter")) for mark in marks)
        inherited = inherited or node.name.startswith("visit_")  # what ast.NodeVisitor says of them is all there is
        if not inherited and not ast.get_docstring(node):
            wrong.append(name)
        if isinstance(node, ast.ClassDef):
            wrong += _silent(node.body, f"{name}.")
    return wrong
