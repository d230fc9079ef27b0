"""The experiments of lesson 06, the length of RMSprop's steps and a ravine that turns, and its other pictures."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ..optimizers import RMSprop
from ..plot import BLUE, GREEN, RED, figure, look
from ..problems import Problem, quadratic
from ..rules import gradient_descent, momentum, rmsprop
from .comparison import overlay, rivals, steps_along
from .controls import rate, slider, switch
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


STEPS = 100  # down the ravine, at most
RATES = [10 ** (stop / 8 - 2) for stop in range(17)]  # to choose from, 0.01 to 1
ANGLES = range(0, 46, 5)
LOOKS = {"Rprop": {"color": GREEN, "linestyle": "-.", "marker": ">"}}
LOOKS["signs"] = {"color": BLUE, "linestyle": "--", "marker": "<"}


def turned() -> Experiment:
    """A ravine of condition number 25 that turns, and how many steps four rules need down it, each at its best.

    >>> print(turned().at(angle=45))
    turn (degrees): 45
    steps, SGD: 48
    steps, momentum: 18
    steps, Rprop: 24
    steps, RMSprop: 56
    RMSprop's gradients, y over x: 0.943
    """
    return Experiment(_three_paths, _ravine_and_steps, columns=2, height=3.9, angle=slider("turn", "degrees", 0, 0, 45))


def _three_paths(axes: Any, *, angle: float) -> dict[str, Any]:
    """Left, the quickest paths down the turned ravine; right, how many steps they take at each angle."""
    found = quickest(angle)
    for name in ("momentum", "Rprop", "RMSprop"):
        axes[0].plot(*found[name].T, label=name, markersize=5, linewidth=1.4, **_look(name))
    axes[1].axvline(angle, color="0.6", linewidth=1, label="_turn")
    steps = {f"steps, {name}": len(path) - 1 for name, path in found.items()}
    at: Any = quadratic(25, angle).slope
    x, y = torch.tensor([at(*place) for place in found["RMSprop"].tolist()]).T
    return {**steps, "RMSprop's gradients, y over x": y.norm() / x.norm()}


def _ravine_and_steps(axes: Any, angle: float) -> None:
    bowl = quadratic(25, angle)
    points = bowl.grid(121, 121)
    axes[0].contour(*points.unbind(-1), bowl(points), levels=[0.1, 0.5, 2, 6, 20, 60], colors="0.8", linewidths=0.8)
    axes[0].plot(0, 0, "+", color="0.2", markersize=10, label="_minimum")
    axes[0].set(xlim=(-5, 2.5), ylim=(-4, 2.5), aspect="equal", xlabel="x", ylabel="y", title="Down the ravine")
    axes[0].legend(handles=[])  # the names stand on the right
    for name in quickest(0):
        needed = [len(quickest(turn)[name]) - 1 for turn in ANGLES]
        axes[1].plot(ANGLES, needed, label=name, markersize=5, **_look(name))
    axes[1].set(xlim=(-1, 46), ylim=(0, 62), xlabel="turn (degrees)", ylabel="steps", title="Steps that it takes")
    axes[1].legend()


def _look(name: str) -> dict[str, Any]:
    return LOOKS.get(name) or look(name)


@functools.cache
def quickest(angle: float, condition: float = 25, start: tuple[float, float] = (-4, 1)) -> dict[str, Tensor]:
    """The paths of four rules down a ravine until the loss is below a two-thousandth of the first, ``[steps + 1, 2]``.

    SGD and momentum are at the rates, and the momentum, of lessons 01 and 03; Rprop and RMSprop, with alpha = 0.99, at
    that of 17 rates that comes down first.

    Args:
        angle: by how many degrees the ravine is turned, and the start with it.
        condition, start: of the ravine, before it is turned.

    >>> {name: len(path) - 1 for name, path in quickest(0).items()}
    {'SGD': 48, 'momentum': 18, 'Rprop': 9, 'RMSprop': 5}
    """
    bowl, root = quadratic(condition, angle), condition**0.5
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    begin = c * start[0] - s * start[1], s * start[0] + c * start[1]
    paths = {"SGD": _walk(bowl, begin, gradient_descent, 0, lr=2 / (1 + condition), most=1000)}
    ball = {"lr": 4 / (1 + root) ** 2, "momentum": ((root - 1) / (root + 1)) ** 2}
    paths["momentum"] = _walk(bowl, begin, momentum, 1, **ball)
    for name, rule, buffers in (("Rprop", rprop, 2), ("RMSprop", rmsprop, 1)):
        most = STEPS
        for lr in RATES:
            path = _walk(bowl, begin, rule, buffers, lr=lr, most=most)
            if name not in paths or len(path) <= most:
                paths[name], most = path, len(path) - 1
    return {name: torch.tensor(path, dtype=torch.float64) for name, path in paths.items()}


def _walk(
    bowl: Problem, begin: tuple, rule: Callable[..., tuple], buffers: int, most: int = STEPS, **options: float
) -> list:
    """A path on plain numbers, each weight with buffers of its own, of ``most`` steps unless it comes down before."""
    at: Any = bowl.slope
    place, state, path, slope = list(begin), [[0.0] * buffers for _ in "xy"], [begin], at(*begin)
    low = sum(map(math.prod, zip(place, slope, strict=True))) / 2000  # on a bowl, twice the loss is place times slope
    while len(path) <= most and sum(map(math.prod, zip(place, slope, strict=True))) >= low:
        for i, g in enumerate(slope):
            place[i], *state[i] = rule(place[i], g, *state[i], **options)
        path.append(tuple(place))
        slope = at(*place)
    return path


def rprop(p: float, g: float, before: float, size: float, *, lr: float) -> tuple[float, float, float]:
    """Rprop for one weight, as torch has it: the gradient ``before`` and the ``size`` of the step start at 0.

    >>> rprop(0.0, 4.0, 3.0, 0.5, lr=0.1)
    (-0.6, 4.0, 0.6)
    """
    size = size or lr
    size = min(max(size * (1.2 if g * before > 0 else 0.5 if g * before < 0 else 1), 1e-6), 50)
    g = 0.0 if g * before < 0 else g
    return p - math.copysign(size, g) * (g != 0), g, size


def dots(ends: Mapping[str, Sequence[float]]) -> Figure:
    """A figure of where rules end, a row for each: a small dot for each seed, a large one for their median.

    Args:
        ends: name -> the losses of an odd number of seeds.

    >>> [text.get_text() for text in dots({"SGD": [0.2, 0.3, 0.24], "signs": [0.3, 0.31, 0.29]}).axes[0].texts]
    ['0.24', '0.30']
    """
    fig, ax = figure(width=8, height=0.6 + 0.5 * len(ends))
    for row, (name, losses) in enumerate(ends.items()):
        style = _look(name) | {"linestyle": ""}
        ax.plot(losses, [row] * len(losses), **style, markersize=5, alpha=0.5, label=f"_seeds of {name}")
        ax.plot(median(losses), row, **style, markersize=11, label=name)
        ax.text(max(losses) + 0.015, row, f"{median(losses):.2f}", color=style["color"], va="center")
    ax.set_yticks(range(len(ends)), list(ends))
    ax.grid(axis="y", color="0.9")
    ax.set(xlim=(0, 1.15 * max(map(max, ends.values()))), ylim=(len(ends) - 0.5, -0.5), xlabel="loss on all digits")
    return fig
