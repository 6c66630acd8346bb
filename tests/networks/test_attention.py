"""The attention block: tokens, softmax, gradients, and where its layers are looked at."""

import numpy as np
import pytest
import torch

from bnn_geometry.networks.attention import PatchAttention, TokenNorm
from bnn_geometry.networks.inference import as_given
from bnn_geometry.probing import dot_products


def network(**options):
    return PatchAttention(
        torch.Generator().manual_seed(0), image=(2, 6, 6), patch=3, units=8, heads=2, **options
    )


def images(count=6):
    return torch.rand(count, 2, 6, 6, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_tokens_are_patches_row_by_row():
    x = images()
    tokens = network()._tokens(x)
    patches = [x[:, :, i : i + 3, j : j + 3].flatten(1) for i in (0, 3) for j in (0, 3)]
    assert torch.equal(tokens, torch.stack(patches, 1))


def test_attention_is_that_of_a_plain_loop():
    made = network().eval()
    x = torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        found = made._attend(x)
        q, k, v = (
            norm(layer(x)).double().numpy()
            for layer, norm in (
                (made.query, made.query_norm),
                (made.key, made.key_norm),
                (made.value, made.value_norm),
            )
        )
    for image in range(2):
        for head in (slice(0, 4), slice(4, 8)):
            for token in range(4):
                logits = [q[image, token, head] @ k[image, s, head] / 2 for s in range(4)]
                weights = np.exp(logits) / np.exp(logits).sum()
                expected = weights @ v[image, :, head]
                np.testing.assert_allclose(found[image, token, head], expected, atol=1e-5)


def test_a_token_norm_is_over_images_and_tokens():
    x = torch.randn(50, 3, 4, generator=torch.Generator().manual_seed(5)) * 3 + 1
    y = TokenNorm(4).train()(x)
    assert y.shape == x.shape
    torch.testing.assert_close(y.mean((0, 1)), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.std((0, 1), correction=0), torch.ones(4), atol=1e-3, rtol=0)


@pytest.mark.parametrize("binary", [True, False])
def test_gradients_reach_every_parameter(binary):
    made = network(binary=binary).train()
    made(images(30)).square().sum().backward()
    for name, parameter in made.named_parameters():
        if name == "key_norm.bias":  # the same added to every key changes no softmax
            continue
        assert parameter.grad.abs().sum() > 0, name


def test_every_layer_is_probed_at_every_token_and_paired_with_its_activation():
    made = network().eval()
    found = dot_products.probe(
        made,
        images(),
        [dot_products.WEIGHTS, dot_products.ACTIVATIONS],
        preprocess=as_given,
    )
    values = {s.layer: s.values for s in found["weights"]}
    projections = dict.fromkeys(("embed", "query", "key", "value", "out", "down"), 6 * 4 * 8)
    assert values == projections | {"up": 6 * 4 * 16, "readout": 6 * 10}
    binary = {s.layer for s in found["activations"]}
    assert binary == {"query", "key", "value", "out", "up", "down"}


def test_uneven_patches_are_refused():
    with pytest.raises(ValueError, match="do not divide"):
        PatchAttention(torch.Generator(), patch=5)
