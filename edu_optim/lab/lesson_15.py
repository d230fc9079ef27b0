"""The experiment of lesson 15, the Newton-Schulz iteration, and the lesson's fair comparison on the digits."""

from collections.abc import Callable
from typing import Any

import torch
from matplotlib.axes import Axes
from torch import Tensor

from ..base import from_rule
from ..later import Muon, NAdam, RAdam, rules
from ..optimizers import SGD, AdamW
from ..plot import BLUE, RED
from ..problems import digits, small_net
from ..trace import train_many
from .controls import choice, rate, slider
from .experiment import Experiment

COEFFICIENTS = {"quintic": (3.4445, -4.775, 2.0315), "cubic": (1.5, -0.5, 0.0)}
ENTRANTS = {  # each with the options that are not tuned
    "momentum": (SGD, {"momentum": 0.9}),
    "AdamW": (AdamW, {"weight_decay": 0.0}),
    "NAdam": (NAdam, {}),
    "RAdam": (RAdam, {}),
    "Lion": (from_rule(rules.lion), {}),
}


def play(optimizer: Callable[..., Any] | None = None) -> Experiment:
    """What the iteration makes of each singular value between 0 and 1.

    Args:
        optimizer: a function of a matrix, its coefficients and the number of steps, in the place of the course's.

    >>> play().numbers["smallest after"] > 0.6
    True
    """
    return Experiment(
        _iterated,
        _ones,
        coefficients=choice("coefficients", *COEFFICIENTS),
        steps=slider("steps", "", 5, 0, 12),
        smallest=rate("smallest singular value", "", 0.1, 0.0001, 0.5),
        optimizer=optimizer,
    )


def _iterated(
    ax: Axes, *, coefficients: str, steps: int, smallest: float, optimizer: Callable[..., Any] | None = None
) -> dict[str, Any]:
    """Ten singular values before, from the smallest to 1, and after the iteration."""
    before = torch.logspace(torch.tensor(smallest).log10().item(), 0, 10, dtype=torch.float64)
    made = (optimizer or rules.orthogonal)(before.diag(), COEFFICIENTS[coefficients], steps)
    after = torch.linalg.svdvals(made)
    ax.plot(range(1, 11), before.flip(0), "o-", color=BLUE, label="before")
    ax.plot(range(1, 11), after, "s-", color=RED, label="after")
    ax.legend()
    return {"largest after": after.max().item(), "smallest after": after.min().item()}


def _ones(ax: Axes) -> None:
    ax.axhline(1, color="0.6", linewidth=0.8)
    ax.set(xlabel="singular value, from the largest", ylabel="size", ylim=(0, 1.4), xlim=(0.5, 10.5))


def compared(steps: int = 60, seeds: int = 8) -> dict[str, tuple[float, bool, Tensor]]:
    """Each of the entrants on the digits: its best rate, whether that is inside the grid, and held-out accuracies.

    Every one is tuned over the same nine rates, by its mean accuracy on 360 images over ``seeds`` starts, and then
    counted on 360 others.

    >>> list(compared(steps=1, seeds=1))
    ['momentum', 'AdamW', 'NAdam', 'RAdam', 'Lion']
    """
    images, labels = digits()
    learnt, tuned, held = slice(1077), slice(1077, 1437), slice(1437, None)
    grid = torch.logspace(-4, 0, 9, dtype=torch.float64)
    nets = [small_net(64, 16, 10, seed=seed) for seed in range(seeds)]
    found = {}
    for name, (cls, options) in ENTRANTS.items():
        copies = train_many(
            [net for net in nets for _ in grid],
            cls,
            images[learnt],
            labels[learnt],
            steps,
            batch=100,
            lr=grid.repeat(seeds),
            **options,
        )
        table = copies.accuracy(images[tuned], labels[tuned]).reshape(seeds, -1)
        best = int(table.mean(0).argmax())
        right = copies.accuracy(images[held], labels[held]).reshape(seeds, -1)[:, best]
        found[name] = grid[best].item(), 0 < best < len(grid) - 1, right
    return found


def singular_values(size: int = 8) -> tuple[Tensor, Tensor]:
    """The singular values of a gradient of the digits' network, and of Muon's step with it; each over its largest.

    >>> [values.shape for values in singular_values()]
    [torch.Size([8]), torch.Size([8])]
    """
    images, labels = digits()
    net = small_net(64, size, size, 10)
    loss = torch.nn.functional.cross_entropy(net(images), labels)
    weight = list(net.parameters())[2]
    start, (gradient,) = weight.detach().clone(), torch.autograd.grad(loss, [weight])
    weight.grad = gradient
    Muon([weight], lr=1.0, weight_decay=0).step()
    values = torch.linalg.svdvals(gradient), torch.linalg.svdvals(start - weight.detach())
    return values[0] / values[0][0], values[1] / values[1][0]
