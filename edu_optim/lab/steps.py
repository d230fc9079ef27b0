"""Every step of an optimizer taken apart: the microscope."""

import copy
import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from matplotlib.axes import Axes
from torch import Tensor
from torch.optim import Optimizer

from ..plot import BLACK, ORANGE, RED, SKY, contour
from ..problems import Problem
from .comparison import as_class
from .controls import Player, rate
from .experiment import Experiment
from .surfaces import RAVINE
from .words import pair


def microscope(
    optimizer: Callable[..., Any], problem: Problem = RAVINE, *, lr: float, steps: int = 50, **options: Any
) -> Experiment:
    """Every step of an optimizer taken apart, read from its own ``state``.

    Args:
        optimizer: a class of torch.optim, of edu_optim or your own, or a rule.
        problem: a surface without noise.
        lr: the learning rate at the start; a control moves it.
        steps: how many there are to look at.
        options: others of the optimizer.

    Errors: TypeError if ``lr`` is no number above 0, or ``optimizer`` neither a class nor a rule.

    A step is the sum of two arrows: what the optimizer would have done had this gradient been zero, its memory, and
    what the gradient changed about that.

    >>> from edu_optim import Adam
    >>> print(microscope(Adam, lr=0.1).text)
    at: (-4, 1)
    gradient: (-4, 25)
    exp_avg: (-0.4, 2.5)
    exp_avg / (1 - beta^t): (-4, 25)
    exp_avg_sq: (0.016, 0.625)
    exp_avg_sq / (1 - beta^t): (16, 625)
    step / -gradient, the effective rate: (0.025, 0.004)
    step: (0.1, -0.1)
    of it from memory: (0, 0)
    of it from this gradient: (0.1, -0.1)
    """
    if not isinstance(lr, int | float) or lr <= 0:
        raise TypeError(f"lr must be a number above 0, got {lr!r}")
    return Experiment(
        _magnify,
        _path_and_arrows,
        columns=2,
        height=3.9,
        step=Player("step", f"of {steps}", 1, 1, steps),
        lr=rate("learning rate", "", lr, lr / 100, lr * 100),
        optimizer=as_class(optimizer),
        problem=problem,
        steps=steps,
        options=tuple(options.items()),
    )


def _path_and_arrows(axes: list[Axes], problem: Problem) -> None:
    """What stays under the microscope: the surface, and the names of the arrows."""
    contour(axes[0], problem)
    axes[1].set(xlim=(-1.3, 1.3), ylim=(-1.1, 1.5), xticks=[], yticks=[], aspect="equal")
    axes[1].set_title("The step, its longest arrow as 1")
    axes[1].spines[:].set_visible(False)
    for name, color in ARROWS.items():
        axes[1].plot([], [], color=color, linewidth=5 if name == "step" else 2, label=name)
    axes[1].legend(loc="upper left", handlelength=1.2, borderpad=0)


ARROWS = {"step": SKY, "of it from memory": ORANGE, "of it from this gradient": BLACK}


def _magnify(
    axes: list[Axes],
    *,
    optimizer: Callable[..., Any],
    problem: Problem,
    steps: int,
    options: tuple[tuple[str, Any], ...],
    lr: float,
    step: int,
) -> dict[str, str]:
    """On the left the path, with the step at hand; on the right the arrows that add up to that step."""
    rows = _dissected(problem, optimizer, steps, (("lr", lr), *options))
    row = rows[step - 1]
    path = torch.stack([other["at"] for other in rows])
    axes[0].plot(*path.T, color=BLACK, linewidth=1, marker=".", markersize=4, label="path")
    axes[0].plot(
        *torch.stack([row["at"], row["at"] + row["step"]]).T, color=RED, linewidth=3, marker="o", label="this step"
    )
    arrows = torch.stack([row[name] for name in ARROWS])
    longest = arrows.norm(dim=-1).max()
    if 0 < longest < math.inf:
        x, y = (arrows / longest).T
        tails = torch.stack([torch.zeros(2), torch.zeros(2), arrows[1] / longest])
        widths = [0.03, 0.01, 0.01]
        for tail, dx, dy, color, width in zip(tails, x, y, ARROWS.values(), widths, strict=True):
            if dx or dy:
                axes[1].quiver(
                    *tail,
                    dx,
                    dy,
                    color=color,
                    width=width,
                    headwidth=3 + 0.02 / width,
                    angles="xy",
                    scale_units="xy",
                    scale=1,
                )
    return {name: pair(value) for name, value in row.items()}


@functools.lru_cache(maxsize=8)
def _dissected(
    problem: Problem, optimizer: Callable[..., Any], steps: int, options: tuple[tuple[str, Any], ...]
) -> list[dict[str, Tensor]]:
    point = torch.tensor(problem.start, dtype=torch.float64, requires_grad=True)
    runner = as_class(optimizer)([point], **dict(options))
    rows = []
    for t in range(1, steps + 1):
        (point.grad,) = torch.autograd.grad(problem(point), point)
        at, gradient = point.detach().clone(), point.grad.clone()
        memory = _step_without_gradient(runner, point)
        runner.step()
        step = point.detach() - at
        seen = {"at": at, "gradient": gradient, **_buffers(runner, point, t), RATE: step / -gradient}
        rows.append({**seen, **dict(zip(ARROWS, (step, memory, step - memory), strict=True))})
    return rows


RATE = "step / -gradient, the effective rate"
MEANS = {"exp_avg": 0, "m": 0, "exp_avg_sq": 1, "v": 1, "max_exp_avg_sq": 1, "v_max": 1}  # buffer: which of the betas


def _step_without_gradient(runner: Optimizer, point: Tensor) -> Tensor:
    """Where a copy of the optimizer, with all that it remembers, goes if this gradient is zero."""
    copies = {}
    twin = copy.deepcopy(point, copies)
    idle = object.__new__(type(runner))
    vars(idle).update(copy.deepcopy(vars(runner), copies))
    twin.grad = torch.zeros_like(twin)
    idle.step()
    return twin.detach() - point.detach()


def _buffers(runner: Optimizer, point: Tensor, t: int) -> dict[str, Tensor]:
    """What the optimizer remembers of each coordinate, and its means with their start at zero corrected."""
    betas = runner.param_groups[0].get("betas")
    buffers = {}
    for key, value in runner.state[point].items():
        if torch.is_tensor(value) and value.shape == point.shape:
            buffers[key] = value.clone()
            if betas and key in MEANS:
                buffers[f"{key} / (1 - beta^t)"] = value / (1 - betas[MEANS[key]] ** t)
    return buffers
