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


GLOSSARY = (BOOK / "glossary.md").read_text(encoding="utf-8")
TERMS = set(re.findall(r"^(\w.*)$", GLOSSARY.split("```{glossary}")[1].split("```")[0], re.M))


def linked(page):
    """The terms that a page links, as Sphinx looks them up: in lower case, on one line."""
    text = re.sub(r"\n(?:# )? *", " ", page.read_text(encoding="utf-8"))
    targets = re.findall(r"{term}`(?:[^`<]*<)?([^`>]*)>?`", text)
    return {target.strip().lower() for target in targets}


def test_every_term_of_the_glossary_is_linked_from_a_chapter_and_every_link_has_a_term():
    by_page = {page.name: linked(page) for page in (*BOOK.glob("*.py"), *BOOK.glob("*.md"))}
    terms = {term.lower() for term in TERMS}
    assert len(terms) > 10
    dangling = {name: found - terms for name, found in by_page.items() if found - terms}
    assert dangling == {}
    in_chapters = set().union(*(f for name, f in by_page.items() if name.endswith(".py")))
    assert terms - in_chapters == set()


def test_no_symbol_is_in_the_table_twice():
    rows = re.findall(r"^\| (\$.*?) \| ", GLOSSARY, re.M)
    symbols = [symbol for row in rows for symbol in row.split(", ") if symbol.count("$") == 2]
    assert len(symbols) > 20
    assert len(symbols) == len(set(symbols))
