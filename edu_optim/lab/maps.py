"""Maps of many descents at once: basins of attraction, and how much the settings matter."""

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from torch import Tensor

from .. import problems
from ..optimizers import SGD
from ..plot import BLACK, BLUE, LETTERS, RED, heat
from ..plot import basins as basin_map
from ..trace import MakeOptimizer, descend, sweep
from ..trace.axes import replaced
from .comparison import as_class
from .controls import choice, rate, slider
from .experiment import Experiment
from .surfaces import EXACT
from .words import number, pair, share


def basins(optimizer: Callable[..., Any] = SGD, *, lr: float = 0.01, steps: int = 60) -> Experiment:
    """Which minimum each start leads to, and how fast, for 64 x 64 starts at once.

    Args:
        optimizer: a class of edu_optim or your own, or a rule.
        lr, steps: the learning rate and the number of steps at the start; controls move them.

    >>> print(basins(lr=0.02, steps=100).text)
    A at (3, 2): from 18.8 % of the starts, in 28.4 steps on average
    B at (-2.81, 3.13): from 26.2 % of the starts, in 29.6 steps on average
    C at (-3.78, -3.28): from 12.1 % of the starts, in 31.5 steps on average
    D at (3.58, -1.85): from 15.8 % of the starts, in 29.7 steps on average
    at no minimum: 0.0244 % of the starts
    diverged: 27.1 % of the starts
    """
    return Experiment(
        _basins,
        _window,
        height=4.4,
        surface=choice("surface", *EXACT),
        steps=slider("steps", "", steps, 0, 300),
        **_dials(optimizer, lr),
        optimizer=optimizer,
    )


def _dials(optimizer: Callable[..., Any], lr: float) -> dict[str, Any]:
    """Controls for those of the best known options that an optimizer takes."""
    takes = inspect.signature(as_class(optimizer)).parameters
    dials: dict[str, Any] = {"lr": rate("learning rate", "", lr, lr / 100, lr * 100)}
    if "momentum" in takes:
        dials["momentum"] = slider("momentum", "kept", 0.8, 0.0, 0.99, 0.01)
    if "betas" in takes:
        dials["beta1"] = slider("beta1", "kept", 0.9, 0.0, 0.99, 0.01)
        dials["beta2"] = slider("beta2", "kept", 0.999, 0.9, 0.999, 0.001)
    return dials


def _options(cls: MakeOptimizer, settings: dict[str, Any]) -> dict[str, Any]:
    """Settings by the names of their controls as options of ``cls``, which may take two of them as its betas."""
    betas = inspect.signature(cls).parameters.get("betas")
    if betas is None:
        return settings
    others = {name: value for name, value in settings.items() if name not in ("beta1", "beta2")}
    return replaced(others | {"betas": betas.default}, settings)


def _window(ax: Axes, surface: str) -> None:
    ax.set_title(surface)


def _basins(ax: Axes, *, surface: str, steps: int, optimizer: Callable[..., Any], **settings: float) -> dict[str, str]:
    """The color at a start says which minimum it leads to: full where that takes few steps, pale where many."""
    problem, cls = EXACT[surface], as_class(optimizer)
    found = sweep(problem, cls, steps, problem.grid(64, 64), **_options(cls, settings))
    basin_map(ax, problem, found)
    said = {}
    for index, (letter, place) in enumerate(zip(LETTERS, problem.minima, strict=False)):
        there = found.minimum == index
        mean = f", in {number(found.arrival[there].double().mean())} steps on average" if there.any() else ""
        said[f"{letter} at {pair(place)}"] = f"from {share(there)} of the starts{mean}"
    lost = ~found.losses.isfinite()
    said["at no minimum"] = f"{share((found.minimum < 0) & ~lost)} of the starts"
    return {**said, "diverged": f"{share(lost)} of the starts"}


