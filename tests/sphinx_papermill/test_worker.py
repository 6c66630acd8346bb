"""A chapter in a process of its own: every way in which it can end."""

import json
import os
import sys
import time

import nbformat
import pytest

from sphinx_papermill import worker

ENDS = {
    "noise": ("os.write(1, b'{}\\n')\nos.write(2, b'noise\\n')\nprint('printed')", ""),
    "error": ("x = 1\nraise ValueError('no such\\nthing')", "ValueError: no such"),
    "exit": ("import sys; sys.exit(0)", "SystemExit: a chapter ends with its last cell"),
    "quit": ("quit()", "SystemExit: a chapter ends with its last cell"),
    "failed": ("raise SystemExit(3)", "SystemExit: 3"),
    "dead": ("os._exit(3)", "the kernel died"),
    "hanging": ("import time; time.sleep(600)", "did not end within 5 s"),
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Of all the ways, two at a time."""
    folder = tmp_path_factory.mktemp("worker")
    found, waiting, running = {}, list(ENDS), {}
    while waiting or running:
        while waiting and len(running) < 2:
            name = waiting.pop(0)
            path = folder / f"{name}.py"
            body = ENDS[name][0]
            path.write_text(
                f"# %% tags=['parameters']\nlevel = 1\n\n# %%\nimport os\n{body}\n\n"
                "# %% tags=['raises-exception']\nraise OSError('by design')\n\n"
                "# %% tags=['skip-execution']\nos._exit(4)\n\n# %%\nlevel\n"
            )
            running[name] = worker.start(
                path,
                folder / f"{name} {{level}}.ipynb",
                parameters={"level": 2},
                cwd=folder,
                timeout=5,
                environment={"COLOUR": "red"},
            )
        for name, process in list(running.items()):
            if not process.running():
                found[name] = running.pop(name).outcome()
        time.sleep(0.05)
    return folder, found


@pytest.mark.parametrize("name", ENDS)
def test_the_outcome_is_one_line_that_names_the_cell(outcomes, name):
    folder, found = outcomes
    outcome, message = found[name], ENDS[name][1]
    assert outcome.ok == (message == "")
    assert message in outcome.error
    assert (outcome.cells, outcome.total) == ((5, 5) if outcome.ok else (1, 5))
    if message:
        assert outcome.error.startswith("cell 2 of 5 (`import os`): ")
        assert "\n" not in outcome.error
    assert (folder / f"{name} {{level}}.ipynb").exists()  # whole, or as far as it came


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import os\nquit()", "SystemExit: a chapter ends"),
        ("if True:\n    exit(0)", "SystemExit: a chapter ends"),
        ("os._exit(3)", "the kernel died"),
        ("sys.exit = exit", "the kernel died"),
    ],
)
def test_a_kernel_that_is_gone_before_its_reply_was_read(source, message):
    cell = nbformat.v4.new_code_cell(source, metadata={"papermill": {"start_time": "now"}})
    later = nbformat.v4.new_code_cell("quit()")
    assert message in worker._death(nbformat.v4.new_notebook(cells=[cell, later]))


def test_a_kernel_that_never_began():
    assert "the kernel died" in worker._death(None)


def test_what_a_cell_writes_to_standard_output_is_not_the_outcome(outcomes):
    folder, found = outcomes
    assert found["noise"].ok
    cells = nbformat.read(folder / "noise {level}.ipynb", as_version=4).cells
    assert [c.source for c in cells][1].endswith("level = 2\n")
    assert "printed" in cells[2].outputs[0].text
    # of the tagged cells, one shows its error and one was left out; papermill adds no cells
    assert [o.get("evalue") for o in cells[3].outputs] == ["by design"]
    assert (cells[4].outputs, cells[5].outputs[0].data["text/plain"], len(cells)) == ([], "2", 6)


def test_relative_places_are_meant_from_where_the_build_is_started(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for folder in ("src", "book"):
        (tmp_path / folder).mkdir()
    (tmp_path / "src" / "dicelib.py").write_text("VALUE = 6")
    (tmp_path / "book" / "one.py").write_text("# %%\nimport dicelib\ndicelib.VALUE")
    path = ["src", *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    process = worker.start(
        *(tmp_path / "book" / "one.py", tmp_path / "one.ipynb"),
        **{"parameters": {}, "cwd": tmp_path / "book", "timeout": 59.5},
    )
    assert process.outcome().error == ""


def test_a_process_that_breaks_says_so_with_its_last_line(tmp_path):
    process = worker.start(
        tmp_path / "no.py", tmp_path / "x.ipynb", parameters={}, cwd=tmp_path, timeout=None
    )
    assert "There is no chapter" in process.outcome().error
    broken = worker.start(
        tmp_path / "no.py",
        tmp_path / "x.ipynb",
        parameters={},
        cwd=tmp_path,
        timeout=None,
        environment={"PYTHONPATH": str(tmp_path), "PYTHONSAFEPATH": "1", "PYTHONHOME": os.devnull},
    )
    assert broken.outcome().error.startswith("the process that executes it ended: ")


MACHINE = """
# %%
import json, os, sys, locale
import matplotlib.pyplot as plt
print(json.dumps({
    "startup": [name for name in ("from_startup", "from_pythonstartup") if name in globals()],
    "width": plt.rcParams["lines.linewidth"],
    "backend": plt.get_backend(),
    "executable": sys.executable,
    "asserts": __debug__,
    "encoding": locale.getpreferredencoding().lower(),
    "read": open("read.txt").read(),
}))
"""


def test_a_kernel_has_no_settings_of_the_user_and_needs_neither_home_nor_a_short_path(tmp_path):
    home, cwd = tmp_path / "home", tmp_path / "a 'b' $c #d %e é {f}"
    cwd.mkdir()
    for file, text in {
        ".ipython/profile_default/startup/a.py": "from_startup = 1",
        ".ipython/profile_default/ipython_config.py": "raise ValueError('user config')",
        ".ipython/profile_default/ipython_kernel_config.py": "raise ValueError('user config')",
        ".jupyter/jupyter_config.py": "raise ValueError('user config')",
        ".config/matplotlib/matplotlibrc": "lines.linewidth: 77\nbackend: svg",
        ".local/share/jupyter/kernels/python3/kernel.json": json.dumps(
            {"argv": ["/nowhere/python"], "display_name": "mine", "language": "python"}
        ),
        "startup.py": "from_pythonstartup = 1",
    }.items():
        (home / file).parent.mkdir(parents=True, exist_ok=True)
        (home / file).write_text(text)
    (cwd / "read.txt").write_text("é", encoding="utf-8")
    long = tmp_path / ("x" * 100)
    long.mkdir()
    path = cwd / "machine.py"
    path.write_text(MACHINE, encoding="utf-8")
    process = worker.start(
        path,
        cwd / "machine.ipynb",
        parameters={},
        cwd=cwd,
        timeout=60,
        environment={
            "HOME": str(home),
            "TMPDIR": str(long),
            "PYTHONSTARTUP": str(home / "startup.py"),
            "MATPLOTLIBRC": str(home / ".config/matplotlib"),
            "MPLBACKEND": "svg",
            "PYTHONOPTIMIZE": "1",
            **{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
            "OMP_NUM_THREADS": "many",
            "TZ": "Nowhere/Else",
        },
    )
    outcome = process.outcome()
    assert outcome.ok, outcome
    cells = nbformat.read(cwd / "machine.ipynb", as_version=4).cells
    said = json.loads(cells[-1].outputs[-1].text)
    assert said == {
        "startup": [],
        "width": 1.5,
        "backend": "module://matplotlib_inline.backend_inline",
        "executable": sys.executable,
        "asserts": True,
        "encoding": "utf-8",
        "read": "é",
    }
    assert not list(long.iterdir())
