"""The set-up: the dependencies, the lock, the conda route and tools/bootstrap.py agree."""

import ast
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import tomllib
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
BOOTSTRAP = ROOT / "tools" / "bootstrap.py"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK_TEXT = (ROOT / "requirements.lock").read_text(encoding="utf-8")
LOCK_LINES = [
    line for line in LOCK_TEXT.splitlines() if line.strip() and not line.lstrip().startswith("#")
]
DECLARED = sorted(
    PROJECT["dependencies"]
    + [d for extra in ("test", "lab") for d in PROJECT["optional-dependencies"][extra]]
)
PLATFORMS = {
    "linux": {"sys_platform": "linux", "os_name": "posix", "platform_machine": "x86_64"},
    "darwin": {"sys_platform": "darwin", "os_name": "posix", "platform_machine": "arm64"},
    "win32": {"sys_platform": "win32", "os_name": "nt", "platform_machine": "AMD64"},
}


def pins(environment=None):
    """Return {name: [versions]} of the lock's lines that apply in an environment."""
    found = {}
    for line in LOCK_LINES:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate(environment):
            (specifier,) = requirement.specifier
            name = canonicalize_name(requirement.name)
            found.setdefault(name, []).append(Version(specifier.version))
    return found


# ---------------------------------------------------------------- the lock


@pytest.mark.parametrize("line", LOCK_LINES)
def test_lock_line_is_one_pin(line):
    requirement = Requirement(line)  # an option such as --index-url does not parse
    assert requirement.url is None
    assert [s.operator for s in requirement.specifier] == ["=="]
    assert "*" not in str(requirement.specifier)


def test_lock_names_no_address():
    """A lock holds wherever packages come from: no index, no file, no hash from one host."""
    assert re.findall(r"://|--\S*(?:index|links|host|hash)\S*|sha256|file:", LOCK_TEXT) == []


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_lock_pins_every_declared_dependency(platform, python):
    locked = pins(
        PLATFORMS[platform] | {"python_version": python, "python_full_version": f"{python}.9"}
    )
    assert [name for name, versions in locked.items() if len(versions) != 1] == []
    for declared in map(Requirement, DECLARED):
        (version,) = locked[canonicalize_name(declared.name)]
        assert declared.specifier.contains(version, prereleases=True), f"{declared} is {version}"


def test_installed_versions_are_the_locked_ones():
    installed = {name: metadata.version(name) for name in pins()}
    assert {name: [Version(version)] for name, version in installed.items()} == pins()


def test_locked_torch_is_one_that_torchvision_asks_for():
    (wanted,) = [
        requirement
        for requirement in map(Requirement, metadata.requires("torchvision"))
        if requirement.name == "torch"
    ]
    (torch,) = pins()["torch"]
    assert wanted.specifier.contains(torch)


