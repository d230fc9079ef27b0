"""Level lines of a problem, paths over them, and lines against the step."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy
import torch
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter
from torch import Tensor

from ..problems import Problem
from ..trace import Trace
from .style import EXPLODED, LOOKS, OTHERS, figure, look


def contour(ax: Axes, problem: Problem, levels: int = 14, points: int = 201) -> None:
    """Draw the level lines of ``problem`` over its window, closer together towards the minima, and mark those.

    >>> from edu_optim.plot import describe, figure
    >>> from edu_optim.problems import quadratic
    >>> fig, ax = figure()
    >>> contour(ax, quadratic(condition=4), levels=3)
    >>> print(describe(fig))
    panel 1 A bowl of condition number 4: x from -5 to 5; y from -5 to 5
      line minimum, 1 points, mean (0, 0): (0, 0)
      contour levels of 3: from 0.0625 to 6.25, mean 2.31, 3 of them in sight
    """
    (x0, x1), (y0, y1) = problem.window
    x = torch.linspace(x0, x1, points, dtype=torch.float64)
    y = torch.linspace(y0, y1, points, dtype=torch.float64)
    losses = problem(torch.stack(torch.meshgrid(x, y, indexing="xy"), -1))
    low, high = losses.min().item(), losses.max().item()
    heights = [low + (high - low) * 10 ** (4 * (i + 1) / (levels + 1) - 4) for i in range(levels)]
    ax.contour(x, y, losses, levels=heights, colors="0.72", linewidths=0.8, linestyles="solid", zorder=0)
    ax.plot(*zip(*problem.minima, strict=True), "+", color="0.2", markersize=10, label="_minimum", zorder=4)
    ax.set(xlim=(x0, x1), ylim=(y0, y1), xlabel="x", ylabel="y", title=problem.name[0].upper() + problem.name[1:])


def paths(ax: Axes, *traces: Trace, every: int = 1) -> None:
    """Draw the path of each `Trace` over the plane, with a mark at every ``every``-th point, and a legend.

    >>> from edu_optim import SGD, descend, problems
    >>> from edu_optim.plot import describe, figure
    >>> fig, ax = figure()
    >>> paths(ax, descend(problems.booth, SGD, steps=2, lr=0.0625))
    >>> print(describe(fig).splitlines()[1])
      line SGD, 3 points, mean (-0.484, 1.52): (-4, -2) (1.62, 3.62) (0.922, 2.92)
    """
    for trace in traces:
        for x, y, label in _one_by_one(trace, trace.points[..., 0], trace.points[..., 1]):
            ax.plot(x, y, label=label, markevery=every, markersize=4, **look(trace.name))
    ax.legend(loc="best")


def panels(problem: Problem, runs: Mapping[str, Trace], **window: Any) -> Figure:
    """A figure with a panel for each `Trace`: its path over the level lines of ``problem``, its key as the title.

    ``window`` goes to each panel's ``Axes.set``, such as ``ylim=(-3, 3)``.

    >>> from edu_optim import SGD, descend, problems
    >>> bowl = problems.quadratic(condition=4)
    >>> fig = panels(bowl, {f"lr {lr}": descend(bowl, SGD, steps=9, lr=lr) for lr in (0.1, 0.4)}, ylim=(-2, 2))
    >>> [ax.get_title() for ax in fig.axes]
    ['lr 0.1', 'lr 0.4']
    """
    fig, axes = figure(len(runs), width=min(11, 1.5 + 3.75 * len(runs)), squeeze=False, sharey=True)
    for ax, (title, run) in zip(axes[0], runs.items(), strict=True):
        contour(ax, problem)
        for x, y, label in _one_by_one(run, run.points[..., 0], run.points[..., 1]):
            ax.plot(x, y, label=label, markersize=4, linewidth=1.2, **look(run.name))
        ax.set(title=title, **window)
        ax.label_outer()
    return fig


def chart(lines: Mapping[str, Any], *, x: str = "step", y: str = "loss, log scale", **options: Any) -> Figure:
    """A figure of lines against the step, each with its name at its end, or in a legend if there are more than four.

    Args:
        lines: name -> heights ``[n]``, drawn at 0, 1, ... n - 1, or a pair of what they are drawn at and the heights.
            The name of an optimizer brings its look; what is not finite, or beyond ``EXPLODED``, is left out.
        x, y: what stands at the axes; one that ends in "log scale" is on a logarithmic scale.
        options: for ``Axes.set``, such as ``title=``, ``ylim=``.

    >>> from edu_optim.plot import describe
    >>> print(describe(chart({"halved": [1, 0.5, 0.25], "kept": [1, 1, 1]}, y="distance")))
    panel 1: step from -0.1 to 2.1; distance from 0.212 to 1.04
      line halved, 3 points, mean (1, 0.583): (0, 1) (1, 0.5) (2, 0.25)
      line kept, 3 points, mean (1, 1): (0, 1) (1, 1) (2, 1)
      text 'halved' at (1, 0.0455)
      text 'kept' at (1, 0.955)
    """
    fig, ax = figure(width=7)
    for count, (name, line) in enumerate(lines.items()):
        at, heights = line if isinstance(line, tuple) else (range(len(line)), line)
        heights = numpy.asarray(heights, dtype=float)
        seen = numpy.where(abs(heights) < EXPLODED, heights, math.nan)
        color, dash, marker = LOOKS.get(name) or OTHERS[count % len(OTHERS)]
        ax.plot(at, seen, color=color, linestyle=dash, marker=marker, markevery=max(1, len(seen) // 8), label=name)
    scales = {f"{axis}scale": "log" for axis, words in (("x", x), ("y", y)) if words.endswith("log scale")}
    ax.set(xlabel=x, ylabel=y, **scales, **options)
    plain_ticks(ax.xaxis)
    plain_ticks(ax.yaxis)
    if len(lines) > 4:
        ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    else:
        label_ends(ax)
    return fig


def losses(ax: Axes, *traces: Trace) -> None:
    """Draw the loss of each `Trace` against the step, on a logarithmic scale, with its name at its end.

    A loss beyond ``EXPLODED`` is off the picture.

    >>> from edu_optim import SGD, descend, problems
    >>> from edu_optim.plot import describe, figure
    >>> fig, ax = figure()
    >>> losses(ax, descend(problems.booth, SGD, steps=2, lr=0.0625))
    >>> print(describe(fig).splitlines()[1])
      line SGD, 3 points, mean (1, 152): (0, 450) (1, 7.03) (2, 0.11)
    """
    for trace in traces:
        steps = torch.arange(len(trace.losses)).reshape(-1, *[1] * (trace.losses.dim() - 1))
        seen = trace.losses.where(trace.losses < EXPLODED, math.nan)
        for x, y, label in _one_by_one(trace, steps.expand_as(seen), seen):
            ax.plot(x, y, label=label, markevery=max(1, len(x) // 8), **look(trace.name))
    ax.set(xlabel="step", ylabel="loss, log scale", yscale="log")
    plain_ticks(ax.yaxis)
    label_ends(ax)


def _one_by_one(trace: Trace, x: Tensor, y: Tensor) -> Iterator[tuple[Tensor, Tensor, str]]:
    """x, y and label of each descent in a batch; only the first gets into a legend."""
    x, y = (values.detach().cpu().reshape(len(values), -1).T for values in (x, y))
    for index in range(len(x)):
        yield x[index], y[index], trace.name if index == 0 else f"_{trace.name}"


def plain_ticks(axis: Axis) -> None:
    """Label a logarithmic axis of at most three powers of ten with 0.5, 1, 2, 5, 10 and so on.

    >>> from edu_optim.plot import figure
    >>> fig, ax = figure()
    >>> ax.set(yscale="log", ylim=(0.3, 4))
    [None, (0.3, 4)]
    >>> plain_ticks(ax.yaxis)
    >>> [label.get_text() for label in ax.get_yticklabels() if 0.3 <= label.get_position()[1] <= 4]
    ['0.5', '1', '2']
    """
    low, high = axis.get_view_interval()
    if axis.get_scale() == "log" and 1e-4 <= low and high <= min(1000 * low, 1e5):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())


def label_ends(ax: Axes, gap: float = 13) -> None:
    """Write the name of each line beside its last point, ``gap`` points apart or more, instead of a legend.

    >>> from edu_optim.plot import figure
    >>> fig, ax = figure()
    >>> line, = ax.plot([0, 1], [0, 1], label="diagonal")
    >>> label_ends(ax)
    >>> ax.texts[0].get_text()
    'diagonal'
    """
    lines = [line for line in ax.get_lines() if not str(line.get_label()).startswith("_")]
    ax.autoscale_view()
    low, high = ax.get_window_extent().intervaly
    heights = [ax.transData.transform(_end(line))[1].clip(low, high) for line in lines]
    lowest = -math.inf
    for height, line in sorted(zip(heights, lines, strict=True), key=lambda pair: pair[0]):
        lowest = max(height, lowest + gap * ax.figure.dpi / 72)
        ax.annotate(
            str(line.get_label()),
            xy=(1, (lowest - low) / (high - low)),
            xycoords="axes fraction",
            xytext=(3, 0),
            textcoords="offset points",
            color=line.get_color(),
            verticalalignment="center",
        )


def _end(line: Line2D) -> numpy.ndarray:
    points = numpy.asarray(line.get_xydata())
    return points[numpy.isfinite(points).all(axis=1)][-1]
