"""Options that are tensors of settings: each is an axis, along which an optimizer runs with many settings at once."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..signature import members


def axes_among(options: Mapping[str, Any]) -> dict[str, Tensor]:
    """The axes among ``options``, by the names that `replaced` looks for.

    Errors: ValueError if a tensor is empty or not of one dimension.

    >>> axes_among({"lr": 0.1, "betas": (0.9, torch.tensor([0.99, 0.999]))})
    {'beta2': tensor([0.9900, 0.9990])}
    """
    numbers = [number for option in options.items() for number in members(*option)]
    axes = {name: value for name, value in numbers if torch.is_tensor(value)}
    for name, axis in axes.items():
        if axis.dim() != 1 or not len(axis):
            raise ValueError(
                f"{name} must be a number or a tensor [n] of n > 0 settings, got shape {tuple(axis.shape)}"
            )
    return axes


def replaced(options: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """``options`` with ``settings`` in the place of the axes.

    >>> replaced({"lr": 0.1, "betas": (0.9, torch.tensor([0.99, 0.999]))}, {"beta2": 0.999})
    {'lr': 0.1, 'betas': (0.9, 0.999)}
    """
    chosen = {}
    for name, value in options.items():
        values = [settings.get(number, old) for number, old in members(name, value)]
        chosen[name] = tuple(values) if isinstance(value, tuple | list) else values[0]
    return chosen
