"""What layers multiply, and anybody's networks, by plain loops in float64; and shapes to draw."""

import itertools

import numpy as np
import torch
from hypothesis import strategies as st
from torch import nn

from bnn_geometry.networks.layers import BinaryConv1d, BinaryConv2d, BinaryLinear

MODES = {"zeros": "constant", "circular": "wrap", "reflect": "reflect", "replicate": "edge"}
LINEAR = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def vectors(layer, x):
    """All that a layer multiplies: (entries, positions, groups, n), from explicit indices."""
    x = np.asarray(x, dtype=np.float64)
    if isinstance(layer, nn.Linear):
        return x.reshape(len(x), -1, 1, x.shape[-1])
    reach = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    pad = {
        "same": [(r // 2, r - r // 2) for r in reach],
        "valid": [(0, 0) for _ in reach],
    }.get(layer.padding) or [(p, p) for p in layer.padding]
    x = np.pad(x, [(0, 0), (0, 0), *pad], mode=MODES[layer.padding_mode])
    starts = [
        range(0, size - r, s) for size, r, s in zip(x.shape[2:], reach, layer.stride, strict=True)
    ]
    patches = []
    for corner in itertools.product(*starts):
        window = tuple(
            slice(c, c + r + 1, d) for c, r, d in zip(corner, reach, layer.dilation, strict=True)
        )
        patches.append(x[(slice(None), slice(None), *window)].reshape(len(x), layer.groups, -1))
    return np.stack(patches, axis=1)


def products(layer, x, w):
    """Dot products with weights, (filters, values)."""
    found, w = vectors(layer, x), np.asarray(w, dtype=np.float64).reshape(len(w), -1)
    per_group = len(w) // found.shape[2]
    return np.stack([(found[:, :, f // per_group] @ w[f]).ravel() for f in range(len(w))])


def weights(layer):
    w = layer.weight.detach().double().numpy()
    return np.where(w > 0, 1.0, -1.0), w


def entering(network, x):
    """Name of each layer → what enters it, call by call."""
    found, handles = {}, []
    for name, layer in network.named_modules():
        if isinstance(layer, LINEAR):
            calls = found.setdefault(name, [])
            handles.append(
                layer.register_forward_pre_hook(
                    lambda module, args, calls=calls: calls.append(args[0].detach().clone())
                )
            )
    with torch.no_grad():
        network(x)
    for handle in handles:
        handle.remove()
    return found


@st.composite
def layers(draw):
    """A layer of any geometry with weights drawn, and the shape of an image for it."""
    seed = draw(st.integers(0, 2**16))
    kind = draw(st.sampled_from([BinaryLinear, nn.Linear, BinaryConv1d, BinaryConv2d, *LINEAR[1:]]))
    if issubclass(kind, nn.Linear):
        layer = kind(draw(st.integers(1, 6)), draw(st.integers(1, 4)))
        shape = (*draw(st.lists(st.integers(1, 3), max_size=2)), layer.in_features)
    else:
        axes = {nn.Conv1d: 1, BinaryConv1d: 1, nn.Conv3d: 3}.get(kind, 2)

        def each(low, high):
            return tuple(draw(st.integers(low, high)) for _ in range(axes))

        groups = draw(st.integers(1, 3))
        kernel, dilation = each(1, 3), each(1, 2)
        size = tuple(
            d * (k - 1) + 1 + more for d, k, more in zip(dilation, kernel, each(0, 3), strict=True)
        )
        stride = each(1, 3)
        padding = tuple(min(p, s - 1) for p, s in zip(each(0, 2), size, strict=True))
        named = ["valid", *(["same"] if max(stride) == 1 else [])]
        layer = kind(
            groups * draw(st.integers(1, 2)),
            groups * draw(st.integers(1, 3)),
            kernel,
            stride=stride,
            padding=draw(st.sampled_from([padding, *named])),
            dilation=dilation,
            groups=groups,
            padding_mode=draw(st.sampled_from([*MODES])),
        )
        shape = (layer.in_channels, *size)
    with torch.no_grad():
        layer.weight.normal_(generator=torch.Generator().manual_seed(seed))
    return layer, shape
