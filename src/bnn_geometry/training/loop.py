"""Train a network by a recipe, epoch by epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from torch import Tensor

from bnn_geometry.data.datasets import Split
from bnn_geometry.errors import UserError
from bnn_geometry.networks.models import MLP, ConvNet
from bnn_geometry.training.batches import batches, split_indices
from bnn_geometry.training.evaluation import check_fit, evaluate
from bnn_geometry.training.hardware import resolve_compile, resolve_precision
from bnn_geometry.training.history import binary_weights, layer_columns
from bnn_geometry.training.recipes import Recipe
from bnn_geometry.training.schedule import learning_rate, parameter_groups
from bnn_geometry.training.steps import Rates, Step, quickest_step, recorder_for

if TYPE_CHECKING:
    from bnn_geometry.data.datasets import Dataset


@dataclass(frozen=True)
class Trained:
    """What :func:`train` returns.

    Attributes
    ----------
    network : ConvNet or MLP
        In evaluation mode, with the weights of the epoch that was kept.
    history : DataFrame
        A row per epoch: epoch (from 1), loss (mean over the epoch's batches), train_error,
        validation_error and test_error (fractions; NaN where not measured: with images held out
        the test images are looked at once, with the network that is kept), lr (at the epoch's
        end), seconds (training alone). For each weight layer flips_LAYER, the fraction of its
        binary weights that changed sign since the epoch before (in the first: since the start),
        angle_LAYER, the median over filters of the angle between w^c and w^b in degrees, and
        ends_LAYER, the clipped fraction: of latent weights those at ±1 or beyond. See
        :func:`bnn_geometry.training.history.layer_history`.
    kept_epoch : int
        The best on the validation images (the last of equally good ones), or the last where there
        are none.
    precision : str
        ``float32`` or ``bfloat16``: what the passes were computed in.
    compiled : bool
        Whether the passes were compiled.
    recorded : bool
        Whether the steps were played from a CUDA graph.
    seconds : float
        Wall-clock time, evaluation included; of a resumed run that of its parts.
    """

    network: ConvNet | MLP
    history: pd.DataFrame
    kept_epoch: int
    precision: str
    compiled: bool
    recorded: bool
    seconds: float


@dataclass(frozen=True)
class Snapshot:
    """Between two epochs, all that the rest of a training run depends on.

    Attributes
    ----------
    tensors : dict of str to Tensor
        Parameters and batch-norm statistics (``network/…``), Adam's moments and step counts
        (``adam/…``), the network that is best so far (``best/…``) and the states of the random
        number generators (``generator/…``). They are the live ones, not copies: training changes
        them as it goes on.
    values : dict
        Plain values that JSON can hold: epoch, history (a list of rows), best (validation error
        and epoch, or None) and seconds.
    """

    tensors: dict[str, Tensor]
    values: dict[str, Any]


@contextmanager
def _dropout_generator(device: torch.device, seed: int) -> Iterator[torch.Generator]:
    # Dropout draws from torch's own generator of the device: seed that one (torch.manual_seed
    # would seed those of all devices), and give it back as it was.
    if device.type == "cpu":
        generator = torch.default_generator
    elif device.type == "cuda":
        generator = torch.cuda.default_generators[device.index]
    else:
        raise UserError(f"Networks are trained on the CPU or a CUDA device, not on {device}.")
    before = generator.get_state()
    generator.manual_seed(seed)
    try:
        yield generator
    finally:
        generator.set_state(before)


class _State:
    """What changes from epoch to epoch: taken down in a snapshot, and set from one."""

    def __init__(
        self,
        network: ConvNet | MLP,
        optimizer: torch.optim.Adam,
        generators: dict[str, torch.Generator],
        clock: Callable[[], float],
    ) -> None:
        self.network = network
        self.optimizer = optimizer
        self.generators = generators
        self.epoch = 0
        self.rows: list[dict[str, float]] = []
        self.best: tuple[float, int, dict[str, Tensor]] | None = None
        self.before = 0.0  # seconds of the parts of the run that ended with a snapshot
        self.clock = clock
        self.began = clock()
        self.signs = binary_weights(self.network)

    @property
    def seconds(self) -> float:
        return self.before + self.clock() - self.began

    def snapshot(self) -> Snapshot:
        tensors = {f"network/{k}": v.detach() for k, v in self.network.state_dict().items()}
        for name, parameter in self.network.named_parameters():
            for key, value in self.optimizer.state[parameter].items():
                tensors[f"adam/{name}/{key}"] = value
        for name, generator in self.generators.items():
            tensors[f"generator/{name}"] = generator.get_state()
        best = None
        if self.best is not None:
            best = {"validation_error": self.best[0], "epoch": self.best[1]}
            tensors |= {f"best/{k}": v for k, v in self.best[2].items()}
        values = {
            "epoch": self.epoch,
            "history": self.rows,
            "best": best,
            "seconds": self.seconds,
        }
        return Snapshot(tensors, values)

    @torch.no_grad()
    def restore(self, snapshot: Snapshot) -> None:
        def part(prefix: str) -> dict[str, Tensor]:
            return {
                name.removeprefix(prefix): value
                for name, value in snapshot.tensors.items()
                if name.startswith(prefix)
            }

        self.network.load_state_dict(part("network/"))
        for name, parameter in self.network.named_parameters():
            state = part(f"adam/{name}/")
            for key in state:
                if state[key].shape == parameter.shape:
                    # in the parameter's own layout, as Adam would have made it
                    state[key] = torch.empty_like(parameter).copy_(state[key])
                else:
                    state[key] = state[key].to(parameter.device)
            if state:
                self.optimizer.state[parameter] = state
        self.epoch = snapshot.values["epoch"]
        for name, generator in self.generators.items():
            kept = snapshot.tensors[f"generator/{name}"]
            if kept.shape == generator.get_state().shape:
                generator.set_state(kept)
            else:  # another kind of device's: it cannot go on, and must not draw the same again
                generator.manual_seed(generator.initial_seed() + self.epoch)
        self.rows = [dict(row) for row in snapshot.values["history"]]
        self.before = snapshot.values["seconds"]
        best = snapshot.values["best"]
        if best is not None:
            self.best = (best["validation_error"], best["epoch"], part("best/"))
        self.signs = binary_weights(self.network)

    def end_epoch(self, row: dict[str, float]) -> None:
        """Keep the epoch's row, and the network where it is the best so far."""
        self.epoch = int(row["epoch"])
        self.rows.append(row)
        self.signs = binary_weights(self.network)
        error = row["validation_error"]  # NaN where no images are held out
        # of equally good epochs the last, as in the original code
        if not math.isnan(error) and (self.best is None or error <= self.best[0]):
            weights = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
            self.best = (error, self.epoch, weights)


def _train_epoch(
    network: ConvNet | MLP,
    step: Step,
    rates: Rates,
    epoch_batches: Iterator[tuple[Tensor, Tensor]],
    recipe: Recipe,
    *,
    epoch: int,
    steps: int,
    on_step: Callable[[int, int, Tensor], None] | None,
) -> dict[str, float]:
    # One pass over the batches, and the row of the history as far as training alone decides it.
    device = next(network.parameters()).device
    network.train()
    losses = torch.zeros(steps, device=device)
    wrong = torch.zeros((), dtype=torch.int64, device=device)
    first = (epoch - 1) * steps
    for i, (images, labels) in enumerate(epoch_batches):
        lr = learning_rate(recipe, first + i, steps)
        rates.set(lr)
        # kept on the device: reading a number back each step would make it wait
        losses[i], wrong_ones = step(images, labels)
        wrong += wrong_ones
        if on_step is not None:
            on_step(first + i + 1, recipe.epochs * steps, losses[i])
    bad = torch.nonzero(~torch.isfinite(losses))
    if len(bad):
        worst = int(bad[0])
        raise UserError(
            f"The loss stopped being finite in epoch {epoch}, step {worst + 1} of {steps}, at "
            f"learning rate {learning_rate(recipe, first + worst, steps):.2e}: train with a "
            "smaller one."
        )
    return {
        "epoch": epoch,
        "loss": float(losses.double().mean()),
        "train_error": int(wrong) / (steps * recipe.batch_size),
        "validation_error": math.nan,
        "test_error": math.nan,
        "lr": lr,
        "seconds": math.nan,
    }


def train(
    network: ConvNet | MLP,
    dataset: Dataset,
    recipe: Recipe,
    *,
    seed: int,
    on_epoch_end: Callable[[ConvNet | MLP, dict[str, float]], None] | None = None,
    on_step: Callable[[int, int, Tensor], None] | None = None,
    on_snapshot: Callable[[Snapshot], None] | None = None,
    resume: Snapshot | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Trained:
    """Train a network in place.

    After every update the latent weights of binary layers are clipped to [−1, 1] (section 1 and
    the caption of Figure 2). Gradients reach them through
    :mod:`bnn_geometry.networks.straight_through`.

    Parameters
    ----------
    network : ConvNet or MLP
        Usually from :func:`bnn_geometry.training.build.build_network`; trained where it is.
    dataset : Dataset
        Images of the shape that the network takes.
    recipe : Recipe
        Every constant.
    seed : int
        Order of the batches, augmentation and dropout. The same seed on the same machine gives
        the same bits.
    on_epoch_end : callable, optional
        Called as ``on_epoch_end(network, row)`` in evaluation mode with the epoch's row of the
        history.
    on_step : callable, optional
        Called after every step as ``on_step(step, steps, loss)``, counted from 1 over the whole
        run, with the batch's loss on the network's device: to read it there makes the device wait.
    on_snapshot : callable, optional
        Called with a :class:`Snapshot` before the first epoch and after each, once ``on_epoch_end``
        has returned. What it keeps of it, it has to copy.
    resume : Snapshot, optional
        Go on from here: with the same recipe, data, seed and machine the run ends with the bits
        that it would have had.
    clock : callable
        Tells the time in seconds.

    Raises
    ------
    UserError
        If the images do not fit the network or the recipe, or the loss stops being finite (with
        epoch, step and learning rate).
    """
    check_fit(network, dataset)
    device = next(network.parameters()).device
    precision = resolve_precision(recipe.precision, device)
    indices, validation = split_indices(dataset.train.labels, recipe)
    pixels, labels = dataset.train.images.to(device), dataset.train.labels.to(device)
    train_split, validation = Split(pixels, labels), validation.to(device)
    if pixels.shape[1] == 3:
        network.to(memory_format=torch.channels_last)
    steps = len(indices) // recipe.batch_size
    compiled = resolve_compile(recipe.compile, network, recipe.epochs * steps * recipe.batch_size)
    # On a GPU float32 costs little, and the error is not one of the number format.
    looking = "float32" if device.type == "cuda" else precision
    record = recorder_for(device, recipe)
    groups = parameter_groups(network, recipe)
    optimizer = torch.optim.Adam(groups, lr=recipe.lr, fused=True, capturable=record is not None)
    rates = Rates(optimizer, device if record is not None else None)
    generator = torch.Generator().manual_seed(seed)
    with _dropout_generator(device, seed) as dropout:
        state = _State(network, optimizer, {"batches": generator, "dropout": dropout}, clock)
        if resume is not None:
            state.restore(resume)
        elif on_snapshot is not None:
            on_snapshot(state.snapshot())
        # The parameters stay those of the network; what is compiled are its passes.
        step, compiled, recorded = quickest_step(
            network, optimizer, recipe, precision=precision, compiled=compiled, record=record
        )
        while state.epoch < recipe.epochs:
            began = clock()
            row = _train_epoch(
                network,
                step,
                rates,
                batches(pixels, labels, indices, recipe, generator),
                recipe,
                epoch=state.epoch + 1,
                steps=steps,
                on_step=on_step,
            )
            row["seconds"] = clock() - began
            network.eval()
            row["validation_error"] = evaluate(
                network, train_split, indices=validation, precision=looking
            )
            if not len(validation):
                row["test_error"] = evaluate(network, dataset.test, precision=looking)
            row |= layer_columns(network, state.signs)
            if on_epoch_end is not None:
                on_epoch_end(network, row)
            state.end_epoch(row)
            if on_snapshot is not None:
                on_snapshot(state.snapshot())
        seconds = state.seconds
    kept = recipe.epochs
    if state.best is not None:
        _, kept, weights = state.best
        network.load_state_dict(weights)
    network.eval()
    history = pd.DataFrame(state.rows)
    if len(validation):
        once = evaluate(network, dataset.test, precision=looking)
        history.loc[history["epoch"] == kept, "test_error"] = once
    return Trained(network, history, kept, precision, compiled, recorded, seconds)
