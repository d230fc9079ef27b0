"""Lesson 04, Nesterov: its experiment, and the pictures of a ball that is carried and pushed."""

from collections.abc import Callable
from math import inf, sqrt
from typing import Any

import numpy
import torch
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from ..optimizers import SGD
from ..plot import BLACK, BLUE, GREEN, RED, contour, figure, heat, look
from ..rules import momentum, nesterov
from ..trace import Trace, race
from .comparison import overlay, rivals
from .controls import choice, slider, switch
from .controls import rate as rate_slider
from .experiment import Experiment
from .maps import larger_root
from .surfaces import RAVINE

CURVATURES = torch.tensor([1.0, 25.0], dtype=torch.float64)
FAR = 6.0  # from the minimum, in either coordinate
MARK: dict[str, Any] = {"markersize": 9, "fillstyle": "none", "markeredgewidth": 2}
LOOKS = {"looking ahead": (nesterov, BLUE, "-", "o"), "classical": (momentum, RED, "--", "s")}


def rate(rule: Callable[..., Any], curvature: Any, lr: Any, beta: Any) -> Tensor:
    """By how much a step of ``rule`` shrinks a bowl in the long run: the larger root of its quadratic equation.

    >>> print(f"{rate(nesterov, torch.tensor(1.0), lr=0.01, beta=9 / 11):.3f}")
    0.900
    """
    p1, b1 = rule(1, curvature, 0, lr=lr, momentum=beta)  # where (1, 0) goes
    p2, b2 = rule(0, 0, 1, lr=lr, momentum=beta)  # where (0, 1) goes
    return larger_root(torch.as_tensor(p1 + b2), p1 * b2 - b1 * p2)


def old_buffer(p: Any, g: Any, b: Any, *, lr: Any, momentum: Any = 0.9) -> tuple[Any, Any]:
    """The mistake of the lesson: `edu_optim.rules.nesterov` whose step is taken before the velocity is renewed.

    >>> old_buffer(0.0, 1.0, 0.0, lr=1.0)
    (-1.0, 1.0)
    """
    p = p - lr * (g + momentum * b)
    b = momentum * b + g
    return p, b


def growing_momentum(p: Any, g: Any, memory: Any, *, lr: Any) -> tuple[Any, tuple[Any, float]]:
    """Momentum with the growing memory of Nesterov's rule of 1983, but with the gradient of where it stands.

    ``memory`` is the parameter before and the number that the rule of 1983 calls a; 0 at the first step.

    >>> growing_momentum(1.0, 1.0, 0, lr=0.5)
    (0.5, (1.0, 1.618033988749895))
    """
    before, count = memory or (p, 1.0)
    following = (1 + sqrt(4 * count**2 + 1)) / 2
    return p - lr * g + (count - 1) / following * (p - before), (p, following)


def worst_bowl(rule: Callable[..., Any], steps: int, **options: Any) -> Tensor:
    """The largest loss after each step of ``rule`` on 4,001 bowls with curvatures from 1e-8 to 1, at a rate of 1.

    >>> worst_bowl(momentum, 2, momentum=0.0)
    tensor([0.0741, 0.0410], dtype=torch.float64)
    """
    bowls = torch.logspace(-8, 0, 4001, dtype=torch.float64)
    p, memory, losses = torch.ones_like(bowls), 0.0, []
    for _ in range(steps):
        p, memory = rule(p, bowls * p, memory, lr=1.0, **options)
        losses.append((bowls * p**2 / 2).max())
    return torch.stack(losses)


def bent(p: Tensor) -> Tensor:
    """The loss on a slope that is p at p up to 0.1, and from there grows a hundredth as fast.

    >>> bent(torch.tensor([0.1, 30.0]))
    tensor([5.0000e-03, 7.4650e+00])
    """
    inner, outer = p.abs().clamp(max=0.1), (p.abs() - 0.1).clamp(min=0)
    return inner**2 / 2 + 0.1 * outer + outer**2 / 200


def bent_places(rule: Callable[..., Any], steps: int, lr: float = 1.0) -> Tensor:
    """The places on the `bent` slope before each step of ``rule``, ``[steps, 2001]``, from 2,001 starts in [-30, 30].

    >>> bent_places(growing_momentum, 2)[:, -1]
    tensor([30.0000, 29.6010], dtype=torch.float64)
    """
    p, memory, places = torch.linspace(-30, 30, 2001, dtype=torch.float64), 0, []
    for _ in range(steps):
        places.append(p)
        p, memory = rule(p, 0.99 * p.clamp(-0.1, 0.1) + p / 100, memory, lr=lr)
    return torch.stack(places)


