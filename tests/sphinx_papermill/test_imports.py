"""What code can reach by import, in a small package made here."""

import importlib
import importlib.metadata
import os

import pytest

from sphinx_papermill import imports

FILES = {
    "__init__.py": "",
    "a.py": "from .sub import deep\nimport os\n",
    "b.py": "import numpy\n",
    "c.py": "def late():\n    from . import b\n",
    "d.py": "value = 1\n",
    "broken.py": "def\n",
    "sub/__init__.py": "from ..d import value\n",
    "sub/deep.py": "from . import beside\nfrom .. import c\n",
    "sub/beside.py": "",
    "room/plain.py": "from .. import d\n",
}
LATE = """
import importlib

__version__ = "1"
_NAMES = {"half": "b", "twice": ("sub", "c")}
__all__ = [*_NAMES, "d"]


def __getattr__(name):
    return getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with a name of its own, importable until the test ends."""
    name = f"made_{abs(hash(tmp_path.name)):x}"
    for file, code in FILES.items():
        path = tmp_path / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    return tmp_path / name


def reached(package, code):
    """Modules of the package, without its name; the package itself is ''."""
    name = package.name
    found, _ = imports.reachable(code.replace("PKG", name), [name])
    for module, path in found.items():
        parts = module.split(".")
        file = package.parent.joinpath(*parts)
        assert path in (file.with_suffix(".py"), file / "__init__.py")
    assert list(found) == sorted(found)
    return {module.removeprefix(name).removeprefix(".") for module in found}


@pytest.mark.parametrize(
    "code",
    [
        "import PKG.b",
        "import PKG.b as other",
        "import os, PKG.b",
        "from PKG import b",
        "from PKG import b as other",
        "from PKG.b import anything",
        "from PKG.b import *",
        "def f():\n    import PKG.b",
        "class C:\n    from PKG import b",
        "try:\n    import PKG.b\nexcept ImportError:\n    pass",
        "if True:\n    pass\nelse:\n    import PKG.b",
        "with open('x'):\n    from PKG import b",
        "from PKG import b\nawait b.something()",
    ],
)
def test_every_form_of_import_is_followed(package, code):
    assert reached(package, code) == {"", "b"}


def test_relative_imports_and_parents_are_followed(package):
    everything = {"", "a", "sub", "sub.deep", "sub.beside", "b", "c", "d"}
    assert reached(package, "import PKG.a") == everything
    assert reached(package, "import PKG.sub.beside") == {"", "sub", "sub.beside", "d"}
    assert reached(package, "import PKG.c") == {"", "b", "c"}


def test_folders_without_an_init_are_followed(package):
    assert reached(package, "import PKG.room.plain") == {"", "room.plain", "d"}
    (package / "__init__.py").unlink()
    assert reached(package, "from PKG.room import plain") == {"room.plain", "d"}


def test_modules_that_import_each_other_are_followed_once(package):
    (package / "b.py").write_text("from . import d")
    (package / "d.py").write_text("from . import b")
    assert reached(package, "import PKG.b") == {"", "b", "d"}


@pytest.mark.parametrize("name", ["TYPE_CHECKING", "typing.TYPE_CHECKING", "t.TYPE_CHECKING"])
def test_imports_for_the_type_checker_alone_do_not_count(package, name):
    code = f"if {name}:\n    import PKG.b\n    if x:\n        import PKG.c\n"
    assert reached(package, code) == set()
    assert reached(package, f"{code}else:\n    import PKG.d") == {"", "d"}
    assert reached(package, f"{code}elif x:\n    import PKG.d") == {"", "d"}


@pytest.mark.parametrize(
    "test", ["not TYPE_CHECKING", "x or TYPE_CHECKING", "not typing.TYPE_CHECKING", "MY_CHECKING"]
)
def test_other_conditions_count(package, test):
    assert reached(package, f"if {test}:\n    import PKG.d") == {"", "d"}


@pytest.mark.parametrize(
    ("code", "modules"),
    [
        ("from PKG import half", {"", "b"}),
        ("import PKG as p\np.half(1)", {"", "b"}),
        ("import PKG\nPKG.half(1)", {"", "b"}),
        ("import PKG.d\nPKG.half(1)", {"", "b", "d"}),
        ("from PKG import twice", {"", "sub", "c", "b", "d"}),
        # no name of it is used: nothing is loaded late
        ("import PKG.d", {"", "d"}),
        ("from PKG import __version__", {""}),
        ("import PKG.c as c\nc.half", {"", "b", "c"}),
        # whatever is done with the whole package
        ("import PKG as p\nprint(vars(p))", {"", "b", "sub", "c", "d"}),
        ("from PKG import *", {"", "b", "sub", "c", "d"}),
    ],
)
def test_names_that_a_package_loads_late_are_followed(package, code, modules):
    (package / "__init__.py").write_text(LATE)
    assert reached(package, code) == modules


def test_a_name_passed_on_from_one_late_package_to_another_is_followed(package):
    (package / "__init__.py").write_text(LATE.replace('"half": "b"', '"half": "sub"'))
    (package / "sub" / "__init__.py").write_text(LATE.replace('"b"', '".deep"'))
    found = reached(package, "from PKG import half")
    assert {"sub", "sub.deep", "sub.beside"} <= found
    assert "a" not in found


