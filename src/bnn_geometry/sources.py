"""Which source files a piece of Python can reach by import, and a hash over them.

What a chapter shows is stale once code it can reach has changed. Reachability is read off the
import statements (nothing is imported), so it errs on the side of too much: an import inside a
function counts. Only modules of the named packages are followed; libraries count by version.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

# CPython 3.11 counts the depth of the tree that it builds in one place for all threads, and gives
# up on both trees when two are built at once.
_ONE_PARSER = threading.Lock()


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text_hash(text: str) -> str:
    """SHA-256 of a text in UTF-8, as hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def _module_file(name: str) -> Path | None:
    # find_spec would import the parents of a dotted name, torch with them: only the top-level
    # package is looked up that way, the rest by its place in the folder.
    top, *rest = name.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None:
        return None
    file = Path(spec.origin)
    for part in rest:
        if file.name != "__init__.py":
            return None
        package, module = file.parent / part / "__init__.py", file.parent / f"{part}.py"
        file = package if package.is_file() else module
    return file if file.is_file() and file.suffix == ".py" else None


def _is_type_checking(test: ast.expr) -> bool:
    # The name itself, not an expression that contains it, such as `not TYPE_CHECKING`.
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _executed(tree: ast.AST) -> Iterator[ast.AST]:
    # All nodes but those under `if TYPE_CHECKING:`, which no run executes.
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            for branch in node.orelse:
                yield branch
                yield from _executed(branch)
            continue
        yield node
        yield from _executed(node)


def _parse(code: str, filename: str = "<unknown>") -> ast.Module:
    with _ONE_PARSER:
        return ast.parse(code, filename)


def _imports(tree: ast.AST, module: str | None, is_package: bool) -> Iterator[str]:
    # Every name that an import statement could load as a module: for `from a import b` both a
    # and a.b, since b may be a submodule.
    for node in _executed(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                if module is None:
                    continue
                parts = module.split(".")
                parts = parts[: len(parts) - node.level + is_package]
                base = ".".join([*parts, base] if base else parts)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def reachable(code: str, packages: Iterable[str]) -> dict[str, Path]:
    """Modules of the packages which the code can reach by import, with their files.

    Parameters
    ----------
    code : str
        Python source, such as a chapter's code cells.
    packages : iterable of str
        Top-level packages (or modules) to follow.

    Returns
    -------
    dict
        Dotted module name → file, sorted by name; parent packages are included.

    Raises
    ------
    SyntaxError
        If the code, or a module that it reaches, is not Python.
    """
    packages = set(packages)
    found: dict[str, Path] = {}
    queue = list(_imports(_parse(code), None, False))
    seen: set[str] = set()
    while queue:
        name = queue.pop()
        if name in seen or name.partition(".")[0] not in packages:
            continue
        seen.add(name)
        if "." in name:
            queue.append(name.rpartition(".")[0])
        path = _module_file(name)
        if path is None:
            continue
        found[name] = path
        tree = _parse(path.read_text(encoding="utf-8"), str(path))
        queue.extend(_imports(tree, name, path.name == "__init__.py"))
    return dict(sorted(found.items()))


def code_hash(code: str, packages: Iterable[str]) -> dict[str, str]:
    """SHA-256 of each file that :func:`reachable` finds, by module name."""
    return {name: file_hash(path) for name, path in reachable(code, packages).items()}
