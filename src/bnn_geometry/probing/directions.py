r"""Directions between the classes of a layer's inputs, and what binarizing them costs (section 4).

The paper concludes that the informative directions in the data and in the intermediate
representations are well approximated by binary vectors. Those that tell the classes apart can be
found without looking at any weight.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.linear_model import RidgeClassifierCV
from torch import Tensor

from bnn_geometry.geometry.angles import angle
from bnn_geometry.networks.straight_through import binarize
from bnn_geometry.probing.layer_inputs import LayerSample


def _varying(x: Tensor) -> NDArray[np.bool_]:
    # coordinates that vary: of the others nothing can be read
    return (x.std(0) > 1e-6).numpy()


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