def test_torch_and_torchvision_work_together():
    """Their metadata does not tell: beside a torch from elsewhere, torchvision::nms is missing."""
    code = """
import torch, torchvision
boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.9], [5.0, 5.0, 6.0, 6.0]])
print(torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5).tolist())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "[0, 2]", "")


# ---------------------------------------------------------------- the conda route


def test_environment_leads_to_the_same_set():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    (pip_lines,) = [d["pip"] for d in environment["dependencies"] if isinstance(d, dict)]
    conda = [d for d in environment["dependencies"] if isinstance(d, str)]
    assert environment["name"] == PROJECT["name"]
    assert environment["channels"] == ["conda-forge"]
    assert pip_lines == ["-r requirements.lock", "-e ."]
    assert "pip" in conda
    assert {re.split("[=<>]", d)[0] for d in conda} == {"python", "pip"}  # the rest is the lock's
    (python,) = [d.removeprefix("python=") for d in conda if d.startswith("python")]
    assert SpecifierSet(PROJECT["requires-python"]).contains(python)


# ---------------------------------------------------------------- bootstrap, by itself


def load(path):
    spec = importlib.util.spec_from_file_location("bootstrap", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_bootstrap_is_readable_by_old_pythons():
    """Syntax newer than Python 2.7 would make a SyntaxError of the sentence about the version."""
    source = BOOTSTRAP.read_text(encoding="ascii")
    tree = ast.parse(source, feature_version=(3, 4))
    newer = (
        ast.JoinedStr,
        ast.AnnAssign,
        ast.NamedExpr,
        ast.Nonlocal,
        ast.Starred,
        ast.AsyncFunctionDef,
        ast.Match,
    )
    assert [node.lineno for node in ast.walk(tree) if isinstance(node, newer)] == []
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise):
            assert node.cause is None, f"raise … from, line {node.lineno}"
        if isinstance(node, ast.FunctionDef):
            arguments = node.args
            assert arguments.kwonlyargs == arguments.posonlyargs == []
            assert node.returns is None
            assert all(argument.annotation is None for argument in arguments.args)


def test_bootstrap_imports_nothing_new_or_foreign():
    """Its top must run under Python 2.7 too; what only newer ones have is imported where used."""
    tree = ast.parse(BOOTSTRAP.read_text(encoding="utf-8"))
    names = {
        name
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
        )
    }
    in_python_2 = {
        "__future__",
        "errno",
        "hashlib",
        "os",
        "shutil",
        "subprocess",
        "sys",
        "tempfile",
        "time",
    }
    assert names <= in_python_2


def test_bootstrap_needs_what_the_project_needs():
    oldest = load(BOOTSTRAP).OLDEST
    assert PROJECT["requires-python"] == ">={}.{}".format(*oldest)


# ---------------------------------------------------------------- bootstrap, in a false repository

posix_only = pytest.mark.skipif(os.name == "nt", reason="the false Python is a shell script")

# Stands in for .venv/bin/python: answers the version probe, keeps a log of pip's arguments, and
# does in place of pip what the file "pip" in the repository says.
FALSE_PYTHON = """#!/bin/sh
root="$(cd "$(dirname "$0")/../.." && pwd)"
if [ "$1" = -c ]; then
  cat "$root/version"; echo "$root/.venv"; exit
fi
shift 2
case "$*" in
  *--version) test -e "$root/.venv/has-pip"; exit ;;
esac
echo "$*" >> "$root/pip.log"
. "$root/pip"
"""

# Stands in for the module venv: python -m venv FOLDER.
FALSE_VENV = """
import os, shutil, sys
if __name__ == "__main__":
    folder = sys.argv[1]
    os.makedirs(os.path.join(folder, "bin"), exist_ok=True)
    shutil.copy(os.path.join(os.path.dirname(folder), "python"), os.path.join(folder, "bin"))
    open(os.path.join(folder, "has-pip"), "w").close()
    open(os.path.join(os.path.dirname(folder), "venv.log"), "a").write("made\\n")
