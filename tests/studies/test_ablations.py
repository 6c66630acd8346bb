"""The variants of a recipe: trained, summarized, published."""

import math
from types import SimpleNamespace

import pandas as pd
import pytest
from tiny import TINY, tiny_dataset

from bnn_geometry import training
from bnn_geometry.data import datasets
from bnn_geometry.errors import UserError
from bnn_geometry.studies import ablations, choices, sweep, tables
from bnn_geometry.training import recipes

TABLE = pd.DataFrame(
    [
        ("reference", 1, 0.2, 0.30, 0.31),
        ("wide", 1, 0.1, 0.24, 0.26),
        ("reference", 2, 0.2, 0.34, 0.33),
        ("wide", 2, 0.1, 0.30, 0.30),
        ("once", 2, 0.1, 0.44, 0.40),
    ],
    columns=["variant", "seed", "train_error", "validation_error", "test_error"],
)


def test_summary_by_hand():
    found = ablations.summarize(TABLE)
    assert found.index.tolist() == ["reference", "wide", "once"]
    assert found["runs"].tolist() == [2, 2, 1]
    assert found["validation"].tolist() == pytest.approx([32, 27, 44])
    assert found["test"].tolist() == pytest.approx([32, 28, 40])
    # paired by seed: -6 and -4, and +10 beside the reference of seed 2 alone
    assert found["difference"].tolist() == pytest.approx([0, -5, 10])
    assert found["difference_se"].tolist()[:2] == pytest.approx([0, 1])
    assert math.isnan(found["difference_se"].iloc[2])


def test_pooled_error_by_hand():
    mistake = ablations.MISTAKES[0]
    rows = [
        *(
            (name, seed, 0.0, error, 0.0)
            for name, errors in {
                "reference": (0.30, 0.34, 0.32),
                "wide": (0.24, 0.30, 0.27),
                "deep": (0.30, 0.36),
                mistake: (0.50, 0.90),
            }.items()
            for seed, error in enumerate(errors, 1)
        ),
    ]
    found = ablations.summarize(pd.DataFrame(rows, columns=TABLE.columns))
    # differences −6, −4, −5 and 0, 2: squares 2 and 2 of 2 + 1 degrees of freedom
    expected = pd.Series({"reference": 0, "wide": (4 / 9) ** 0.5, "deep": (2 / 3) ** 0.5})
    assert found["pooled_se"][expected.index].tolist() == pytest.approx(expected.tolist())
    assert math.isnan(found["pooled_se"][mistake])


@pytest.mark.parametrize("table", [ablations, choices])
def test_every_variant_changes_the_reference_and_can_be_trained(table):
    recipe = table.REFERENCE
    for name, changes in table.VARIANTS.items():
        variant = recipe.with_(**changes)
        assert (variant == recipe) == (name == "reference")
        assert (variant.width, variant.epochs) == (recipe.width, recipe.epochs)


def test_mistakes_and_continuous_networks_are_variants():
    assert {*ablations.MISTAKES, *ablations.CONTINUOUS} < set(ablations.VARIANTS)


def test_row_of_fast_has_what_fast_has():
    variant = ablations.REFERENCE.with_(**ablations.VARIANTS["all that fast has"]).as_dict()
    fast = recipes.FAST_CIFAR10.as_dict()
    # smaller, with images held out, and nothing left to the machine
    sizes = {"width", "epochs", "train_images", "validation_images", "precision", "compile"}
    assert {field for field in fast if variant[field] != fast[field]} <= sizes


def test_published_table_is_of_these_variants_and_this_reference():
    found = tables.published("ablations")
    assert found.recipe == ablations.REFERENCE
    errors = found.tables["errors"]
    assert set(errors["variant"]) == set(ablations.VARIANTS)
    assert not errors.isna().any(axis=None)
    assert not errors.duplicated(["variant", "seed"]).any()


@pytest.fixture
def tiny(monkeypatch):
    """A reference that trains in a moment, on noise."""
    monkeypatch.setattr(datasets, "load", lambda *args, **options: tiny_dataset())
    reference = TINY["mlp"].with_(epochs=1, validation_images=10, compile="never")
    monkeypatch.setattr(ablations, "REFERENCE", reference)
    return reference


def test_row_is_of_the_epoch_that_was_kept(tiny, monkeypatch):
    history = pd.DataFrame(
        {
            "epoch": [1, 2],
            "train_error": [0.4, 0.3],
            "validation_error": [0.2, 0.25],
            "test_error": [0.22, math.nan],
        }
    )
    trained = SimpleNamespace(history=history, kept_epoch=1)
    monkeypatch.setattr(ablations, "train", lambda *args, **options: trained)
    study = ablations.study(variants=["reference"], seeds=[1])
    row = study.function(**study.parts["reference, seed 1"])["errors"].iloc[0]
    assert row[["train_error", "validation_error", "test_error"]].tolist() == [0.4, 0.2, 0.22]


def test_row_is_that_of_the_variants_training(tiny, tmp_path):
    chosen = ["reference", "latent weights not clipped"]
    study = ablations.study(variants=chosen, seeds=[2, 5])
    assert list(study.parts) == [f"{variant}, seed {seed}" for seed in (2, 5) for variant in chosen]
    errors = sweep.run_study(study, tmp_path, jobs=1).tables["errors"]
    assert errors["variant"].tolist() == chosen * 2
    assert errors["seed"].tolist() == [2, 2, 5, 5]
    recipe = tiny.with_(clip=False)
    trained = training.train(training.build_network(recipe, 5), tiny_dataset(), recipe, seed=5)
    last = trained.history.iloc[-1]
    for column in ("train_error", "validation_error", "test_error"):
        assert errors[column].iloc[-1] == last[column]
    assert study.data["path"] is None


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"variants": ["nothing"]}, "There is no variant 'nothing'"),
        ({"variants": ["no augmentation"]}, "name it among the variants"),
        ({"seeds": [3, 3]}, "A seed is named twice: 3, 3"),
    ],
)
def test_choice_that_makes_no_table_is_refused(choice, message):
    with pytest.raises(UserError, match=message):
        ablations.study(**choice)


def test_other_images_than_the_studys_are_refused(tiny):
    with pytest.raises(UserError, match="other images than are here: Noise"):
        ablations.part(
            "reference", 1, {}, reference=tiny.as_dict(), root=None, fingerprint="another"
        )
