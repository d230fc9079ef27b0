"""The experiment of lesson 06, the length of RMSprop's steps, and its picture of windows."""

from collections.abc import Callable
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ..optimizers import RMSprop
from ..plot import BLUE, RED, figure
from .comparison import overlay, rivals, steps_along
from .controls import rate, switch
from .experiment import Experiment

BEFORE, AFTER = 30, 70  # steps, on either side of the jump
SMALL = 1e-4  # the gradient before the jump


def play(optimizer: Callable[..., Any] | None = None) -> Experiment:
    """The length of each step of RMSprop, along a gradient that jumps once in size.

    Args:
        optimizer: your class or rule, drawn over ours and torch's, with a red cross where it leaves torch's.

    >>> play().at(jump=1000).numbers["step 31 (lr)"]
    3.1622...
    """
    return Experiment(
        _lengths,
        _before_and_after,
        height=4.0,
        window=rate("window", "steps", 10, 1, 1000),
        jump=rate("jump", "times", 10, 0.01, 1000),
        eps=rate("ε", "", 1e-8, 1e-10, 1e-4),
        broken=switch("ε inside the root"),
        optimizer=optimizer,
    )


def _lengths(
    ax: Axes, *, window: float, jump: float, eps: float, broken: bool, optimizer: Callable[..., Any] | None = None
) -> dict[str, Any]:
    """The length of each step, and the highest that a jump can make it, dashed."""
    mine, alpha = _eps_inside if broken else optimizer, 1 - 1 / window
    gradients = [SMALL] * BEFORE + [SMALL * jump] * AFTER
    runners = rivals(RMSprop, mine, lr=1.0, alpha=alpha, eps=eps)
    lines = {name: steps_along(gradients, cls, **own).abs() for name, (cls, own) in runners.items()}
    found = overlay(ax, lines)
    ax.axhline(window**0.5, color=RED, linestyle="--", label="1 / √(1 − α)")
    ax.legend()
    last = list(lines.values())[-1]
    return {"alpha": alpha, **{f"step {n} (lr)": last[n, 1].item() for n in (1, 31, 100)}, **found}


def _eps_inside(p: Tensor, g: Tensor, s: Tensor, *, lr: float, alpha: float = 0.99, eps: float = 1e-8) -> tuple:
    s = alpha * s + (1 - alpha) * g**2
    return p - lr * g / (s + eps) ** 0.5, s  # not torch's place for eps


def _before_and_after(ax: Axes) -> None:
    ax.axvspan(BEFORE + 0.5, 101, color="0.94")
    ax.axhline(1, color="0.6", linewidth=0.8, label="_lr")
    ax.text(29.5, 0.0045, "gradient 0.0001", ha="right")
    ax.text(99.5, 0.0045, "jump times that", ha="right")
    ax.set(xlim=(0, 101), ylim=(0.003, 60), yscale="log", xlabel="step")
    ax.set(ylabel="length of the step in lr, log scale")


def windows(*steps: int, alpha: float = 0.9) -> Figure:
    """A figure of how much of RMSprop's window is filled at each of these ``steps``, a panel each.

    >>> [ax.get_title() for ax in windows(1, 10).axes]
    ['Step 1: 10% of the window is filled', 'Step 10: 65% of the window is filled']
    """
    fig, axes = figure(len(steps), squeeze=False)
    for ax, t in zip(axes[0], steps, strict=True):
        edges = torch.arange(-20, t + 1) + 0.5
        share = (1 - alpha) * alpha ** (t - edges[:-1] - 0.5)
        ax.stairs(share[:21], edges[:22], hatch="////", color="0.65", baseline=0)
        ax.stairs(share[20:], edges[20:], fill=True, color=BLUE)
        ax.text(-19, 0.107, "before training: zeros", color="0.35")
        ax.text(t, share[-1] + 0.002, "seen", color=BLUE, ha="center")
        ax.set(xlabel="step", ylabel="share in the mean", ylim=(0, 0.118), xlim=(-20, max(steps) + 2))
        ax.set_title(f"Step {t}: {1 - alpha**t:.0%} of the window is filled")
    return fig
