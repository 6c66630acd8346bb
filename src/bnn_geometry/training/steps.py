"""One step of training, and the same step recorded once and played again.

On a CUDA device a step of a small network is a hundred short kernels, and Python would take longer
to launch them than the device to compute them. So the whole step, from pixels to clipped latents,
is recorded as a CUDA graph; between steps the batch and the learning rates are written into the
memory that the graph reads.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from bnn_geometry.networks.inference import scale_images
from bnn_geometry.networks.layers import clip_latents
from bnn_geometry.networks.models import MLP, ConvNet
from bnn_geometry.training.losses import loss_of
from bnn_geometry.training.recipes import Recipe

Outputs = tuple[Tensor, Tensor]
Step = Callable[[Tensor, Tensor], Outputs]
"""Images (batch, channels, h, w) in uint8 and labels (batch,) → the batch's loss, and how many of
its images were classified wrongly; the next step may write into both."""

Recorder = Callable[[Callable[[], Outputs]], tuple[Callable[[], None], Outputs]]
"""Takes work without arguments; gives what does it again, and the tensors that it fills then."""

WARM_UP = 3
"""Steps before one is recorded: libraries choose their kernels in the first."""


def plain_step(
    network: ConvNet | MLP,
    forward: Callable[[Tensor], Tensor],
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    precision: str,
) -> Step:
    """Forward, loss, backward, update, clip.

    Parameters
    ----------
    network : ConvNet or MLP
        In training mode.
    forward : callable
        The network, or its passes compiled.
    optimizer : Optimizer
        Of the network's parameters.
    recipe : Recipe
        Says the loss, and whether latents are clipped.
    precision : str
        ``float32`` or ``bfloat16``.
    """
    loss_function = loss_of(recipe)

    def step(images: Tensor, labels: Tensor) -> Outputs:
        x = scale_images(images)
        if x.shape[1] == 3:
            x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            scores = forward(x)
        scores = scores.float()
        loss = loss_function(scores, labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if recipe.clip:
            clip_latents(network)
        return loss.detach(), (scores.detach().argmax(1) != labels).sum()

    return step


def recorder_for(device: torch.device, recipe: Recipe) -> Recorder | None:
    """How steps are recorded; None where they are not: on a CPU, or with dropout's random draws."""
    dropout = recipe.model == "mnist-mlp" and (recipe.input_dropout or recipe.hidden_dropout)
    return cuda_graph if device.type == "cuda" and not dropout else None


def cuda_graph(work: Callable[[], Outputs]) -> tuple[Callable[[], None], Outputs]:
    """Record work as a CUDA graph, after doing it a few times."""
    stream = torch.cuda.Stream()  # one for both: libraries keep a handle for each stream
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream), warnings.catch_warnings():
        # Adam says that it was made for a graph and runs without one
        warnings.filterwarnings("ignore", message=".*capturable=True")
        for _ in range(WARM_UP):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        outputs = work()
    return graph.replay, outputs


@contextmanager
def undone(network: ConvNet | MLP, optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Whatever happens inside to a network and its optimizer is undone, in the same memory."""
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    moments = {
        parameter: {key: value.clone() for key, value in state.items()}
        for parameter, state in optimizer.state.items()
    }
    try:
        yield
    finally:
        optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            for name, value in network.state_dict().items():
                value.copy_(weights[name])
            for parameter, state in optimizer.state.items():
                for key, value in state.items():
                    before = moments.get(parameter, {}).get(key)
                    # what Adam makes at its first step is 0
                    value.zero_() if before is None else value.copy_(before)


def recorded_step(
    step: Step,
    network: ConvNet | MLP,
    optimizer: torch.optim.Optimizer,
    batch_size: int,
    record: Recorder,
) -> Step:
    """A step that plays what was recorded of another; network and optimizer stay as they are."""
    device = next(network.parameters()).device
    images = torch.zeros(batch_size, *network.image_shape, dtype=torch.uint8, device=device)
    labels = torch.zeros(batch_size, dtype=torch.int64, device=device)
    with undone(network, optimizer):
        replay, outputs = record(lambda: step(images, labels))

    def again(new_images: Tensor, new_labels: Tensor) -> Outputs:
        images.copy_(new_images)
        labels.copy_(new_labels)
        replay()
        return outputs

    return again


def quickest_step(
    network: ConvNet | MLP,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    *,
    precision: str,
    compiled: bool,
    record: Recorder | None,
) -> tuple[Step, bool, bool]:
    """The step as it is to run, and whether it is compiled, and recorded.

    Where recording fails the step is not compiled, and where that fails it is not recorded: a
    sentence on standard error says so.
    """
    network.train()
    if record is None:
        forward = torch.compile(network) if compiled else network
        return plain_step(network, forward, optimizer, recipe, precision), compiled, False
    for compiles in (True, False) if compiled else (False,):
        try:
            forward = torch.compile(network) if compiles else network
            step = plain_step(network, forward, optimizer, recipe, precision)
            step = recorded_step(step, network, optimizer, recipe.batch_size, record)
            return step, compiles, True
        except Exception as error:  # whatever compilers and drivers raise
            what = "compiled and recorded" if compiles else "recorded"
            reason = (str(error) or type(error).__name__).splitlines()[0]
            print(
                f"a step cannot be {what} here ({reason}): training goes on without, more slowly",
                file=sys.stderr,
                flush=True,
            )
    return plain_step(network, network, optimizer, recipe, precision), False, False


class Rates:
    """The learning rate of each of an optimizer's groups: ``scale`` times that of the step.

    Parameters
    ----------
    optimizer : Optimizer
        Its groups have a ``scale``.
    device : device, optional
        Keep the rates in a tensor there, which a recorded step reads; plain numbers otherwise.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, device: torch.device | None) -> None:
        self._groups = optimizer.param_groups
        self._rates: Tensor | None = None
        if device is not None:
            scales = [group["scale"] for group in self._groups]
            self._scales = torch.tensor(scales, dtype=torch.float32, device=device)
            self._rates = torch.zeros_like(self._scales)
            for group, rate in zip(self._groups, self._rates.unbind(), strict=True):
                group["lr"] = rate

    def set(self, lr: float) -> None:
        """Before a step."""
        if self._rates is not None:
            torch.mul(self._scales, lr, out=self._rates)
            return
        for group in self._groups:
            group["lr"] = lr * group["scale"]
