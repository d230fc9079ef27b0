"""The nets of lesson 04 that learn digits with momentum and with Nesterov, and their picture."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ..base import from_rule
from ..plot import figure, look
from ..problems import digits, small_net
from . import nets

PARTS = 2.0 ** (torch.arange(-3, 3) / 2)  # 0.35, 0.5, 0.71, 1, 1.41, 2


def held_out(
    betas: Tensor,
    at: Sequence[int],
    seeds: Sequence[int],
    *,
    parts: Tensor = PARTS,
    batch: int = 8,
    sizes: Sequence[int] = (64, 16, 10),
) -> dict[int, tuple[Tensor, Tensor]]:
    """The held-out losses of momentum and Nesterov ``[seeds, 2, betas]`` after each number of steps, and their parts.

    Of the learning rates, 1 - beta times each part, every rule has at each beta the one that is best in the mean of
    the seeds; its part stands in ``[2, betas]``. Each seed has a net and batches of its own; all nets learn at once,
    from the first 797 of the digits.

    Args:
        betas: the momenta.
        at: after how many steps the losses are taken, in ascending order.
        seeds: of the nets and of their batches.
        parts: of 1 - beta, the learning rates that are tried.
        batch: how many images a batch has.
        sizes: of the layers of a net.

    >>> losses, parts = held_out(torch.tensor([0.0, 0.9]), [2], range(3))[2]
    >>> losses.shape, parts.shape
    (torch.Size([3, 2, 2]), torch.Size([2, 2]))
    """
    images, labels = digits()
    grid = torch.arange(2), betas, parts
    ahead, kept, part = torch.cartesian_prod(*(axis.double() for axis in grid)).T
    options = {"ahead": ahead, "momentum": kept, "lr": part * (1 - kept)}
    columns = {name: option[:, None, None] for name, option in options.items()}
    layers = nets.copied([small_net(*sizes, seed=seed) for seed in seeds], len(ahead))
    make: Any = from_rule(_either)
    runner = make([{"params": layers, **columns}], **options)
    dice, found = [torch.Generator().manual_seed(seed) for seed in seeds], {}
    for step in range(1, at[-1] + 1):
        drawn = torch.stack([torch.randint(797, (batch,), generator=one) for one in dice])
        runner.zero_grad()
        nets.losses(layers, images[drawn], labels[drawn]).sum().backward()
        runner.step()
        if step in at:
            losses = nets.losses([layer.detach() for layer in layers], images[None, 797:], labels[None, 797:])
            losses = losses.reshape(len(seeds), 2, len(betas), len(parts))
            best = losses.mean(0).argmin(-1)
            found[step] = losses.take_along_dim(best[None, ..., None], -1)[..., 0], parts[best]
    return found


def _either(p: Any, g: Any, b: Any, *, lr: Any, momentum: Any, ahead: Any) -> tuple[Any, Any]:
    """Nesterov, with the step g + momentum * b, where ``ahead`` is 1, and momentum, with the step b, where it is 0."""
    b = momentum * b + g
    return p - (lr * ahead * g + lr * (1 - ahead + ahead * momentum) * b), b


def draw_held_out(betas: Sequence[float] | Tensor, found: Mapping[int, Tensor]) -> Figure:
    """The mean held-out losses of momentum and of Nesterov against their momentum, a panel for each size of a batch.

    They are drawn in units of the lowest of their panel.

    Args:
        betas: the momenta.
        found: size of a batch -> the losses ``[seeds, 2, momenta]``.

    >>> fig = draw_held_out([0.8, 0.9], {8: torch.rand(3, 2, 2), 32: torch.rand(3, 2, 2)})
    >>> [ax.get_title() for ax in fig.axes]
    ['batches of 8', 'batches of 32']
    """
    fig, axes = figure(2, sharey=True)
    for ax, (batch, losses) in zip(axes, found.items(), strict=True):
        means = losses.mean(0)
        for name, line in zip(("momentum", "Nesterov"), means / means.min(), strict=True):
            ax.plot(line, **look(name), label=name)
        ax.set_xticks(range(len(betas)), [f"{beta:g}" for beta in betas])
        ax.set(xlabel="β", title=f"batches of {batch}")
    axes[0].set_ylabel("held-out loss over the lowest")
    axes[0].legend()
    return fig
