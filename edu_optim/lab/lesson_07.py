"""The experiment of lesson 07, how far Adadelta comes in a hundred steps, and its other pictures."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor, as_tensor
from torch.nn import Module, Sequential

from ..optimizers import Adadelta
from ..plot import BLUE, GREEN, RED, SKY, contour, figure, label_ends, look
from ..problems import Problem
from ..trace import Trace, race
from .comparison import against_step, overlay, rivals
from .controls import rate, switch
from .experiment import Experiment
from .surfaces import RAVINE


def play(optimizer: Callable[..., Any] | None = None) -> Experiment:
    """Adadelta on a ravine of condition number 25, and how far it comes along the floor.

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
        _path_and_distance,
        _ravine_and_distance,
        columns=2,
        height=4.0,
        window=rate("window", "steps", 10, 1, 1000),
        eps=rate("ε", "", 1e-4, 1e-8, 1e-2),
        unit=rate("ruler", "units per meter", 1, 0.1, 10),
        two=switch("an ε for each root, converted"),
        broken=switch("update u before it is used"),
        optimizer=optimizer,
    )


def _path_and_distance(
    axes: Any,
    *,
    window: float,
    eps: float,
    unit: float,
    two: bool,
    broken: bool,
    optimizer: Callable[..., Any] | None = None,
) -> dict[str, Any]:
    """Left, the path; right, how far it has come along x; dashed, were all steps like step 1; dotted, in meters."""
    mine = _converted(unit if two else 1, broken) if two or broken else optimizer
    runs = race(_measured(unit), rivals(Adadelta, mine, rho=1 - 1 / window, eps=eps), steps=100)
    meters = {run.name: run.points / unit for run in runs}
    if unit != 1:
        (plain,) = race(RAVINE, rivals(Adadelta, rho=1 - 1 / window, eps=eps), steps=100)
        axes[0].plot(*plain.points.T, color=GREEN, linestyle=":", linewidth=3, label="_in meters")
        axes[1].plot(_along_x(plain.points), color=GREEN, linestyle=":", linewidth=3, label="_in meters")
    overlay(axes[0], meters)
    found = overlay(axes[1], {name: against_step(_along_x(points)) for name, points in meters.items()})
    along = _along_x(meters[runs[-1].name])
    lengths = along.diff().abs()
    axes[1].plot([0, 100], [0, 100 * lengths[0]], color=RED, linestyle="--", label="like step 1")
    axes[1].text(100, 4.5, "two ε" if two else "one ε", ha="right")
    axes[1].legend()
    return {
        "rho": 1 - 1 / window,
        "first step along x": lengths[0],
        "longest step, in first steps": lengths.max() / lengths[0],
        "distance along x": along[-1],
        **found,
    }


def _measured(unit: float) -> Problem:
    """The ravine on a ruler with so many units to the meter."""
    slope: Any = RAVINE.slope
    return dataclasses.replace(
        RAVINE,
        loss=lambda points: RAVINE.loss(points / unit),
        start=(unit * RAVINE.start[0], unit * RAVINE.start[1]),
        slope=lambda x, y: tuple(each / unit for each in slope(x / unit, y / unit)),
    )


def _converted(unit: float, early: bool) -> Callable[..., Any]:
    """Adadelta with an ε for each root, given in meters; if ``early``, u holds this step before it is used."""

    def rule(p: Any, g: Any, s: Any, u: Any, *, rho: float, eps: float) -> tuple[Any, Any, Any]:
        above, below = eps * unit**2, eps / unit**2
        s = rho * s + (1 - rho) * g**2
        after = rho * u + (1 - rho) * (u + above) / (s + below) * g**2
        return p - ((after if early else u) + above) ** 0.5 / (s + below) ** 0.5 * g, s, after

    return rule


