"""The README's claims, as far as a test can check them."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from notebooks_under_test import ROOT

import bnn_geometry as bg
from bnn_geometry import cli
from bnn_geometry.book import presets

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.S)
COMMANDS = [
    shlex.split(line, comments=True)
    for language, text in BLOCKS
    if language == "bash"
    for line in text.splitlines()
]


EXAMPLES = [text for language, text in BLOCKS if language == "python"]


@pytest.mark.parametrize(
    ("code", "names"),
    [*zip(EXAMPLES, [("fc1", "fc2", "fc3", "fc4"), ("0 ", "5 ")], strict=True)],
    ids=["trained", "own"],
)
def test_the_python_examples_run_and_print_every_layer(code, names):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for layer in names:
        assert re.search(rf"^{layer}", done.stdout, re.M)


@pytest.mark.parametrize(
    "words", [c for c in COMMANDS if c and c[0] == "bnn-geometry"], ids=" ".join
)
def test_every_bnn_geometry_command_shown_is_one(words):
    cli.parser().parse_args(words[1:])


def test_every_make_target_shown_is_one():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M))
    shown = {word for c in COMMANDS if c and c[0] == "make" for word in c[1:]}
    assert {"book", "test", "lab"} <= shown <= targets


def test_the_two_commands_come_first():
    first = [c for c in COMMANDS if c][:2]
    assert first == [["make", "book"], ["make", "test"]]


def test_the_latex_that_is_told_of_is_the_one_that_is_made():
    # tests/book/test_latex.py makes it, of a small book with these settings
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    name = config["latex"]["latex_documents"]["targetname"]
    told = [line.split() for line in README.splitlines() if "--builder latex" in line]
    assert told == [f"jupyter-book build book/ --builder latex # book/_build/latex/{name}".split()]
    assert ["cd", "book/_build/latex", "&&", "make"] in COMMANDS
    assert f"# {Path(name).stem}.pdf" in README
    assert config["latex"]["latex_engine"] == "xelatex"
    assert "needs XeLaTeX" in README
    assert config["sphinx"]["config"]["latex_use_xindy"] is False
    assert "makeindex" in README


def test_the_presets_are_those_of_the_package():
    (table,) = re.findall(r"^\| preset .*?\n\n", README, re.M | re.S)
    assert re.findall(r"^\| `(\w+)`", table, re.M) == list(presets.NAMES)


def test_the_table_of_rooms_has_every_room_and_what_they_stand_on():
    (table,) = re.findall(r"^\| room .*?\n\n", README, re.M | re.S)
    named = [name for row in re.findall(r"^\| (`.*?) \|", table, re.M) for name in row.split(", ")]
    package = ROOT / "src" / "bnn_geometry"
    rooms = {path.parent.name for path in package.glob("*/__init__.py")} - {"cli"}
    ground = {path.stem for path in package.glob("[!_]*.py")}
    assert sorted(named) == sorted(f"`{name}`" for name in rooms | ground)


def test_every_name_for_strangers_is_told():
    (sentence,) = re.findall(r"The names that a stranger needs .*?\n\n", README, re.S)
    rooms = {path.parent.name for path in (ROOT / "src" / "bnn_geometry").glob("*/__init__.py")}
    assert set(re.findall(r"`(\w+)`", sentence)) == set(bg.__all__) - rooms


def test_every_file_named_is_there():
    for name in ("requirements.lock", "environment.yml", "LICENSE", "LICENSE-text", "_toc.yml"):
        assert f"`{name}`" in README or name in README
        assert (ROOT / name).exists()
    assert (ROOT / "book" / "vendor" / "mathjax" / "LICENSE").exists()


def test_nothing_names_an_address_of_ours():
    assert not re.search(r"github\.com/\w+/\w+", README)