def look_ahead(p: Tensor, steps: int, lr: float, beta: float) -> tuple[Tensor, Tensor]:
    """The places of the ball in the ravine, ``[steps + 1, 2]``, and the points ahead of them, ``[steps, 2]``.

    >>> balls, aheads = look_ahead(torch.tensor([-4.0, 1.0]), steps=1, lr=0.04, beta=0.9)
    >>> len(balls), aheads.tolist()
    (2, [[-4.0, 1.0]])
    """
    b, balls, aheads = torch.zeros_like(p), [p], []
    for _ in range(steps):
        ahead = p - lr * beta * b
        b = beta * b + CURVATURES * ahead
        p = p - lr * b
        balls.append(p)
        aheads.append(ahead)
    return torch.stack(balls), torch.stack(aheads)


def draw_pushes(here: Tensor, ahead: Tensor, late: Tensor, early: Tensor) -> Figure:
    """A ball carried from here to ahead, and where each of two gradients pushes it from there.

    >>> here, ahead = torch.tensor([-1.5, 0.6]), torch.tensor([-1.0, 0.5])
    >>> [ax.get_title() for ax in draw_pushes(here, ahead, late=ahead, early=here).axes]
    ['pushed by the slope here', 'pushed by the slope ahead']
    """
    fig, axes = figure(2, sharey=True)
    for ax, asked, end, title in zip(axes, (here, ahead), (late, early), ("here", "ahead"), strict=True):
        contour(ax, RAVINE, levels=24, points=801)
        push = end - ahead
        ax.axhline(0, color="0.6", linewidth=1, label="_floor")
        ax.plot(*torch.stack([here, ahead]).T, "--", color="0.4", label="carried")
        ax.plot(*torch.stack([asked, asked + push]).T, ":", color=RED, label="asked")
        ax.plot(*torch.stack([ahead, end]).T, color=RED, label="pushed")
        ax.plot(*here, "o", color=BLUE, label="here")
        ax.plot(*ahead, "s", color=BLACK, fillstyle="none", label="ahead")
        words = {"here": here, "carried": (here + ahead) / 2, "ahead": ahead, "pushed": ahead + push / 2}
        for word, point in words.items():
            ax.annotate(word, point.tolist(), xytext=(5, 5), textcoords="offset points")
        ax.set(xlim=(-1.6, -0.6), ylim=(-0.4, 0.8), title=f"pushed by the slope {title}")
    point = here + (late - ahead) / 2
    axes[0].annotate("asked here", point.tolist(), xytext=(6, -8), textcoords="offset points")
    return fig


def draw_moves(balls: Tensor, aheads: Tensor, parameters: Tensor) -> Figure:
    """The two moves of each step, the places between them, and torch's parameters.

    >>> balls, aheads = look_ahead(torch.tensor([-4.0, 1.0]), steps=3, lr=0.05, beta=0.8)
    >>> len(draw_moves(balls, aheads, aheads).axes[0].get_legend().get_texts())
    3
    """
    fig, ax = figure(width=8, height=4.8)
    contour(ax, RAVINE, levels=24, points=401)
    for ball, ahead, after in zip(balls, aheads, balls[1:], strict=False):
        ax.plot(*torch.stack([ball, ahead]).T, "--", color="0.4", label="_carried")
        ax.plot(*torch.stack([ahead, after]).T, "-", color=RED, label="_pushed")
    ax.plot(*balls.T, "o", color=BLUE, label="the ball")
    ax.plot(*aheads.T, "s", color=BLACK, markersize=11, fillstyle="none", label="the point ahead")
    ax.plot(*parameters.T, "x", color=GREEN, markersize=8, markeredgewidth=2, label="torch's parameters")
    middles = ((balls[1] + aheads[1]) / 2).tolist(), ((aheads[1] + balls[2]) / 2).tolist()
    ax.annotate("carried", middles[0], xytext=(-8, 0), textcoords="offset points", horizontalalignment="right")
    ax.annotate("pushed", middles[1], xytext=(8, 0), textcoords="offset points")
    ax.set(xlim=(-4.2, -0.9), ylim=(-1.5, 1.2), title="Each step: carried, then pushed")
    ax.legend(loc="lower right", frameon=True)
    return fig


def draw_overshoot(*runs: Trace) -> Figure:
    """Each coordinate of runs in the ravine against the step; the mark is where x is farthest beyond the minimum.

    >>> from edu_optim import descend
    >>> run = descend(RAVINE, SGD, steps=20, lr=0.04, momentum=0.9, name="momentum")
    >>> draw_overshoot(run).axes[0].get_legend().get_texts()[0].get_text()
    'momentum, 1.75 too far'
    """
    fig, axes = figure(2)
    for places, (ax, along) in enumerate(zip(axes, ("x, along the floor", "y, across the ravine"), strict=True)):
        ax.axhline(0, color="0.6", linewidth=1, label="_minimum")
        ax.set(xlabel="step", ylabel=along)
        for run in runs:
            far, first = run.points[:, 0].max(dim=0)
            marked, name = ([], run.name) if places else ([first.item()], f"{run.name}, {far:.2f} too far")
            ax.plot(run.points[:, places], **look(run.name), markevery=marked, label=name)
        ax.legend(loc="lower right")
    return fig


