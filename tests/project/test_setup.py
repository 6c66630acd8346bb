"""The set-up: the dependencies, the lock, the conda route and the Make rule agree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from importlib import metadata

import pytest
import yaml
from notebooks_under_test import ROOT
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from bnn_geometry import cli, paths

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
LINES = [line for line in LOCK.splitlines() if line.strip() and not line.lstrip().startswith("#")]
PLATFORMS = {
    "linux": {"sys_platform": "linux", "os_name": "posix", "platform_machine": "x86_64"},
    "darwin": {"sys_platform": "darwin", "os_name": "posix", "platform_machine": "arm64"},
    "win32": {"sys_platform": "win32", "os_name": "nt", "platform_machine": "AMD64"},
}

# ---------------------------------------------------------------- the lock


def pins(environment=None):
    """Return {name: [versions]} of the lock's lines that apply in an environment."""
    found = {}
    for requirement in map(Requirement, LINES):
        if requirement.marker is None or requirement.marker.evaluate(environment):
            (specifier,) = requirement.specifier
            name = canonicalize_name(requirement.name)
            found.setdefault(name, []).append(Version(specifier.version))
    return found


def test_every_line_is_one_pin_and_names_no_address():
    """A lock holds wherever packages come from: no index, no file, no hash from one host."""
    loose = [line for line in LINES if not re.match(r"[\w.-]+==[\w.!+]+( ; .+)?$", line)]
    assert loose == []
    assert re.findall(r"://|--\S*(?:index|links|host|hash)\S*|sha256|file:", LOCK) == []


def test_every_declared_dependency_is_pinned_once_on_every_platform():
    declared = [
        *PROJECT["dependencies"],
        *(d for extra in ("test", "lab") for d in PROJECT["optional-dependencies"][extra]),
    ]
    for platform in PLATFORMS.values():
        for python in ("3.11", "3.12", "3.13"):
            environment = {"python_version": python, "python_full_version": f"{python}.9"}
            locked = pins(platform | environment)
            assert [name for name, versions in locked.items() if len(versions) != 1] == []
            for wanted in map(Requirement, declared):
                (version,) = locked[canonicalize_name(wanted.name)]
                assert wanted.specifier.contains(version), f"{wanted} is {version}"


def test_installed_versions_are_the_locked_ones():
    installed = {name: [Version(metadata.version(name))] for name in pins()}
    assert installed == pins()


def test_torch_and_torchvision_work_together():
    """Their metadata does not tell: beside a torch from elsewhere, torchvision::nms is missing."""
    import torch
    import torchvision

    boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.9], [5.0, 5.0, 6.0, 6.0]])
    kept = torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5)
    assert kept.tolist() == [0, 2]


def test_conda_leads_to_the_same_set():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    python, pip, through_pip = conda["dependencies"]  # the rest is the lock's
    assert (conda["name"], pip) == (PROJECT["name"], "pip")
    assert through_pip == {"pip": ["-r requirements.lock", "-e ."]}
    assert SpecifierSet(PROJECT["requires-python"]).contains(python.removeprefix("python="))


# ---------------------------------------------------------------- a checkout