@pytest.mark.parametrize("code", ["import numpy.linalg", "from json import decoder", "x = 1", ""])
def test_other_packages_are_not_followed(package, code):
    assert reached(package, code) == set()


@pytest.mark.parametrize("code", ["import PKG.nothing", "from PKG.b import c", "from . import b"])
def test_what_is_not_there_is_not_found(package, code):
    assert reached(package, code) <= {"", "b"}


def test_named_packages_alone_are_followed(package):
    code = f"import {package.name}.d\nimport sphinx_papermill.errors"
    names, _ = imports.reachable(code, ["sphinx_papermill"])
    assert {"sphinx_papermill", "sphinx_papermill.errors"} <= set(names)
    assert all(name.startswith("sphinx_papermill") for name in names)


def test_code_that_is_not_python_is_refused(package):
    for code in ("def", f"import {package.name}.broken"):
        with pytest.raises(SyntaxError):
            imports.reachable(code, [package.name])


def test_nothing_is_imported_but_packages(package):
    (package / "b.py").write_text("raise RuntimeError('imported')")
    assert reached(package, "import PKG.b") == {"", "b"}


def test_code_hash_changes_with_the_bytes_of_a_reached_file_alone(package):
    code = f"import {package.name}.c"
    before = imports.code_hash(code, [package.name])
    (package / "d.py").write_text("value = 2\n")  # not reached
    os.utime(package / "b.py", (1, 1))  # not its time
    assert imports.code_hash(code, [package.name]) == before
    (package / "b.py").write_text("import numpy \n")
    after = imports.code_hash(code, [package.name])
    assert {name for name in before if before[name] != after[name]} == {f"{package.name}.b"}


def test_code_hash_changes_when_a_file_is_added_that_an_import_now_reaches(package):
    code = f"from {package.name} import new"
    before = imports.code_hash(code, [package.name])
    (package / "new.py").write_text("")
    assert imports.code_hash(code, [package.name]) != before


def test_hashes_are_sha256(tmp_path):
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    (tmp_path / "x").write_bytes(b"")
    assert imports.file_hash(tmp_path / "x") == imports.text_hash("") == empty
    (tmp_path / "x").write_bytes("°".encode())
    assert imports.file_hash(tmp_path / "x") == imports.text_hash("°")


@pytest.mark.parametrize(
    ("cell", "modules"),
    [
        ("%matplotlib inline\nimport PKG.b", {"", "b"}),
        ("!ls *.py\nfiles = !ls\nfrom PKG import b\nb?", {"", "b"}),
        ("%time import PKG.b", {"", "b"}),
        ("%%capture out\nimport PKG.b\n%time x = 1", {"", "b"}),
        ("%%bash\nfor f in *; do echo $f; done", set()),
    ],
)
def test_magics_of_ipython_are_no_obstacle(package, cell, modules):
    assert reached(package, imports.plain_python(cell)) == modules


def test_a_cell_that_is_not_python_is_refused_as_it_is_written():
    with pytest.raises(SyntaxError) as caught:
        imports.plain_python("%matplotlib inline\nx = (1\ny = 2")
    assert caught.value.lineno == 2


def test_a_module_beside_the_code_is_followed_and_comes_before_an_installed_one(tmp_path):
    (tmp_path / "numpy.py").write_text("import helping.deep\n")
    (tmp_path / "helping").mkdir()
    (tmp_path / "helping" / "deep.py").write_text("import pandas, json\n")
    (tmp_path / "scipy").mkdir()  # no package: the installed one is imported
    found, libraries = imports.reachable("import numpy, scipy", [], tmp_path)
    assert list(found) == ["helping.deep", "numpy"]
    assert libraries == {"pandas", "scipy"}
    assert imports.reachable("import numpy", []) == ({}, {"numpy"})


def test_libraries_have_the_version_of_what_is_installed():
    assert imports.versions({"skimage", "numpy", "nothing"}) == {
        name: importlib.metadata.version(name) for name in ("numpy", "scikit-image")
    }


@pytest.mark.parametrize(
    "content",
    [
        "\ufeffimport numpy\n".encode(),
        "# coding: latin-1\n# caf\xe9\nimport numpy\n".encode("latin-1"),
        b"import numpy\r\n",
    ],
)
def test_a_module_may_have_a_mark_another_encoding_or_other_line_ends(tmp_path, content):
    (tmp_path / "helping.py").write_bytes(content)
    assert imports.reachable("import helping", [], tmp_path)[1] == {"numpy"}


def test_a_module_that_is_no_text_is_named(tmp_path):
    (tmp_path / "helping.py").write_bytes(b"# caf\xe9\n")
    with pytest.raises(SyntaxError) as error:
        imports.reachable("import helping", [], tmp_path)
    assert error.value.filename == str(tmp_path / "helping.py")


def test_environment_variables_that_code_names_are_found():
    code = """
import os
from os import environ, getenv
os.environ["A"], os.environ.get("B", "x"), os.getenv("C"), environ["D"], getenv("E")
os.environ[name], settings["F"], settings.get("G"), "os.environ['H']"
"""
    assert imports.variables(code) == set("ABCDE")
