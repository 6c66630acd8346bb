"""What an executed notebook becomes on its page."""

import pprint
import re

import pandas as pd
from docutils import nodes
from docutils.utils import new_document
from hypothesis import example, given, settings
from hypothesis import strategies as st
from papermill.translators import PythonTranslator

from sphinx_papermill import render


def code(*lines, tags=(), outputs=()):
    metadata = {"tags": list(tags)}
    return {"cell_type": "code", "metadata": metadata, "source": list(lines), "outputs": outputs}


def test_code_is_folded_but_for_parameters_and_what_is_to_be_seen():
    cells = [code("1"), code("x = 1", tags=["parameters"]), code("2", tags=["show-input"])]
    page = render.as_page({"cells": cells, "metadata": {}})
    folded = ["hide-input" in cell["metadata"]["tags"] for cell in page["cells"]]
    assert folded == [True, False, False]


def test_the_page_says_how_it_was_made():
    record = {
        "key": "abc",
        "seconds": 1.5,
        "variant": "small",
        "machine": "x86_64, 2 cores",
        "inputs": {
            "python": "3.11.2",
            "libraries": {"numpy": "2.0", "not-there": None},
            "named": {
                "weather": {"rain": f"wet {'0f' * 32}"},
                "runs": {},
                "chapter": {"one": "f" * 64},
            },
        },
    }
    page = render.as_page({"cells": [], "metadata": {"sphinx_papermill": record}})
    (made,) = page["cells"]
    assert made["source"].splitlines()[1:-1] == [
        "Executed in 1.5 s, at `small`, on x86_64, 2 cores, with Python 3.11.2, numpy 2.0.",
        "",
        "weather: `rain` (wet 0f0f0f0f0f0f).",
    ]
    assert render.as_page({"cells": [], "metadata": {}})["cells"] == []


def test_the_parameters_shown_are_those_of_the_execution():
    own = code('size = "all"  # of it\n', "seed: int = 1  # of all\n", "n = 3", tags=["parameters"])
    injected = code("# Parameters\n", 'size = "few"\n', "n = -7", tags=["injected-parameters"])
    render.as_page({"cells": [own, injected], "metadata": {}})
    assert own["source"] == 'size = "few"  # of it\nseed: int = 1  # of all\nn = -7'
    injected["source"] = "seed = 2"
    own["source"] = "seed: int = 1  # of all"
    render.as_page({"cells": [own, injected], "metadata": {}})
    assert own["source"] == "seed: int = 2  # of all"


def values(**floats):
    plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, **floats)
    return st.recursive(
        plain | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=5,
    )


TYPED = values(allow_infinity=False)  # what a chapter can say: there is no literal for infinity


@settings(deadline=None, max_examples=50)
@given(own=TYPED, other=TYPED, value=values())
@example(own=1.0, other=None, value=float("inf"))
@example(own="größe", other="a  # b", value='"quoted\\" \n\' {level}')
def test_any_value_reaches_the_kernel_and_the_page(own, other, value):
    cells = [
        code(PythonTranslator.codify({"level": value}, "Parameters"), tags=["injected-parameters"])
    ]
    spread = pprint.pformat(own, width=1)
    source = f"rows = {other!r}; level: 'int' = {spread}  # of größe\nlast = 3"
    cells.append(code(source, tags=["parameters"]))
    render.as_page({"cells": cells, "metadata": {}})
    found = [{}, {}]
    for cell, names in zip(cells, found, strict=True):
        exec("".join(cell["source"]), names)
    assert found[0]["level"] == found[1]["level"] == value
    assert (found[1]["rows"], found[1]["last"]) == (other, 3)
    assert cells[1]["source"].endswith("  # of größe\nlast = 3")


def test_the_index_heads_its_column_and_minus_signs_are_minus_signs():
    frame = pd.DataFrame({"r": [-0.5, 0.5]}, index=pd.Index(["rain", "a-b"], name="weather"))
    cell = code("frame", outputs=[{"data": {"text/html": frame._repr_html_()}}])
    render.as_page({"cells": [cell], "metadata": {}})
    html = cell["outputs"][0]["data"]["text/html"]
    (head,) = re.findall(r"<thead>(.*?)</thead>", html, re.S)
    assert head.count("<tr") == 1
    assert re.findall(r"<th>(.*?)</th>", head) == ["weather", "r"]
    assert "<td>−0.5</td>" in html
    assert "a-b" in html


def test_numbers_of_the_index_and_thousands_are_printed_like_the_others():
    frame = pd.DataFrame({"x": [1234, -12345, 1234567], "y": ["99999", "a", 0.5]}, index=[-1, 2, 3])
    html = render.tidy_table(frame._repr_html_())
    assert "<th>−1</th>" in html
    for text in ("1234", "−12,345", "1,234,567", "99,999", "0.5"):
        assert f"<td>{text}</td>" in html


def test_two_index_levels_head_both_columns():
    frame = pd.DataFrame({"n": [1, 2]}, index=pd.MultiIndex.from_product(
        [["x"], ["y", "z"]], names=["day", "hour"]))  # fmt: skip
    head = render.tidy_table(frame._repr_html_()).split("</thead>")[0]
    assert re.findall(r"<th>(.*?)</th>", head) == ["day", "hour", "n"]


def test_two_levels_of_columns_keep_their_heads():
    columns = pd.MultiIndex.from_product([["x"], ["a", "b", "c"]])
    frame = pd.DataFrame([[1, 2, 3]], index=pd.Index([10], name="n"), columns=columns)
    head = render.tidy_table(frame._repr_html_()).split("</thead>")[0]
    assert head.count("<tr") == 2
    assert re.findall(r"<th>(.*?)</th>", head.split("</tr>")[1]) == ["n", "a", "b", "c"]


def test_other_html_is_left_alone():
    assert render.tidy_table("<td>-1</td>") == "<td>-1</td>"


def test_a_per_cent_sign_stays_with_its_number():
    cell = {"cell_type": "markdown", "source": "{glue:text}`x` % of 5 %, `a` %b", "metadata": {}}
    notebook = render.as_page({"cells": [cell], "metadata": {}})
    assert notebook["cells"][0]["source"] == "{glue:text}`x`\u00a0% of 5\u00a0%, `a` %b"


def test_a_glued_number_has_a_minus_sign():
    document = new_document("x")
    for text, classes in (
        ("-0.50", ["pasted-text"]),
        ("a-1 4800-5200", ["pasted-text"]),
        ("-2", []),
    ):
        document += nodes.inline("", text, classes=classes)
    render.typeset_numbers(None, document, "x")
    assert [node.astext() for node in document] == ["−0.50", "a-1 4800-5200", "-2"]
