"""Thousands of descents at once, from many starts and with many settings."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from tqdm import tqdm

from ..problems import Loss, Pair
from .axes import axes_among, replaced
from .paths import MakeOptimizer, check_steps, one_by_one, start_leaf

HELD = 40  # tensors as large as the points that are alive at once in a `sweep`; AMSGrad with five axes held 24 to 39


@dataclass(frozen=True)
class Sweep:
    """Where thousands of descents have ended.

    Args:
        name: of the optimizer, for legends.
        axes: name of an option -> its values, a tensor of one dimension; in the order in which they were given.
        points: ``[*grid, 2]``, where each descent ends. The grid is the leading dimensions of the start, then one
            dimension for each of ``axes``.
        losses: ``[*grid]``, the exact loss there.
        minimum: ``[*grid]``, which of the problem's minima it has arrived at; -1 if at none.
        arrival: ``[*grid]``, the step with which it last came close to that minimum: after that step and each later
            one it is close; 0 if it was from the start, -1 if it is at none.

    >>> from edu_optim import SGD, problems
    >>> found = sweep(problems.booth, SGD, steps=30, lr=torch.tensor([0.01, 0.1, 1.0]))
    >>> found.axes["lr"], found.points.shape
    (tensor([0.0100, 0.1000, 1.0000]), torch.Size([3, 2]))
    """

    name: str
    axes: dict[str, Tensor]
    points: Tensor
    losses: Tensor
    minimum: Tensor
    arrival: Tensor


def sweep(
    problem: Loss,
    optimizer: MakeOptimizer,
    steps: int = 100,
    start: Tensor | None = None,
    *,
    close: float = 0.1,
    memory: float = 2**28,
    seed: int = 0,
    **options: Any,
) -> Sweep:
    """Run thousands of descents at once, one from each start with each setting, and keep where each ends: a `Sweep`.

    Args:
        problem, steps: as in `descend`.
        optimizer: an elementwise one, like all of this course, called as ``optimizer([points], **options)``.
        start: a tensor ``[..., 2]``; the problem's own, in float64, if None. Each start is one place of the grid.
        close: the distance from a minimum within which a descent has arrived at it, in the units of the points.
        memory: bytes that may be in use at once, beside the result; the descents are run in groups that fit.
        seed: of the noise, where the problem has some. Each descent then meets noise of its own.
        options: of the optimizer. One that is a tensor ``[n]`` is an axis of the grid with n settings, and so is each
            tensor in ``betas``: its axes are called beta1 and beta2.

    A descent that diverges ends at infinity or at no number; the others do not feel it. Work that takes longer than
    five seconds shows how far it is.

    Errors: ValueError if ``steps`` is negative, ``close`` is not positive, an axis is empty or not of one dimension,
    ``memory`` is too small for one descent, or ``start`` is empty, or missing and the problem has none.

    >>> from edu_optim import SGD, problems
    >>> found = sweep(problems.booth, SGD, steps=30, lr=torch.tensor([0.01, 0.1, 1.0]))
    >>> found.minimum, found.arrival
    (tensor([ 0,  0, -1]), tensor([22, 20, -1]))
    """
    check_steps(steps)
    if not close > 0:
        raise ValueError(f"close must be a distance > 0, got {close!r}")
    start = start_leaf(problem, start).detach()
    if start.shape[-1:] != (2,) or not start.numel():
        raise ValueError(f"start must hold points, shape [..., 2], and one or more, got shape {tuple(start.shape)}")
    axes = axes_among(options)
    shape = [start[..., 0].numel(), *map(len, axes.values())]
    groups = torch.arange(math.prod(shape), device=start.device).split(_at_once(memory, start, axes))
    ends, bar = [], None
    for group in groups:
        place, *places = torch.unravel_index(group, shape)
        points = start.reshape(-1, 2)[place].requires_grad_()
        chosen = zip(axes.items(), places, strict=True)
        settings = {name: axis.to(start.device)[at, None] for (name, axis), at in chosen}
        runner = optimizer([points], **replaced(options, settings))
        if bar is None:  # only now: it takes torch seconds to make its first optimizer
            bar = _bar(steps * len(groups))
        ends.append(_run(problem, points, runner, steps, close, seed + len(ends), bar))
    if bar is not None:
        bar.close()
    grid = start.shape[:-1] + tuple(shape[1:])
    ends = [torch.cat(column).reshape(grid + column[0].shape[1:]) for column in zip(*ends, strict=True)]
    return Sweep(getattr(optimizer, "__name__", "optimizer"), axes, *ends)


def _run(
    problem: Loss, points: Tensor, runner: Optimizer, steps: int, close: float, seed: int, bar: tqdm
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The fields of a `Sweep` for descents that run together."""
    advance = one_by_one(problem, [(points, runner)], seed)
    minima = getattr(problem, "minima", ())
    minimum = _close_to(points, minima, close)
    arrival = torch.zeros_like(minimum)
    for step in range(1, steps + 1):
        advance()
        now = _close_to(points, minima, close)
        arrival.masked_fill_(now != minimum, step)
        minimum = now
        bar.update()
    points = points.detach()
    with torch.no_grad():
        return points, problem(points), minimum, arrival.where(minimum >= 0, -1)


def _close_to(points: Tensor, minima: Sequence[Pair], close: float) -> Tensor:
    """Which of ``minima`` each of the points is close to; -1 if to none."""
    x, y = points.detach().unbind(-1)
    minimum = torch.full_like(x, -1, dtype=torch.int64)
    for index, (at_x, at_y) in enumerate(minima):
        minimum.masked_fill_((x - at_x) ** 2 + (y - at_y) ** 2 <= close**2, index)
    return minimum


def _at_once(memory: float, start: Tensor, axes: Mapping[str, Tensor]) -> int:
    """How many descents may run together."""
    wide = max([start.element_size(), *(axis.element_size() for axis in axes.values())])
    if memory < HELD * 2 * wide:
        raise ValueError(f"memory must hold at least one descent, {HELD * 2 * wide} bytes, got {memory!r}")
    return int(memory // (HELD * 2 * wide))


def _bar(steps: int) -> tqdm:
    return tqdm(total=steps, unit="step", delay=5, leave=False)
