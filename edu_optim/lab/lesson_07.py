"""The experiment of lesson 07, how Adadelta starts and how its steps grow, and the picture of two tests for units."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ..optimizers import Adadelta
from ..plot import RED, contour, figure
from ..rules import adadelta
from ..trace import Trace, race
from .comparison import against_step, overlay, rivals
from .controls import rate, switch
from .experiment import Experiment
from .surfaces import RAVINE


def play(optimizer: Callable[..., Any] | None = None) -> Experiment:
    """Adadelta on a ravine of condition number 25, and the length of its steps along the floor.

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
    """Left, the path on the ravine; right, the length of its steps along x, and dashed that of the first."""
    mine = _remembers_first if broken else optimizer
    runs = race(RAVINE, rivals(Adadelta, mine, rho=1 - 1 / window, eps=eps), steps=100)
    overlay(axes[0], {run.name: run.points for run in runs})
    found = overlay(axes[1], {run.name: against_step(_along_x(run)) for run in runs})
    axes[1].axhline((eps * window) ** 0.5, color=RED, linestyle="--", linewidth=1, label="√(ε / (1 − ρ))")
    axes[1].legend(loc="upper left", ncols=2)
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
    path.set(xlim=(-4.6, 1.2), ylim=(-2.2, 2.2), title="100 steps down the ravine")
    path.legend(handles=[])  # the names stand on the right
    steps.set(xscale="log", yscale="log", xlim=(0.9, 110), ylim=(5e-5, 200))
    steps.set(xlabel="step, log scale", ylabel="length of the step along x, log scale")


def _along_x(run: Trace) -> Tensor:
    """The length of each step along x; at step 0 there is none."""
    lengths = run.points[:, 0].diff().abs()
    return torch.cat([torch.full_like(lengths[:1], math.nan), lengths])


def two_tests(paths: Mapping[str, tuple[Tensor, Tensor, Tensor]]) -> Figure:
    """A figure of the ravine, a column for each name: the path before, and over it the one after a change of units.

    Args:
        paths: name -> the path as it was, with the loss times 0.01, and with the unit halved, all ``[n, 2]``.

    >>> path = torch.tensor([[-4.0, 1.0], [-2.0, 0.0]])
    >>> [ax.texts[0].get_text() for ax in two_tests({"one": (path, path, path + 0.5)}).axes]
    ['the same path', 'up to 0.50 m away']
    """
    fig, rows = figure(
        len(paths), rows=2, width=1 + 2.7 * len(paths), height=2.7, squeeze=False, sharex=True, sharey=True
    )
    for column, (name, (before, *changed)) in enumerate(paths.items()):
        for ax, after in zip(rows[:, column], changed, strict=True):
            contour(ax, RAVINE, levels=9)
            ax.plot(*before.T, color="0.6", linewidth=6, label="before")
            ax.plot(*after.T, "o-", color=RED, markersize=3, markevery=5, linewidth=1.2, label="after")
            gap = (before - after).abs().max()
            ax.text(-4.2, -0.9, "the same path" if gap < 0.005 else f"up to {gap:.2f} m away")
            ax.set(xlim=(-4.4, 0.8), ylim=(-1.1, 1.3), title="", xlabel="", ylabel="")
        rows[0, column].set_title(name)
        rows[1, column].set_xlabel("x (m)")
    rows[0, 0].set_ylabel("loss × 0.01\ny (m)")
    rows[1, 0].set_ylabel("unit halved\ny (m)")
    return fig
