"""Networks changed in one thing: noise for binarization, and a sign of 0."""

import copy

import pytest
import torch
from small_networks import generator, make, same, snapshot

from bnn_geometry.networks import inference, variants
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.networks.models import MLP


def test_noise_has_the_size_of_the_difference_and_is_drawn_anew():
    network, _ = make("mlp")
    with torch.no_grad():
        network.fc1.weight[0] *= 0.1  # nearer to zero: a larger difference
    before = snapshot(network.train())
    layer = weight_layers(variants.add_weight_noise(network, generator(3)))["fc1"]
    assert same(snapshot(network), before)
    w = layer.weight.detach()
    noise = [layer.forward_weight(torch.float32).detach() - w for _ in range(2)]
    wanted = (layer.binary_weight - w).square().mean(1).sqrt()
    assert wanted[0] > 1.3 * wanted[1:].max()
    for e in noise:
        torch.testing.assert_close(e.square().mean(1).sqrt(), wanted, rtol=0.1, atol=0)
        assert abs(torch.corrcoef(torch.stack([e.flatten(), w.flatten()]))[0, 1]) < 0.03
    assert abs(torch.corrcoef(torch.stack([e.flatten() for e in noise]))[0, 1]) < 0.03


def test_noise_passes_the_gradient_and_is_gone_in_evaluation():
    usual, images = make("mlp", input_dropout=0.0, hidden_dropout=0.0)
    x = inference.scale_images(images)
    # a copy of the noisy network is as noisy
    noisy = copy.deepcopy(variants.add_weight_noise(usual, generator(3)))
    assert torch.equal(noisy(x), usual(x))
    assert torch.equal(noisy.fc2.forward_weight(torch.float32), usual.fc2.binary_weight)
    noisy.train()
    assert not torch.allclose(noisy(x), usual.train()(x))
    noisy.fc2.forward_weight(torch.float32).sum().backward()
    assert (noisy.fc2.weight.grad == 1).all()


@pytest.mark.parametrize(
    ("dtype", "kept", "lost"),
    # the smallest float16 is 6e-8 and half of it is rounded to 0; one of 127 steps is 0.0079
    [
        (torch.float32, 1e-40, 0.0),
        (torch.bfloat16, 1e-38, 0.0),
        (torch.float16, 6e-8, 1e-8),
        (torch.int8, 0.004, 0.0039),
    ],
)
def test_latents_that_are_rounded_to_zero_have_no_sign(dtype, kept, lost):
    network, images = make("mlp")
    with torch.no_grad():
        network.fc2.weight[0, :6] = torch.tensor([kept, -kept, 0.0, 1.0, lost, -lost])
    before = snapshot(network)
    changed = variants.signs_after_rounding(network, dtype)
    assert same(snapshot(network), before)
    found = changed.fc2.forward_weight(torch.float32)
    assert found[0, :6].tolist() == [1.0, -1.0, 0.0, 1.0, 0.0, 0.0]
    assert set(found.unique().tolist()) == {-1.0, 0.0, 1.0}
    if dtype == torch.float32:  # the only latents that are 0 count as −1 in the binary network
        with torch.no_grad():
            changed.fc2.weight[changed.fc2.weight == 0] = -1
        x = inference.scale_images(images)
        assert torch.equal(changed(x), network(x))


def test_layer_of_zeros_stays_one_and_continuous_networks_are_refused():
    network, _ = make("mlp")
    with torch.no_grad():
        network.fc2.weight.zero_()
    assert (variants.signs_after_rounding(network, torch.int8).fc2.weight == 0).all()
    continuous = MLP(generator(), width=1 / 256, activation="relu")
    with pytest.raises(ValueError, match="no binary weights to round"):
        variants.signs_after_rounding(continuous, torch.int8)
    with pytest.raises(ValueError, match="no binary weights to add noise to"):
        variants.add_weight_noise(continuous, generator())