def draw_rates() -> Figure:
    """Two maps of the convergence rate over learning rate times curvature and momentum: momentum's and Nesterov's.

    >>> [ax.get_title() for ax in draw_rates().axes]
    ['momentum', 'Nesterov']
    """
    products, betas = (torch.linspace(0.01, end, 150, dtype=torch.float64) for end in (4, 0.99))
    fig, axes = figure(2, sharey=True)
    for ax, (name, rule) in zip(axes, {"momentum": momentum, "Nesterov": nesterov}.items(), strict=True):
        rates = rate(rule, products[:, None], 1.0, betas)
        heat(ax, products, betas, rates.where(rates < 1, inf), "convergence rate", "linear")
        ax.collections[0].set_clim(0, 1)  # one shade is one rate in both panels
        ax.set(xlabel="learning rate × curvature", title=name)
    axes[0].set_ylabel("β")
    return fig


def play(optimizer: Callable[..., Any] | None = None) -> Experiment:
    """The experiment of the lesson: three forms of one optimizer in a ravine, and the rates of two.

    Args:
        optimizer: your rule or class, beside ours and torch's; None for ours alone.

    >>> play(nesterov).numbers["yours, ours and torch"]
    'the same in all 60 steps'
    """
    return Experiment(
        _three_forms,
        _ravine_and_edge,
        columns=2,
        height=4.0,
        lr=rate_slider("learning rate", "", 1 / 25, 0.005, 0.2),
        beta=slider("β", "of the velocity kept", 0.9, 0.1, 0.99, 0.01),
        form=choice("form", "torch's", "look-ahead", "classical"),
        broken=switch("use the old buffer"),
        optimizer=optimizer,
    )


def _three_forms(
    axes: Any, *, lr: float, beta: float, form: str, broken: bool, optimizer: Callable[..., Any] | None = None
) -> dict[str, Any]:
    """Left, the path in the form you chose; right, by how much a step shrinks the slower of floor and wall."""
    mine = old_buffer if broken else optimizer
    ahead = {} if form == "classical" else {"nesterov": True}
    runs = race(RAVINE, rivals(SGD, mine, lr=lr, momentum=beta, **ahead), steps=60)
    lines = {run.name: run.points for run in runs}
    if form == "look-ahead":
        plain = "yours" if broken else ""  # momentum: its points are its ball
        lines |= {name: _balls_of(points, lr) for name, points in lines.items() if name != plain}
    found = overlay(axes[0], {name: line.clamp(-1e3, 1e3) for name, line in lines.items()})
    for line in axes[0].get_lines():
        _end_outside(line)
    return {**_draw_rates(axes[1], lr, beta), **_ends(lines), **found}


def _end_outside(line: Line2D) -> None:
    """Leave away what follows the first point that is far outside the picture, for it would be black stripes."""
    points = numpy.asarray(line.get_xydata())
    far = numpy.flatnonzero((abs(points) > FAR).any(axis=1))
    if len(far):
        line.set_data(*points[: far[0] + 1].T)


def _balls_of(points: Tensor, lr: float) -> Tensor:
    """The ball, which torch does not store: from the point ahead it is one plain gradient step away."""
    pushed = points - lr * CURVATURES * points
    return torch.cat([points[:1], pushed[:-1]])  # both begin at the start


def _ends(lines: dict[str, Tensor]) -> dict[str, Tensor]:
    shown = {name: line[-1] for name, line in lines.items() if name != "ours"}
    return {f"loss after 60 steps, {name}": RAVINE(end) for name, end in shown.items()}


def _worst(rule: Callable[..., Any], lr: Any, beta: float) -> Tensor:
    lr = torch.as_tensor(lr, dtype=torch.float64)
    return torch.maximum(rate(rule, 1, lr, beta), rate(rule, 25, lr, beta))


def _draw_rates(ax: Any, lr: float, beta: float) -> dict[str, Any]:
    span, found = torch.logspace(-2.31, -0.69, 201, dtype=torch.float64), {}
    for k, (name, (rule, color, dash, mark)) in enumerate(LOOKS.items()):
        ax.plot(span, _worst(rule, span, beta), dash, color=color, label=name)
        found[f"rate per step, {name}"] = here = _worst(rule, lr, beta)
        mark = mark if here < 1.06 else "^"  # an arrow at the border for a rate above it
        ax.plot(lr, here.clamp(max=1.053 - 0.01 * k), mark, **MARK, color=color)
    ax.legend()
    return found


def _ravine_and_edge(axes: Any) -> None:
    contour(axes[0], RAVINE, points=101)
    axes[0].set(xlim=(-4.6, 3.4), ylim=(-2.4, 1.6), title="60 steps down the ravine")
    axes[1].axhspan(1, 1.06, color="0.9")
    axes[1].text(0.0053, 1.045, "diverges")
    axes[1].set(xscale="log", xlim=(0.0045, 0.22), ylim=(0.88, 1.06))
    axes[1].set(xlabel="learning rate, log scale", ylabel="rate per step")
    axes[1].set_title("The slower of floor and wall")
