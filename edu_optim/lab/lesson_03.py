"""Lesson 03, momentum: the ball in the ravine, the forms of the rule that others write, and two pictures."""

from collections.abc import Callable, Mapping, Sequence
from math import inf, sqrt
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import cross_entropy

from ..optimizers import SGD
from ..plot import BLACK, BLUE, RED, contour, figure, label_ends, plain_ticks
from ..problems import digits, quadratic, small_net
from ..trace import Trace, descend, race, train
from .comparison import overlay, rivals
from .controls import Player, slider, switch
from .controls import rate as log_slider
from .experiment import Experiment
from .maps import larger_root
from .surfaces import RAVINE

STEPS = 60
CURVATURES = torch.tensor([1.0, 25.0], dtype=torch.float64)


def play(optimizer: Callable[..., Any] | None = None) -> Experiment:
    """A ball in a ravine of curvatures 1 and 25, its last step as an arrow, beside the distance to the minimum.

    Args:
        optimizer: your rule or class, drawn over ours and torch's; ours alone if None.

    >>> print(play().at(lr=1 / 25, beta=0.5, step=1))
    learning rate: 0.04
    β (of the velocity kept): 0.5
    step (of 60): 1
    convergence rate by the formula: 0.911
    square root of β: 0.707
    step 1, along the floor: 0.16
    farthest right, x: -0.0173
    distance after 60 steps: 0.0173
    loss after 60 steps: 0.00015
    """
    return Experiment(
        _ball,
        _ground,
        columns=2,
        height=4.0,
        lr=log_slider("learning rate", "", 1 / 25, 0.002, 0.2),
        beta=slider("β", "of the velocity kept", 0.9, 0.0, 0.99, 0.01),
        step=Player("step", f"of {STEPS}", 7, 1, STEPS),
        broken=switch("step with the old velocity"),
        optimizer=optimizer,
    )


def _late(p: Tensor, g: Tensor, b: Tensor, *, lr: float, momentum: float = 0.9) -> tuple[Tensor, Tensor]:
    """The mistake of the switch: the step is taken before the velocity hears of the new gradient."""
    p = p - lr * b
    b = momentum * b + g
    return p, b


def _ground(axes: Sequence[Axes]) -> None:
    contour(axes[0], RAVINE, points=101)
    axes[0].set(ylim=(-3, 3), title=f"{STEPS} steps in the ravine")
    axes[1].set(xlim=(0, STEPS), ylim=(1e-5, 1e3), yscale="log", xlabel="step")
    axes[1].set(ylabel="distance to the minimum, log scale")


def _ball(
    axes: Sequence[Axes], *, lr: float, beta: float, step: int, broken: bool, optimizer: Callable[..., Any] | None
) -> dict[str, Any]:
    """Left, the ball in the ravine with its last step; right, how far it is from the minimum."""
    mine = _late if broken else optimizer
    runs = race(RAVINE, rivals(SGD, mine, lr=lr, momentum=beta), steps=STEPS)
    found = overlay(axes[0], {run.name: _until_far(run.points) for run in runs})
    pull = lr * CURVATURES
    roots = (1 + beta + 0 * pull, beta + pull) if broken else (1 + beta - pull, beta)  # their sum and product
    yours, slowest = runs[-1].points, larger_root(*roots).max()
    _draw_step(axes[0], yours.clamp(-1e3, 1e3), step)
    _draw_distance(axes[1], yours.norm(dim=-1), slowest, step)
    return {
        "convergence rate by the formula": slowest,
        "square root of β": sqrt(beta),
        f"step {step}, along the floor": yours[step, 0] - yours[step - 1, 0],
        "farthest right, x": yours[:, 0].max(),
        f"distance after {STEPS} steps": yours[-1].norm(),
        f"loss after {STEPS} steps": RAVINE(yours[-1]),
        **found,
    }


