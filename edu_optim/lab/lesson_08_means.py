"""Lesson 08: the two running means of Adam, from zero and corrected."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ..plot import BLUE, RED, SKY, figure, label_ends

NOISY = (1 + 0.5 * torch.randn(50, generator=torch.Generator().manual_seed(4), dtype=torch.float64)).tolist()


def from_zero(means: Sequence[float], sizes: Sequence[float], steps: Sequence[float]) -> Figure:
    """The two means of an uncorrected Adam under a steady gradient of 1, and its steps in units of lr.

    >>> [ax.get_title() for ax in from_zero([0.1, 0.19], [0.03, 0.04], [3.2, 4.3]).axes]
    ['The means, which should be 1', 'The step, which should be 1 lr']
    """
    fig, (left, right) = figure(2, height=3.1)
    at = range(1, len(means) + 1)
    for ax, name, own, color, dashes in (
        (left, "m", means, RED, "-"),
        (left, "√v", sizes, BLUE, "--"),
        (right, "m / √v", steps, "0", "-"),
    ):
        ax.plot(at, own, color=color, linestyle=dashes, label=name)
    left.set(title="The means, which should be 1", ylabel="value", ylim=(0, 1.15), xlabel="step")
    right.set(title="The step, which should be 1 lr", ylabel="step in units of lr", ylim=(0, 7), xlabel="step")
    for ax in (left, right):
        ax.axhline(1, color="0.6", linestyle=":", zorder=0, label="_one")
        label_ends(ax)
    return fig


def anatomy(rule: Callable[..., Any], gradients: Sequence[float] = tuple(NOISY)) -> Figure:
    """The mean of Adam and its correction, both factors of correction, and the steps with and without them.

    The dotted line is the average of the corrected mean over 10,000 such rows, in a band of one deviation to each side.

    >>> from edu_optim.rules import adam
    >>> [ax.get_title() for ax in anatomy(adam).axes]
    ['Mean of the gradients', 'The two corrections', 'The step, in units of lr']
    """
    m = v = 0.0
    rows = []
    for t, g in enumerate(gradients, 1):
        p, m, v = rule(0.0, g, m, v, t=t, lr=1.0)
        c1, c2 = 1 - 0.9**t, 1 - 0.999**t
        rows.append([m, m / c1, m / v**0.5, 1 / c1, c2**-0.5, -p])
    m, m_hat, without, on_m, on_root, step = torch.tensor(rows, dtype=torch.float64).T
    fig, (mean, factors, length) = figure(3, height=3.1)
    at = range(1, len(gradients) + 1)
    for ax, title, plain, corrected, names in (
        (mean, "Mean of the gradients", m, m_hat, ("m", "m̂")),
        (length, "The step, in units of lr", without, step, ("without", "with")),
    ):
        ax.plot(at, plain, color=RED, linestyle="--", label=names[0])
        ax.plot(at, corrected, color=BLUE, label=names[1])
        ax.set_title(title)
    mean.plot(at, gradients, ".", color="0.6", label="gradients")
    average, spread = corrected_means(rule, len(gradients))
    mean.plot(at, average, color="0", linestyle=":", linewidth=1, label="_average")
    mean.fill_between(at, average - spread, average + spread, color=SKY, alpha=0.35, linewidth=0, zorder=0)
    mean.set_ylabel("gradient")
    factors.plot(at, on_m, color="0", linestyle="-.", label="on m")
    factors.plot(at, on_root, color="0", label="on √v")
    factors.set(title="The two corrections", ylabel="factor, log scale", yscale="log")
    factors.set(yticks=[1, 3, 10, 30], yticklabels=[1, 3, 10, 30])
    length.set(ylim=(0, 7))
    for ax in (mean, factors, length):
        ax.set(xlabel="step")
        label_ends(ax)
    return fig


def corrected_means(rule: Callable[..., Any], steps: int, rows: int = 10_000) -> tuple[Tensor, Tensor]:
    """The average of Adam's corrected mean at each step and its standard deviation, over rows of noisy gradients.

    The gradients have mean 1 and standard deviation 0.5.

    >>> from edu_optim.rules import adam
    >>> average, spread = corrected_means(adam, 50)
    >>> f"{average[0]:.1f} {average[49]:.1f}, {spread[0]:.2f} {spread[49]:.2f}"
    '1.0 1.0, 0.50 0.12'
    """
    noise = torch.randn(steps, rows, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    m = v = torch.zeros(rows, dtype=torch.float64)
    found = []
    for t, g in enumerate(1 + 0.5 * noise, 1):
        _, m, v = rule(0.0, g, m, v, t=t, lr=1.0)
        found.append(m / (1 - 0.9**t))
    means = torch.stack(found)
    return means.mean(1), means.std(1)
