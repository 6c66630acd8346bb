"""Latent weights in eight bits: no sign changes, and none is off by more than half a step."""

import numpy as np
import pytest
import torch

from bnn_geometry.errors import UserError
from bnn_geometry.networks.straight_through import binarize
from bnn_geometry.training import int8


def draws(seed, filters=200, n=300):
    """Filters of every size, some of them clipped."""
    generator = torch.Generator().manual_seed(seed)
    w = torch.randn(filters, n, generator=generator)
    w *= 10 ** torch.empty(filters, 1).uniform_(-12, 2, generator=generator)
    w[::2] = w[::2].clamp(-1, 1)
    return w


def test_sign_is_exact_and_no_level_is_zero():
    w = draws(0)
    tiny = torch.finfo(torch.float32).tiny
    w[0, :8] = torch.tensor([0.0, -0.0, 1e-45, -1e-45, tiny, -tiny, 1e-38, -1e-38])
    w[1] = 0.0
    w[2] = 1e-45
    levels, scale = int8.to_int8(w)
    assert levels.dtype == torch.int8
    assert (levels != 0).all()
    assert levels.abs().max() == 127
    assert (scale > 0).all()
    back = int8.from_int8(levels, scale)
    assert (back != 0).all()
    assert torch.equal(binarize(back), binarize(w))
    assert torch.equal(torch.sign(levels.float()), binarize(w))


@pytest.mark.parametrize("shape", [(200, 300), (40, 3, 3, 3), (10, 1)])
def test_no_latent_is_off_by_more_than_half_a_step(shape):
    w = draws(1)[: shape[0]].flatten()[: np.prod(shape)].reshape(shape)
    levels, scale = int8.to_int8(w)
    back = int8.from_int8(levels, scale)
    assert back.dtype == torch.float32
    step = scale.double().reshape(-1, *[1] * (len(shape) - 1))
    error = (back.double() - w.double()).abs()
    # rounding of the product in float32 comes on top
    assert (error <= step / 2 + 2**-24 * w.double().abs()).all()
    largest = w.abs().flatten(1).amax(1)
    torch.testing.assert_close(scale * 126.5, largest)
    assert (back.abs().flatten(1).amax(1) <= largest).all()


def test_clipped_latents_come_back_as_plus_and_minus_one():
    w = torch.empty(300, 50).uniform_(-1, 1, generator=torch.Generator().manual_seed(0))
    w[:, 0], w[:, 1] = 1.0, -1.0
    back = int8.from_int8(*int8.to_int8(w))
    torch.testing.assert_close(back[:, :2], w[:, :2], rtol=2e-7, atol=0)
    assert back.abs().max() <= 1


def test_outermost_level_is_never_outside():
    largest = torch.tensor([0.1, 1 / 3, 0.7, 0.9999999, 1.0, 12.345])
    w = (torch.linspace(0.1, 1, 997) * largest[:, None]).reshape(-1, 1)
    back = int8.from_int8(*int8.to_int8(w))
    assert (back <= w).all()
    torch.testing.assert_close(back, w, rtol=2e-7, atol=0)


def test_latents_that_are_not_finite_are_refused():
    for bad in (torch.nan, torch.inf, -torch.inf):
        w = torch.ones(2, 3)
        w[1, 2] = bad
        with pytest.raises(UserError, match="not finite"):
            int8.to_int8(w)


def test_level_or_scale_of_zero_is_refused():
    for level, scale in ((0, 1.0), (1, 0.0), (1, -1.0), (1, torch.nan), (1, torch.inf)):
        with pytest.raises(UserError, match="a level or a scale is 0"):
            int8.from_int8(torch.full((1, 2), level, dtype=torch.int8), torch.tensor([scale]))


def test_packed_state_holds_the_rest_as_it_was():
    state = {"fc.weight": draws(2)[:, :9], "norm.bias": torch.arange(3.0), "count": torch.tensor(7)}
    packed = int8.pack(state, ["fc.weight"])
    assert set(packed) == {*state, "fc.weight:scale"}
    back = int8.unpack(packed)
    assert list(back) == list(state)
    for name, value in state.items():
        assert torch.equal(back[name], value) == (name != "fc.weight")
