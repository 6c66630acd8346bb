"""Correlations of pairs and their errors against plain loops, and controls against known values."""

import numpy as np
import pytest
import torch
from planted import by_loops, correlated, gaussian, uniform
from small_networks import generator, make

from bnn_geometry.geometry.correlation import predicted_correlation
from bnn_geometry.networks.layers import weight_layers
from bnn_geometry.networks.straight_through import binarize
from bnn_geometry.probing import components, pair_correlation, vectors, weight_pairs
from bnn_geometry.probing.judged_directions import discriminants, judged_directions

N, FILTERS, VECTORS = 12, 7, 900


def sizes(x, *weights):
    energy = x.double().square().sum() / len(x)
    return tuple(energy * w.double().square().sum(1) for w in weights)


@pytest.fixture(scope="module")
def sample():
    """Inputs with a covariance and a mean, of 90 images, and weights."""
    x, _ = correlated(N)
    x = x[:VECTORS] + 0.3 * gaussian(N, seed=3)
    image = torch.arange(VECTORS) // 10
    return x.float(), image, gaussian(FILTERS, N, seed=4)


def measured(x, image, b, w):
    products = (x @ v.float().T for v in (b, w))
    return pair_correlation.pair_correlation(
        *products, pair_correlation.blocks_of(image), sizes(x, b, w)
    )


def test_correlations_and_their_errors_are_those_of_a_loop(sample):
    x, image, w = sample
    b = binarize(w)
    found = measured(x, image, b, w)
    a, c = (x.double() @ v.T for v in (b, w))

    def statistics(kept):
        first, second = a[kept].numpy(), c[kept].numpy()
        r = np.array([np.corrcoef(first[:, f], second[:, f])[0, 1] for f in range(FILTERS)])
        whole = np.corrcoef(first.ravel(), second.ravel())[0, 1]
        return whole, np.median(r), np.mean((first > 0) != (second > 0)), r

    whole, median, differ, r = statistics(np.arange(VECTORS))
    assert (found.r, found.median) == (
        pytest.approx(whole, abs=1e-6),
        pytest.approx(median, abs=1e-6),
    )
    np.testing.assert_allclose(found.filter_r, r, atol=1e-6)
    assert float(found.disagreement.mean()) == pytest.approx(differ)
    block = image.numpy() * 20 // 90
    left_out = np.array([statistics(np.flatnonzero(block != k))[:3] for k in range(20)])
    errors = np.sqrt(19 / 20 * ((left_out - left_out.mean(0)) ** 2).sum(0))
    np.testing.assert_allclose(found.standard_errors(), errors, atol=1e-6)
    centred = [(z - z.mean(0)).numpy().ravel() for z in (a, c)]
    assert found.centred_r == pytest.approx(np.corrcoef(*centred)[0, 1], abs=1e-6)


def test_error_over_images_covers_the_truth():
    # r of samples about that of the law: the standardized distance has variance one
    x, covariance = correlated(N)
    w = gaussian(1, N, seed=4)
    b = binarize(w)
    truth = float(predicted_correlation(w.numpy(), b.numpy(), covariance)[0])
    image = torch.arange(400)
    scores = []
    for seed in range(20):
        found = measured(x[400 * seed : 400 * (seed + 1)].float(), image, b, w)
        scores.append((found.r - truth) / found.standard_errors()[0])
    # of 20 squares the mean has a relative error of a third
    assert 0.35 < np.mean(np.square(scores)) < 2.2


def test_error_of_a_difference_on_the_same_images_is_paired(sample):
    x, image, w = sample
    found = measured(x, image, binarize(w), w)
    assert found.standard_errors(found) == (0, 0, 0)
    nearly = measured(x, image, binarize(w), w + 1e-3 * gaussian(FILTERS, N, seed=8))
    assert found.standard_errors(nearly)[0] < 0.05 * found.standard_errors()[0]


def test_closed_forms_are_the_samples_they_stand_for(sample):
    x, image, w = sample
    b = binarize(w)
    centred = x.double() - x.double().mean(0)
    sigma = centred.T @ centred / len(x)
    mean = x.double().mean(0)
    # of the sample's own covariance an identity, the filters' means included
    same = pair_correlation.covariance_correlation(
        b, w, lambda v: v @ sigma, float(sigma.trace()), mean
    )
    found = measured(x, image, b, w)
    np.testing.assert_allclose(same.filter_r, found.filter_r, atol=1e-6)
    assert same.r == pytest.approx(found.r, abs=1e-6)
    assert same.centred_r == pytest.approx(found.centred_r, abs=1e-6)
    white = pair_correlation.covariance_correlation(b, w, lambda v: v, N)
    np.testing.assert_allclose(white.filter_r, torch.cosine_similarity(b, w))
    alone = components.leading_components(x, 1)
    one = components.component_correlation(b, w, alone, 1)
    np.testing.assert_allclose(one.filter_r.abs(), 1)  # a single direction
    every = components.component_correlation(b, w, components.leading_components(x, N), N)
    np.testing.assert_allclose(every.filter_r, found.filter_r, atol=1e-5)


