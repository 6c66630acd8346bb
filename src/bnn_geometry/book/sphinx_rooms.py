"""The directive ``room`` of Sphinx: what a package's face offers, and its modules.

``.. room:: bnn_geometry.geometry`` becomes the documentation of every name in the ``__all__`` of
that package, then a list of its modules with the first sentence of each. A package without such
names, or a single module, has the list alone. Modules that nobody is meant to import cost the
build no documentation of theirs.
"""

from __future__ import annotations

import ast
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from sphinx.application import Sphinx

DIRECTIVES = {ast.FunctionDef: "autofunction", ast.ClassDef: "autoclass"}
"""How autodoc documents what a statement defines; anything else is ``autodata``."""


@cache
def modules(name: str) -> dict[str, ast.Module]:
    """The modules of a package, or the one module of that name, parsed, by their full names."""
    source = Path(import_module(name).__file__ or "")
    if source.name != "__init__.py":
        return {name: ast.parse(source.read_text(encoding="utf-8"))}
    found = {}
    for path in sorted(source.parent.rglob("*.py")):
        parts = path.relative_to(source.parent).with_suffix("").parts
        if not parts[-1].startswith("_"):
            found[".".join((name, *parts))] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def sentence(module: ast.Module) -> str:
    """What a module says of itself in its first paragraph, on one line."""
    return " ".join((ast.get_docstring(module) or "").split("\n\n")[0].split())


def _defined(module: ast.Module) -> dict[str, str]:
    # The names that a module defines, and autodoc's directive for each.
    found = {}
    for statement in module.body:
        targets = getattr(statement, "targets", [getattr(statement, "target", None)])
        names = [getattr(statement, "name", None), *(getattr(t, "id", None) for t in targets)]
        directive = DIRECTIVES.get(type(statement), "autodata")
        found |= {name: directive for name in names if name}
    return found


def face(name: str) -> dict[str, str]:
    """Autodoc's directive for each name that a package offers, by where it is defined."""
    package = import_module(name)
    own = ast.parse(Path(package.__file__ or "").read_text(encoding="utf-8"))
    parsed = modules(name) | {name: own}
    inner = {module.removeprefix(f"{name}.").split(".")[0] for module in parsed}
    offered = {n: getattr(package, n) for n in set(getattr(package, "__all__", ())) - inner}
    return {
        f"{module}.{defined}": directive
        for module, tree in parsed.items()
        for defined, directive in _defined(tree).items()
        if defined in offered and (directive == "autodata" or offered[defined].__module__ == module)
    }


class RoomDirective(SphinxDirective):
    """One package, or one module."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Parse what autodoc is to be told, and the list."""
        (name,) = self.arguments
        lines = []
        for target, directive in face(name).items():
            lines += [f".. {directive}:: {target}"]
            lines += ["   :members:"] * (directive == "autoclass") + [""]
        listed = modules(name)
        self.env.note_dependency(str(import_module(name).__file__))  # whose face it is
        for module, tree in listed.items():
            short = module.removeprefix("bnn_geometry.")
            lines += [f"``{short}``", f"   {sentence(tree)}", ""]
            self.env.note_dependency(str(import_module(module).__file__))
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("room", RoomDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