def test_no_line_end_of_a_published_file_is_changed_by_a_checkout():
    """Whatever core.autocrlf says: what has a checksum is left alone, the rest has LF."""
    git = ["git", "-C", str(ROOT), "-c", "core.quotePath=false"]
    listed = subprocess.run([*git, "ls-files"], capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is no git checkout")
    asked = [*git, "check-attr", "--stdin", "text", "eol"]
    answer = subprocess.run(asked, input=listed.stdout, capture_output=True, text=True, check=True)
    found = {}
    for line in answer.stdout.splitlines():
        file, attribute, value = line.rsplit(": ", 2)
        found.setdefault(file, {})[attribute] = value
    assert len(found) > 100
    for file, values in found.items():
        kept = file.startswith(("runs/", "book/vendor/")) or file.endswith(".safetensors")
        assert values["text"] == "unset" if kept else values["eol"] == "lf", file


def test_links_that_a_checkout_made_text_files_of_are_told(tmp_path, monkeypatch, capsys):
    book = tmp_path / "book"
    book.mkdir()
    (book / "_toc.yml").write_text("../_toc.yml")
    monkeypatch.setattr(paths, "book_folder", lambda: book)
    assert cli.main(["status", "--data-only"]) == 1
    assert "_toc.yml is a text file where a link belongs" in capsys.readouterr().err
    shutil.copy(ROOT / "_toc.yml", book)
    assert cli.main(["status", "--data-only"]) == 0


# ---------------------------------------------------------------- make setup, in a false repository

# Stands in for python3, for .venv's own and for uv: makes a .venv with itself inside, and keeps a
# log of what it is to install; fails where the repository has a file of the name "fail".
FALSE_PROGRAM = """#!/bin/sh
case "$*" in
  -c*) exit ;;
  *"venv "*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
  *) echo "$*" >> log ;;
esac
test ! -e fail
"""
INSTALL = "install --disable-pip-version-check --no-deps -r requirements.lock -e ."


class Repository:
    """A folder with the Makefile, and false programs in place of Python and uv."""

    def __init__(self, root):
        self.root = root
        (root / "bin").mkdir(parents=True)
        shutil.copy(ROOT / "Makefile", root)
        for name in ("requirements.lock", "pyproject.toml"):
            (root / name).touch()
            os.utime(root / name, (1e9, 1e9))
        # nothing else is on the path: this machine's uv is not
        for name in ("cat", "cp", "mkdir", "rm", "make", "pwd"):
            (root / "bin" / name).symlink_to(shutil.which(name))
        self.add("python3")

    def add(self, name, text=FALSE_PROGRAM):
        """Put a program on the path."""
        (self.root / "bin" / name).write_text(text)
        (self.root / "bin" / name).chmod(0o755)

    def change(self, name):
        """Make a file newer than what was installed, also where the clock is coarse."""
        os.utime(self.root / ".venv" / ".ready", (1.1e9, 1.1e9))
        (self.root / name).touch()

    def make(self, *words):
        """Run make setup; gives its exit code, output and errors."""
        done = subprocess.run(
            ["make", "setup", *words],
            cwd=self.root,
            env={"PATH": str(self.root / "bin")},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def log(self):
        """What was installed since the last look."""
        text = (self.root / "log").read_text()
        (self.root / "log").unlink()
        return text.splitlines()


@pytest.fixture
def repository(tmp_path):
    if shutil.which("make") is None:
        pytest.skip("there is no make here")
    return Repository(tmp_path / "a repository")


def test_a_first_make_installs_the_second_does_nothing_and_a_new_lock_installs_again(repository):
    code, out, err = repository.make()
    assert (code, err) == (0, "")
    assert "3 GB" in out
    assert repository.log() == [f"-m pip {INSTALL}"]
    code, out, err = repository.make()
    assert (code, err) == (0, "")
    assert "Setting up" not in out
    assert not (repository.root / "log").exists()

    (repository.root / ".venv" / "kept").touch()
    for name in ("requirements.lock", "pyproject.toml"):
        repository.change(name)
        assert repository.make()[0] == 0
        assert repository.log() == [f"-m pip {INSTALL}"]
    assert (repository.root / ".venv" / "kept").exists()


def test_what_was_cut_short_or_moved_is_made_anew(repository):
    assert repository.make()[0] == 0
    repository.change("requirements.lock")
    (repository.root / "fail").touch()
    assert repository.make()[0] != 0  # the new lock is not installed, and the old one is no more
    (repository.root / "fail").unlink()
    (repository.root / ".venv" / "half").touch()
    assert repository.make()[0] == 0
    assert not (repository.root / ".venv" / "half").exists()

    (repository.root / ".venv" / "of the old place").touch()
    repository.root = repository.root.rename(repository.root.with_name("another place"))
    assert repository.make()[0] == 0
    assert not (repository.root / ".venv" / "of the old place").exists()


def test_uv_is_used_where_it_is_on_the_path(repository):
    repository.add("uv")
    assert repository.make()[0] == 0
    assert repository.log() == [
        "pip install --python .venv/bin/python --no-deps -r requirements.lock -e ."
    ]


def test_a_python_that_is_old_or_missing_is_named_in_one_sentence(repository):
    repository.add("old", "#!/bin/sh\nexit 1\n")
    for name in ("old", "no-such-python"):
        code, out, err = repository.make(f"PYTHON={name}")
        sentence, of_make = err.splitlines()
        assert code != 0
        assert out == ""
        assert f"{name} is older or missing" in sentence
        assert of_make.startswith("make: ***")
        assert not (repository.root / ".venv").exists()


def test_the_sentence_names_the_oldest_python_that_the_project_takes():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    oldest = PROJECT["requires-python"].removeprefix(">=")
    assert f"sys.version_info < ({oldest.replace('.', ', ')})" in text
    assert f"Python {oldest} or later" in text