def _until_far(points: Tensor) -> Tensor:
    """The points of a path until it is first more than 12 away; not a number from there on."""
    gone = (points.norm(dim=-1) > 12).cummax(0).values
    return points.where(~gone[:, None], torch.nan)


def _draw_step(ax: Axes, points: Tensor, step: int) -> None:
    tail, tip = points[step - 1], points[step]
    ax.quiver(*tail, *(tip - tail), color=RED, angles="xy", scale_units="xy", scale=1, width=0.012, zorder=5)
    ax.plot(*tip, "o", color=RED, markersize=9, zorder=6, label="_ball")


def _draw_distance(ax: Axes, off: Tensor, slowest: Tensor, step: int) -> None:
    if off.max() > 1e3:
        ax.set_ylim(0.1, 10 * min(off.max().item(), 1e40))
    ax.plot(off.clamp(max=1e40), color=BLACK, label="distance of the ball")
    falls = off[0] * slowest ** torch.arange(STEPS + 1)
    ax.plot(falls.clamp(max=1e40), "--", color=BLUE, label="by the convergence rate")
    ax.plot(step, off[step], "o", color=RED, markersize=9, label="_ball")
    ax.legend()


def polyak(p: float, g: float, before: float, *, lr: float, beta: float = 0.9) -> tuple[float, float]:
    """Momentum as Polyak wrote it in 1964: its memory is the point before.

    >>> polyak(3.0, 2.0, 4.0, lr=0.5, beta=0.5)
    (1.5, 3.0)
    """
    return p - lr * g + beta * (p - before), p


def sutskever(p: float, g: float, v: float, *, lr: float, beta: float = 0.9) -> tuple[float, float]:
    """Momentum as Sutskever et al. 2013, TensorFlow and Keras write it: the learning rate is in the velocity.

    >>> sutskever(3.0, 2.0, -1.0, lr=0.5, beta=0.5)
    (1.5, -1.5)
    """
    v = beta * v - lr * g
    return p + v, v


def running_mean(p: float, g: float, b: float, *, lr: float, beta: float = 0.9) -> tuple[float, float]:
    """Momentum as a running mean of the gradients (EMA), common in courses.

    >>> running_mean(3.0, 2.0, 1.0, lr=0.5, beta=0.5)
    (2.25, 1.5)
    """
    b = beta * b + (1 - beta) * g
    return p - lr * b, b


FORMS = (polyak, sutskever, running_mean)


def lengths(form: Callable[..., tuple[float, float]], lrs: Sequence[float]) -> list[float]:
    """How long the steps of a form are on a slope of 1, from rest, one for each learning rate, to four digits.

    >>> lengths(sutskever, [1.0, 1.0, 1.0])
    [1.0, 1.9, 2.71]
    """
    p, memory, found = 0.0, 0.0, []
    for lr in lrs:
        before = p
        p, memory = form(p, 1.0, memory, lr=lr)
        found.append(round(before - p, 4))
    return found


def arrival(lr: float, beta: float, condition: float, steps: int = 4000) -> float:
    """The step from which a ball in a ravine has at most a millionth of its distance left for good.

    Args:
        lr, beta: of the descent.
        condition: of the ravine.
        steps: how many to take; if the last is still too far, the answer is infinity.

    >>> arrival(0.037, 0.9, condition=100)
    270
    """
    points = descend(quadratic(condition=condition), SGD, steps, lr=lr, momentum=beta).points
    far = ~(points.norm(dim=1) <= 1e-6 * points[0].norm())  # what is not a number is far, too
    return inf if far[-1] else int(far.nonzero().max()) + 1