def _ravine_and_distance(axes: Any) -> None:
    path, distance = axes
    contour(path, RAVINE)
    path.set(xlim=(-4.6, 1.2), ylim=(-2.2, 2.2), title="100 steps down the ravine")
    path.legend(handles=[])  # the names stand on the right
    distance.axhline(4, color="0.4", linewidth=0.8, label="_minimum")
    distance.text(1, 4.08, "the minimum", color="0.3")
    distance.set(xlim=(-2, 102), ylim=(-0.2, 5), xlabel="step", ylabel="distance along x (m)")


def _along_x(points: Tensor) -> Tensor:
    """How far the path has come along x, at each step."""
    return points[:, 0] - points[0, 0]


def paces(runs: Mapping[str, Trace]) -> Figure:
    """A figure of the ravine, a panel for each name: the path, a dot for each step, and how far it came along x.

    >>> from edu_optim import descend
    >>> fig = paces({"ε = 1": descend(RAVINE, Adadelta, steps=1, eps=1.0)})
    >>> fig.axes[0].texts[0].get_text()
    '2.48 m along x'
    """
    fig, axes = figure(len(runs), width=11, height=3.2, squeeze=False, sharey=True)
    for ax, (name, run) in zip(axes[0], runs.items(), strict=True):
        contour(ax, RAVINE, levels=9)
        ax.plot(*run.points.T, ".-", color=BLUE, markersize=5, linewidth=1, label="path")
        ax.text(-4.2, -1.1, f"{_along_x(run.points)[-1]:.2f} m along x", color=BLUE, backgroundcolor="white")
        ax.set(xlim=(-4.4, 1), ylim=(-1.3, 1.3), title=name, xlabel="x (m)", ylabel="y (m)")
        ax.label_outer()
    return fig


def gaps(paths: Mapping[str, tuple[Tensor, Tensor, Tensor]]) -> Figure:
    """A figure of two tests for units, a bar for each name: how far apart the paths before and after are at most.

    The distance is a share of the old way, which is the largest distance from the start.

    Args:
        paths: name -> the path as it was, with the loss times 0.0001, and with the unit halved, all ``[n, 2]``.

    >>> import torch
    >>> path = torch.tensor([[-4.0, 1.0], [-2.0, 0.0]])
    >>> [ax.texts[0].get_text() for ax in gaps({"one": (path, path, path + 0.5)}).axes]
    ['the same path', '25 %']
    """
    fig, axes = figure(2, width=10, height=2.8, sharey=True)
    for ax, test, place in zip(axes, ("the loss times 0.0001", "the unit halved"), (1, 2), strict=True):
        for row, each in enumerate(paths.values()):
            way = (each[0] - each[0][0]).abs().max()
            gap = 100 * ((each[0] - each[place]).abs().max() / way).item()
            ax.barh(row, gap, color=RED, height=0.6)
            ax.text(gap + 2, row, f"{gap:.{0 if gap >= 10 else 1}f} %" if gap >= 0.05 else "the same path", va="center")
        ax.set(title=test, xlim=(0, 115), xlabel="distance between the paths (% of the way)")
    axes[0].set_yticks(range(len(paths)), list(paths))
    axes[0].invert_yaxis()
    return fig


def three_paths(paths: Mapping[str, tuple[Tensor, Tensor, Tensor]]) -> Figure:
    """A figure of the ravine, a panel for each name: the three paths that `gaps` compares.

    Args:
        paths: as for `gaps`.

    >>> import torch
    >>> path = torch.tensor([[-4.0, 1.0], [-2.0, 0.0]])
    >>> [text.get_text() for text in three_paths({"one": (path, path, path)}).axes[0].get_legend().get_texts()]
    ['before', 'loss × 0.0001', 'unit halved']
    """
    fig, axes = figure(len(paths), width=10, height=3.6, squeeze=False, sharey=True)
    for ax, (name, (before, smaller, halved)) in zip(axes[0], paths.items(), strict=True):
        contour(ax, RAVINE, levels=9)
        lines = {"before": (before, SKY, "s", 15, 9), "loss × 0.0001": (smaller, RED, "o", 11, 2.5)}
        lines["unit halved"] = halved, BLUE, "^", 7, 1.5
        for label, (path, color, marker, size, width) in lines.items():
            ax.plot(
                *path.T,
                marker,
                linestyle="-",
                color=color,
                markersize=size,
                markevery=[-1],
                linewidth=width,
                label=label,
            )
        ax.set(xlim=(-4.4, 0.8), ylim=(-1.1, 1.3), title=name, xlabel="x (m)", ylabel="y (m)")
        ax.legend(loc="lower left")
        ax.label_outer()
    return fig


