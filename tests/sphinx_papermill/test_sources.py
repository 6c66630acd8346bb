"""What code can reach by import, in a small package made here."""

import gc
import importlib
import os
import threading
import time

import pytest

from bnn_geometry import sources

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
}


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
    found = sources.reachable(code.replace("PKG", name), [name])
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
    ],
)
def test_every_form_of_import_is_followed(package, code):
    assert reached(package, code) == {"", "b"}


def test_relative_imports_and_parents_are_followed(package):
    everything = {"", "a", "sub", "sub.deep", "sub.beside", "b", "c", "d"}
    assert reached(package, "import PKG.a") == everything
    assert reached(package, "import PKG.sub.beside") == {"", "sub", "sub.beside", "d"}
    assert reached(package, "import PKG.c") == {"", "b", "c"}


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


def test_imports_beside_the_type_checkers_count(package):
    code = "if TYPE_CHECKING:\n    import PKG.b\nimport PKG.d"
    assert reached(package, code) == {"", "d"}


@pytest.mark.parametrize("code", ["import numpy.linalg", "from json import decoder", "x = 1", ""])
def test_other_packages_are_not_followed(package, code):
    assert reached(package, code) == set()


@pytest.mark.parametrize("code", ["import PKG.nothing", "from PKG.b import c", "from . import b"])
def test_what_is_not_there_is_not_found(package, code):
    assert reached(package, code) <= {"", "b"}


def test_named_packages_alone_are_followed(package):
    code = f"import {package.name}.d\nimport bnn_geometry.errors"
    names = sources.reachable(code, ["bnn_geometry"])
    assert list(names) == ["bnn_geometry", "bnn_geometry.errors"]


def test_code_that_is_not_python_is_refused(package):
    for code in ("def", f"import {package.name}.broken"):
        with pytest.raises(SyntaxError):
            sources.reachable(code, [package.name])


def test_nothing_is_imported_but_packages(package):
    (package / "b.py").write_text("raise RuntimeError('imported')")
    assert reached(package, "import PKG.b") == {"", "b"}


def test_code_hash_changes_with_the_bytes_of_a_reached_file_alone(package):
    code = f"import {package.name}.c"
    before = sources.code_hash(code, [package.name])
    (package / "d.py").write_text("value = 2\n")  # not reached
    os.utime(package / "b.py", (1, 1))  # not its time
    assert sources.code_hash(code, [package.name]) == before
    (package / "b.py").write_text("import numpy \n")
    after = sources.code_hash(code, [package.name])
    assert {name for name in before if before[name] != after[name]} == {f"{package.name}.b"}


def test_code_hash_changes_when_a_file_is_added_that_an_import_now_reaches(package):
    code = f"from {package.name} import new"
    before = sources.code_hash(code, [package.name])
    (package / "new.py").write_text("")
    importlib.invalidate_caches()
    assert sources.code_hash(code, [package.name]) != before


def test_hashes_are_sha256(tmp_path):
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    (tmp_path / "x").write_bytes(b"")
    assert sources.file_hash(tmp_path / "x") == sources.text_hash("") == empty
    (tmp_path / "x").write_bytes("°".encode())
    assert sources.file_hash(tmp_path / "x") == sources.text_hash("°")


def test_training_reaches_quantizers_but_not_plots():
    found = set(sources.reachable("from bnn_geometry.training import loop", ["bnn_geometry"]))
    assert {
        "bnn_geometry.networks.straight_through",
        "bnn_geometry.training.recipes",
        "bnn_geometry.networks.layers",
    } <= found
    assert not {"bnn_geometry.book.plots.style", "bnn_geometry.cli"} & found


def test_several_threads_can_read_sources_at_once():
    """CPython 3.11 fails where another thread runs while a syntax tree is built."""
    failures = []

    def read(depth):
        if depth:  # from another depth than the other threads, or their mistakes cancel
            return read(depth - 1)
        try:
            for _ in range(5):
                sources.reachable("from bnn_geometry.training import loop", ["bnn_geometry"])
        except SystemError as error:
            failures.append(str(error))

    def let_others_run(*args):
        time.sleep(0)

    threshold = gc.get_threshold()
    gc.callbacks.append(let_others_run)
    gc.set_threshold(50)
    try:
        threads = [threading.Thread(target=read, args=(9 * i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        gc.callbacks.remove(let_others_run)
        gc.set_threshold(*threshold)
    assert failures == []
