"""What a chapter declares, and every way to get it wrong."""

import pytest

from sphinx_papermill import chapter as chapters
from sphinx_papermill.chapter import check_parameters, declared_parameters, load
from sphinx_papermill.errors import BookError

TEXT = """\
# ---
# jupyter:
#   sphinx_papermill: {header}
# ---

# %% [markdown]
# # One

# %% tags=["parameters"]
{parameters}

# %%
{code}
"""


@pytest.fixture
def write(tmp_path):
    def write(header="{}", parameters="level = 1", code="pass", name="one"):
        path = tmp_path / f"{name}.py"
        path.write_text(TEXT.format(header=header, parameters=parameters, code=code))
        return path

    return write


def test_a_chapter_says_what_it_builds_on(write):
    path = write("{after: [zero], data: [rain, wind], files: [one.py]}")
    one = load("one", path, kinds=["data", "runs"])
    assert (one.after, one.files) == (("zero",), ("one.py",))
    assert one.lists == {"data": ("rain", "wind"), "runs": ()}


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"header": "{afer: [zero]}"}, r"unknown sphinx_papermill.afer in its header, which can"),
        ({"header": "{after: zero}"}, r"sphinx_papermill.after in its header must be a list"),
        ({"header": "{after: [1]}"}, "must be a list"),
        ({"header": "[zero]"}, "must be lists by name"),
        ({"header": "{after: [zero"}, "cannot be read"),
        ({"header": "{files: [rows.toml]}"}, "reads 'rows.toml', which is not beside it"),
        ({"parameters": "level = 1 + x"}, "level is not a plain literal"),
        ({"parameters": "a = b = 1"}, r"holds 'a = b = 1', which is no assignment"),
        ({"parameters": "import os"}, "holds 'import os'"),
        ({"parameters": "level = ("}, "its parameters are not Python"),
        ({"parameters": "level = 'high'"}, r"Parameter level of chapter one is str"),
    ],
)
def test_every_mistake_is_a_sentence_that_names_the_chapter(write, what, message):
    with pytest.raises(BookError, match=message) as caught:
        load("one", write(**what), parameters={"level": 2})
    assert "one" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_mark_at_the_beginning_and_other_line_ends_change_nothing(write):
    path = write("{after: [zero]}")
    text = path.read_bytes()
    for other in (b"\xef\xbb\xbf" + text, text.replace(b"\n", b"\r\n")):
        path.write_bytes(other)
        one = load("one", path)
        assert (one.after, one.code) == (("zero",), "level = 1\npass")
    path.write_bytes(text.replace(b"# One", "# Größe".encode("latin-1")))
    with pytest.raises(BookError, match="Chapter one cannot be read: 'utf-8' codec"):
        load("one", path)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: f"\n{text}",
        lambda text: text.replace("# jupyter:\n#   ", "# "),
        lambda text: text.replace("# ---\n", "", 1),
        lambda text: text.replace("# ---", "'''", 2).replace("#   ", "").replace("# jup", "jup"),
    ],
)
def test_a_header_that_is_none_is_not_passed_over(write, spoil):
    path = write("{after: [zero]}")
    path.write_text(spoil(path.read_text()))
    with pytest.raises(BookError, match="Chapter one: sphinx_papermill is not in its header"):
        load("one", path)


def test_a_chapter_has_one_cell_of_parameters_or_none(write):
    path = write(code='pass\n\n# %% tags=["parameters"]\nlevel = 2')
    with pytest.raises(BookError, match="Chapter one: 2 cells are tagged parameters"):
        load("one", path)
    path.write_text(path.read_text().replace("parameters", "other"))
    assert load("one", path, parameters={"level": 3}).parameters == {}
    path.write_text('# %% [markdown] tags=["parameters"]\n# level = 1\n')
    with pytest.raises(BookError, match="tagged parameters holds no code"):
        load("one", path)
    path.write_text("")
    assert load("one", path).code == ""


def test_code_is_plain_python_or_the_cell_is_named(write):
    assert "run_line_magic" in load("one", write(code="# %matplotlib inline\nx = 1")).code
    with pytest.raises(BookError, match=r"Chapter one: cell 2 of 2 is not Python: .* line 2"):
        _ = load("one", write(code="x = 1\ndef")).code


def test_parameters_are_literals_typed_or_not_with_or_without_magics(write):
    path = write(
        parameters="# %autosave 0\n'Of all.'\nseed: int = 1; rate = -0.5  # a\nnames = ['a']"
    )
    notebook = chapters.read_notebook(path)
    assert declared_parameters(notebook, "one") == {"seed": 1, "rate": -0.5, "names": ["a"]}


def test_parameters_of_the_book_go_to_the_chapters_that_declare_another_value(write):
    path = write()
    for given, injected in (
        ({"level": 2}, {"level": 2}),
        ({"level": 1, "other": 3}, {}),
    ):
        assert load("one", path, parameters=given).parameters == injected


def test_a_parameter_has_the_type_of_its_value_or_any_where_that_is_none():
    declared = {"rate": 0.5, "count": 3, "rows": None}
    check_parameters(declared, {"rate": 1, "count": 4, "rows": "all"}, "x")
    for wrong in ({"count": True}, {"count": 0.5}, {"rate": "1"}):
        with pytest.raises(BookError, match="of chapter x is"):
            check_parameters(declared, wrong, "x")
    with pytest.raises(BookError, match="no parameter 'cuont'; it has: rate, count, rows"):
        check_parameters(declared, {"cuont": 1}, "x")


def test_chapters_come_after_what_they_build_on(write):
    one = load("one", write("{after: [zero]}"))
    zero = load("zero", write(name="zero"))
    assert chapters.in_order({"one": one, "zero": zero}) == [zero, one]
    with pytest.raises(BookError, match="Chapter one builds on 'zero', which is not there"):
        chapters.in_order({"one": one})
    loop = load("zero", write("{after: [one]}", name="zero"))
    with pytest.raises(BookError, match="build on each other"):
        chapters.in_order({"one": one, "zero": loop})


def test_what_is_not_there_is_not_read(tmp_path):
    with pytest.raises(BookError, match="There is no chapter"):
        chapters.read_notebook(tmp_path / "nothing.py")