def draw_steps(needed: Callable[[float], int]) -> Figure:
    """Steps to a millionth against the condition: of plain descent at its best, and runs at β = 0.9 and at the star.

    Args:
        needed: the steps of plain descent at a condition.

    >>> [text.get_text() for text in draw_steps(lambda condition: 7 * condition).axes[0].texts]
    ['at the star', 'β = 0.9', 'plain at its best']
    """
    conditions, fixed, star = (4, 10, 25, 100, 400, 1000, 2500, 10_000), [], []
    for condition in conditions:
        root, steps = sqrt(condition), 300 + condition // 2
        fixed.append(arrival(0.97 * 3.8 / condition, 0.9, condition, steps))
        star.append(arrival((2 / (1 + root)) ** 2, ((root - 1) / (root + 1)) ** 2, condition, steps))
    fig, ax = figure(width=7.5, height=4)
    ax.plot(conditions, [needed(condition) for condition in conditions], "o-", color=BLACK, label="plain at its best")
    ax.plot(conditions, fixed, "s--", color=RED, label="β = 0.9")
    ax.plot(conditions, star, "*-.", color=BLUE, markersize=10, label="at the star")
    ax.set(xscale="log", yscale="log", xlabel="condition number, log scale", ylabel="steps to a millionth, log scale")
    label_ends(ax)
    return fig


def draw_valleys(conditions: Sequence[float]) -> Figure:
    """Steps to a millionth against β, at 0.97 of the edge, a line for each condition, up to 2000 steps.

    >>> [text.get_text() for text in draw_valleys([9]).axes[0].texts]
    ['condition 9']
    """
    fig, ax = figure(width=7.5, height=4)
    betas = (0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975)
    keeps = torch.tensor([1 - beta for beta in betas])
    for condition, color, look in zip(conditions, (BLACK, BLUE, RED), ("o-", "s--", "^-."), strict=False):
        runs = [arrival(0.97 * (2 + 2 * beta) / condition, beta, condition, 2000) for beta in betas]
        steps = torch.tensor(runs, dtype=torch.float64)
        ax.plot(keeps, steps, look, color=color, label=f"condition {condition}")
        first = int(steps.isfinite().nonzero()[0])
        ax.text(keeps[first], 1.1 * steps[first], f"condition {condition}", color=color, fontsize=10)
    ax.set(xscale="log", yscale="log", xlabel="momentum β, spaced by 1 - β", ylabel="steps to a millionth, log scale")
    ax.set_xticks(keeps.tolist(), [str(beta) for beta in betas])
    plain_ticks(ax.yaxis)
    ax.minorticks_off()
    ax.invert_xaxis()
    return fig


def draw_cycle(slope: Callable[[float], float], paths: Mapping[float, Sequence[float]]) -> Figure:
    """A bent slope with the last three places of the last path, and the paths by their starts from step 18 on.

    >>> fig = draw_cycle(lambda x: 25 * x, {3: [3.0] * 20, 4: [4.0] * 20})
    >>> [text.get_text() for text in fig.axes[1].texts]
    ['from 3', 'from 4']
    """
    fig, (left, right) = figure(2, height=4)
    x = torch.linspace(-2.3, 3, 107).tolist()
    left.plot(x, [slope(at) for at in x], color=BLACK, label="slope")
    left.plot([0.96, 2], [0, 26], "--", color=RED, label="far part, extended")
    corners = list(paths.values())[-1][-3:]
    left.plot(corners, [slope(at) for at in corners], "o", color=BLUE, markersize=9, label="visited in turn")
    left.axhline(0, color="0.7", linewidth=1, label="_zero")
    left.set(xlabel="x", ylabel="slope")
    left.legend()
    for (start, path), (color, dash) in zip(paths.items(), ((RED, "-"), (BLUE, "--")), strict=False):
        right.plot(range(18, len(path)), path[18:], dash, color=color, marker="o", markersize=4, label=f"from {start}")
    right.set(xlabel="step", ylabel="x")
    label_ends(right)
    return fig


