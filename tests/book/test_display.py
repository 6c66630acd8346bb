"""What a chapter hands to its page."""

import base64
import json
import math
import re

import numpy as np
import pandas as pd
import pytest

from bnn_geometry.book import display, plots
from bnn_geometry.data.datasets import Provenance
from bnn_geometry.training import recipes

TEXTS = {"name": "fig-line", "caption": "A *line*.", "alt": "A line that rises."}
MIME = "application/papermill.record/text/plain"


def figure(slope=1.0):
    made, [[ax]] = plots.new_figure(width=3, height=2)
    ax.pcolormesh(np.arange(4), np.arange(4), np.eye(3), rasterized=True)
    ax.plot([0, 1, 2], [0, slope, 2 * slope], label="line")
    ax.legend()
    return made


@pytest.fixture
def displayed(monkeypatch):
    """What was displayed: the list grows by (data, metadata)."""
    calls = []

    def show(data, *, raw, metadata):
        assert raw
        calls.append((data, metadata))

    monkeypatch.setattr(display, "display", show)
    return calls


def svg(displayed, made):
    display.show(made, **TEXTS)
    return displayed[-1][0]["image/svg+xml"]


# --- figures ------------------------------------------------------------------------------------


def test_a_figure_carries_its_texts_and_the_same_figure_is_the_same_bytes(displayed):
    text = svg(displayed, figure())
    [(data, metadata)] = displayed
    assert data["text/plain"] == "Figure: fig-line"
    pdf = base64.b64decode(metadata["bnn_geometry"].pop("pdf"))
    assert pdf.startswith(b"%PDF")
    assert not re.search(rb"CreationDate|Matplotlib v", pdf)
    assert metadata == {
        "bnn_geometry": {
            "figure": {"name": "fig-line", "caption": "A *line*."},
            "image": {"alt": "A line that rises."},
        }
    }
    assert text.startswith("<?xml")
    # neither when nor with what it was made; letters as shapes: the page needs no font
    assert not re.search("dc:date|Matplotlib v|<text", text)
    assert svg(displayed, figure()) == text
    assert svg(displayed, figure(slope=-1.0)) != text


@pytest.mark.parametrize("missing", TEXTS)
@pytest.mark.parametrize("text", ["", " \n"])
def test_figure_without_name_caption_or_alt_is_refused(missing, text, displayed):
    with pytest.raises(ValueError, match=f"needs a {missing}"):
        display.show(figure(), **TEXTS | {missing: text})
    with pytest.raises(TypeError, match=missing):
        display.show(figure(), **{k: v for k, v in TEXTS.items() if k != missing})
    assert displayed == []


def test_an_origin_makes_titles_and_the_last_line_of_captions(displayed):
    data = Provenance("cifar10", "stand-in", "stand-in: photographs", "", None, "0" * 64, 1, 1)
    origin = display.Origin(data, 1200, 1 / 8, preset="smoke", seed=0)
    assert origin.title == "1,200 test images of stand-in: photographs"
    display.show(figure(), "fig-line", "A line.", origin, alt="A line that rises.")
    caption = displayed[-1][1]["bnn_geometry"]["figure"]["caption"]
    assert caption == f"A line. {origin.title}; width 1/8; preset smoke; seed 0."
    assert origin.but(images=None, width=None).line == (
        "Stand-in: photographs; preset smoke; seed 0."
    )
    assert display.Origin(words="4 vectors").line == "4 vectors."
    assert display.Origin().line == ""


@pytest.mark.parametrize(
    "name",
    ["cifar10<img src=x onerror=alert(1)>.tar", "cifar10$\\frac$.tar", "cifar10`{x}`*[a](b)*\n# T"],
)
def test_a_name_from_outside_is_nothing_but_text(name, displayed):
    data = Provenance("cifar10", "folder", name, name, None, "0" * 64, 1, 1)
    made = figure()
    made.suptitle(display.Origin(data, 5).title)
    display.show(made, "fig-x", "A line.", display.Origin(data), alt="A line.")
    caption = displayed[-1][1]["bnn_geometry"]["figure"]["caption"]
    assert caption.startswith("A line. Cifar10")
    assert not set("<>&$\\`*[]{}#\n") & set(caption + data.detail)


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
    display.glue("x", value)
    [(data, metadata)] = displayed
    assert data == {MIME: stored}
    assert metadata["scrapbook"] == {"name": "x", "mime_prefix": MIME.removesuffix("text/plain")}
    json.dumps([data, metadata])


