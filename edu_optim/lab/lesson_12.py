"""The experiment of lesson 12: what a step of Adam costs, counted or timed; and a count of page faults."""

import importlib.util
import time
from collections.abc import Callable
from typing import Any

import torch
from matplotlib.axes import Axes

from ..optimizers import Adam
from ..plot import BLUE
from ..trace import MakeOptimizer
from .controls import rate, switch
from .experiment import Experiment

WAYS: dict[str, tuple[MakeOptimizer, dict[str, Any]]] = {
    "torch's loop": (torch.optim.Adam, {"foreach": False}),
    "lists": (Adam, {"run": "multi_tensor"}),
    "compiled": (Adam, {"run": "compiled"}),
}
IN_THE_LOOP = 28  # bytes a weight: p, g, m and v read, p, m and v written, four bytes each


def play(bytes_over_lists: Callable[[int], float]) -> Experiment:
    """Bytes that a step of Adam moves or, if the box is ticked, the time that it takes here and now.

    Args:
        bytes_over_lists: your count for a number of weights, in float32, where the rule runs over lists.

    >>> print(play(lambda weights: 152 * weights).text)
    lists, bytes a step: 1.52e+07
    compiled, bytes a step: 2.8e+06
    """
    return Experiment(
        _clock,
        height=2.4,
        weights=rate("weights", "thousands", 100, 1, 1000),
        measure=switch("take the time, here and now"),
        bytes_over_lists=bytes_over_lists,
    )


def page_faults(work: Callable[[], Any]) -> int | None:
    """How often the system had to map a page of memory while ``work`` ran; None where it does not count, as on Windows.

    >>> (page_faults(lambda: torch.ones(4_000_000)) or 1000) > 100
    True
    """
    if importlib.util.find_spec("resource") is None:
        return None
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    work()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def _clock(ax: Axes, *, weights: float, measure: bool, bytes_over_lists: Callable[[int], float]) -> dict[str, float]:
    """What a step of Adam takes, in bytes that it moves or in microseconds."""
    whole = int(1000 * weights)
    if measure:
        costs, unit = {name: 1e6 * _seconds(*way, whole) for name, way in WAYS.items()}, "microseconds a step"
    else:
        costs, unit = {"lists": bytes_over_lists(whole), "compiled": IN_THE_LOOP * whole}, "bytes a step"
    ax.barh(list(costs), list(costs.values()), color=BLUE)
    ax.set(xlabel=unit, title=f"Adam, {whole:,} weights")
    return {f"{name}, {unit}": cost for name, cost in costs.items()}


def _seconds(make: MakeOptimizer, options: dict[str, Any], weights: int, rounds: int = 7) -> float:
    """The median time of a step."""
    p = torch.ones(weights, requires_grad=True)
    p.grad = torch.ones(weights)
    optimizer, times = make([p], lr=1e-3, **options), []
    for _ in range(rounds):
        start = time.perf_counter()
        optimizer.step()
        times.append(time.perf_counter() - start)
    return sorted(times)[rounds // 2]