def draw_stuck(
    rule: Callable[..., tuple[Any, Any]], slope: Callable[[Tensor], Tensor], betas: Sequence[float]
) -> Figure:
    """Of 201 starts from -5 to 5 on a slope, those not at 0 after 600 steps, at learning rates up to the edge.

    Args:
        rule: as `edu_optim.rules.momentum`.
        slope: of a loss whose curvature is 25 at most.
        betas: of the lines, at most three.

    >>> from edu_optim.rules import momentum
    >>> [text.get_text() for text in draw_stuck(momentum, lambda x: 25 * x, [0.5]).axes[0].texts]
    ['β = 0.50']
    """
    fig, ax = figure(width=7.5, height=3.6)
    for beta, color, dash in zip(betas, (BLACK, RED, BLUE), ("-", "--", "-."), strict=False):
        lrs = torch.arange(0.02, 0.98 * (2 + 2 * beta) / 25, 0.0005, dtype=torch.float64)
        x = torch.linspace(-5, 5, 201, dtype=torch.float64).repeat(len(lrs), 1)
        b = torch.zeros_like(x)
        for _ in range(600):
            x, b = rule(x, slope(x), b, lr=lrs[:, None], momentum=beta)
        stuck = (x.abs() > 1e-3).sum(1)
        ax.plot(lrs, stuck, dash, color=color, label=f"β = {beta:.2f}")
        ax.text(lrs[-1] + 0.001, stuck[-1], f"β = {beta:.2f}", color=color, va="center")
    ax.set(xlabel="learning rate", ylabel="stuck, of 201 starts")
    return fig


def best_on_digits(
    batch: int | None, steps: int, beta: float, seed: int = 0, slowest: float = 0.5
) -> tuple[float, float, float]:
    """The best learning rate of a network on the digits, the loss on all of them that it ends with, and the largest.

    The largest is that at which training still ends lower than it began.
    It is doubled from (1 - β) * slowest, a terminal speed of slowest, until training ends higher than it began.

    Args:
        batch: how many images are drawn for a step; all of them if None.
        steps: how many steps to take.
        beta: the momentum.
        seed: of the network and the draws.
        slowest: the terminal speed to begin with.

    >>> lr, loss, largest = best_on_digits(128, steps=14, beta=0)
    >>> f"{lr}: {loss:.1f}, up to {largest}"
    '1.0: 1.3, up to 2.0'
    """
    images, labels = digits()
    tried, lr, begin, end = {}, (1 - beta) * slowest, torch.inf, 0.0
    while end < begin:
        model = small_net(64, 16, 10, seed=seed)
        begin = cross_entropy(model(images), labels).item()
        train(model, SGD, images, labels, steps, batch=batch, seed=seed, lr=lr, momentum=beta)
        tried[lr] = end = cross_entropy(model(images), labels).item()
        lr *= 2
    best = min(tried, key=lambda lr: tried[lr])
    return best, tried[best], max(lr for lr, loss in tried.items() if loss < begin)


def draw_zigzag(run: Trace, gradients: Tensor) -> Figure:
    """The path over the ravine, and beside it the two gradients at each step.

    >>> from edu_optim import descend
    >>> run = descend(RAVINE, SGD, steps=2, lr=2 / 26)
    >>> [ax.get_title() for ax in draw_zigzag(run, run.points[:-1]).axes]
    ['2 steps of gradient descent', 'What they say']
    """
    fig, (left, right) = figure(2)
    contour(left, RAVINE)
    left.plot(*run.points.T, "o-", color=BLACK, markersize=3, linewidth=1)
    left.set(xlim=(-4.5, 0.5), ylim=(-1.5, 1.5), title=f"{len(gradients)} steps of gradient descent")
    steps = range(1, len(gradients) + 1)
    right.bar(steps, gradients[:, 1].tolist(), color="0.75", label="across the ravine")
    right.plot(steps, gradients[:, 0], "s-", color=BLUE, label="along the floor")
    right.set(xlabel="step", ylabel="gradient", title="What they say")
    right.legend(loc="upper right")
    return fig


