"""Follow any `torch.optim.Optimizer` over a problem, step by step."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy
import torch
from torch import Tensor
from torch.optim import Optimizer

from ..problems import Loss, Slope
from .numbers import path_in_numbers

MakeOptimizer = Callable[..., Optimizer]  # a class, called with parameters and options
Entrants = Mapping[str, tuple[MakeOptimizer, Mapping[str, Any]]]  # name -> (optimizer, its options)


@dataclass(frozen=True)
class Trace:
    """What a descent left behind.

    Args:
        name: of the optimizer, for legends.
        points: ``[steps + 1, ..., 2]``, the start first.
        losses: ``[steps + 1, ...]``, the exact loss at each point.
        state: key of the optimizer's state -> ``[steps, ...]``, its tensors as they were after each
            step; empty unless asked for.

    >>> from edu_optim import Adam, problems
    >>> trace = descend(problems.beale, Adam, steps=5, lr=0.1, keep_state=True)
    >>> trace.name, trace.points.shape, trace.losses.shape, trace.state["exp_avg"].shape
    ('Adam', torch.Size([6, 2]), torch.Size([6]), torch.Size([5, 2]))
    """

    name: str
    points: Tensor
    losses: Tensor
    state: dict[str, Tensor] = field(default_factory=dict)


def descend(
    problem: Loss,
    optimizer: MakeOptimizer,
    steps: int = 100,
    start: Tensor | None = None,
    *,
    name: str | None = None,
    seed: int = 0,
    keep_state: bool = False,
    **options: Any,
) -> Trace:
    """Run ``optimizer`` on ``problem`` and return its `Trace`.

    Args:
        problem: one of `edu_optim.problems`, or any function of points ``[..., 2]`` that returns losses ``[...]``.
        optimizer: a class of torch.optim, of edu_optim or your own; called as ``optimizer([point], **options)``.
        steps: how many steps to take.
        start: a tensor ``[..., 2]``; the problem's own start, in float64, if None. The optimizers of this course
            are elementwise, so a batch of starts is a batch of independent descents.
        name: for legends; the optimizer's own if None.
        seed: of the noise, where the problem has some.
        keep_state: also keep what the optimizer had in ``state`` after each step.

    Errors: ValueError if ``steps`` is negative, or if ``start`` is missing and the problem has none; TypeError if
    ``problem`` or ``optimizer`` cannot be called.

    >>> from edu_optim import SGD, problems
    >>> trace = descend(problems.quadratic(condition=10), SGD, steps=2, start=torch.tensor([1.0, 1.0]), lr=0.1)
    >>> trace.points
    tensor([[1.0000, 1.0000],
            [0.9000, 0.0000],
            [0.8100, 0.0000]])
    """
    entrants = {name or getattr(optimizer, "__name__", "optimizer"): (optimizer, options)}
    return race(problem, entrants, steps, start, seed=seed, keep_state=keep_state)[0]


def race(
    problem: Loss,
    entrants: Entrants,
    steps: int = 100,
    start: Tensor | None = None,
    *,
    seed: int = 0,
    keep_state: bool = False,
) -> list[Trace]:
    """Run several optimizers over ``problem`` from the same start, and return the `Trace` of each.

    On a surface that has its slope as a formula the rules of this course run on plain numbers, as `path_in_numbers`
    does; classes of torch and of yours run on tensors. Where there is noise, each meets the same.

    Args:
        entrants: name -> (optimizer, its options).
        problem, steps, start, seed, keep_state: as in `descend`.

    Errors: as in `descend`.

    >>> from edu_optim import SGD, Adam, problems
    >>> for trace in race(problems.booth, {"SGD": (SGD, {"lr": 0.01}), "Adam": (Adam, {"lr": 0.1})}, steps=50):
    ...     print(f"{trace.name}: {trace.losses[-1]:.2f}")
    SGD: 0.00
    Adam: 14.62
    """
    check_steps(steps)
    _check_callable("problem", problem, "one of edu_optim.problems, such as problems.booth, or a function of points")
    for make, _ in entrants.values():
        _check_callable("optimizer", make, "a class, such as edu_optim.Adam, or what from_rule makes of a rule")
    quick = {} if keep_state else _in_numbers(problem, entrants, steps, start)
    rest = [name for name in entrants if name not in quick]
    leaves = [start_leaf(problem, start) for _ in rest]
    optimizers = [entrants[name][0]([leaf], **entrants[name][1]) for name, leaf in zip(rest, leaves, strict=True)]
    advance = _advance(problem, list(zip(leaves, optimizers, strict=True)), seed)
    points, states = [[leaf.detach().clone() for leaf in leaves]], []
    for _ in range(steps if rest else 0):
        advance()
        points.append([leaf.detach().clone() for leaf in leaves])
        if keep_state:
            states.append([_tensors(optimizer.state[leaf]) for leaf, optimizer in zip(leaves, optimizers, strict=True)])
    paths = quick | {name: torch.stack([row[index] for row in points]) for index, name in enumerate(rest)}
    kept = {name: _stacked([row[index] for row in states]) for index, name in enumerate(rest)}
    with torch.no_grad():
        return [Trace(name, paths[name], problem(paths[name]), kept.get(name, {})) for name in entrants]


def _in_numbers(problem: Loss, entrants: Entrants, steps: int, start: Tensor | None) -> dict[str, Tensor]:
    """The paths of those entrants that need no tensors, where there is one start and the slope has a formula."""
    slope: Slope | None = getattr(problem, "slope", None)
    leaf = start_leaf(problem, start)
    if not slope or not _is_one_point(leaf):
        return {}

    def gradient(point: Any) -> Any:
        return slope(*point)

    paths = {
        name: path_in_numbers(make, options, leaf.tolist(), gradient, steps)
        for name, (make, options) in entrants.items()
    }
    return {name: path for name, path in paths.items() if path is not None}


def _is_one_point(leaf: Tensor) -> bool:
    return leaf.shape == (2,) and leaf.dtype == torch.float64 and leaf.is_cpu


def _advance(problem: Loss, pairs: list[tuple[Tensor, Optimizer]], seed: int) -> Callable[[], None]:
    """A function that takes one step with each optimizer, in the quickest way that gives the same."""
    noisy, slope = getattr(problem, "noisy", None), getattr(problem, "slope", None)
    if noisy or any(_needs_closure(optimizer) for _, optimizer in pairs):
        return one_by_one(problem, pairs, seed)
    if slope and all(_is_one_point(leaf) for leaf, _ in pairs):
        return _by_slope(slope, pairs)
    return _all_at_once(problem, pairs) if len(pairs) > 1 else one_by_one(problem, pairs, seed)


def _by_slope(slope: Slope, pairs: list[tuple[Tensor, Optimizer]]) -> Callable[[], None]:
    def advance() -> None:
        for leaf, optimizer in pairs:
            with numpy.errstate(all="ignore"):
                leaf.grad = torch.tensor(slope(*leaf.detach().numpy()), dtype=leaf.dtype)
            optimizer.step()

    return advance


def _all_at_once(problem: Loss, pairs: list[tuple[Tensor, Optimizer]]) -> Callable[[], None]:
    leaves = [leaf for leaf, _ in pairs]

    def advance() -> None:
        points = torch.stack([leaf.detach() for leaf in leaves]).requires_grad_()
        (gradients,) = torch.autograd.grad(problem(points).sum(), points)
        for (leaf, optimizer), gradient in zip(pairs, gradients.unbind(), strict=True):
            leaf.grad = gradient
            optimizer.step()

    return advance


def one_by_one(problem: Loss, pairs: Iterable[tuple[Tensor, Optimizer]], seed: int) -> Callable[[], None]:
    """A function that takes one step with each optimizer, at the gradient of its own parameter.

    An optimizer is passed the closure only where it cannot do without.

    Args:
        pairs: a parameter of shape ``[..., 2]`` and the optimizer of it alone.
        seed: of the noise, where the problem has some; each optimizer meets the same.

    >>> from edu_optim import SGD, problems
    >>> point = torch.tensor([2.0, 1.0], dtype=torch.float64, requires_grad=True)
    >>> advance = one_by_one(problems.quadratic(condition=10), [(point, SGD([point], lr=0.1))], seed=0)
    >>> advance()
    >>> print(point.tolist())
    [1.8, 0.0]
    """
    sample = getattr(problem, "sample", lambda points, generator: problem(points))

    def stepper(leaf: Tensor, optimizer: Optimizer) -> Callable[[], Any]:
        generator = torch.Generator(leaf.device).manual_seed(seed)

        def closure() -> Any:  # a tensor; torch says float
            optimizer.zero_grad()
            loss = sample(leaf, generator).sum()
            loss.backward()
            return loss

        return (lambda: optimizer.step(closure)) if _needs_closure(optimizer) else lambda: (closure(), optimizer.step())

    steppers = [stepper(*pair) for pair in pairs]

    def advance() -> None:
        for step in steppers:
            step()

    return advance


def check_steps(steps: int) -> None:
    """Refuse a number of steps that is none.

    Errors: ValueError if it is not a whole number, or negative.

    >>> check_steps(-1)
    Traceback (most recent call last):
    ValueError: steps must be a whole number >= 0, got -1
    """
    if not isinstance(steps, int) or steps < 0:
        raise ValueError(f"steps must be a whole number >= 0, got {steps!r}")


def _check_callable(name: str, value: Any, allowed: str) -> None:
    if not callable(value):
        raise TypeError(f"{name} must be {allowed}, got {value!r}")


def start_leaf(problem: Loss, start: Tensor | None) -> Tensor:
    """A new parameter at ``start``, or at the problem's own start, in float64, if that is None.

    Errors: ValueError if the problem has none either, TypeError if ``start`` is no tensor of a floating dtype.

    >>> from edu_optim import problems
    >>> start_leaf(problems.booth, None)
    tensor([-4., -2.], dtype=torch.float64, requires_grad=True)
    """
    if start is None:
        start = getattr(problem, "start", None)
        if start is None:
            raise ValueError("start must be a tensor of shape [..., 2]: the problem brings none of its own")
        start = torch.tensor(start, dtype=torch.float64)
    if not isinstance(start, torch.Tensor) or not start.is_floating_point():
        raise TypeError(f"start must be a tensor of shape [..., 2] and a floating dtype, got {start!r}")
    return start.detach().clone().requires_grad_()


def _needs_closure(optimizer: Optimizer) -> bool:
    argument = inspect.signature(optimizer.step).parameters.get("closure")
    return argument is not None and argument.default is argument.empty


def _tensors(state: Mapping[str, Any]) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in state.items() if torch.is_tensor(value)}


def _stacked(states: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    if not states:
        return {}
    kept = [key for key in states[0] if all(key in state for state in states)]
    return {key: torch.stack([state[key] for state in states]) for key in kept}
