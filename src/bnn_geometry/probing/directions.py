r"""Informative directions of a layer's inputs, and what binarizing them costs (section 4).

The paper concludes that the informative directions in the data and in the intermediate
representations are well approximated by binary vectors. Two kinds can be found without looking at
any weight: those along which the inputs vary most, and those that tell the classes apart.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import RidgeClassifierCV
from torch import Tensor

from bnn_geometry.errors import UserError
from bnn_geometry.geometry.angles import angle
from bnn_geometry.networks.straight_through import binarize
from bnn_geometry.probing.correlation import filter_correlations
from bnn_geometry.probing.layer_inputs import LayerSample

KINDS = ("principal", "discriminant", "random")


def _varying(x: Tensor) -> NDArray[np.bool_]:
    # Coordinates that vary: a discriminant has nothing to say of the others.
    return (x.std(0) > 1e-6).numpy()


def _principal(x: Tensor, count: int) -> Tensor:
    _, _, directions = torch.linalg.svd(x - x.mean(0), full_matrices=False)
    return directions[:count]


def _discriminant(x: Tensor, labels: Tensor, count: int) -> Tensor:
    seen = _varying(x)
    model = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto")
    model.fit(x[:, seen].numpy(), labels.numpy())
    found = np.zeros((min(count, model.scalings_.shape[1], len(model.classes_) - 1), x.shape[1]))
    found[:, seen] = model.scalings_[:, : len(found)].T
    return torch.from_numpy(found)


def informative_directions(
    samples: dict[str, LayerSample],
    labels: Tensor,
    *,
    count: int = 5,
    generator: torch.Generator,
) -> pd.DataFrame:
    r"""Directions v of each layer's inputs x, and the correlation of x·v with x·bin(v).

    Directions and correlations come from the same sample.

    Parameters
    ----------
    samples : dict of str to LayerSample
        From :func:`bnn_geometry.probing.layer_inputs.sample_inputs`.
    labels : Tensor of int64, shape (images,)
        Classes of the images.
    count : int
        Directions of each kind, the most informative first.
    generator : torch.Generator
        Of the random directions.

    Returns
    -------
    DataFrame
        Columns layer, n (fan-in), kind (``principal``: of largest variance; ``discriminant``:
        linear discriminants with the shrinkage of Ledoit and Wolf, at most one fewer than there are
        classes; ``random``: of uniform direction), direction (from 1), variance (part of the
        total that lies along v), angle (between v and bin(v), degrees) and r (Pearson).

    Raises
    ------
    UserError
        If the images of a sample are all of one class.
    """
    table = []
    for name, sample in samples.items():
        x, classes = sample.x.double(), labels[sample.image]
        if len(classes.unique()) < 2:
            raise UserError("All images are of one class: there is nothing to tell apart.")
        kinds = {
            "principal": _principal(x, count),
            "discriminant": _discriminant(x, classes, count),
            "random": torch.randn(count, x.shape[1], generator=generator, dtype=torch.float64),
        }
        for kind, v in kinds.items():
            b = binarize(v)
            r = filter_correlations(v, b, x)
            along = x @ (v / v.norm(dim=1, keepdim=True)).T
            variance = along.var(0, correction=0) / x.var(0, correction=0).sum()
            for i in range(len(v)):
                table.append(
                    {
                        "layer": name,
                        "n": x.shape[1],
                        "kind": kind,
                        "direction": i + 1,
                        "variance": float(variance[i]),
                        "angle": float(angle(v[i], b[i])),
                        "r": float(r[i]),
                    }
                )
    return pd.DataFrame(table)


def _fitted(z: NDArray, labels: NDArray, classes: NDArray) -> NDArray:
    # scale and intercept of every class's score, by least squares on ±1
    target = np.where(labels[:, None] == classes, 1.0, -1.0)
    spread = z.var(0)
    slope = np.divide(
        ((z - z.mean(0)) * (target - target.mean(0))).mean(0),
        spread,
        out=np.zeros_like(spread),
        where=spread > 0,
    )
    return np.stack([slope, target.mean(0) - slope * z.mean(0)])


def readout_errors(
    train: dict[str, LayerSample],
    train_labels: Tensor,
    test: dict[str, LayerSample],
    test_labels: Tensor,
) -> pd.DataFrame:
    r"""What a linear readout of each layer's inputs loses when its weights are binarized.

    The readout is ridge regression on ±1 for each class, its penalty chosen by leave-one-out
    cross-validation. Binarized, each class keeps one scale and one intercept, fitted again.

    Parameters
    ----------
    train, test : dict of str to LayerSample
        From :func:`bnn_geometry.probing.layer_inputs.sample_inputs`, of different images.
    train_labels, test_labels : Tensor of int64
        Classes of their images.

    Returns
    -------
    DataFrame
        Index layer; n (fan-in), angle (between a class's weights and their binarization, mean over
        classes, degrees), error and binarized (fractions of test vectors that are classified
        wrongly), loss_se (standard error of their difference, on the same vectors), guessing (the
        error of the most frequent class).
    """
    rows = []
    for name, sample in train.items():
        seen = _varying(sample.x)
        x, z = (s.x[:, seen].double().numpy() for s in (sample, test[name]))
        y, truth = train_labels[sample.image].numpy(), test_labels[test[name].image].numpy()
        model = RidgeClassifierCV(alphas=np.logspace(-1, 5, 7)).fit(x, y)
        classes = model.classes_
        # of two classes it keeps one score
        w = np.atleast_2d(model.coef_)
        w = w if len(classes) > 2 else np.concatenate([-w, w])
        b = binarize(torch.from_numpy(w)).numpy()
        slope, intercept = _fitted(x @ b.T, y, classes)
        guessed = classes[np.argmax((z @ b.T) * slope + intercept, axis=1)]
        wrong, lost = model.predict(z) != truth, guessed != truth
        loss = lost.astype(float) - wrong
        most = classes[np.argmax([(y == c).sum() for c in classes])]
        rows.append(
            {
                "layer": name,
                "n": sample.x.shape[1],
                "angle": float(
                    np.mean([angle(torch.from_numpy(v), binarize(torch.from_numpy(v))) for v in w])
                ),
                "error": float(np.mean(wrong)),
                "binarized": float(np.mean(lost)),
                "loss_se": float(loss.std(ddof=1) / np.sqrt(len(loss)))
                if len(loss) > 1
                else np.nan,
                "guessing": float(np.mean(truth != most)),
            }
        )
    return pd.DataFrame(rows).set_index("layer")
