"""The pages to look things up in, the package's and the glossary, have all that there is."""

import re
from importlib import import_module
from pathlib import Path

import pytest
from notebooks_under_test import ROOT

from bnn_geometry.book.sphinx_rooms import face, modules, sentence

BOOK, SOURCE = ROOT / "book", ROOT / "src"
PACKAGE_PAGE = (BOOK / "api.md").read_text(encoding="utf-8")
MODULES = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts): path
    for path in SOURCE.glob("*/**/[!_]*.py")
}


ROOMS = re.findall(r"^\.\. room:: (\S+)$", PACKAGE_PAGE, re.M)


def test_every_module_is_on_the_page_of_the_package_once():
    shown = [module for room in ROOMS for module in modules(room)]
    assert sorted(shown) == sorted(MODULES)
    assert len(MODULES) > 100


def test_every_module_begins_with_the_sentence_that_the_page_shows():
    for room in ROOMS:
        for name, tree in modules(room).items():
            assert re.fullmatch(r"[A-Z\d`].*\.", sentence(tree)), name


@pytest.mark.parametrize("room", [room for room in ROOMS if "." in room])
def test_every_name_that_a_room_offers_is_on_the_page_once(room):
    documented = [target.rsplit(".", 1)[1] for target in face(room)]
    offered = getattr(import_module(room), "__all__", ())
    inner = {path.stem for path in (SOURCE / Path(*room.split("."))).glob("*")}
    assert sorted(documented) == sorted(set(offered) - inner)


def test_a_name_is_documented_where_it_is_defined_as_what_it_is():
    found = face("bnn_geometry.book")
    assert found["bnn_geometry.book.display.show"] == "autofunction"
    assert found["bnn_geometry.book.display.Origin"] == "autoclass"
    assert face("bnn_geometry.geometry")["bnn_geometry.geometry.distributions.GAUSSIAN"] == (
        "autodata"
    )


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
