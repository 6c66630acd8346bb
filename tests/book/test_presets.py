"""Presets: every chapter's sizes can be made, and decide about that chapter alone."""

import ast
import dataclasses
import shutil
import tomllib

import jupytext
import pytest
import torch
from notebooks_under_test import CHAPTERS, ROOT

from bnn_geometry import training
from bnn_geometry.book import presets
from bnn_geometry.book.sphinx import sizes_fingerprint
from bnn_geometry.errors import UserError
from bnn_geometry.training import hardware, losses, schedule
from bnn_geometry.training.batches import split_indices
from bnn_geometry.training.recipes import ORIGINAL_CIFAR10, ORIGINAL_MNIST, Recipe
from sphinx_papermill import chapter as chapters
from sphinx_papermill import staleness

BOOK = ROOT / "book"
TABLES = tomllib.loads((BOOK / presets.FILE).read_text(encoding="utf-8"))
each_preset = pytest.mark.parametrize("preset", presets.NAMES)


@pytest.mark.parametrize("name", ["Book", "", "quick"])
def test_unknown_preset_is_named_with_the_known_ones(name):
    for function in (presets.check, presets.budgets, lambda p: presets.sizes("training", p)):
        with pytest.raises(UserError) as error:
            function(name)
        assert str(error.value) == f"Unknown preset {name!r}: use smoke, book, paper."


@pytest.mark.parametrize(
    ("value", "name"), [(None, "book"), ("", "book"), ("smoke", "smoke"), ("paper", "paper")]
)
def test_environment_chooses_the_preset(value, name, monkeypatch):
    monkeypatch.delenv("BNN_PRESET", raising=False)
    if value is not None:
        monkeypatch.setenv("BNN_PRESET", value)
    assert presets.from_environment() == name


def test_what_is_missing_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("BNN_PRESET", "large")
    with pytest.raises(UserError, match="Unknown preset 'large'"):
        presets.from_environment()
    with pytest.raises(UserError, match="no sizes of chapter 'cooking'"):
        presets.sizes("cooking", "book")
    with pytest.raises(UserError, match=r"presets\.toml is missing"):
        presets.sizes("training", "book", tmp_path)
    (tmp_path / presets.FILE).write_text("x =")
    with pytest.raises(UserError, match="is no TOML"):
        presets.sizes("training", "book", tmp_path)


def test_a_chapter_has_the_sizes_it_uses_and_no_others():
    for path in CHAPTERS:
        notebook = jupytext.read(path)
        code = "\n".join(c.source for c in notebook.cells if c.cell_type == "code")
        used = {
            node.attr
            for node in ast.walk(ast.parse(code))
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
            if node.value.id == "sizes"
        }
        if used:
            assert f'sizes = presets.sizes("{path.stem}", preset)' in code
            for preset in presets.NAMES:
                sizes = presets.sizes(path.stem, preset)
                assert {field.name for field in dataclasses.fields(sizes)} == used
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(sizes, next(iter(used)), 1)
        else:
            assert not TABLES["chapters"].get(path.stem, {}).get("networks")
    assert set(TABLES["chapters"]) == {path.stem for path in CHAPTERS}
    assert set(TABLES["chapters"]["training"]) == {*presets.NAMES, "networks"}


@each_preset
def test_every_recipe_makes_a_network_that_takes_its_images_and_finds_enough(preset):
    sizes = [presets.sizes(chapter, preset) for chapter in ("training", "pretrained")]
    found = [r for s in sizes for r in vars(s).values() if isinstance(r, Recipe)]
    assert {r.dataset for r in found} == {"cifar10", "mnist"}
    assert {name for s in sizes for name in vars(s)} >= set(TABLES["recipes"])
    for recipe in found:
        assert recipe.with_() == recipe  # its values make sense
        network = training.build_network(recipe, 0).eval()
        with torch.no_grad():
            assert network(torch.zeros(1, *network.image_shape)).shape == (1, 10)
        assert recipe.loss in losses.LOSSES
        assert schedule.learning_rate(recipe, 0, 10) > 0
        hardware.resolve_precision(recipe.precision, torch.device("cpu"))
        if preset == "smoke":  # so that machines agree
            assert recipe.precision == "float32"
        count = {"cifar10": 50_000, "mnist": 60_000}[recipe.dataset]
        indices, held = split_indices(torch.arange(count) % 10, recipe)
        wanted = recipe.train_images or count - recipe.validation_images
        assert (len(indices), len(held)) == (wanted, recipe.validation_images)


