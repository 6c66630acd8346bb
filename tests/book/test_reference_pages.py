"""The pages to look things up in, the package's and the glossary, have all that there is."""

import ast
import re

from notebooks_under_test import ROOT

BOOK, SOURCE = ROOT / "book", ROOT / "src"
PACKAGE_PAGE = (BOOK / "api.md").read_text(encoding="utf-8")
MODULES = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts): path
    for path in SOURCE.glob("*/**/[!_]*.py")
}


def test_every_module_is_on_the_page_of_the_package_once_under_its_own_heading():
    parts = re.findall(
        r"^### `(\S+)`\n\n```{eval-rst}\n.. automodule:: (\S+)\n", PACKAGE_PAGE, re.M
    )
    named = [module for _, module in parts]
    assert sorted(named) == sorted(MODULES)
    assert [heading for heading, _ in parts] == [n.removeprefix("bnn_geometry.") for n in named]
    assert len(parts) == PACKAGE_PAGE.count("automodule::")


def test_every_module_begins_with_the_sentence_that_its_page_shows():
    for name, path in MODULES.items():
        said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        assert said.split("\n\n")[0].endswith("."), name


def test_the_rooms_on_the_page_of_the_package_say_what_they_are_for():
    rooms = re.findall(r"^## .*: `(\w+)`\n\n([A-Z].*\.)\n", PACKAGE_PAGE, re.M)
    folders = {path.parent.name for path in SOURCE.glob("bnn_geometry/*/__init__.py")}
    assert {name for name, _ in rooms} == folders | {"sphinx_papermill"}
