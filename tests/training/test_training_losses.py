"""The losses, against formulas written by hand."""

import pytest
import torch
from tiny import run
from torch.nn import functional as F  # noqa: N812

from bnn_geometry.training.losses import LOSSES, squared_hinge


def test_squared_hinge_by_hand():
    scores = torch.tensor([[0.5, -2.0, 1.0], [3.0, 0.0, -0.5]])
    # targets + − −, then − + −
    by_hand = [0.5**2, 0, 2**2, 4**2, 1, 0.5**2]
    loss = squared_hinge(scores, torch.tensor([0, 1]))
    assert loss.item() == pytest.approx(sum(by_hand) / 6)


def test_squared_hinge_equals_the_double_loop():
    scores = torch.randn(7, 10, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(7)
    total = sum(
        max(0.0, 1 - (1 if j == labels[i] else -1) * scores[i, j].item()) ** 2
        for i in range(7)
        for j in range(10)
    )
    assert squared_hinge(scores, labels).item() == pytest.approx(total / 70, rel=1e-6)


def test_label_smoothing_is_cross_entropy_with_smoothed_targets(monkeypatch):
    scores = []
    monkeypatch.setitem(
        LOSSES,
        "cross-entropy",
        lambda s, y, **options: (
            scores.append((s.detach().double(), y)) or F.cross_entropy(s, y, **options)
        ),
    )
    history = run("mlp", label_smoothing=0.1, batch_size=40, epochs=1).history
    s, y = scores[0]
    targets = 0.9 * F.one_hot(y, 10).double() + 0.1 / 10
    by_hand = -(targets * s.log_softmax(1)).sum(1).mean()
    assert history["loss"][0] == pytest.approx(float(by_hand), rel=1e-6)