def draw_envelope(x: Tensor, shrinks: float) -> Figure:
    """Places ``[steps + 1]`` of a ball, inside the lowest envelope that shrinks by a factor at each step.

    >>> [text.get_text() for text in draw_envelope(torch.tensor([1.0, -0.5, 0.2]), 0.5).axes[0].texts]
    ['envelope']
    """
    fig, ax = figure(width=7.5, height=3.6)
    powers = shrinks ** torch.arange(len(x))
    top = (x.abs() / powers).max() * powers
    ax.plot(x, ".-", color=BLUE, label="_x")
    ax.plot(top, "--", color="0.5", linewidth=1.2, label="envelope")
    ax.plot(-top, "--", color="0.5", linewidth=1.2, label="_its mirror")
    ax.set(xlabel="step", ylabel="x along the floor")
    label_ends(ax)
    return fig


def draw_gains(gains: Mapping[str, Sequence[float]]) -> Figure:
    """Shares of plain descent's loss that momentum ends with, a dot for each seed, above the batches.

    >>> [tick.get_text() for tick in draw_gains({"all": [0.1], "16": [0.5, 0.9]}).axes[0].get_xticklabels()]
    ['all', '16']
    """
    fig, ax = figure(width=6, height=3.4)
    for place, shares in enumerate(gains.values()):
        ax.plot([place] * len(shares), shares, "o", color=BLUE, markersize=8, alpha=0.6)
    ax.axhline(1, color="0.4", linestyle="--", label="_no gain")
    ax.text(-0.4, 0.93, "no gain", color="0.3", va="top")
    ax.set(xlim=(-0.5, len(gains) - 0.5), ylim=(0.04, 1.3), yscale="log")
    ax.set(xlabel="images a step", ylabel="loss with β = 0.9, as a share\nof that of plain, log scale")
    ax.set_xticks(range(len(gains)), list(gains))
    ax.set_yticks([0.05, 0.1, 0.2, 0.5, 1])
    plain_ticks(ax.yaxis)
    ax.minorticks_off()
    return fig


def draw_rates(rate: Callable[[float, float, Tensor], Tensor], betas: Sequence[float]) -> Figure:
    """The convergence rate at each learning rate times curvature, a line for each β.

    Args:
        rate: the convergence rate of a learning rate, a β and curvatures.
        betas: of the lines, at most three.

    >>> [text.get_text() for text in draw_rates(lambda lr, beta, x: abs(1 - lr * x), [0]).axes[0].texts]
    ['β = 0']
    """
    fig, ax = figure(width=8, height=4)
    x = torch.linspace(0, 4, 401, dtype=torch.float64)
    for beta, color, dash in zip(betas, (BLACK, BLUE, RED), ("-", "--", "-."), strict=False):
        y = rate(1, beta, x)
        ax.plot(x[y < 1.095], y[y < 1.095], dash, color=color, linewidth=2.5, label=f"β = {beta}")
        at = (1.12, 0.06) if beta == 0 else (2.6 * sqrt(beta) + 0.35, sqrt(beta) - 0.07)
        ax.text(*at, f"β = {beta}", color=color)
    ax.set(xlabel="learning rate × curvature", ylabel="convergence rate, per step")
    return fig


