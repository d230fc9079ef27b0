"""Your optimizer beside ours and torch's."""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from matplotlib.axes import Axes
from torch import Tensor
from torch.optim import Optimizer

from ..base import from_rule
from ..plot import BLACK, ORANGE, RED, SKY
from ..trace import MakeOptimizer
from ..trace.numbers import path_in_numbers
from .words import APART, SAME, instead


def as_class(optimizer: Callable[..., Any]) -> MakeOptimizer:
    """A class as it is, and the class that `edu_optim.from_rule` makes of a rule.

    Errors: TypeError if it is neither.

    >>> from edu_optim.rules import adam
    >>> as_class(adam).__name__, as_class(torch.optim.Adam).__name__
    ('adam', 'Adam')
    """
    if not callable(optimizer):
        raise TypeError(f"optimizer must be a class or a rule, such as edu_optim.Adam or rules.adam, got {optimizer!r}")
    return from_rule(optimizer) if inspect.isfunction(optimizer) else optimizer


def rivals(
    ours: type[Optimizer], mine: Callable[..., Any] | None = None, **options: Any
) -> dict[str, tuple[MakeOptimizer, dict[str, Any]]]:
    """Entrants of a `edu_optim.trace.race`: your optimizer beside ours and torch's of the same name.

    Args:
        ours: a class of `edu_optim`.
        mine: your class, or your rule, made a class by `edu_optim.from_rule`; ours runs alone if None.
        options: of ours and torch's; yours is given those that it takes.

    >>> from edu_optim import SGD
    >>> from edu_optim.rules import gradient_descent
    >>> list(rivals(SGD, gradient_descent, lr=0.1))
    ['torch', 'ours', 'yours']
    """
    if mine is None:
        return {ours.__name__: (ours, options)}
    cls = as_class(mine)
    parameters = inspect.signature(cls).parameters
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    taken = {name: value for name, value in options.items() if takes_all or name in parameters}
    return {"torch": (getattr(torch.optim, ours.__name__), options), "ours": (ours, options), "yours": (cls, taken)}


def steps_along(gradients: Iterable[float], optimizer: MakeOptimizer, **options: Any) -> Tensor:
    """What each step takes off one parameter that meets these gradients, ``[n + 1, 2]``, as `against_step` has it.

    At step 0 there is none yet.

    >>> from edu_optim import SGD
    >>> steps_along([1.0, -3.0], SGD, lr=0.5)[1:]
    tensor([[ 1.0000,  0.5000],
            [ 2.0000, -1.5000]], dtype=torch.float64)
    """
    gradients = list(gradients)
    met = iter(gradients)
    path = path_in_numbers(optimizer, options, [0.0], lambda point: [next(met)], len(gradients))
    if path is not None:
        return against_step(torch.cat([torch.tensor([math.nan]), -path.diff(dim=0)[:, 0]]))
    p = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    runner, lengths = optimizer([p], **options), [math.nan]
    for gradient in gradients:
        before, p.grad = p.item(), torch.full_like(p, gradient)
        runner.step()
        lengths.append(before - p.item())
    return against_step(torch.tensor(lengths, dtype=torch.float64))


def against_step(values: Tensor) -> Tensor:
    """Points ``[n, 2]`` for `overlay`: the number of each step, from 0, and its value.

    >>> against_step(torch.tensor([5.0, 6.0]))
    tensor([[0., 5.],
            [1., 6.]])
    """
    return torch.stack([torch.arange(len(values)), values], -1)


OVERLAY = {
    "torch": {"color": SKY, "linewidth": 7, "alpha": 0.6, "solid_capstyle": "round"},
    "ours": {"color": ORANGE, "linewidth": 3.5},
    "yours": {"color": BLACK, "linewidth": 1.2, "marker": ".", "markersize": 5},
}


def overlay(ax: Axes, lines: Mapping[str, Tensor], sure: int | None = None) -> dict[str, str]:
    """Draw lines over each other so that all can be seen, and mark where yours first leaves torch's.

    Args:
        lines: name -> points ``[n, 2]``, or ``[n, many, 2]``, whose mean is drawn and each of which is compared; the
            names are those of `rivals`.
        sure: how many points are compared, where rounding decides the rest; all if None.

    Returns what it found, in words: an empty dict where there is nothing to compare.

    >>> from edu_optim.plot import figure
    >>> straight, bent = torch.tensor([[0.0, 0.0], [1.0, 1.0]]), torch.tensor([[0.0, 0.0], [1.0, 2.0]])
    >>> overlay(figure()[1], {"torch": straight, "ours": straight, "yours": bent})
    {'yours leaves torch at': 'step 1, (1, 2) instead of (1, 1)'}
    """
    for name, points in lines.items():
        mean = points if points.dim() == 2 else points.mean(1)
        ax.plot(*mean.T, label=name, **OVERLAY.get(name, OVERLAY["yours"]))
    if "yours" not in lines:
        return {}
    if ax.get_legend() is None:
        ax.legend(loc="upper right")
    yours, torchs = lines["yours"][:sure], lines["torch"][:sure]
    apart = ~torch.isclose(yours, torchs, rtol=1e-6, atol=1e-9, equal_nan=True).all(-1)
    if not apart.any():
        steps = f"all {len(yours) - 1} steps" if sure is None else f"{len(yours) - 1} steps, then rounding decides"
        return {SAME: f"the same in {steps}"}
    step = int(apart.reshape(len(apart), -1).any(1).int().argmax())
    point, expected = (points[step][apart[step]][0] for points in (yours, torchs))  # the first that parts in this step
    ax.plot(*point, marker="X", markersize=12, color=RED, linestyle="none", label="_mismatch", zorder=10)
    return {APART: f"step {step}, {instead(point, expected)}"}