"""


@pytest.fixture
def repository(tmp_path):
    """A repository, its path with a space, whose venv module and pip are false ones."""
    root = (tmp_path / "a repository").resolve()
    (root / "tools").mkdir(parents=True)
    (root / "modules").mkdir()
    shutil.copy(BOOTSTRAP, root / "tools")
    (root / "requirements.lock").write_text("six==1.17.0\n")
    (root / "pyproject.toml").write_text("[project]\n")
    (root / "version").write_text("3 11 0\n")
    (root / "pip").write_text("exit 0\n")
    (root / "python").write_text(FALSE_PYTHON)
    (root / "python").chmod(0o755)
    (root / "modules" / "venv.py").write_text(FALSE_VENV)
    return root


def end(process):
    process.kill()
    with suppress(ProcessLookupError, AttributeError):  # none left; no groups on Windows
        os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def start(root):
    """Start bootstrap; at the end, whatever it started is over too."""
    process = subprocess.Popen(
        [sys.executable, str(root / "tools" / "bootstrap.py")],
        env=os.environ | {"PYTHONPATH": str(root / "modules"), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    timer = threading.Timer(20, end, [process])  # a read that waits in vain fails the test
    timer.start()
    try:
        with process:
            try:
                yield process
            finally:
                end(process)
    finally:
        timer.cancel()


def bootstrap(root):
    with start(root) as process:
        out, err = process.communicate(timeout=30)
    assert "Traceback" not in err
    return SimpleNamespace(code=process.returncode, out=out, err=err)


def pip_log(root):
    path = root / "pip.log"
    return path.read_text().splitlines() if path.exists() else []


def stamp(root):
    return root / ".venv" / ".bnn-geometry-installed"


@posix_only
def test_fresh_set_up_then_nothing_to_do(repository):
    first = bootstrap(repository)
    assert first.code == 0, first.err
    assert "GB to download" in first.out
    flag = "install --disable-pip-version-check"
    both = [f"{flag} -r requirements.lock", f"{flag} --no-deps -e ."]
    assert pip_log(repository) == both
    assert stamp(repository).exists()

    second = bootstrap(repository)
    assert (second.code, second.out, second.err) == (0, "", "")
    assert pip_log(repository) == both
    assert (repository / "venv.log").read_text() == "made\n"


@posix_only
@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml"])
def test_changed_file_installs_again_in_the_same_venv(repository, name):
    bootstrap(repository)
    with (repository / name).open("a") as file:
        file.write("# changed\n")
    assert bootstrap(repository).code == 0
    assert len(pip_log(repository)) == 4
    assert (repository / "venv.log").read_text() == "made\n"
    assert bootstrap(repository).out == ""


@posix_only
@pytest.mark.parametrize("failing", ["-r requirements.lock", "--no-deps -e ."])
def test_failing_pip_leaves_no_stamp_and_the_next_run_continues(repository, failing):
    bootstrap(repository)
    (repository / "requirements.lock").write_text("six==1.16.0\n")
    (repository / "pip").write_text(
        f'case "$*" in *"{failing}") echo "ERROR: no such release" >&2; exit 1;; esac\n'
    )
    failed = bootstrap(repository)
    assert failed.code != 0
    shown, sentence = failed.err.splitlines()
    assert shown == "ERROR: no such release"
    assert failing in sentence
    assert "run again" in sentence
    assert not stamp(repository).exists()  # not even the one of the earlier set

    (repository / "pip").write_text("exit 0\n")
    assert bootstrap(repository).code == 0
    assert stamp(repository).exists()
    assert (repository / "venv.log").read_text() == "made\n"


@posix_only
@pytest.mark.parametrize(
    "half", ["no python", "dangling python", "python of another place", "no pip"]
)
def test_half_made_venv_is_made_again(repository, half):
    inside = repository / ".venv" / "bin"
    inside.mkdir(parents=True)
    (inside / "left-over").touch()
    if half == "dangling python":
        (inside / "python").symlink_to(repository / "gone")
    elif half == "python of another place":
        (inside / "python").write_text("#!/bin/sh\necho 3 11 0\necho /usr\n")
        (inside / "python").chmod(0o755)
    elif half == "no pip":
        shutil.copy(repository / "python", inside)
        (repository / "pip").write_text("exit 1\n")  # ensurepip is of no help
        (repository / "modules" / "venv.py").write_text(
            FALSE_VENV + "    open(os.path.join(os.path.dirname(folder), 'pip'), 'w').close()\n"
        )
    done = bootstrap(repository)
    assert done.code == 0, done.err
    assert "half-made" in done.out
    assert not (inside / "left-over").exists()
    assert (repository / "venv.log").read_text() == "made\n"
    assert stamp(repository).exists()


@posix_only
def test_venv_without_pip_gets_one_and_keeps_the_rest(repository):
    inside = repository / ".venv" / "bin"
    inside.mkdir(parents=True)
    (inside / "left-over").touch()
    shutil.copy(repository / "python", inside)
    (repository / "pip").write_text('touch "$root/.venv/has-pip"\n')  # as ensurepip would
    assert bootstrap(repository).code == 0
    assert (inside / "left-over").exists()


@posix_only
def test_package_cut_short_is_installed_again(repository):
    """pip would take its metadata for the package."""
    bootstrap(repository)
    stamp(repository).unlink()
    packages = repository / ".venv" / "lib" / "python3.11" / "site-packages"
    whole, cut = packages / "whole-1.0.dist-info", packages / "cut-1.0.dist-info"
    for folder in (whole, cut):
        folder.mkdir(parents=True)
        (folder / "METADATA").touch()
    (whole / "INSTALLER").touch()
    assert bootstrap(repository).code == 0
    assert whole.exists()
    assert not cut.exists()


@posix_only
def test_moved_repository_is_set_up_again(repository):
    bootstrap(repository)
    moved = repository.rename(repository.with_name("moved"))
    done = bootstrap(moved)
    assert done.code == 0
    assert "moved or copied" in done.out
    assert (moved / "venv.log").read_text() == "made\nmade\n"
    assert bootstrap(moved).out == ""


@posix_only
def test_old_python_inside_venv_is_left_for_the_reader_to_delete(repository):
    bootstrap(repository)
    stamp(repository).unlink()
    (repository / "version").write_text("3 9 18\n")
    done = bootstrap(repository)
    assert done.code != 0
    assert len(done.err.splitlines()) == 1
    assert "3.9.18" in done.err
    assert "rm -rf .venv" in done.err
    assert (repository / ".venv" / "has-pip").exists()


# The false pip that says it has started and ends when the test lets it.
GATED_PIP = 'touch "$root/started"; until test -e "$root/open"; do sleep 0.05; done\n'


def wait_for(path):
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.02)


@posix_only
def test_second_process_waits_and_installs_nothing(repository):
    """The pip of the first one ends only after the second has said that it waits."""
    (repository / "pip").write_text(GATED_PIP)
    with start(repository) as first:
        wait_for(repository / "started")
        with start(repository) as second:
            assert "waiting" in second.stdout.readline()
            (repository / "open").touch()
            _, first_err = first.communicate(timeout=30)
            second_out, second_err = second.communicate(timeout=30)
    assert (first.returncode, first_err) == (0, "")
    assert (second.returncode, second_out, second_err) == (0, "", "")
    assert len(pip_log(repository)) == 2


@posix_only
def test_killed_set_up_holds_the_lock_until_its_pip_ends_and_leaves_none(repository):
    (repository / "pip").write_text(GATED_PIP)
    with start(repository) as first:
        wait_for(repository / "started")
        first.kill()
        first.wait(timeout=30)
        with start(repository) as second:
            assert "waiting" in second.stdout.readline()
            (repository / "open").touch()
            second_out, second_err = second.communicate(timeout=30)
    assert (second.returncode, second_err) == (0, "")
    assert "complete" in second_out
    assert len(pip_log(repository)) == 3
    assert (repository / "venv.log").read_text() == "made\n"


# ---------------------------------------------------------------- what the reader's machine lacks


@pytest.mark.parametrize("found", [(2, 7, 18), (3, 10, 13)])
def test_old_python_is_named_in_one_sentence(repository, monkeypatch, capsys, found):
    module = load(repository / "tools" / "bootstrap.py")
    monkeypatch.chdir(repository)  # main changes directory: go back after the test
    assert module.main(found) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert ".".join(map(str, found)) in err
    assert "make PYTHON=/path/to/python3.11" in err
    assert not (repository / ".venv").exists()


@posix_only
def test_old_python_is_no_matter_once_set_up(repository, monkeypatch, capsys):
    bootstrap(repository)
    monkeypatch.chdir(repository)
    assert load(repository / "tools" / "bootstrap.py").main((3, 9, 6)) == 0
    assert capsys.readouterr() == ("", "")


def test_version_check_lets_the_oldest_and_newer_pass():
    module = load(BOOTSTRAP)
    for found in [(3, 11, 0), (3, 13, 1), (4, 0, 0)]:
        module.check_version(found, "%s %s")


@pytest.mark.parametrize("missing", ["venv", "ensurepip"])
def test_missing_module_is_named_in_one_sentence(repository, missing):
    (repository / "modules" / f"{missing}.py").write_text(f"raise ImportError({missing!r})\n")
    done = bootstrap(repository)
    assert (done.code, done.out) == (1, "")
    assert len(done.err.splitlines()) == 1
    assert f"the module {missing}" in done.err
    assert "apt install python3-venv" in done.err
    assert not (repository / ".venv").exists()


@pytest.mark.parametrize("disks", [1, 2])
def test_too_little_disk_is_named_in_one_sentence(repository, monkeypatch, capsys, disks):
    module = load(repository / "tools" / "bootstrap.py")
    needed = module.DISK_GB + (module.DOWNLOAD_GB if disks == 1 else 0)
    free = {"GB": needed - 0.2}
    monkeypatch.chdir(repository)
    monkeypatch.setattr(module, "device", lambda folder: folder if disks == 2 else 0)
    monkeypatch.setattr(
        module.shutil, "disk_usage", lambda folder: SimpleNamespace(free=free["GB"] * 1e9)
    )
    assert module.main() == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert f"{needed:.1f} GB" in err
    assert f"{needed - 0.2:.1f} GB" in err

    free["GB"] = needed + 0.2
    module.check_disk()


def test_missing_lock_is_named_in_one_sentence(repository):
    (repository / "requirements.lock").unlink()
    done = bootstrap(repository)
    assert done.code == 1
    assert len(done.err.splitlines()) == 1
    assert "requirements.lock" in done.err


@posix_only
@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_make_without_python_says_so():
    done = subprocess.run(
        ["make", "PYTHON=no-such-python", "setup"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "There is no no-such-python: install Python 3.11" in done.stderr