EVEN, RATIOS = torch.linspace(0, 0.98, 50, dtype=torch.float64), torch.logspace(-4, 0, 49, dtype=torch.float64)
AGAINST = {  # option: its label, how it is drawn, and its values
    "momentum": ("momentum", EVEN, EVEN),
    "beta1": ("beta1", EVEN, EVEN),
    "beta2": ("1 - beta2, log scale", RATIOS, 1 - RATIOS),
    "alpha": ("1 - alpha, log scale", RATIOS, 1 - RATIOS),
    "rho": ("1 - rho, log scale", RATIOS, 1 - RATIOS),
    "eps": ("eps, log scale", RATIOS, RATIOS),
    "weight_decay": ("weight decay, log scale", RATIOS, RATIOS),
}
LRS = torch.logspace(-4.5, 0.5, 51, dtype=torch.float64)
RING: dict[str, Any] = {  # around a cell, which stays in sight
    "marker": "o",
    "markersize": 17,
    "markerfacecolor": "none",
    "markeredgecolor": "white",
    "markeredgewidth": 2,
    "path_effects": [withStroke(linewidth=4, foreground="black")],
}


def sensitivity(optimizer: Callable[..., Any] = SGD, *, steps: int = 100) -> Experiment:
    """How much the learning rate and a second option matter: the loss after some steps, for each pair of them.

    Args:
        optimizer: a class of edu_optim or your own, or a rule; it must take ``lr``.
        steps: how many at the start; a control moves it.

    Errors: ValueError if ``optimizer`` takes no second option from ``AGAINST``.

    >>> print(sensitivity(steps=200).text)
    best: learning rate 0.00251, momentum 0.94
    its loss above the minimum: 3.86e-05
    diverged: 56.5 % of the settings
    """
    takes = inspect.signature(as_class(optimizer)).parameters
    takes = {*takes, "beta1", "beta2"} if "betas" in takes else takes
    options = [name for name in AGAINST if name in takes]
    if not options:
        raise ValueError(f"optimizer must take one of {', '.join(AGAINST)}, got {as_class(optimizer).__name__}")
    return Experiment(
        _sensitivity,
        _surface_and_options,
        height=4.4,
        surface=choice("surface", *sorted(EXACT, key=lambda name: name != problems.rosenbrock.name)),
        against=choice("against", *options),
        steps=slider("steps", "", steps, 1, 300),
        optimizer=optimizer,
    )


def _surface_and_options(ax: Axes, surface: str, against: str) -> None:
    ax.set(xlabel="learning rate, log scale", ylabel=AGAINST[against][0], title=surface[0].upper() + surface[1:])


def _sensitivity(ax: Axes, *, surface: str, against: str, steps: int, optimizer: Callable[..., Any]) -> dict[str, Any]:
    """The loss that each pair of settings ends at: dark is low, hatched has diverged, the ring holds the lowest."""
    problem, cls = EXACT[surface], as_class(optimizer)
    _, y, values = AGAINST[against]
    found = sweep(problem, cls, steps, **_options(cls, {"lr": LRS, against: values}))
    lowest, first = problem(torch.tensor([problem.minima[0], problem.start], dtype=torch.float64)).tolist()
    lost = ~(found.losses <= 1000 * max(1, first))
    losses = (found.losses - lowest).clamp(min=0).where(~lost, math.inf)
    heat(ax, LRS, y, losses, f"loss above the minimum after {steps} steps")
    if lost.all():
        return {"diverged": "all settings"}
    i, j = divmod(int(losses.argmin()), len(values))
    ax.plot(LRS[i], y[j], label="_best", **RING)
    best = f"learning rate {number(LRS[i])}, {against} {number(values[j])}"
    return {"best": best, "its loss above the minimum": losses[i, j], "diverged": f"{share(lost)} of the settings"}


