"""Networks with planted weights and inputs, and what a plain loop in float64 says of them."""

import numpy as np
import torch
from scipy import stats
from small_networks import generator
from torch import nn
from torch.nn import functional as F  # noqa: N812

from bnn_geometry.networks.layers import BinaryConv2d, BinaryLinear, weight_layers
from bnn_geometry.probing import dot_products

SAMPLES = 8_000


def random_covariance(n, decay, rng):
    """A covariance with eigenvalues ∝ k^(−decay) in a random basis, and trace n."""
    basis = stats.ortho_group.rvs(n, random_state=rng)
    values = np.arange(1, n + 1) ** -float(decay)
    covariance = (basis * (n * values / values.sum())) @ basis.T
    return (covariance + covariance.T) / 2


class Single(nn.Module):
    """One layer, given its weights."""

    def __init__(self, weight, *, conv=False):
        super().__init__()
        outputs, inputs, *size = weight.shape
        self.layer = (
            BinaryConv2d(inputs, outputs, size[0]) if conv else BinaryLinear(inputs, outputs)
        )
        with torch.no_grad():
            self.layer.weight.copy_(weight)

    def forward(self, x):
        return self.layer(x if isinstance(self.layer, BinaryConv2d) else x.flatten(1))


class Table(Single):
    """The image's first pixel says which vectors of a table enter the layer, several at a time."""

    def __init__(self, weight, table):
        super().__init__(weight)
        self.table = table  # (256, vectors, n)

    def forward(self, x):
        row = ((x.flatten(1)[:, 0] + 1) * 127.5).round().long()
        return self.layer(self.table[row])


def single(weight, images, **options):
    [result] = dot_products.probe_weights(Single(weight, **options), images)
    return result


def white(weight, *, seed=0):
    """A layer whose inputs are independent standard Gaussian, 5120 of them, and the images."""
    table = torch.randn(256, 20, weight.shape[1], generator=generator(seed))
    return Table(weight, table), torch.arange(256, dtype=torch.uint8).reshape(256, 1, 1, 1)


def uniform(*shape, seed=0):
    return torch.rand(shape, generator=generator(seed)) * 2 - 1


def by_loops(network, images):
    """x·w^b and x·w^c of each layer in float64: arrays (filters, values), from explicit patches."""
    seen = {}
    layers = weight_layers(network)
    handles = [
        layer.register_forward_pre_hook(
            lambda module, args, name=name: seen.__setitem__(name, args[0])
        )
        for name, layer in layers.items()
    ]
    was_training = network.training
    with torch.no_grad():
        network.eval()(images.float() * (2 / 255) - 1)
    network.train(was_training)
    for handle in handles:
        handle.remove()
    result = {}
    for name, layer in layers.items():
        x = seen[name].double()
        if x.ndim == 4:
            x = F.unfold(x, layer.weight.shape[-1], padding=layer.weight.shape[-1] // 2)
            x = x.transpose(1, 2).flatten(0, 1)
        w = layer.weight.detach().double().flatten(1).numpy()
        b = np.where(w > 0, 1.0, -1.0)
        result[name] = (b @ x.numpy().T, w @ x.numpy().T)
    return result


def gaussian(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=generator(seed))


def correlated(n, seed=0):
    """Inputs with a covariance of decaying eigenvalues, and that covariance."""
    covariance = random_covariance(n, 1.0, np.random.default_rng(seed))
    root = np.linalg.cholesky(covariance)
    return gaussian(SAMPLES, n, seed=seed) @ torch.from_numpy(root.T), covariance
