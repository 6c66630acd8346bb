"""The table of published runs, and the command that makes each again."""

from tiny import TINY, run, tiny_dataset

from bnn_geometry.cli.words import parse_value
from bnn_geometry.training import listing, making, recipes, runs


def test_the_command_is_read_back_as_the_same_recipe():
    recipe = TINY["convnet"].with_(activation="hardtanh", lr=0.5, augment=False, train_images=None)
    words = listing.command(recipe, 7).split()
    assert words[:5] == ["bnn-geometry", "train", "cifar10-convnet", "--recipe", "fast"]
    assert words[-2:] == ["--seed", "7"]
    changes, rest = {}, iter(words[5:-2])
    for word in rest:
        field = next(rest) if word == "--set" else word.removeprefix("--")
        changes[field] = parse_value(next(rest))
    assert recipes.recipe("cifar10-convnet", "fast").with_(**changes) == recipe


def test_the_power_of_full_width_is_not_typed():
    recipe = recipes.LONG_CIFAR10.with_(lr_width_power=1.0)
    assert listing.command(recipe, 1) == listing.command(recipes.LONG_CIFAR10, 1)
    narrow = listing.command(recipe.with_(width=0.5), 1)
    assert narrow.endswith("--width 0.5 --set lr_width_power 1.0 --seed 1")


def test_a_run_is_a_row(tmp_path):
    recipe = TINY["mlp"]
    runs.write(tmp_path / "one", run("mlp", seed=1), recipe, 1, tiny_dataset("mlp"))
    table = listing.published_runs(tmp_path)
    assert table.index.tolist() == ["one"]
    row = table.loc["one"]
    assert row["test_error"] == runs.read(tmp_path / "one").kept["test_error"]
    assert (row["seed"], row["epochs"], row["weights"]) == (1, recipe.epochs, True)
    assert row["command"] == f"{listing.command(recipe, 1)} --out FOLDER"
    assert listing.published_runs(tmp_path / "none").empty


def test_a_run_that_began_in_another_has_no_command_of_its_own(tmp_path):
    info = {"branch_of": {"run": "other", "epoch": 3}}
    making.make(tmp_path / "b", TINY["mlp"], tiny_dataset("mlp"), seed=1, info=info)
    words = listing.published_runs(tmp_path).loc["b", "command"]
    epochs, lr = TINY["mlp"].epochs, TINY["mlp"].lr
    assert words == f"# {epochs} epochs from the state of other after epoch 3, at a rate of {lr:g}"


def test_a_recipe_of_somebodys_own_has_no_command(tmp_path):
    recipe = TINY["mlp"].with_(name="mine")
    runs.write(tmp_path / "m", run("mlp", seed=1), recipe, 1, tiny_dataset("mlp"))
    assert listing.published_runs(tmp_path).loc["m", "command"] == ""


def test_the_example_is_right():
    recipe = recipes.FAST_CIFAR10.with_(width=0.5, lr=0.001)
    assert listing.command(recipe, 2) in listing.command.__doc__
