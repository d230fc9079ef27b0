"""The experiment of lesson 07: how Adadelta starts, and how its steps grow."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..optimizers import Adadelta
from ..plot import RED, contour
from ..rules import adadelta
from ..trace import Trace, race
from .comparison import against_step, overlay, rivals
from .controls import rate, switch
from .experiment import Experiment
from .surfaces import RAVINE


def play(optimizer: Callable[..., Any] | None = None) -> Experiment:
    """Adadelta on a ravine of condition number 25, and its steps along the floor, in units of the first.

    Args:
        optimizer: your rule or class, drawn beside ours and torch's; ours runs alone if None.

    >>> print(play().at(eps=1e-6))
    ε: 1e-06
    rho: 0.9
    first step along x: 0.00316
    longest step, in first steps: 1.37
    distance along x: 0.391
    """
    return Experiment(
        _start_and_growth,
        _ravine_and_growth,
        columns=2,
        window=rate("window", "steps", 10, 1, 1000),
        eps=rate("ε", "", 1e-4, 1e-8, 1e-2),
        broken=switch("update u before it is used"),
        optimizer=optimizer,
    )


def _start_and_growth(
    axes: Any, *, window: float, eps: float, broken: bool, optimizer: Callable[..., Any] | None = None
) -> dict[str, Any]:
    """The path on the ravine, and how its steps grow from the one it begins with."""
    mine, first = _remembers_first if broken else optimizer, (eps * window) ** 0.5
    runs = race(RAVINE, rivals(Adadelta, mine, rho=1 - 1 / window, eps=eps), steps=100)
    overlay(axes[0], {run.name: run.points for run in runs})
    axes[0].legend(loc="upper right", frameon=True)
    found = overlay(axes[1], {run.name: _growth(run, first) for run in runs})
    lengths = _along_x(runs[-1])[1:]
    return {
        "rho": 1 - 1 / window,
        "first step along x": lengths[0],
        "longest step, in first steps": lengths.max() / lengths[0],
        "distance along x": runs[-1].points[-1, 0] - runs[-1].points[0, 0],
        **found,
    }


def _remembers_first(
    p: Any, g: Any, s: Any, u: Any, *, lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6
) -> tuple[Any, Any, Any]:
    _, s, u = adadelta(p, g, s, u, rho=rho, eps=eps)  # u holds this step already
    return p - lr * (u + eps) ** 0.5 / (s + eps) ** 0.5 * g, s, u


def _ravine_and_growth(axes: Any) -> None:
    path, steps = axes
    contour(path, RAVINE)
    path.set(xlim=(-4.6, 1.2), ylim=(-2.2, 2.2))
    steps.axhline(1, color=RED, linestyle="--", linewidth=1, label="√(ε / (1 − ρ))")
    steps.legend(loc="upper left")
    steps.set(xscale="log", yscale="log", xlim=(0.9, 110), ylim=(0.1, 30))
    steps.set(xlabel="step, log scale", title="Growth of the steps along x")
    steps.set(ylabel="length / √(ε / (1 − ρ)), log scale")


def _along_x(run: Trace) -> Tensor:
    """The length of each step along x; at step 0 there is none."""
    lengths = run.points[:, 0].diff().abs()
    return torch.cat([torch.full_like(lengths[:1], math.nan), lengths])


def _growth(run: Trace, first: float) -> Tensor:
    return against_step(_along_x(run) / first)
