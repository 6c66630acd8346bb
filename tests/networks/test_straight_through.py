"""Quantizers: exact values forward, hand-written gradients backward."""

import shutil

import pytest
import torch

from bnn_geometry.networks.straight_through import (
    binarize,
    binarize_activation,
    binarize_weight,
)

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
BINARIZERS = [binarize, binarize_weight, binarize_activation]
COMPILER = any(shutil.which(name) for name in ("c++", "g++", "clang++", "cl"))

each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)
each_binarizer = pytest.mark.parametrize("binarizer", BINARIZERS, ids=lambda f: f.__name__)


def special_points(dtype=torch.float32):
    """±0, ±1 and both neighbours of each, the smallest and the largest numbers."""
    one = torch.ones((), dtype=dtype)
    zero = torch.zeros((), dtype=dtype)
    smallest = torch.nextafter(zero, one)
    above, below = torch.nextafter(one, 2 * one), torch.nextafter(one, zero)
    largest = torch.tensor(torch.finfo(dtype).max, dtype=dtype)
    values = torch.stack([zero, smallest, one / 3, below, one, above, 7 * one, largest])
    return torch.cat([values, -values])


def bin_by_hand(x):
    return [1.0 if value > 0 else -1.0 for value in x.double().tolist()]


def gradient(f, x, upstream):
    x = x.clone().requires_grad_()
    f(x).backward(upstream)
    return x.grad


# --- values -------------------------------------------------------------------------------------


@each_binarizer
@each_dtype
def test_binarized_is_exactly_plus_or_minus_one(binarizer, dtype):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(20_000, generator=generator)
    x = x * 10 ** (4 * torch.rand(20_000, generator=generator) - 2)
    x = torch.cat([x.to(dtype), special_points(dtype)])
    result = binarizer(x)
    assert result.dtype == dtype
    assert result.double().tolist() == bin_by_hand(x)


@each_binarizer
def test_binarizing_leaves_its_argument_alone(binarizer):
    x = special_points()
    before = x.clone()
    binarizer(x)
    assert torch.equal(x, before)


def test_not_a_number_does_not_turn_into_a_weight_or_activation():
    x = torch.tensor([float("nan"), float("inf"), -float("inf")])
    for binarizer in (binarize_weight, binarize_activation):
        assert binarizer(x).isnan().all()
    assert binarize(x).tolist() == [-1, 1, -1]


# --- gradients ----------------------------------------------------------------------------------


@each_dtype
def test_weight_gradient_passes_everywhere(dtype):
    w = special_points(dtype)
    upstream = torch.arange(1, len(w) + 1).to(dtype)
    assert torch.equal(gradient(binarize_weight, w, upstream), upstream)


@each_dtype
def test_activation_gradient_is_cancelled_outside_plus_or_minus_one(dtype):
    x = special_points(dtype)
    upstream = torch.arange(1, len(x) + 1).to(dtype)
    by_hand = [
        g if -1 <= value <= 1 else 0.0
        for g, value in zip(upstream.tolist(), x.tolist(), strict=True)
    ]
    assert gradient(binarize_activation, x, upstream).tolist() == by_hand
    assert 0 < by_hand.count(0.0) < len(by_hand)


def test_activation_gradient_is_that_of_the_hard_tanh_inside_and_outside():
    x = torch.randn(5000, generator=torch.Generator().manual_seed(0))
    upstream = torch.randn(5000, generator=torch.Generator().manual_seed(1))
    expected = gradient(torch.nn.functional.hardtanh, x, upstream)
    assert torch.equal(gradient(binarize_activation, x, upstream), expected)


def test_binarize_itself_has_no_gradient():
    assert not binarize(torch.ones(2, requires_grad=True)).requires_grad


def test_worked_example():
    """One unit: bin(x)·bin(w) = 1·1 + (−1)·(−1) + 1·(−1) = 1, cost = its square."""
    x = torch.tensor([0.5, -0.2, 3.0], requires_grad=True)
    w = torch.tensor([0.1, -0.9, -0.3], requires_grad=True)
    score = binarize_activation(x) @ binarize_weight(w)
    score.square().backward()
    assert score.item() == 1
    # ∂C/∂score = 2; ∂C/∂w = 2 bin(x); ∂C/∂x = 2 bin(w), cancelled for x = 3
    assert w.grad.tolist() == [2, -2, 2]
    assert x.grad.tolist() == [2, -2, 0]


@pytest.mark.slow
@pytest.mark.skipif(not COMPILER, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore")  # of torch's own, about what it compiles
def test_compiled_estimators_give_the_same_bits():
    def both(w, x):
        return binarize_weight(w), binarize_activation(x)

    random = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    points = torch.cat([special_points(), random])
    upstream = torch.arange(1.0, len(points) + 1)
    results = []
    for f in (both, torch.compile(both)):
        w, x = points.clone().requires_grad_(), points.clone().requires_grad_()
        outputs = f(w, x)
        torch.autograd.backward(outputs, (upstream, upstream))
        results.append([*outputs, w.grad, x.grad])
    for eager, compiled in zip(*results, strict=True):
        assert torch.equal(eager, compiled)
