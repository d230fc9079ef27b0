"""The experiments of lesson 00: a first race, and a loop that may forget ``zero_grad``; and its longer pictures."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from .. import problems
from ..optimizers import SGD, Adam
from ..plot import BLUE, GREEN, RED, figure, label_ends, legend_below
from ..problems import digits, line_model, line_points, small_net
from .comparison import against_step, overlay, rivals
from .controls import Player, choice, rate, switch
from .experiment import Experiment
from .paths import descents, surface_from_above
from .surfaces import RAVINE, SURFACES

EPOCHS = 50
LATE = "highest in the last 10 epochs"
X, Y = (column.double() for column in line_points())
FLAT, HIGH = 1e-12, 1e12  # the loss is drawn between these


SIX = ("SGD", "momentum", "Nesterov", "Adagrad", "RMSprop", "Adam")


def first_race() -> Experiment:
    """Six optimizers on one surface, with one learning rate for all of them.

    >>> race = first_race()
    >>> race.controls["step"].value = 0
    >>> print(race.text.splitlines()[0])
    SGD: at (1.5, 0.001), loss 1.12
    """
    surfaces = (problems.saddle, RAVINE, problems.plateau, problems.himmelblau)
    return Experiment(
        six_paths,
        surface_from_above,
        height=4.4,
        step=Player("step", "of 100", 60, 0, 100),
        lr=rate("learning rate", "", 0.02, 0.001, 0.3),
        surface=choice("surface", *(surface.name for surface in surfaces)),
    )


def six_paths(ax: Axes, *, surface: str, lr: float, step: int) -> dict[str, str]:
    """The paths of six optimizers over the lines of equal loss of a surface; the cross is a minimum.

    >>> six_paths(figure()[1], surface=RAVINE.name, lr=0.02, step=1)["SGD"]
    'at (-3.92, 0.5), loss 10.8'
    """
    x, y = map(_percent, SURFACES[surface].start, SURFACES[surface].window)
    found = descents(ax, surface=surface, names=SIX, lr=lr, momentum=0.9, beta1=0.9, beta2=0.999, x=x, y=y, step=step)
    ax.annotate("start", SURFACES[surface].start, (5, 8), textcoords="offset points")
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return found


def gaps(model: torch.nn.Linear) -> Figure:
    """The four measurements, the line of a model that has learned nothing, and the gaps between.

    >>> len(gaps(line_model()).axes[0].get_lines())
    2
    """
    fig, ax = figure()
    x, y = (column[:, 0] for column in line_points())
    ax.vlines(x, model(x[:, None]).detach()[:, 0], y, color="0.6", linestyle=":")
    ax.plot(x, y, "ko", label="measurements")
    _draw_line(ax, model, "the model's first line", color=RED, linestyle="--")
    ax.legend(loc="upper left")
    return fig


def learned(losses: list[float], model: torch.nn.Linear) -> Figure:
    """Left, losses epoch by epoch, with a mark at the 50th; right, the line of a model before and after.

    >>> [ax.get_xlabel() for ax in learned([2.0, 1.0], line_model()).axes]
    ['epochs done', 'x']
    """
    fig, (left, right) = figure(2)
    left.plot(losses, color=BLUE)
    left.axvline(EPOCHS, color="0.6", linestyle=":")
    left.annotate(f"{EPOCHS} epochs:\nthe first run", (EPOCHS, losses[0]), (6, -12), textcoords="offset points")
    left.set(xlabel="epochs done", ylabel="loss, log scale", yscale="log")
    right.plot(*line_points(), "ko", label="measurements")
    _draw_line(right, line_model(), "before", color=RED, linestyle="--")
    _draw_line(right, model, f"after {len(losses)} epochs", color=BLUE)
    right.legend(loc="upper left")
    return fig


def good_rates(rates: list[float], runs: list[dict[str, Any]]) -> Figure:
    """The highest loss of 50 epochs and of the last ten at each learning rate, the range from 0.2 to 2 in gray,
    and a line at 0.15.

    Args:
        rates: the learning rates.
        runs: the numbers of `play` at each of them.

    >>> fig = good_rates([0.1, 1.0], [{"highest loss": 11.1, LATE: loss} for loss in (0.3, 0.02)])
    >>> [text.get_text() for text in fig.axes[0].texts]
    ['0.15', 'in the last 10 epochs', 'in all 50']
    """
    fig, ax = figure(width=7)
    ax.axvspan(0.2, 2, color="0.9")
    ax.axhline(0.15, color="0.4", linewidth=0.8)
    ax.plot(rates, [run["highest loss"] for run in runs], "--", color=RED, label=f"in all {EPOCHS}")
    ax.plot(rates, [run[LATE] for run in runs], "o-", color=BLUE, label="in the last 10 epochs")
    ax.annotate("0.15", (rates[0], 0.15), (0, 3), textcoords="offset points")
    ax.set(xlabel="learning rate, log scale", ylabel="highest loss, log scale", xscale="log", yscale="log")
    label_ends(ax)
    return fig


def without(losses: Mapping[tuple[str, str], list[float]]) -> Figure:
    """The losses of Adam and, for its first 80 epochs, of SGD, with and without ``zero_grad``.

    Args:
        losses: (optimizer, name of the loop) -> losses; the name of the loop that forgets ends in ``zero_grad``.

    >>> pairs = [("Adam", "train"), ("Adam", "train_without_zero_grad"), ("SGD", "train")]
    >>> [text.get_text() for text in without(dict.fromkeys(pairs, [2.0, 1.0])).axes[0].texts]
    ['with', 'without']
    """
    fig, axes = figure(2)
    for ax, name, shown in zip(axes, ("Adam", "SGD"), (500, 80), strict=True):
        for (optimizer, loop), found in losses.items():
            if optimizer == name:
                forgets = loop.endswith("zero_grad")
                color, label = (RED, "without") if forgets else (BLUE, "with")
                drawn = found[:shown]
                ax.plot(drawn, color=color, linewidth=1, label=label)
        ax.set(title=f"{name}, with and without zero_grad", xlabel="epochs done", ylabel="loss")
        label_ends(ax)
    return fig


def without_on_digits(lr: float = 0.05, steps: int = 200) -> Figure:
    """The loss of a network that learns to read digits, by SGD and by Adam, with and without ``zero_grad``.

    >>> [text.get_text() for text in without_on_digits(steps=2).axes[0].texts]
    ['with', 'without']
    """
    images, labels = digits()
    fig, axes = figure(2)
    for ax, make in zip(axes, (SGD, Adam), strict=True):
        for label, color, style in (("with", BLUE, "-"), ("without", RED, "--")):
            model, losses = small_net(images.shape[1], 16, 10), []
            optimizer = make(model.parameters(), lr=lr)
            for _ in range(steps):
                loss = cross_entropy(model(images), labels)
                if label == "with":
                    optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
            ax.plot(losses, style, color=color, label=label)
        ax.set(title=f"A network, {make.__name__} at {lr:g}", xlabel="epochs done", ylabel="loss", ylim=(0, None))
        label_ends(ax)
    return fig


def hundred_steps(length: float = 0.1, seed: int = 0) -> tuple[Figure, Tensor, float]:
    """A hundred steps of one length in random directions, from the model's first weight and bias.

    Returns the picture, how far the loss falls in each of them, and how far it falls in one downhill, straight against
    the gradient.

    >>> fig, falls, downhill = hundred_steps()
    >>> bool((falls < downhill).all())
    True
    """
    first = line_model().double()
    start = torch.stack([first.weight[0, 0], first.bias[0]]).detach().requires_grad_()
    (g,) = torch.autograd.grad(_loss_at(start), start)
    turns = 2 * torch.pi * torch.rand(100, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    steps = length * torch.stack([turns.cos(), turns.sin()], -1)
    downhill = -length * g / g.norm()
    with torch.no_grad():
        falls, against = (_loss_at(start) - _loss_at(start + step) for step in (steps, downhill))
    fig, (left, right) = figure(2, width=10.5, height=4.2)
    weights, biases = (start[k].item() + 1.2 * length * torch.linspace(-1, 1, 41, dtype=torch.float64) for k in (0, 1))
    losses = _loss_at(torch.stack(torch.meshgrid(weights, biases, indexing="xy"), -1))
    left.clabel(left.contour(weights, biases, losses, 8, colors="0.75", linewidths=0.8), fontsize=8)
    angles = torch.rad2deg(turns - torch.atan2(downhill[1], downhill[0]) + torch.pi).remainder(360) - 180
    for down, color, mark, name in ((falls > 0, GREEN, "o", "down"), (falls <= 0, RED, "x", "up")):
        ends = start.detach() + steps[down]
        left.plot(*ends.T, mark, color=color, markersize=5, label=f"{name}: {len(ends)} steps")
        right.plot(angles[down], falls[down], mark, color=color, markersize=5)
    end = start.detach() + downhill
    left.plot(*torch.stack([start.detach(), end]).T, "k-", linewidth=2.5, label="downhill")
    right.plot(0, against, "k*", markersize=13)
    right.text(0, 0.8 * against, "downhill", ha="center", va="top")
    left.plot(*start.detach(), "ko", markersize=8, label="_here")
    left.annotate("here", start.detach(), (-6, 6), textcoords="offset points", ha="right", fontweight="bold")
    left.legend()
    left.set(xlabel="weight", ylabel="bias", aspect="equal", title="gray: lines of equal loss")
    legend_below(left)
    right.axhline(0, color="0.6", linewidth=0.8)
    right.set(xlabel="angle to downhill, degrees", ylabel="how far the loss falls")
    right.set(xticks=range(-180, 181, 90))
    return fig, falls, against.item()


def _loss_at(knobs: Tensor) -> Tensor:
    """The loss at weights and biases ``[..., 2]``."""
    return ((knobs[..., :1] * X[:, 0] + knobs[..., 1:] - Y[:, 0]) ** 2).mean(-1)


def _percent(place: float, window: tuple[float, float]) -> float:
    low, high = window
    return 100 * (place - low) / (high - low)


def play(optimizer: Callable[..., Any] | None = None) -> Experiment:
    """Fifty epochs of Adam on four points, with a switch on line (3) of the training loop.

    It calculates in double precision, so that two curves can be compared closely.

    Args:
        optimizer: your class or rule, drawn over ours and torch's.

    >>> print(play().at(lr=0.3))
    learning rate: 0.3
    prediction for x = 5: 9.86
    loss after 50 epochs: 0.0031
    highest loss: 11.1
    highest in the last 10 epochs: 0.0609
    """
    return Experiment(
        learning,
        _empty_picture,
        columns=2,
        lr=rate("learning rate", "", 0.01, 0.001, 3),
        broken=switch("forget zero_grad"),
        optimizer=optimizer,
    )


def learning(axes: Any, *, lr: float, broken: bool, optimizer: Callable[..., Any] | None = None) -> dict[str, Any]:
    """Left, the loss as it falls or swings; right, the model's line before and after.

    >>> from edu_optim.plot import figure
    >>> round(learning(figure(2)[1], lr=0.3, broken=False)["prediction for x = 5"], 2)
    9.86
    """
    curves, model, losses = {}, line_model().double(), torch.zeros(0)
    for name, (make, options) in rivals(Adam, optimizer, lr=lr).items():
        model = line_model().double()
        losses = _practice(model, make(model.parameters(), **options), forget=broken and name in ("yours", "Adam"))
        curves[name] = against_step(losses)
    _draw_line(axes[1], model, "after 50 epochs", color=BLUE)
    reach = axes[1].get_lines()[-1].get_ydata().clip(-HIGH, HIGH)
    axes[1].set_ylim(min(-0.5, 1.05 * reach.min()), max(12, 1.05 * reach.max()))
    axes[1].legend()
    found = overlay(axes[0], curves)
    seen = torch.cat([curve[:, 1] for curve in curves.values()]).nan_to_num(HIGH).clamp(FLAT, HIGH)
    low, high = math.log(seen.min() / 2, 100), math.log(seen.max() * 2, 100)
    axes[0].set_ylim(100 ** min(-2, math.floor(low)), 100 ** max(2, math.ceil(high)))  # a scale that seldom changes
    return {
        "prediction for x = 5": model(torch.tensor([[5.0]], dtype=torch.float64)).item(),
        "loss after 50 epochs": losses[-1].item(),
        "highest loss": losses.max().item(),
        LATE: losses[-10:].max().item(),
        **found,
    }


def _practice(model: torch.nn.Linear, optimizer: Optimizer, forget: bool) -> Tensor:
    """The loss before the first epoch and after each."""
    losses = [_how_wrong(model)]
    for _ in range(EPOCHS):
        if not forget:
            optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
        losses.append(_how_wrong(model))
    return torch.stack(losses).detach()


def _how_wrong(model: torch.nn.Linear) -> Tensor:
    return ((model(X) - Y) ** 2).mean()


def _empty_picture(axes: Any) -> None:
    axes[0].set(xlabel="epochs done", ylabel="loss, log scale", yscale="log", xlim=(-1, EPOCHS + 1))
    axes[1].plot(X, Y, "ko", label="measurements")
    _draw_line(axes[1], line_model().double(), "before", color=RED, linestyle="--")


def _draw_line(ax: Axes, model: torch.nn.Linear, label: str, **look: Any) -> None:
    ends = torch.tensor([[0.0], [5.2]], dtype=model.weight.dtype)
    ax.plot(ends, model(ends).detach(), label=label, **look)
    ax.set(xlabel="x", ylabel="y", xlim=(0, 5.2), ylim=(0, 12))