class _Ruler(Module):
    unit: Tensor

    def __init__(self, unit: Tensor) -> None:
        super().__init__()
        self.register_buffer("unit", unit)

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs * self.unit


def in_unit(net: Sequential, unit: float | Tensor) -> Sequential:
    """A net that reads its inputs times ``unit`` and computes what ``net`` does: its first weights are divided by it.

    Args:
        net: begins with a ``Linear``, whose weights are changed.
        unit: a number, or one for each input.

    >>> import torch
    >>> from edu_optim.problems import small_net
    >>> x = torch.tensor([[3.0, 5.0]], dtype=torch.float64)
    >>> torch.allclose(in_unit(small_net(2, 1), 100)(x), small_net(2, 1)(x))
    True
    """
    weight = next(net.parameters())
    unit = as_tensor(unit, dtype=weight.dtype).expand(weight.shape[1])
    weight.data /= unit
    return Sequential(_Ruler(unit), net)


def by_lr(races: Mapping[str, Mapping[str, Sequence[float]]], rates: Sequence[float]) -> Figure:
    """A figure of the loss that each lr leads to, a panel for each race, with Adadelta's lr of 1 marked.

    Args:
        races: name of a race -> name of an optimizer -> its loss at each of ``rates``; those above 1 are not seen.

    >>> found = by_lr({"alike": {"Adadelta": [0.4, 0.2]}}, [1, 10])
    >>> [text.get_text() for text in found.axes[0].texts]
    ['Adadelta 0.20', 'lr 1: 0.40']
    """
    fig, axes = figure(len(races), width=10, squeeze=False, sharey=True)
    for ax, (title, ends) in zip(axes[0], races.items(), strict=True):
        for name, losses in ends.items():
            style, low = look(name), min(losses)
            ax.plot(rates, losses, label=name, linewidth=2, **style)
            x, y = rates[losses.index(low)], 0.055 if name in ("SGD", "RMSprop") else 0.038
            ax.plot([x, x], [y, low], color=style["color"], linewidth=1, linestyle=":", label="_lowest")
            side = "right" if name == "RMSprop" else "center"
            ax.text(x, y, f"{name} {low:.2f}", color=style["color"], ha=side, va="top")
        at_one = ends["Adadelta"][rates.index(1)]
        words = {"arrowprops": {"arrowstyle": "->"}, "color": look("Adadelta")["color"]}
        ax.annotate(f"lr 1: {at_one:.2f}", (1, at_one), (4, 0.7), **words)
        ax.set(xscale="log", yscale="log", xlim=(2e-4, 150), ylim=(0.025, 1), title=title, xlabel="lr, log scale")
    axes[0][0].set_ylabel("loss after 300 steps, log scale")
    return fig


def kept(default: Mapping[str, Sequence[float]], units: Sequence[float]) -> Figure:
    """A figure of the loss in other units of the pixels, at torch's lr.

    Args:
        default: name of an optimizer, and a setting of its own -> its loss at each of ``units``.

    >>> found = kept({"Adadelta": [0.8, 0.3], "SGD": [2.2, 1.5]}, [1, 10])
    >>> [text.get_text() for text in found.axes[0].texts]
    ['guessing', 'Adadelta', 'SGD']
    """
    fig, ax = figure(width=7)
    ax.axhline(math.log(10), color="0.4", linewidth=0.8, label="_guessing")
    ax.text(units[0], 1.05 * math.log(10), "guessing", color="0.3", va="bottom")
    for name, losses in default.items():
        style = look(name.split()[0]) | ({"linestyle": "-.", "marker": "^"} if " " in name else {})
        ax.plot(units, losses, label=name, linewidth=2, **style)
    ax.set(xscale="log", yscale="log", ylim=(0.05, 6), xlabel="all pixels times, log scale")
    ax.set_ylabel("loss after 300 steps, log scale")
    label_ends(ax)
    return fig


