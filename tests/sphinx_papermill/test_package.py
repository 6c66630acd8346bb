"""The package is for any book: it knows nothing of this one, and does what its README says."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import sphinx_papermill
from sphinx_papermill import extension

FOLDER = Path(sphinx_papermill.__file__).parent
README = (FOLDER / "README.md").read_text(encoding="utf-8")
JUPYTER_BOOK = Path(sys.executable).with_name("jupyter-book")


def test_it_neither_imports_nor_mentions_this_book():
    files = [path for path in FOLDER.iterdir() if path.is_file()]
    assert {"__init__.py", "README.md", "extension.py"} <= {path.name for path in files}
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"bnn|binary|network|preset|torch|cifar|mnist", text, re.I), path.name
        if path.suffix == ".py":
            assert len(text.splitlines()) <= 400


def test_a_chapters_process_loads_no_sphinx():
    command = "import sys, sphinx_papermill.worker; print(sorted(set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True)
    loaded = ast.literal_eval(done.stdout)
    assert "sphinx_papermill.worker" in loaded
    assert not {"sphinx", "docutils"} & set(loaded)


class App:
    """Takes note of the settings."""

    def __init__(self):
        self.defaults = {}

    def add_config_value(self, name, default, rebuild, types):
        self.defaults[name] = default

    def connect(self, event, function, priority=500):
        pass


def test_the_readme_has_every_setting_with_its_default():
    app = App()
    extension.setup(app)
    rows = re.findall(r"^\| `(papermill_\w+)` \| `(.*?)` \|", README, re.M)
    assert {name: ast.literal_eval(default) for name, default in rows} == app.defaults


def test_the_readmes_book_is_whole(tmp_path):
    files = re.findall(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```", README, re.M | re.S)
    assert [name for name, _ in files] == ["_config.yml", "_toc.yml", "dice.py"]
    for name, text in files:
        (tmp_path / name).write_text(text)
    command = [JUPYTER_BOOK, "build", ".", "-W", "-n", "--keep-going"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "_build" / "html" / "dice.html").read_text(encoding="utf-8")
    assert "a mean of 3." in page
    assert "How this page was made" in page


@pytest.mark.parametrize(("name", "value"), [("packages", "numpy"), ("timeout", "long")])
def test_a_setting_of_another_kind_stops_the_build(name, value, monkeypatch):
    said = []
    monkeypatch.setattr(extension.LOGGER, "error", said.append)
    settings = {f"papermill_{key}": default for key, default, _ in extension.SETTINGS}
    config = SimpleNamespace(**settings | {f"papermill_{name}": value})
    with pytest.raises(SystemExit):
        extension.configure(None, config)
    assert said[0].startswith(f"papermill_{name} in the configuration is ")
