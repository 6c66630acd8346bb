"""The residual network: shapes, shortcuts, gradients."""

import pytest
import torch

from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.networks.residual import ResidualBlock, ResidualNet


def network(**options):
    return ResidualNet(torch.Generator().manual_seed(0), channels=4, **options)


def images(count=6):
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_fan_ins_and_scores():
    made = network().eval()
    fan_ins = {name: layer.fan_in for name, layer in weight_layers(made).items()}
    expected = {"stem": 27, "block1.conv": 36, "block2.conv": 36, "block3.conv": 36}
    assert fan_ins == expected | {"block4.conv": 72, "readout": 8}
    assert made(images()).shape == (6, 10)
    shapes = [layer.weight.shape for layer in weight_layers(network(binary=False)).values()]
    assert shapes == [layer.weight.shape for layer in weight_layers(made).values()]


@pytest.mark.parametrize("binary", [True, False])
def test_a_block_without_weights_is_its_shortcut(binary):
    x = images()[:, :, :8, :8]
    for down in (False, True):
        block = ResidualBlock(3, down=down, binary=binary, shortcut=True).eval()
        with torch.no_grad():
            block.conv.weight.fill_(0.5)
            block.norm.weight.zero_()  # nothing but the shortcut is left
        y = block(x)
        if not down:
            assert torch.equal(y, x)
            continue
        pooled = x.reshape(6, 3, 4, 2, 4, 2).mean((3, 5))
        torch.testing.assert_close(y, torch.cat([pooled, pooled], 1))
        block.shortcut = False
        assert torch.equal(block(x), torch.zeros(6, 6, 4, 4))


@pytest.mark.parametrize("shortcut", [True, False])
@pytest.mark.parametrize("binary", [True, False])
def test_gradients_reach_every_parameter(binary, shortcut):
    made = network(binary=binary, shortcut=shortcut).train()
    made(images(20)).square().sum().backward()
    for name, parameter in made.named_parameters():
        assert parameter.grad.abs().sum() > 0, name
