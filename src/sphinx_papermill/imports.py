"""Which source files a piece of Python can reach by import, and a hash over them.

What a chapter shows is stale once code it can reach has changed. Reachability is read off the
import statements (nothing is imported), so it errs on the side of too much: an import inside a
function counts. Only modules of the named packages are followed; libraries count by version.

A package may load names late, by a module ``__getattr__`` over a table of names and submodules.
Such a table is read as well: who uses a name reaches the submodules beside it in the table, and who
does something with the whole package reaches all of them.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.machinery
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

WHOLE = "*"
"""In the place of a name: all that a package has."""


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text_hash(text: str) -> str:
    """SHA-256 of a text in UTF-8, as hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def source_of(path: Path) -> str:
    """The text of a source file, whatever encoding it declares and mark it begins with."""
    try:
        return importlib.util.decode_source(path.read_bytes())
    except UnicodeDecodeError as error:
        raise SyntaxError(error.reason, (str(path), 1, None, None)) from error
    except SyntaxError as error:
        error.filename = str(path)
        raise


def parse(code: str, filename: str = "<unknown>") -> ast.Module:
    """The syntax tree of a module or of cells, which may await at their top level."""
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    return compile(code, filename, "exec", flags, dont_inherit=True)


def without_magics(cell: str) -> str:
    """A cell as the Python that IPython makes of it, where it is not Python as it stands."""
    try:
        parse(cell)
        return cell
    except SyntaxError:
        from IPython.core.inputtransformer2 import TransformerManager

        return TransformerManager().transform_cell(cell)


def plain_python(cell: str) -> str:
    """A cell's code as Python; that in the arguments of magics stands once more below the rest.

    Raises
    ------
    SyntaxError
        If it is not Python.
    """
    texts = [without_magics(cell)]
    for node in ast.walk(parse(texts[0])):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr not in ("run_line_magic", "run_cell_magic"):
                continue
            argument = ast.literal_eval(node.args[-1])
            try:  # %time and %%capture hold Python, %matplotlib and %%bash do not
                texts.append(plain_python(argument))
            except SyntaxError:
                continue
    return "\n".join(texts)


@cache
def _spec(top: str) -> importlib.machinery.ModuleSpec | None:
    try:
        return importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None


def _beside(top: str, folder: Path | None) -> bool:
    # a module in the folder where the code is executed comes before an installed one
    if folder is None:
        return False
    if (folder / f"{top}.py").is_file() or (folder / top / "__init__.py").is_file():
        return True
    return (folder / top).is_dir() and _spec(top) is None


def _module_file(name: str, folder: Path | None = None) -> Path | None:
    # find_spec would import the parents of a dotted name: only the top-level package is looked up
    # that way, the rest by its place in the folder.
    top, *rest = name.split(".")
    if _beside(top, folder):
        places = [folder.joinpath(top, *rest)]
    else:
        spec = _spec(top)
        if spec is None:
            return None
        if not rest:
            origin = Path(spec.origin) if spec.origin else None
            return origin if origin and origin.suffix == ".py" and origin.is_file() else None
        places = [Path(place, *rest) for place in spec.submodule_search_locations or []]
    files = [f for p in places for f in (p / "__init__.py", p.with_name(f"{p.name}.py"))]
    return next((file for file in files if file.is_file()), None)


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


def _statements(
    nodes: list[ast.AST], module: str | None, is_package: bool
) -> Iterator[tuple[str, str | None]]:
    # Dotted names that import statements could load, each with the name it has in the code.
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, alias.asname
                if alias.asname is None:
                    top = alias.name.partition(".")[0]
                    yield top, top
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                if module is None:
                    continue
                parts = module.split(".")
                parts = parts[: len(parts) - node.level + is_package]
                base = ".".join([*parts, base] if base else parts)
            yield base, None
            for alias in node.names:  # a submodule, or something in the module
                yield f"{base}.{alias.name}", alias.asname or alias.name


@cache
def _names(code: str, module: str | None, is_package: bool, filename: str) -> frozenset[str]:
    # Dotted names that the code could load, attributes of what it imports among them: `a.b.c`
    # after `from x import a` is x.a.b.c.
    nodes = list(_executed(parse(code, filename)))
    bound: dict[str, set[str]] = {}
    found = set()
    for name, within in _statements(nodes, module, is_package):
        found.add(name)
        if within is not None:
            bound.setdefault(within, set()).add(name)
    inner = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    for node in nodes:
        chain: list[str] = []
        root: ast.AST = node
        while isinstance(root, ast.Attribute):
            chain.insert(0, root.attr)
            root = root.value
        if not isinstance(root, ast.Name) or root.id not in bound:
            continue
        if chain:
            found |= {".".join([name, *chain]) for name in bound[root.id]}
        elif id(node) not in inner:
            found |= {f"{name}.{WHOLE}" for name in bound[root.id]}
    return frozenset(found)


