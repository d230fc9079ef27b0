"""A path in plain numbers, without tensors: a rule is plain arithmetic, and the plane has two coordinates."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..signature import signature

Point = NDArray[numpy.float64]


def path_in_numbers(
    optimizer: Callable[..., Any],
    options: Mapping[str, Any],
    start: Sequence[float],
    gradient: Callable[[Point], Any],
    steps: int,
    rates: Sequence[float] | None = None,
) -> Tensor | None:
    """Where a rule of this course, or one made a class by `from_rule`, goes from ``start``, ``[steps + 1, n]``.

    Each step calls the rule itself, on arrays of n numbers, which takes a few microseconds where a tensor takes a
    hundred. None where that cannot be: a class of torch or of the reader's, or a rule that asks for tensors.

    Args:
        optimizer, options: the class, and what it is called with besides its parameter.
        start: n numbers.
        gradient: a point of n numbers -> n numbers.
        steps: how many steps to take.
        rates: the learning rate of each, where it is not that of the options.

    >>> from edu_optim import SGD
    >>> path_in_numbers(SGD, {"lr": 0.5}, [4.0], lambda p: p, steps=2)
    tensor([[4.],
            [2.],
            [1.]], dtype=torch.float64)
    >>> path_in_numbers(torch.optim.SGD, {"lr": 0.5}, [4.0], lambda p: p, steps=2)
    """
    if not isinstance(optimizer, type) or optimizer.__module__.partition(".")[0] != __name__.partition(".")[0]:
        return None
    try:
        with numpy.errstate(all="ignore"):
            return _path(optimizer, options, start, gradient, rates or [None] * steps)
    except Exception:  # tensors come next, and say what is wrong where something is
        return None


def _path(optimizer, options, start, gradient, rates):
    seen, leaf = [], torch.tensor(start, dtype=torch.float64, requires_grad=True)
    runner = optimizer([leaf], **options)
    runner.run = lambda *given: seen.append(given)
    leaf.grad = torch.zeros_like(leaf)
    runner.step()
    (rule, columns, names), (group,) = seen[0], runner.param_groups
    letters = len(signature(rule).buffers)
    state = [numpy.array(start, dtype=float), *(column[0].numpy() for column in columns[2:])]
    path = [state[0].copy()]  # a rule may write to what it is given
    for t, rate in enumerate(rates, 1):
        if rate is not None:
            group["lr"] = rate
        hyper = runner.hyper(group, float(t))
        results = rule(state[0], numpy.array(gradient(state[0])), *state[1:], **{name: hyper[name] for name in names})
        if not isinstance(results, tuple) or len(results) != 1 + letters:
            return None
        state = [numpy.array(result) for result in results]
        path.append(state[0].copy())
    return torch.from_numpy(numpy.stack(path))
