"""A recurrent network that reads an image row by row, with binary, ternary or real weights.

The paper closes with recurrent networks as what comes next; Ott et al. (2016) report that theirs
did not learn with binary recurrent weights, and did with ternary ones.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from bnn_geometry.networks.layers import BinaryActivation, BinaryLinear, initialize
from bnn_geometry.networks.ternary import TWN

RECURRENT = ("binary", "ternary", "continuous")
"""What the recurrent weights can be."""


class Bias(nn.Module):
    """x + b, the last axis being that of units: in the place of a batch norm."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(units))

    def forward(self, x: Tensor) -> Tensor:
        """Any shape that ends in the number of units."""
        return x + self.bias


def _balanced(layer: BinaryLinear, x: Tensor) -> Tensor:
    # ±1 weights give sums of size √n: divided by it they neither drown a term of real weights nor
    # grow from step to step where no norm follows
    return layer(x) / layer.fan_in**0.5 if layer.binary else layer(x)


class RowReader(nn.Module):
    r"""An image of t rows as a sequence: :math:`h_t = \phi(N_t(W_x x_t + W_h h_{t-1}))`.

    The last state is read out by :math:`N(W_o h)`. N is batch norm, with statistics of its own at
    every step as in Cooijmans et al. (2017), or a bias alone. A term with binary or ternary
    weights is divided by √n.

    Parameters
    ----------
    generator : torch.Generator
        Draws the initial weights.
    hidden : int
        Units of the state.
    image : tuple of int
        Rows and columns.
    recurrent : str
        ``binary``, ``ternary`` (:data:`bnn_geometry.networks.ternary.TWN`) or ``continuous``: the
        weights :math:`W_h`.
    binary : bool
        Whether states, input weights and readout are binary; otherwise the states pass a hard tanh
        and the other weights are real.
    normalized : bool
        False: no batch norm anywhere.

    Raises
    ------
    ValueError
        If there are no such recurrent weights.
    """

    def __init__(
        self,
        generator: torch.Generator,
        *,
        hidden: int = 128,
        image: tuple[int, int] = (28, 28),
        recurrent: str = "binary",
        binary: bool = True,
        normalized: bool = True,
    ) -> None:
        super().__init__()
        if recurrent not in RECURRENT:
            raise ValueError(f"Recurrent weights are {', '.join(RECURRENT)}, not {recurrent!r}.")
        steps, columns = image
        self.image_shape = (1, *image)
        self.input = BinaryLinear(columns, hidden, binary=binary)
        self.recurrent = BinaryLinear(hidden, hidden, binary=recurrent != "continuous")
        if recurrent == "ternary":
            self.recurrent.binarizer, self.recurrent.quantizer = TWN, TWN.values
        self.readout = BinaryLinear(hidden, 10, binary=binary)
        norm = partial(nn.BatchNorm1d, eps=1e-4) if normalized else Bias
        # without a norm every step has the same bias, as recurrent networks do
        count = steps if normalized else 1
        self.norms = nn.ModuleList(norm(hidden) for _ in range(count))
        self.last_norm = norm(10)
        self.activation = BinaryActivation() if binary else nn.Hardtanh()
        initialize(self, generator)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 1, rows, columns) → class scores (batch, 10)."""
        state: Tensor | None = None
        for step, row in enumerate(x[:, 0].unbind(1)):
            z = _balanced(self.input, row)
            if state is not None:
                z = z + _balanced(self.recurrent, state)
            state = self.activation(self.norms[step % len(self.norms)](z))
        return self.last_norm(_balanced(self.readout, state))
