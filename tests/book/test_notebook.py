"""What a chapter hands to its page."""

import json
import math

import numpy as np
import pytest

from bnn_geometry.book import display as notebook
from bnn_geometry.book.plots import style as plots
from bnn_geometry.training import recipes

TEXTS = {"name": "fig-line", "caption": "A *line*.", "alt": "A line that rises."}
MIME = "application/papermill.record/text/plain"


def figure(slope=1.0, **size):
    made, axes = plots.new_figure(1, 2, **size)
    axes[0, 0].plot([0, 1, 2], [0, slope, 2 * slope], label="line")
    axes[0, 1].pcolormesh(np.arange(4), np.arange(4), np.eye(3), rasterized=True)
    axes[0, 0].legend()
    return made


@pytest.fixture
def displayed(monkeypatch):
    """What was displayed: the list grows by (data, metadata)."""
    calls = []

    def display(data, *, raw, metadata):
        assert raw
        calls.append((data, metadata))

    monkeypatch.setattr(notebook, "display", display)
    return calls


def svg(displayed, made):
    notebook.show(made, **TEXTS)
    return displayed[-1][0]["image/svg+xml"]


# --- figures ------------------------------------------------------------------------------------


def test_shown_figure_carries_its_texts(displayed):
    notebook.show(figure(), **TEXTS)
    [(data, metadata)] = displayed
    assert data["text/plain"] == "Figure: fig-line"
    assert "<svg" in data["image/svg+xml"]
    assert metadata == {
        "bnn_geometry": {
            "figure": {"name": "fig-line", "caption": "A *line*."},
            "image": {"alt": "A line that rises."},
        }
    }


@pytest.mark.parametrize("missing", TEXTS)
@pytest.mark.parametrize("text", ["", " \n"])
def test_figure_without_name_caption_or_alt_is_refused(missing, text, displayed):
    with pytest.raises(ValueError, match=f"needs a {missing}"):
        notebook.show(figure(), **TEXTS | {missing: text})
    with pytest.raises(TypeError, match=missing):
        notebook.show(figure(), **{k: v for k, v in TEXTS.items() if k != missing})
    assert displayed == []


def test_same_figure_is_the_same_bytes(displayed):
    first = svg(displayed, figure())
    assert svg(displayed, figure()) == first
    assert svg(displayed, figure(slope=-1.0)) != first


def test_svg_says_neither_when_nor_with_what_it_was_made(displayed):
    text = svg(displayed, figure())
    assert "dc:date" not in text
    assert "Matplotlib v" not in text
    assert "<text" not in text  # letters as shapes: the page needs no font


# --- numbers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (1.5, "1.5"),
        (3, "3"),
        (True, "True"),
        ("a text", "'a text'"),
        (np.float64(1.5), "1.5"),
        (np.float32(0.25), "0.25"),
        (np.int64(-7), "-7"),
        (np.bool_(True), "True"),
        (np.str_("x"), "'x'"),
        (np.asarray(2.5), "2.5"),  # what a function of arrays gives for a number
        (np.arange(3).mean(), "1.0"),
    ],
)
def test_glued_value_is_a_plain_one(value, stored, displayed):
    notebook.glue("x", value)
    [(data, metadata)] = displayed
    assert data == {MIME: stored}
    assert metadata["scrapbook"] == {"name": "x", "mime_prefix": MIME.removesuffix("text/plain")}
    json.dumps([data, metadata])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", [float, np.float64, np.float32, np.asarray])
def test_number_that_is_not_finite_is_refused(bad, kind, displayed):
    with pytest.raises(ValueError, match=r"r-first is .*cannot stand in the text"):
        notebook.glue("r-first", kind(bad))
    assert displayed == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.83e-7, "1.8 × 10⁻⁷"),
        (2.7e-303, "2.7 × 10⁻³⁰³"),
        (123.0, "1.2 × 10²"),
        (1e-3, "10⁻³"),
        (1.04e-3, "1.0 × 10⁻³"),
        (3e-7, "3.0 × 10⁻⁷"),
    ],
)
def test_small_numbers_are_printed_as_powers_of_ten(value, text):
    assert notebook.scientific(value) == text


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_what_has_no_power_of_ten_is_refused(value):
    with pytest.raises(ValueError, match="no positive number"):
        notebook.scientific(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "1"), (0.125, "1/8"), (1 / 32, "1/32"), (0.75, "3/4"), (0.3001, "0.3001")],
)
def test_a_width_is_printed_as_a_fraction(value, text):
    assert notebook.width(value) == text
    with pytest.raises(ValueError, match="is no width"):
        notebook.width(-value)


def test_a_recipe_is_printed_as_people_write_its_constants():
    table = notebook.recipe_table(
        {
            "a": recipes.ORIGINAL_CIFAR10,
            "b": recipes.FAST_MNIST.with_(width=1 / 8, train_images=12345),
        }
    )
    assert table.loc[["width", "lr", "train_images", "augment"], "a"].tolist() == [
        "1", "10⁻³", "all", "no",
    ]  # fmt: skip
    assert table.loc[["width", "train_images", "per_layer_scale"], "b"].tolist() == [
        "1/8", "12,345", "yes",
    ]  # fmt: skip
    assert set(table.index) == set(recipes.ORIGINAL_CIFAR10.as_dict())
