"""Lesson 08: a small language, and how three optimizers learn its next word."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ..optimizers import SGD, Adam
from ..plot import figure, label_ends, look
from ..trace import MakeOptimizer

TRIED: dict[Any, Tensor] = {
    SGD: 10.0 ** torch.arange(-0.5, 4.5, 0.5, dtype=torch.float64),
    Adam: 10.0 ** torch.arange(-2.5, 2.5, 0.5, dtype=torch.float64),
}
RIVALS: dict[str, tuple[MakeOptimizer, dict[str, Any]]] = {
    "SGD": (SGD, {}),
    "momentum": (SGD, {"momentum": 0.9}),
    "Adam": (Adam, {}),
}


def _language(rarity: float, seed: int) -> tuple[Tensor, Tensor]:
    """The odds of each of 20 words after each of 200, and how often each pair comes, ``[200, 20]``."""
    often = torch.arange(1, 201, dtype=torch.float64) ** -rarity
    drawn = torch.randn(200, 20, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    odds = torch.softmax(2 * drawn, -1)
    return odds, (often / often.sum())[:, None] * odds


def next_word(
    optimizer: MakeOptimizer,
    rarity: float,
    *,
    batch: int | None = None,
    seed: int = 0,
    steps: int = 300,
    falling: bool = False,
    **options: Any,
) -> tuple[float, Tensor]:
    """The best of the ten learning rates in ``TRIED``, and what is left to learn at it, ``[steps + 1]``.

    A table of logits learns which of 20 words comes after each of 200; word k is as frequent as ``k ** -rarity``, and
    what comes after it has odds of its own. What is left is the cross-entropy less the least possible. A step sees
    ``batch`` pairs of words, or all there are, as often as they are, if None. If ``falling``, the rate goes in a
    straight line to zero.

    >>> lr, left = next_word(Adam, 1)
    >>> f"{lr:.1f}: {left[0]:.1f}, {left[300]:.0e}"
    '1.0: 1.3, 1e-06'
    """
    lrs = TRIED[optimizer]
    left = _by_word(optimizer, lrs, rarity, batch, seed, steps, falling, **options).sum(-1)
    best = int(left[-1].nan_to_num(nan=torch.inf).argmin())
    return lrs[best].item(), left[:, best]


def by_word(lr: float, *, seed: int = 0, steps: int = 300) -> Tensor:
    """What momentum leaves to learn of each word as frequent as 1/k, from exact gradients, ``[200]``.

    >>> f"{by_word(32).sum():.0e}"
    '3e-03'
    """
    return _by_word(SGD, torch.tensor([lr], dtype=torch.float64), 1, None, seed, steps, momentum=0.9)[-1, 0]


def at_first(rule: Callable[..., Any]) -> tuple[Tensor, Tensor]:
    """The mean size of the first gradients of each word as frequent as 1/k, and of Adam's steps on them, ``[200]``.

    >>> from edu_optim.rules import adam
    >>> sizes, lengths = at_first(adam)
    >>> f"{sizes[0] / sizes[199]:.0f}, {lengths[0]:.2f}, {lengths[199]:.2f}"
    '193, 1.00, 1.00'
    """
    _, pairs = _language(1, 0)
    gradients = pairs.sum(-1, keepdim=True) / 20 - pairs
    step, *_ = rule(torch.zeros_like(pairs), gradients, 0.0, 0.0, t=1, lr=1.0)
    return gradients.abs().mean(-1), step.abs().mean(-1)


def _by_word(
    optimizer: MakeOptimizer,
    lrs: Tensor,
    rarity: float,
    batch: int | None,
    seed: int,
    steps: int,
    falling: bool = False,
    **options: Any,
) -> Tensor:
    """What is left to learn of each word before each step and after the last, ``[steps + 1, rates, 200]``."""
    (odds, pairs), lrs = _language(rarity, seed), lrs[:, None, None]
    table = torch.zeros(len(lrs), 200, 20, dtype=torch.float64, requires_grad=True)
    runner = optimizer([table], lr=lrs, **options)
    rows = []
    for step, seen in enumerate([*_batches(rarity, batch, seed, steps), pairs]):
        guess = torch.log_softmax(table.detach(), -1)
        rows.append((pairs * (odds.log() - guess)).sum(-1))
        table.grad = seen.sum(-1, keepdim=True) * guess.exp() - seen
        runner.param_groups[0]["lr"] = lrs * (1 - step / steps if falling else 1)
        runner.step()
    return torch.stack(rows)


@functools.lru_cache(maxsize=3)
def _batches(rarity: float, batch: int | None, seed: int, steps: int) -> Tensor:
    """How often each pair is in a batch, as a share, ``[steps, 200, 20]``; all that there are without ``batch``."""
    _, pairs = _language(rarity, seed)
    if batch is None:
        return pairs.expand(steps, -1, -1)
    draw = torch.Generator().manual_seed(seed)
    drawn = (torch.multinomial(pairs.flatten(), batch, replacement=True, generator=draw) for _ in range(steps))
    return torch.stack([each.bincount(minlength=pairs.numel()).reshape(pairs.shape) / batch for each in drawn])


def counted(rarity: float, batch: int, *, seed: int = 0, steps: int = 300) -> float:
    """What is left to learn by counting the pairs in all batches, each from a quarter.

    >>> f"{counted(1, 32):.1f}"
    '0.1'
    """
    odds, pairs = _language(rarity, seed)
    counts = 0.25 + batch * _batches(rarity, batch, seed, steps).sum(0)
    return (pairs * (odds.log() - (counts / counts.sum(-1, keepdim=True)).log())).sum().item()


def words(steps: int = 300) -> Figure:
    """Three optimizers learn the next word from exact gradients, each at its best learning rate.

    >>> [ax.get_title() for ax in words(10).axes]
    ['word k as frequent as 1/k', 'all words alike']
    """
    fig, axes = figure(2, height=3.1, sharey=True)
    for ax, rarity, title in zip(axes, (1, 0), ("word k as frequent as 1/k", "all words alike"), strict=True):
        for name, (optimizer, options) in RIVALS.items():
            ax.plot(next_word(optimizer, rarity, steps=steps, **options)[1], label=name, markevery=50, **look(name))
        ax.set(yscale="log", title=title, xlabel="step")
        label_ends(ax)
    axes[0].set_ylabel("left to learn, log scale")
    return fig


def in_batches(steps: int = 300, batches: Sequence[int] = (32, 512, 2048)) -> Figure:
    """What three optimizers leave to learn of words as frequent as 1/k, in two digits, over the size of a batch.

    Each at its best learning rate, constant and falling to zero. Gray is what counting the same pairs leaves.

    >>> [ax.get_title() for ax in in_batches(10, [32]).axes]
    ['constant rate', 'rate falls to zero']
    """
    fig, axes = figure(2, height=3.1, sharey=True)
    for ax, falling, title in zip(axes, (False, True), ("constant rate", "rate falls to zero"), strict=True):
        counts = [counted(1, batch, steps=steps) for batch in batches]
        ax.plot(batches, counts, color="0.6", linewidth=5, alpha=0.6, zorder=0, label="counting")
        for name, (optimizer, options) in RIVALS.items():
            tried = (next_word(optimizer, 1, batch=batch, steps=steps, falling=falling, **options) for batch in batches)
            ax.plot(batches, [float(f"{left[-1]:.1e}") for _, left in tried], label=name, **look(name))
        ax.set(xscale="log", yscale="log", title=title, xlabel="pairs of words in a batch, log scale")
        ax.set_xticks(batches, [f"{batch:,}" for batch in batches])
        ax.xaxis.minorticks_off()
        label_ends(ax)
    axes[0].set_ylabel(f"left after {steps} steps, log scale")
    return fig