def draw_map(lrs: Tensor, betas: Tensor, rates: Tensor) -> Figure:
    """Level lines of the slowest convergence rate of curvatures 1 to 100 over learning rate and β, its edges and best.

    >>> lrs, betas = torch.meshgrid(torch.linspace(0, 0.02, 3), torch.linspace(0, 1, 3), indexing="xy")
    >>> draw_map(lrs, betas, 1 - lrs).axes[0].get_xlabel()
    'learning rate'
    """
    fig, ax = figure(width=8, height=5.4)
    levels = [0.86, 0.89, 0.92, 0.95, 0.98, 0.99]
    grid = (lrs, betas.expand_as(lrs), rates)
    ax.contourf(*grid, levels=[0.8, *levels, 1.001], cmap="gray", vmin=0.6, vmax=1.0)
    ax.contour(*grid, levels=levels, colors="k", linewidths=0.6)
    ax.fill([0.02, 0.04, 0.045, 0.045], [0, 1, 1, 0], facecolor="w", edgecolor="0.75", hatch="//", linewidth=0)
    box = {"facecolor": "w", "edgecolor": "none", "pad": 1}
    small = {"va": "center", "ha": "center", "fontsize": 10, "bbox": box}
    for level in levels[:-1]:  # on the flat part, where it is level, β is its square
        ax.text(0.0188 * (1 + level**2), level**2, str(level), **small)
    for level, beta in ((0.99, 0.12), (0.98, 0.2), (0.95, 0.54), (0.92, 0.62)):  # where curvature 1 creeps
        ax.text((1 - level) * (level - beta) / level, beta, str(level), **small)
    lr = torch.linspace(0, 4 / 121, 400, dtype=torch.float64)
    ax.plot([0.02, 0.04], [0, 1], "k", linewidth=2, label="stable up to here")
    ax.plot(lr, (1 - lr.sqrt()) ** 2, "--", color=RED, linewidth=2.5, label="critical at curvature 1")
    ax.plot(2 / 101, 0, "o", color=BLUE, markersize=9, clip_on=False, zorder=5)
    ax.plot(4 / 121, 81 / 121, "*", color=BLUE, markersize=18, zorder=5)
    ax.text(0.0165, 0.873, "all swing: convergence rate √β", ha="left", va="center", bbox=box)
    ax.text(0.003, 0.4, "curvature 1 creeps", color=BLACK, bbox=box)
    ax.text(0.0148, 0.71, "critical β of curvature 1", color=RED, ha="right", bbox=box)
    ax.text(0.0345, 0.63, "best of all: 0.818", color=BLUE, bbox=box)
    ax.text(0.0212, 0.02, "gradient descent at its best: 0.980", color=BLUE, bbox=box)
    ax.text(0.034, 0.3, "diverges", bbox=box)
    ax.set(xlim=(0, 0.045), ylim=(0, 1), xlabel="learning rate", ylabel="momentum β")
    return fig


def draw_phases(rule: Callable[..., tuple[Any, Any]], product: float, betas: Sequence[float]) -> Figure:
    """Last step against place on a parabola, from eight starts, a panel for each β; dashed, what is only stretched.

    Args:
        rule: as `edu_optim.rules.momentum`.
        product: learning rate times curvature, below 1.
        betas: of the panels.

    >>> from edu_optim.rules import momentum
    >>> [ax.get_title() for ax in draw_phases(momentum, 0.25, [0.1, 0.25, 0.8]).axes]
    ['β = 0.1: creeps', 'β = 0.25: critical', 'β = 0.8: swings']
    """
    fig, axes = figure(len(betas), width=10, sharey=True)
    turn = torch.arange(8, dtype=torch.float64) * torch.pi / 4
    for ax, beta in zip(axes, betas, strict=True):
        p, b = turn.cos(), -0.6 * turn.sin()
        points = [torch.stack([p, -b])]
        for _ in range(40):
            p, b = rule(p, product * p, b, lr=1.0, momentum=beta)
            points.append(torch.stack([p, -b]))
        for path in torch.stack(points, -1).unbind(1):
            ax.plot(*path, ".-", color=BLUE, linewidth=0.8, markersize=4, label="_path")
        total = 1 + beta - product
        gap = round(total**2 - 4 * beta, 9)
        for root in {(total + sign * gap**0.5) / 2 for sign in (1, -1) if gap >= 0}:
            ax.axline((0, 0), slope=1 - 1 / root, color=RED, linestyle="--", label="_only stretched")
        ax.plot(0, 0, "+", color=BLACK, markersize=12, label="_minimum")
        word = "creeps" if gap > 0 else "swings" if gap < 0 else "critical"
        ax.set(xlim=(-1.1, 1.1), ylim=(-0.8, 0.8), xlabel="place", title=f"β = {beta:.2g}: {word}")
    axes[0].set_ylabel("last step")
    return fig
