"""The experiment of lesson 01: a learning rate, a ravine, and the two factors that decide."""

from collections.abc import Callable
from typing import Any

import torch

from ..optimizers import SGD
from ..plot import GREEN, RED, contour
from ..problems import quadratic
from ..trace import race
from .comparison import overlay, rivals
from .controls import rate, slider, switch
from .experiment import Experiment

STEPS = 30
FAR = 1e3  # where a path leaves the picture for good
LOWEST = -1.55  # factors below are drawn here, as a triangle that points down


def play(optimizer: Callable[..., Any] | None = None) -> Experiment:
    """Thirty steps of gradient descent down a ravine, and what each direction is multiplied by.

    Args:
        optimizer: your class or rule, drawn over ours and torch's.

    >>> print(play().at(lr=0.082))
    learning rate: 0.082
    factor of the floor, 1 - lr*m: 0.918
    factor of the wall, 1 - lr*L: -1.05
    loss at the start: 20.5
    loss after 30 steps: 234
    """
    return Experiment(
        descent,
        _bowl_and_factors,
        columns=2,
        lr=rate("learning rate", "", 2 / 26, 0.005, 0.5),
        condition=slider("condition number", "L/m", 25, 1, 100),
        broken=switch("only rebind the name p"),
        optimizer=optimizer,
    )


def descent(
    axes: Any, *, lr: float, condition: float, broken: bool, optimizer: Callable[..., Any] | None = None
) -> dict[str, Any]:
    """Left, the steps down a bowl; right, what each direction is multiplied by.

    >>> from edu_optim.plot import figure
    >>> descent(figure(2)[1], lr=0.05, condition=20, broken=False)["factor of the wall, 1 - lr*L"]
    0.0
    """
    entrants = rivals(SGD, only_rebinds if broken else optimizer, lr=lr)
    runs = race(quadratic(condition), entrants, steps=STEPS)
    found = overlay(axes[0], {run.name: run.points.clamp(-FAR, FAR) for run in runs})
    floor, wall = 1 - lr * 1, 1 - lr * condition
    axes[1].plot(lr, floor, "o", color=GREEN, markersize=11)
    axes[1].plot(lr, max(wall, LOWEST), "s" if wall > LOWEST else "v", color=RED, markersize=11)
    losses = runs[-1].losses
    return {
        "factor of the floor, 1 - lr*m": floor,
        "factor of the wall, 1 - lr*L": wall,
        "loss at the start": losses[0],
        "loss after 30 steps": losses[-1],
        **found,
    }


def only_rebinds(p: torch.Tensor, g: torch.Tensor, *, lr: float) -> tuple[torch.Tensor]:
    """Gradient descent with a mistake: the new numbers get the name p, and the model goes on with the old ones.

    >>> only_rebinds(torch.tensor(1.0), torch.tensor(2.0), lr=0.1)
    (tensor(1.),)
    """
    of_the_model = p
    p = p - lr * g
    return (of_the_model,)


def _bowl_and_factors(axes: Any, condition: float) -> None:
    contour(axes[0], quadratic(condition), points=101)
    axes[0].set_title(f"30 steps at condition number {condition}")
    lr = torch.logspace(-2.3, -0.3, 101, dtype=torch.float64)
    axes[1].plot(lr, 1 - lr, color=GREEN, label="floor, 1 - lr*m")
    axes[1].plot(lr, 1 - lr * condition, "--", color=RED, label="wall, 1 - lr*L")
    axes[1].axhspan(-1.6, -1, color="0.9")
    axes[1].set(xscale="log", xlim=(0.005, 0.5), ylim=(-1.6, 1.2))
    axes[1].set(xlabel="learning rate, log scale", ylabel="factor of one step")
    axes[1].set_title("gray: each jump ends farther away")
    axes[1].legend(loc=(0.02, 0.2))
