"""Reads a package's source as syntax trees, without importing it: what imports what, what is defined, how long."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "jupyter_wf"
#: Built from TypeScript, not ours to check.
_BUILT = ("labextension", "static")

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Import:
    """One name that a module imports. ``function`` is the qualified name of the function it happens in, if any."""

    importer: str
    target: str
    line: int
    function: str | None = None
    typing_only: bool = False

    @property
    def top(self) -> str:
        """The first part of what is imported: the distribution's package."""
        return self.target.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.target}"


@dataclass(frozen=True)
class Module:
    """One file of a package."""

    name: str
    path: Path

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, filename=str(self.path))

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"

    def functions(self) -> Iterator[FunctionNode]:
        """Yield every function and method, nested ones included."""
        for node in ast.walk(self.tree):
            if isinstance(node, FunctionNode):
                yield node


class Package:
    """A package below ``root``, file by file."""

    def __init__(self, root: Path, name: str = PACKAGE) -> None:
        self.name = name
        self.modules: dict[str, Module] = {}
        for path in sorted((root / name).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            if any(part in _BUILT for part in parts[1:-1]):
                continue
            dotted = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            self.modules[dotted] = Module(dotted, path)

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        """Every import of every module, those inside functions and under ``TYPE_CHECKING`` included."""
        return tuple(found for module in self.modules.values() for found in _Finder(module, self.modules).run())


class _Finder(ast.NodeVisitor):
    """Collects a module's imports, and the calls that import by a name (``import_module``, ``__import__``)."""

    def __init__(self, module: Module, known: dict[str, Module]) -> None:
        self._module = module
        self._known = known
        self._found: list[Import] = []
        self._where: list[str] = []
        self._functions = 0
        self._typing = False

    def run(self) -> list[Import]:
        self.visit(self._module.tree)
        return self._found

    def _add(self, target: str, node: ast.stmt | ast.expr) -> None:
        where = ".".join(self._where) if self._functions else None
        self._found.append(Import(self._module.name, target, node.lineno, where, self._typing))

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(alias.name, node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = self._base(node)
        if base == "__future__":
            return
        for alias in node.names:
            submodule = f"{base}.{alias.name}"
            self._add(submodule if submodule in self._known else base, node)

    def _base(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self._module.name.split(".")
        keep = len(parts) - node.level + (1 if self._module.is_package else 0)
        return ".".join((*parts[:keep], *((node.module,) if node.module else ())))

    def visit_Call(self, node: ast.Call) -> None:
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in ("import_module", "__import__"):
            first = node.args[0] if node.args else None
            named = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else "(by name)"
            self._functions += 1
            self._add(named, node)
            self._functions -= 1
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) not in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            self.generic_visit(node)
            return
        before, self._typing = self._typing, True
        for child in node.body:
            self.visit(child)
        self._typing = before
        for child in node.orelse:
            self.visit(child)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._inside(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._inside(node, function=1)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._inside(node, function=1)

    def _inside(self, node: ast.ClassDef | FunctionNode, function: int = 0) -> None:
        self._where.append(node.name)
        self._functions += function
        self.generic_visit(node)
        self._functions -= function
        self._where.pop()
