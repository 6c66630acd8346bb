"""The recurrent network: against a plain loop, its quantizers, and what the probes see of it."""

import numpy as np
import pytest
import torch

from bnn_geometry.networks.inference import as_given
from bnn_geometry.networks.recurrent import RECURRENT, RowReader
from bnn_geometry.probing import dot_products
from bnn_geometry.probing.layer_inputs import sample_inputs


def reader(**options):
    return RowReader(torch.Generator().manual_seed(3), hidden=12, image=(5, 7), **options)


def images(count=6, seed=0):
    return torch.rand(count, 1, 5, 7, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def quantized(weight, how):
    w = weight.detach().double().numpy()
    if how == "continuous":
        return w
    signs = np.where(w > 0, 1.0, -1.0)
    if how == "binary":
        return signs
    return signs * (np.abs(w) > 0.7 * np.abs(w).mean())  # of the whole layer


def states_of(network, x, how, binary):
    """The states that enter the recurrent layer, image by image and step by step, in float64."""
    rest = "binary" if binary else "continuous"
    w_in = quantized(network.input.weight, rest) / (7**0.5 if binary else 1)
    w_rec = quantized(network.recurrent.weight, how) / (1 if how == "continuous" else 12**0.5)
    states = []
    for image in x[:, 0].double().numpy():
        h = np.zeros(12)
        for t, row in enumerate(image):
            z = w_in @ row + w_rec @ h
            norm = network.norms[t % len(network.norms)]
            if isinstance(norm, torch.nn.BatchNorm1d):
                mean, var = norm.running_mean.numpy(), norm.running_var.numpy()
                z = (z - mean) / np.sqrt(var + norm.eps)
            h = np.where(z > 0, 1.0, -1.0) if binary else np.clip(z, -1, 1)
            states.append(h)
    return np.array(states).reshape(len(x), len(x[0, 0]), 12)


@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("how", RECURRENT)
def test_forward_and_probe_are_those_of_a_plain_loop(how, binary, normalized):
    network = reader(recurrent=how, binary=binary, normalized=normalized).train()
    with torch.no_grad():
        network(images(40, 1))  # statistics of its own at every step
    network.eval()
    x = images()
    states = states_of(network, x, how, binary)
    w_out = quantized(network.readout.weight, "binary" if binary else "continuous")
    scores = states[:, -1] @ w_out.T / (12**0.5 if binary else 1)
    if normalized:
        norm = network.last_norm
        scores = scores - norm.running_mean.numpy()
        scores = scores / np.sqrt(norm.running_var.numpy() + norm.eps)
    with torch.no_grad():
        np.testing.assert_allclose(network(x).double(), scores, atol=1e-4)
    found = {s.layer: s for s in dot_products.probe_weights(network, x, preprocess=as_given)}
    entered = states[:, :-1].reshape(-1, 12)  # the last state meets the readout alone
    w = network.recurrent.weight.detach().double().numpy()
    of_few_values = quantized(network.recurrent.weight, "binary" if how == "continuous" else how)
    products = [entered @ v.T for v in (of_few_values, w)]
    r = np.corrcoef(*(p.ravel() for p in products))[0, 1]
    assert found["recurrent"].values == products[0].size
    assert found["recurrent"].r == pytest.approx(r, abs=1e-5)


def test_a_sample_of_the_recurrent_layer_says_at_which_step():
    network = reader().eval()
    found = sample_inputs(
        network,
        images(),
        samples=24,
        generator=torch.Generator().manual_seed(0),
        preprocess=as_given,
    )
    states = states_of(network, images(), "binary", True)
    at = found["recurrent"]
    assert set(at.call.tolist()) == {0, 1, 2, 3}
    for x, image, call in zip(at.x, at.image, at.call, strict=True):
        np.testing.assert_array_equal(x, states[image, call])


@pytest.mark.parametrize("how", RECURRENT)
def test_gradients_reach_every_parameter_through_all_steps(how):
    network = reader(recurrent=how).train()
    x = images(30, 2).requires_grad_()
    network(x).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad.abs().sum() > 0, name
    assert x.grad[:, 0, 0].abs().sum() > 0  # from the last state back to the first row


def test_the_same_seed_gives_the_same_network_and_another_seed_another():
    x = images()
    one, same = (reader().eval()(x) for _ in range(2))
    other = RowReader(torch.Generator().manual_seed(4), hidden=12, image=(5, 7)).eval()(x)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_other_recurrent_weights_are_refused():
    with pytest.raises(ValueError, match="not 'quaternary'"):
        reader(recurrent="quaternary")