@cache
def _late_table(code: str, filename: str) -> tuple[frozenset[str], tuple[frozenset[str], ...]]:
    # Of a package with a module __getattr__: the names that it has all the same, and the strings
    # that stand together in a table, then each string alone. Nothing for other packages.
    tree = parse(code, filename)
    present: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            present.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            present |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            present |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    if "__getattr__" not in present:
        return frozenset(), ()

    def strings(*nodes: ast.AST | None) -> frozenset[str]:
        inside = (n for node in nodes if node is not None for n in ast.walk(node))
        return frozenset(
            n.value for n in inside if isinstance(n, ast.Constant) and isinstance(n.value, str)
        )

    pairs = [
        strings(key, value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values, strict=True)
    ]
    return frozenset(present), (*pairs, *(frozenset([text]) for text in strings(tree)))


def _loaded_late(package: str, name: str, path: Path, folder: Path | None) -> Iterator[str]:
    # Modules that the package's __getattr__ could load for a name.
    present, table = _late_table(source_of(path), str(path))
    if name in present:
        return
    for entry in [pair for pair in table if name in pair and len(pair) > 1] or table:
        texts = [t.lstrip(".") for t in entry if t.replace(".", "").isidentifier()]
        candidates = (m for t in texts for m in (t, f"{package}.{t}"))
        modules = [m for m in candidates if _module_file(m, folder) is not None]
        yield from modules
        yield from (f"{module}.{text}" for module in modules for text in texts)


def reachable(
    code: str, packages: Iterable[str], folder: Path | None = None
) -> tuple[dict[str, Path], set[str]]:
    """Modules which the code can reach by import, and the libraries beyond them.

    Parameters
    ----------
    code : str
        Python source, such as a chapter's code cells.
    packages : iterable of str
        Top-level packages (or modules) to follow.
    folder : Path, optional
        Where the code is executed: modules in it are followed, too.

    Returns
    -------
    modules : dict
        Dotted module name → file, sorted by name; parent packages are included.
    libraries : set of str
        Top-level names that they import from elsewhere, those of Python itself left out.

    Raises
    ------
    SyntaxError
        If the code, or a module that it reaches, is not Python.
    """
    packages = set(packages)
    found: dict[str, Path] = {}
    libraries = set()
    queue = list(_names(code, None, False, "<unknown>"))
    seen: set[str] = set()
    while queue:
        name = queue.pop()
        if name in seen:
            continue
        seen.add(name)
        top = name.partition(".")[0]
        if top not in packages and not _beside(top, folder):
            libraries.add(top)
            continue
        parent, _, last = name.rpartition(".")
        if parent:
            queue.append(parent)
        path = _module_file(name, folder)
        if path is not None:
            found[name] = path
            queue.extend(_names(source_of(path), name, path.name == "__init__.py", str(path)))
        elif parent and (face := _module_file(parent, folder)) and face.name == "__init__.py":
            queue.extend(_loaded_late(parent, last, face, folder))
    return dict(sorted(found.items())), libraries - sys.stdlib_module_names - {""}


def code_hash(code: str, packages: Iterable[str]) -> dict[str, str]:
    """SHA-256 of each file that :func:`reachable` finds, by module name."""
    return {name: file_hash(path) for name, path in reachable(code, packages)[0].items()}


@cache
def _distributions() -> dict[str, list[str]]:
    return dict(importlib.metadata.packages_distributions())


def versions(modules: Iterable[str]) -> dict[str, str]:
    """Version of the library that each top-level module is of, by the library's name."""
    names = {name for module in modules for name in _distributions().get(module, ())}
    return {name: importlib.metadata.version(name) for name in sorted(names)}


def variables(code: str) -> set[str]:
    """Environment variables that the code names: ``os.environ["X"]``, ``os.getenv("X")``."""
    found = set()
    for node in ast.walk(parse(code)):
        match node:
            case ast.Subscript(value=place, slice=ast.Constant(str(name))):
                readers = {"environ"}
            case ast.Call(
                func=ast.Attribute(value=place, attr="get"), args=[ast.Constant(str(name)), *_]
            ):
                readers = {"environ"}
            case ast.Call(func=place, args=[ast.Constant(str(name)), *_]):
                readers = {"getenv"}
            case _:
                continue
        if (getattr(place, "attr", None) or getattr(place, "id", None)) in readers:
            found.add(name)
    return found