def rates(optimizer: Callable[..., Any] = SGD, *, steps: int = 100) -> Experiment:
    """The rate of momentum on a bowl, measured in a run for each learning rate and momentum, beside the formula.

    The rate is what a step leaves of the distance. It is measured by comparing the second half of a run with the
    first: the root of the mean square distance, so that a swing through the minimum does not count as arrival. The
    formula is the larger root of z² - (1 + β - ηλ) z + β = 0. Where its two roots are equal the distance shrinks like
    t times their t-th power, and where the ball swings slowly a half holds but a piece of a swing: there the
    measurement is off, the less the more steps are taken.

    Args:
        optimizer: a class of edu_optim or your own, or a rule; it must take ``lr`` and ``momentum``.
        steps: how many at the start; a control moves it.

    Errors: ValueError if ``optimizer`` does not take them.

    >>> print(rates().text)
    largest difference: 0.0382
    where: learning rate x curvature 2.56, momentum 0.36
    mean difference: 0.00144
    smallest rate measured in the cut: 0.592
    square root of its momentum: 0.6
    """
    takes = inspect.signature(as_class(optimizer)).parameters
    if not {"lr", "momentum"} <= takes.keys():
        raise ValueError(f"optimizer must take lr and momentum, got {as_class(optimizer).__name__}")
    return Experiment(
        _rates,
        _rates_and_cut,
        columns=2,
        height=3.9,
        steps=slider("steps", "", steps, 20, 200),
        momentum=slider("cut at momentum", "", 0.36, 0.0, 0.98, 0.02),
        optimizer=optimizer,
    )


def _rates_and_cut(axes: list[Axes]) -> None:
    axes[0].set(xlabel="learning rate x curvature", ylabel="momentum", title="Colors: measured. Lines: formula")
    axes[1].set(xlabel="learning rate x curvature", ylabel="rate", title="At the momentum of the red line")
    axes[1].set(xlim=(0, 4), ylim=(0, 1.5))
    axes[1].axhline(1, color="0.8", linewidth=1, label="_stands still")


CURVED = torch.linspace(0.08, 4, 50, dtype=torch.float64)  # learning rate x curvature, up to where all diverge


def _rates(axes: list[Axes], *, steps: int, momentum: float, optimizer: Callable[..., Any]) -> dict[str, Any]:
    """What a step leaves of the distance: colors and dots are measured, lines are the formula."""
    measured, formula = _measured_rates(optimizer, steps), larger_root(1 + EVEN - CURVED[:, None], EVEN)
    heat(axes[0], CURVED, EVEN, measured.where(measured <= 1, math.inf), "rate, measured", "linear")
    levels = [0.4, 0.6, 0.8, 0.9, 1]
    axes[0].contour(CURVED, EVEN, formula.T, levels=levels, colors="white", linewidths=1)
    for level in levels[:-1]:  # its line is level where both roots have that size
        axes[0].text(1 + level**2, level**2, level, color="white", ha="center", va="bottom")
    axes[0].axhline(momentum, color=RED, linestyle="--", linewidth=1.5, label="_cut")
    cut = int((EVEN - momentum).abs().argmin())
    axes[1].plot(CURVED, formula[:, cut], color=BLUE, label="formula")
    axes[1].plot(CURVED, measured[:, cut], ".", color=BLACK, label="measured")
    axes[1].legend(loc="upper left")
    apart = (measured - formula).abs()
    i, j = divmod(int(apart.argmax()), len(EVEN))
    return {
        "largest difference": apart[i, j],
        "where": f"learning rate x curvature {number(CURVED[i])}, momentum {number(EVEN[j])}",
        "mean difference": apart.mean(),
        "smallest rate measured in the cut": measured[:, cut].min(),
        "square root of its momentum": EVEN[cut] ** 0.5,
    }


@functools.lru_cache(maxsize=8)
def _measured_rates(optimizer: Callable[..., Any], steps: int) -> Tensor:
    """The rate of one ball for each learning rate and momentum, on a parabola of curvature 1, from 1."""
    start = torch.ones(len(CURVED), len(EVEN), dtype=torch.float64)
    run = descend(lambda p: p**2 / 2, as_class(optimizer), steps, start, lr=CURVED[:, None], momentum=EVEN)
    half = steps // 2
    squares = (run.points**2)[-2 * half :]
    before, after = squares[:half].sum(0), squares[half:].sum(0)
    return (after / before.clamp(min=1e-300)) ** (1 / (2 * half))


def larger_root(total: Tensor, product: Tensor | float) -> Tensor:
    """The larger modulus of the roots of z² - total z + product: the rate, on a bowl, of a rule with one buffer.

    >>> larger_root(torch.tensor(3.0), 2.0).item()
    2.0
    """
    total = total.to(torch.complex128)
    gap = (total**2 - 4 * product).sqrt()
    return torch.maximum((total + gap).abs(), (total - gap).abs()) / 2