def glued(displayed):
    return {m["scrapbook"]["name"]: data[MIME] for data, m in displayed}


def test_many_numbers_are_glued_at_once(displayed):
    table = pd.DataFrame({"r": [0.5, np.nan, 0.25]}, index=["conv1", "conv2", "fc1"])
    display.glue("old-form", 1, first_layer=2, r=display.span(table["r"]))
    assert glued(displayed) == {
        "old-form": "1", "first-layer": "2", "r-low": "0.25", "r-high": "0.5",
        "r-low-at": "'fc1'", "r-high-at": "'conv1'",
    }  # fmt: skip


def test_a_series_is_a_number_for_each_label(displayed):
    display.glue(off=pd.Series({"channel × space": 1, "whitened, unrotated": 2, 16: 3}))
    assert glued(displayed) == {
        "off-channel-space": "1", "off-whitened-unrotated": "2", "off-16": "3",
    }  # fmt: skip


def test_a_number_that_is_not_finite_is_refused(displayed):
    for bad in (math.nan, math.inf, np.float32(math.nan), np.asarray(-math.inf)):
        with pytest.raises(ValueError, match=r"r-first is .*cannot stand in the text"):
            display.glue(r_first=bad)
    assert displayed == []


# --- tables -------------------------------------------------------------------------------------


def printed(table):
    return table.frame.to_numpy().tolist()


def test_a_table_prints_its_numbers_as_people_do():
    frame = pd.DataFrame({"n": [27, -81920], "r": [-0.5, -0.001], "gap": [np.nan, 1.25]})
    assert printed(display.table(frame, ".2f")) == [
        ["27", "−0.50", "—"],
        ["−81,920", "0.00", "1.25"],
    ]
    table = display.table(frame, {"r": "r | .1f", "gap": "off (%) | .0%"}, gap="")
    assert list(table.frame.columns) == ["r", "off (%)"]
    assert printed(table) == [["−0.5", ""], ["0.0", "125"]]


def test_columns_of_two_levels_are_named_by_the_lowest():
    found = pd.DataFrame({"angle": [37.04], "se": [0.1], "kind": ["a-b"]}, index=["conv1"])
    both = pd.concat({"trained": found, "untrained": found}, axis=1)
    table = display.table(both, {"angle": "angle (°) | .1f", "kind": "kind"})
    assert list(table.frame.columns) == [
        (network, name) for network in ("trained", "untrained") for name in ("angle (°)", "kind")
    ]
    assert printed(table) == [["37.0", "a-b", "37.0", "a-b"]]
    assert "37.0" in repr(table)


def test_a_table_is_a_region_that_the_keyboard_can_scroll():
    html = display.table(pd.DataFrame({"r": [0.5]}), ".1f")._repr_html_()
    assert re.match(
        '<div class="table-scroll" tabindex="0" role="region" aria-label="[^"]+">', html
    )
    assert 'class="dataframe"' in html


# --- texts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "digits", "low", "high"),
    [
        (0.96653, 2, 0.96, 0.97),
        (0.29, 2, 0.29, 0.29),  # 100 times it is a little less than 29
        (0.07, 2, 0.07, 0.07),  # and 100 times this a little more than 7
        (27.43, 0, 27, 28),
        (-1.25, 1, -1.3, -1.2),
        (np.float32(0.5), 1, 0.5, 0.5),
        (3e-7, 5, 0.0, 1e-5),
    ],
)
def test_a_bound_is_never_rounded_to_the_other_side(value, digits, low, high):
    assert display.at_least(value, digits) == low
    assert display.at_most(value, digits) == high


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
    assert display.scientific(value) == text


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_what_has_no_power_of_ten_is_refused(value):
    with pytest.raises(ValueError, match="no positive number"):
        display.scientific(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "1"), (0.125, "1/8"), (1 / 32, "1/32"), (0.75, "3/4"), (0.3001, "0.3001")],
)
def test_a_width_is_printed_as_a_fraction(value, text):
    assert display.width(value) == text
    with pytest.raises(ValueError, match="is no width"):
        display.width(-value)


def test_a_recipe_is_printed_as_people_write_its_constants():
    table = display.recipe_table(
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