ROUNDS = 20_000


def growth(rule: Callable[..., Any]) -> Experiment:
    """How long the steps of Adadelta are down a parabola, from 1, and whether they die.

    Args:
        rule: on plain numbers, such as `edu_optim.rules.adadelta`.

    >>> from edu_optim.rules import adadelta
    >>> print(growth(adadelta).at(curvature=4))
    curvature: 4
    the last step: 0.121
    where the formula has it: 0.122
    """
    return Experiment(
        _jumps_down_a_parabola,
        _jumps_on_the_floor,
        curvature=rate("curvature", "", 25, 0.5, 100),
        lr=rate("lr", "", 1, 0.1, 10),
        rule=rule,
    )


def _jumps_down_a_parabola(ax: Any, *, curvature: float, lr: float, rule: Callable[..., Any]) -> dict[str, Any]:
    """The length of each step, by step, of 20 000; pale, at curvature 1; dashed, where a formula has the steps."""
    jumps = _jumps(rule, curvature, lr)
    ax.plot(range(1, ROUNDS + 1), jumps, color=BLUE, linewidth=2, label="this curvature")
    found = {"the last step": f"{jumps[-1]:.3f}"}
    grows = 1 - (2 / (lr * curvature)) ** 2
    if grows > 0:
        formula = [lr * (1e-6 * grows * step) ** 0.5 for step in (1, ROUNDS)]
        ax.plot([1, ROUNDS], formula, color=RED, linestyle="--", label="formula")
        found["where the formula has it"] = f"{formula[-1]:.3f}"
    ax.legend(loc="upper left")
    return found


def _jumps_on_the_floor(ax: Any, lr: float, rule: Callable[..., Any]) -> None:
    ax.plot(range(1, ROUNDS + 1), _jumps(rule, 1, lr), color=SKY, linewidth=8, alpha=0.6, label="curvature 1")
    ax.set(xscale="log", yscale="log", ylim=(1e-5, 3), xlabel="step, log scale", ylabel="length of the step, log scale")


def _jumps(rule: Callable[..., Any], curvature: float, lr: float) -> list[float]:
    p, s, u, found = 1.0, 0.0, 0.0, []
    for _ in range(ROUNDS):
        before = p
        p, s, u = rule(p, curvature * p, s, u, lr=lr)
        found.append(abs(p - before))
    return found


def tuned(races: Mapping[str, Mapping[str, float]]) -> Figure:
    """A figure of the loss at the best lr, a panel for each race and a bar for each optimizer.

    Args:
        races: title -> name of an optimizer -> its loss, for the same optimizers in each.

    >>> [text.get_text() for text in tuned({"digits": {"SGD": 0.151, "Adam": 0.07}}).axes[0].texts]
    ['0.15', '0.07']
    """
    fig, axes = figure(len(races), width=11, height=2.8, squeeze=False, sharey=True)
    for ax, (title, ends) in zip(axes[0], races.items(), strict=True):
        for row, (name, loss) in enumerate(ends.items()):
            ax.barh(row, loss, color=look(name.split()[0])["color"], height=0.6)
            ax.text(loss + 0.02 * max(ends.values()), row, f"{loss:.3f}" if loss < 0.01 else f"{loss:.2f}", va="center")
        ax.set(title=title, xlim=(0, 1.2 * max(ends.values())), xlabel="loss")
    names = list(next(iter(races.values())))
    axes[0][0].set_yticks(range(len(names)), names)
    axes[0][0].invert_yaxis()
    return fig
