"""Options that are tensors of settings: each is an axis, along which an optimizer runs with many settings at once."""

import torch


def _axes(options):
    """The axes among ``options``, by the names that `_set` looks for."""
    members = [member for option in options.items() for member in _members(*option)]
    axes = {name: value for name, value in members if torch.is_tensor(value)}
    for name, axis in axes.items():
        if axis.dim() != 1 or not len(axis):
            raise ValueError(
                f"{name} must be a number or a tensor [n] of n > 0 settings, got shape {tuple(axis.shape)}"
            )
    return axes


def _set(options, settings):
    """``options`` with ``settings`` in the place of the axes."""
    chosen = {}
    for name, value in options.items():
        values = [settings.get(member, old) for member, old in _members(name, value)]
        chosen[name] = tuple(values) if isinstance(value, tuple | list) else values[0]
    return chosen


def _members(name, value):
    """The options in an option: betas are beta1 and beta2."""
    if not isinstance(value, tuple | list):
        return [(name, value)]
    return [(f"{name.removesuffix('s')}{number}", member) for number, member in enumerate(value, 1)]