@each_preset
def test_sizes_make_sense(preset):
    sizes = presets.sizes("random_vectors", preset)
    for dimensions in (sizes.angle_dimensions, sizes.trend_dimensions):
        assert list(dimensions) == sorted(set(dimensions))
        assert dimensions[0] >= 2  # the angle is 0 on a line
    assert sizes.angle_samples >= 100
    assert presets.sizes("dot_products", preset).probe_images >= 100
    budgets = presets.budgets(preset)
    assert set(budgets) == (set() if preset == "paper" else set(TABLES["chapters"]))


def test_paper_trains_as_the_original_code_did():
    sizes = presets.sizes("training", "paper")
    assert sizes.convnet is ORIGINAL_CIFAR10
    assert sizes.mlp is ORIGINAL_MNIST


def keys(order, book):
    """The chapters' keys, as far as sizes and the chapters they build on decide them."""
    sources = staleness.Sources(book, fingerprints={staleness.OWN: sizes_fingerprint})
    found = {}
    for chapter in order:
        after = {name: found[name] for name in chapter.after}
        found[chapter.name] = staleness.key_of(staleness.inputs(chapter, sources), after)
    return found


def test_changed_sizes_make_their_chapter_stale_and_what_builds_on_it_and_nothing_else(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("BNN_PRESET", "book")
    for path in (*CHAPTERS, BOOK / presets.FILE, BOOK / "claims.toml"):
        shutil.copy(path, tmp_path)
    file = tmp_path / presets.FILE
    text = file.read_text(encoding="utf-8")
    book = {
        path.stem: dataclasses.replace(
            chapters.load(path.stem, tmp_path / path.name, kinds=("data", "runs")), lists={}
        )
        for path in CHAPTERS
    }
    order = chapters.in_order(book)
    before = keys(order, tmp_path)
    networks = {"dot_products", "pretrained"}
    # reproducing shows the whole file, and the ledger builds on nearly all
    last = {"claims", "index", "reproducing"}
    for old, new, changed in (
        ("flow_steps = 2000", "flow_steps = 2001", {"learning_dynamics", *last}),
        ("quantized_samples = 200", "quantized_samples = 201", {"beyond_one_bit", "reproducing"}),
        ("units = 4000", "units = 4001", {"theory", "index", "reproducing"}),
        ("flow_steps = 1500", "flow_steps = 1501", {"reproducing"}),  # of another preset
        ("seconds = 60", "seconds = 61", {"reproducing"}),
        # a recipe is of all who train by it, and of who builds on them
        (
            "[bases.small-mlp]",
            "[bases.small-mlp]\nlabel_smoothing = 0.1",
            {"training", "checks", *networks, *last},
        ),
        ("[bases.small-continuous]", "[bases.small-continuous]\nflip = false",
         {"pretrained", *last}),
    ):  # fmt: skip
        assert text.count(old) == 1
        file.write_text(text.replace(old, new), encoding="utf-8")
        after = keys(order, tmp_path)
        assert {name for name in before if after[name] != before[name]} == changed


@each_preset
def test_the_continuous_counterpart_has_the_budget_of_the_binary_network(preset):
    sizes = presets.sizes("pretrained", preset)
    changed = sizes.continuous.with_(activation="binary", lr=sizes.convnet.lr)
    assert changed == sizes.convnet
    assert sizes.continuous.activation != "binary"
