"""Copies of a network, with other modules in the place of some."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TypeVar

from torch import nn

from bnn_geometry.errors import UserError

Network = TypeVar("Network", bound=nn.Module)


def unwrapped(network: nn.Module) -> nn.Module:
    """The network itself, without ``torch.compile`` or data-parallel wrappers around it."""
    parallel = nn.DataParallel | nn.parallel.DistributedDataParallel
    while isinstance(network, parallel) or hasattr(network, "_orig_mod"):
        network = network.module if isinstance(network, parallel) else network._orig_mod
    return network


def copied(network: Network) -> Network:
    """A copy of a network that shares nothing with it, without a wrapper around it.

    Raises
    ------
    UserError
        If it holds what cannot be copied, such as a weight that is computed from others.
    """
    try:
        return copy.deepcopy(unwrapped(network))
    except (RuntimeError, TypeError) as error:
        raise UserError(f"The network cannot be copied: {error}") from error


def replace_modules(
    network: Network,
    chosen: Callable[[str, nn.Module], bool],
    make: Callable[[nn.Module], nn.Module],
) -> Network:
    """A copy of a network with other modules in the place of some.

    Parameters
    ----------
    network : Module
    chosen : callable
        ``chosen(name, module)`` says whether to replace a module below the network. One that is
        registered under several names is asked about, and replaced, under each.
    make : callable
        ``make(module)`` returns what takes its place, in its mode; called once for each module, so
        that one shared by several names stays shared. It is given the copy's module and may keep
        its parameters.
    """
    network = copied(network)
    made: dict[nn.Module, nn.Module] = {}
    for name, module in [*network.named_modules(remove_duplicate=False)]:
        if name and chosen(name, module):
            if module not in made:
                made[module] = make(module).train(module.training)
            parent, _, child = name.rpartition(".")
            setattr(network.get_submodule(parent), child, made[module])
    return network