def test_components_and_what_remains_without_them(sample):
    x, _, w = sample
    found = components.leading_components(x, 3)
    values, axes = np.linalg.eigh(np.cov(x.double().numpy().T, bias=True))
    np.testing.assert_allclose(found.variances, values[::-1][:3], rtol=1e-4)
    assert found.total == pytest.approx(values.sum())
    left = components.without_components(x @ w.float().T, w, x, found, 2)
    kept = np.eye(N) - axes[:, -2:] @ axes[:, -2:].T
    mean = x.double().mean(0).numpy()
    expected = ((x.double().numpy() - mean) @ kept + mean) @ w.numpy().T
    np.testing.assert_allclose(left, expected, atol=1e-4)


def test_participation_ratio_counts_dimensions_without_bias():
    n, few = 200, 60  # fewer vectors than dimensions: one sample would say about 46
    found = [
        components.participation_ratio(
            gaussian(few, n, seed=k).float(), gaussian(few, n, seed=50 + k).float()
        )
        for k in range(40)
    ]
    error = np.std(found) / np.sqrt(len(found))
    assert np.mean(found) == pytest.approx(n, abs=4 * error + 2)
    flat = gaussian(500, 1, seed=1) @ gaussian(1, n, seed=2)
    assert components.participation_ratio(flat[:250].float(), flat[250:].float()) == pytest.approx(
        1
    )


def test_pairs_keep_what_they_say():
    w = uniform(5, 40).double()
    found = list(weight_pairs.weight_pairs(w, generator(), draws=2))
    by_name = {(pair.control, pair.draw): pair for pair in found}
    assert len(by_name) == len(found) == 1 + 2 * 2 + 3
    own = by_name[weight_pairs.MEASURED, 0]
    assert torch.equal(own.continuous, w)
    cosine = torch.cosine_similarity(own.binary, w)
    for control in (weight_pairs.SHUFFLED, weight_pairs.TURNED):
        for draw in range(2):
            pair = by_name[control, draw]
            assert torch.equal(pair.binary, binarize(w))
            again = torch.cosine_similarity(pair.binary, pair.continuous)
            np.testing.assert_allclose(again, cosine)
            assert not torch.allclose(pair.continuous, w)
    shuffled = by_name[weight_pairs.SHUFFLED, 1].continuous
    assert torch.equal(binarize(shuffled), binarize(w))
    assert torch.equal(shuffled.abs().sort(1).values, w.abs().sort(1).values)
    dealt = by_name[weight_pairs.DEALT, 0].continuous
    assert torch.equal(dealt.flatten().sort().values, w.flatten().sort().values)
    assert not torch.equal(dealt.sort(1).values, w.sort(1).values)
    assert float(by_name[weight_pairs.UNIFORM, 0].continuous.abs().max()) <= 1


@pytest.mark.parametrize("kind", ["convnet", "mlp"])
def test_vectors_are_those_that_enter_the_layers(kind):
    network, images = make(kind)
    options = {"vectors": 3 * len(images), "continuous": True}
    inputs, at_once = (
        vectors.draw_vectors(network, images, generator=generator(), batch_size=k, **options)
        for k in (2, 50)
    )
    everything = by_loops(network, images)
    for i, (name, layer) in enumerate(weight_layers(network).items()):
        mine = inputs[name]
        if i == 0:  # positions do not begin anew in a batch
            assert torch.equal(mine.x, at_once[name].x)
        b = layer.binary_weight.flatten(1).double()
        products = (mine.x.double() @ b.T).numpy()
        whole = everything[name][0].T  # all images' positions, one after the other
        each = len(whole) // len(images)
        for row, image in zip(products, mine.image, strict=True):
            among = whole[each * image : each * (image + 1)]
            assert np.abs(among - row).max(1).min() < 1e-3
        assert (mine.continuous is None) == (i == 0)
        if i:
            inside = mine.x != 0  # a convolution pads both
            assert torch.equal(binarize(mine.continuous)[inside], mine.x[inside])
        first = mine.first(len(images))
        assert torch.equal(first.image, torch.arange(len(images)))
        assert torch.equal(first.x[1], mine.x[mine.image == 1][0])


def test_discriminant_is_the_direction_in_which_the_classes_differ():
    n = 15
    _, covariance = correlated(n, seed=2)
    difference = gaussian(n, seed=1)
    labels = torch.arange(6000) % 2
    x = gaussian(6000, n, seed=2) @ torch.from_numpy(np.linalg.cholesky(covariance).T)
    x = 3 * x + labels[:, None] * difference
    x = torch.cat([x, torch.ones(6000, 1, dtype=x.dtype)], 1)  # that does not vary
    [v] = discriminants(x, labels, 5)
    assert v[-1] == 0
    best = np.linalg.solve(covariance, difference.numpy())
    assert abs(torch.cosine_similarity(v[:-1], torch.from_numpy(best), dim=0)) > 0.97


def test_directions_are_judged_on_the_sample_that_is_given():
    x, covariance = correlated(N)
    v = gaussian(2, N, seed=6)
    found = components.leading_components(x, 2)
    table = judged_directions({"random": v}, x.float(), torch.arange(len(x)), found)
    expected = predicted_correlation(v.numpy(), binarize(v).numpy(), covariance)
    scores = (table["r"] - expected) / table["r_se"]
    assert (scores.abs() < 4).all()
    assert table["direction"].tolist() == [1, 2]
    along = np.einsum("fi,ij,fj->f", v, covariance, v) / v.square().sum(1).numpy()
    np.testing.assert_allclose(table["variance"], along / np.trace(covariance), rtol=0.1)
    cosine = torch.cosine_similarity(v, binarize(v))
    np.testing.assert_allclose(table["angle"], torch.rad2deg(cosine.arccos()), rtol=1e-5)
