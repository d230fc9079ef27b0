"""Every optimizer on every surface: the playground."""

import difflib
import functools
from collections.abc import Callable
from typing import Any

import torch
from matplotlib.axes import Axes

from ..optimizers import SGD, Adadelta, Adagrad, Adam, AdamW, RMSprop
from ..plot import contour, look
from ..trace import Trace, race
from .comparison import OVERLAY, as_class, overlay, rivals
from .controls import Player, Several, choice, rate, slider
from .experiment import Experiment
from .surfaces import SURFACES
from .words import number, pair

FAMILY = {  # name: class, its options, and those that the controls set
    "SGD": (SGD, {}, ["lr"]),
    "momentum": (SGD, {}, ["lr", "momentum"]),
    "Nesterov": (SGD, {"nesterov": True}, ["lr", "momentum"]),
    "Adagrad": (Adagrad, {}, ["lr"]),
    "RMSprop": (RMSprop, {}, ["lr"]),
    "Adadelta": (Adadelta, {}, ["lr"]),
    "Adam": (Adam, {}, ["lr", "betas"]),
    "AdamW": (AdamW, {}, ["lr", "betas"]),
    "AMSGrad": (Adam, {"amsgrad": True}, ["lr", "betas"]),
}


def playground(optimizer: Callable[..., Any] | None = None, like: str | None = None) -> Experiment:
    """Every optimizer on every surface.

    Args:
        optimizer: your class or rule, drawn over ours and torch's of the same kind, which then needs no box to tick.
        like: the name of that kind, one of ``FAMILY``; not needed where yours has it in its own name.

    Errors: ValueError if ``like`` is no such name, is needed, or is given without an optimizer.

    >>> ground = playground()
    >>> ground.controls["step"].value = 0
    >>> print(ground.text)
    SGD: at (-0.5, -1), loss 180
    momentum: at (-0.5, -1), loss 180
    Adam: at (-0.5, -1), loss 180
    """
    like = _kind(optimizer, like)
    others = [name for name in FAMILY if name != like]
    return Experiment(
        descents,
        surface_from_above,
        height=4.4,
        surface=choice("surface", *SURFACES),
        names=Several("optimizers", [name for name in ("SGD", "momentum", "Adam") if name != like], others),
        lr=rate("learning rate", "", 0.01, 1e-4, 10),
        momentum=slider("momentum", "kept", 0.9, 0.01, 0.99, 0.01),
        beta1=slider("beta1", "kept", 0.9, 0.0, 0.99, 0.01),
        beta2=slider("beta2", "kept", 0.999, 0.9, 0.999, 0.001),
        x=slider("start", "% from the left", 45, 0, 100),
        y=slider("start", "% from below", 40, 0, 100),
        step=Player("steps", "of 500", 100, 0, 500, pace=2),
        optimizer=optimizer,
        like=like,
    )


def _kind(optimizer: Callable[..., Any] | None, like: str | None) -> str | None:
    """The name in `FAMILY` of what a reader's optimizer is to be compared with."""
    if optimizer is None:
        if like is not None:
            raise ValueError(f"like must be None where there is no optimizer to compare, got {like!r}")
        return None
    own = as_class(optimizer).__name__.lower()
    named = [name for name in FAMILY if name.lower() in own] + ["SGD"] * (own == "gradient_descent")
    like = like or max(named, key=len, default=None)
    known = {name.lower(): name for name in FAMILY}
    if not isinstance(like, str) or like.lower() not in known:
        close = difflib.get_close_matches(str(like).lower(), known, 1)
        meant = f"; did you mean {known[close[0]]!r}?" if close else ""
        raise ValueError(f"like must be one of {', '.join(FAMILY)}, got {like!r} for {own}{meant}")
    return known[like.lower()]


def surface_from_above(ax: Axes, surface: str) -> None:
    """The level lines of a surface, and its name above them.

    >>> from edu_optim.plot import figure
    >>> fig, ax = figure()
    >>> surface_from_above(ax, "Booth's function")
    >>> ax.get_title()
    "Booth's function"
    """
    contour(ax, SURFACES[surface])


def descents(
    ax: Axes,
    *,
    surface: str,
    names: tuple[str, ...],
    lr: float,
    momentum: float,
    beta1: float,
    beta2: float,
    x: float,
    y: float,
    step: int,
    optimizer: Callable[..., Any] | None = None,
    like: str | None = None,
) -> dict[str, str]:
    """The paths of the chosen optimizers over the level lines of a surface.

    ``x`` and ``y``, in percent of the window, say where they start. Returns where each path ends, its loss and
    whether it diverged.

    >>> from edu_optim.plot import figure
    >>> settings = {"lr": 0.01, "momentum": 0.9, "beta1": 0.9, "beta2": 0.999, "x": 20, "y": 50}
    >>> descents(figure()[1], surface="Booth's function", names=("SGD",), step=60, **settings)
    {'SGD': 'at (0.464, 3.54), loss 0.574'}
    """
    settings = {"lr": lr, "momentum": momentum, "betas": (beta1, beta2)}
    blocks = 100 * max(1, -(-step // 100))  # a path is followed in hundreds, so that playing it follows it once
    traces = _followed(surface, names, optimizer, like, tuple(settings.items()), x, y, blocks)
    lines = {trace.name: trace.points[: step + 1] for trace in traces}
    compared = {name: lines.pop(name) for name in OVERLAY if name in lines}
    found = overlay(ax, compared) if compared else {}
    for name, points in lines.items():
        ax.plot(*points.T, label=name, markevery=10, markersize=5, **look(name))
        ax.plot(*points[-1], markersize=9, label=f"_{name}", **look(name))
    if lines or compared:
        ax.legend()
    return {trace.name: _ending(trace, step) for trace in traces} | found


@functools.lru_cache(maxsize=8)
def _followed(
    surface: str,
    names: tuple[str, ...],
    optimizer: Callable[..., Any] | None,
    like: str | None,
    settings: tuple[tuple[str, Any], ...],
    x: float,
    y: float,
    steps: int,
) -> list[Trace]:
    problem, chosen = SURFACES[surface], dict(settings)
    entrants = {}
    for name in (*names, like) if like else names:
        cls, fixed, taken = FAMILY[name]
        options = fixed | {option: chosen[option] for option in taken}
        entrants |= rivals(cls, optimizer, **options) if name == like else {name: (cls, options)}
    (x0, x1), (y0, y1) = problem.window
    start = torch.tensor([x0 + (x1 - x0) * x / 100, y0 + (y1 - y0) * y / 100], dtype=torch.float64)
    return race(problem, entrants, steps, start) if entrants else []


def _ending(trace: Trace, step: int) -> str:
    lost = ~(trace.losses[: step + 1] <= 1000 * max(1, trace.losses[0].item()))
    if lost.any():
        return f"diverged, past 1000 times its first loss at step {int(lost.int().argmax())}"
    return f"at {pair(trace.points[step])}, loss {number(trace.losses[step])}"
