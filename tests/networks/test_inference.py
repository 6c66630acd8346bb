"""Looking at a network leaves it, and torch, as they were."""

import pytest
import torch
from small_networks import make, norms, same, snapshot

from bnn_geometry.networks.inference import device_of, full_precision, inference, scale_images


def test_images_are_scaled_to_minus_one_to_one():
    images = torch.tensor([0, 51, 255], dtype=torch.uint8)
    assert scale_images(images).tolist() == pytest.approx([-1, -0.6, 1])
    assert images.tolist() == [0, 51, 255]
    assert scale_images(images, torch.float64).dtype == torch.float64


@pytest.mark.parametrize("fails", [False, True])
def test_every_module_gets_its_own_mode_back(fails):
    network, images = make("mlp")
    network.train()
    norms(network)[1].eval()  # a frozen batch norm
    before = snapshot(network)
    x = scale_images(images)
    try:
        with torch.autocast("cpu", torch.bfloat16), inference(network) as device:
            assert device == torch.device("cpu")
            assert not any(module.training for module in network.modules())
            scores = network(x)
            assert not scores.requires_grad
            assert (x @ x.transpose(-1, -2)).dtype == torch.float32  # no autocast
            if fails:
                raise ZeroDivisionError
    except ZeroDivisionError:
        assert fails
    assert same(snapshot(network), before)
    assert torch.is_grad_enabled()


def test_what_has_no_parameters_is_on_the_cpu():
    assert device_of(torch.nn.ReLU()) == torch.device("cpu")


def test_no_product_is_rounded_to_tf32_on_cuda():
    """The settings are torch's own and can be set where no such device is."""
    torch.set_float32_matmul_precision("high")
    try:
        with full_precision(torch.device("cuda")):
            assert torch.get_float32_matmul_precision() == "highest"
            assert not torch.backends.cudnn.allow_tf32
        assert torch.get_float32_matmul_precision() == "high"
        assert torch.backends.cudnn.allow_tf32
    finally:
        torch.set_float32_matmul_precision("highest")
