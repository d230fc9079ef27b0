"""Lesson 13's longer pictures, and its zoom: descents at once, maps from two starts, a table's edge, borders."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy
import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from torch import Tensor

from .. import rules
from ..optimizers import SGD
from ..plot import BASINS, BLACK, BLUE, GREEN, ORANGE, RED, figure, heat, label_ends
from ..problems import himmelblau, rosenbrock
from ..trace import sweep
from .controls import choice, rate, slider
from .experiment import Experiment
from .maps import AGAINST, LRS, RING
from .words import share

# Starts at once -> milliseconds of CPU time for 150 steps on Himmelblau's function, and what `descend` takes for one;
# medians of interleaved rounds, 27 November 2026, one core of an AMD EPYC in a virtual machine, torch 2.13.
AT_ONCE = {1: 70.6, 256: 77.3, 4096: 103.0, 65_536: 529.0, 262_144: 2650.0}
ALONE = 2.09
# Neurons -> what a copy among 81 in `train_many` took of the CPU time of a network alone in `train`, with 32 images a
# step and with 797; rounded medians, 28 November 2026, on such a core, which others used too.
NETS_TOOK = {16: (0.1, 0.6), 64: (0.3, 1.0), 128: (0.4, 1.4)}
WILD, LOST = (-0.97311, -4.72709), (4.936867, 4.452523)  # at 0.95 borders go on for long there; beside lost starts, on
SPECK = 4.8075265378, 4.92561976  # beside starts that are lost at 0.8
ZOOMS = [((0.0, 0.0), 10.0), ((-1.0, -4.45), 1.0), *((WILD, 10.0**-k) for k in (1, 3, 5, 7, 9)), (LOST, 1e-9)]
MIDDLES = {"of the zooms": WILD, "near that of the zooms": (-0.99, -4.7), "in a field": (-2.0, 2.0)}
MIDDLES |= {"of the last map": LOST}
MIDDLES |= {"beside black of the first map": SPECK}
COLORS = ListedColormap([*list(dict(BASINS))[: len(himmelblau.minima)], BLACK])
Table = tuple[Tensor, Tensor]  # learning rates, and the loss that each ends at


def at_once(taken: Mapping[int, float] = AT_ONCE, alone: float = ALONE) -> Figure:
    """What one of many descents takes, from ``taken``, descents at once -> milliseconds for all of them.

    The star is one ``alone``, as `edu_optim.descend` takes it.

    >>> [text.get_text() for text in at_once({1: 30.0, 1000: 60.0}).axes[0].texts]
    ['1 in 30 ms', '1,000 in 60 ms', '1 in descend in 2 ms']
    """
    fig, ax = figure(width=7.5, height=3.8)
    each = {count: ms / count for count, ms in taken.items()}
    ax.plot(list(each), list(each.values()), "o-", color=BLUE, label="_each")
    for index, (count, ms) in enumerate(taken.items()):
        above = -18 if index == len(taken) - 2 else 8  # the last two stand close
        ax.annotate(f"{count:,} in {ms:.0f} ms", (count, each[count]), (2, above), textcoords="offset points")
    ax.plot(1, alone, "*", color=RED, markersize=14, label="_alone")
    ax.annotate(f"1 in descend in {alone:.0f} ms", (1, alone), (-4, -20), color=RED, textcoords="offset points")
    ax.set(xscale="log", yscale="log", xlim=(0.7, 9e6), ylim=(1e-3, 3e2))
    ax.set(xlabel="descents at once, log scale", ylabel="ms for each, log scale")
    return fig


def from_start(x: float, y: float) -> Tensor:
    """The loss after 100 steps in Rosenbrock's valley from (x, y), ``[51, 50]``; infinite where they diverged.

    The 51 learning rates and 50 momenta are those of `edu_optim.lab.sensitivity`.

    >>> losses = from_start(-1.2, 1)
    >>> LRS[losses.argmin() // 50]
    tensor(0.0020, dtype=torch.float64)
    """
    start, momenta = torch.tensor([x, y], dtype=torch.float64), AGAINST["momentum"][2]
    losses = sweep(rosenbrock, SGD, 100, start, lr=LRS, momentum=momenta).losses
    return losses.where(losses < 1000 * rosenbrock(start), math.inf)


def two_starts(*starts: tuple[float, float]) -> Figure:
    """The maps of `from_start`, each with a ring where that of the first start is lowest, and its band below 0.1.

    A square is where another map is lowest. Dashed is the band at a fifth of its learning rates.

    >>> [ax.get_title() for ax in two_starts((-1.2, 1), (-1.5, 1)).axes[:2]]
    ['from (-1.2, 1)', 'from (-1.5, 1)']
    """
    fig, axes = figure(len(starts), width=11, height=4.2, sharey=True)
    momenta, first = AGAINST["momentum"][2], from_start(*starts[0])
    best, band = int(first.argmin()), first < 0.1
    seen = (LRS >= 1e-4) & (LRS <= 0.03)
    outlines: dict[str, tuple[Tensor, Any]] = {
        "the band": (band, "-"),
        "at a fifth of the rates": (band.roll(-7, 0), "--"),
    }
    for ax, start in zip(axes, starts, strict=True):
        heat(ax, LRS[seen], momenta, from_start(*start)[seen], "loss after 100 steps")
        ax.collections[0].set_clim(1e-4, 100)  # one scale for all
        ax.plot(LRS[best // len(momenta)], momenta[best % len(momenta)], label="_best of the first", **RING)
        for part, dash in outlines.values():
            _outline(ax, part, dash)
        ax.set(title=f"from {start}", xlabel="learning rate, log scale", xlim=(8.9e-5, 0.0282))
    for ax, start in zip(axes[1:], starts[1:], strict=True):
        row, column = divmod(int(from_start(*start).argmin()), len(momenta))
        ax.plot(LRS[row], momenta[column], label="_best of its own", **{**RING, "marker": "s"})
    axes[0].set_ylabel("momentum")
    handles = [
        Line2D([], [], linestyle=dash, color=RED, linewidth=2, label=name) for name, (_, dash) in outlines.items()
    ]
    marks = {f"lowest from {starts[0]}": RING, "lowest of the other map": {**RING, "marker": "s"}}
    handles += [Line2D([], [], linestyle="", **{**look, "markersize": 11}, label=name) for name, look in marks.items()]
    fig.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return fig


def _outline(ax: Axes, part: Tensor, dash: str, fine: int = 20) -> None:
    """Draw the outline of ``part`` of a map of `from_start` along its squares: each is ``fine`` by ``fine`` here."""
    squares = part.repeat_interleave(fine, 0).repeat_interleave(fine, 1).T.double()
    places = [(torch.arange(fine * count, dtype=torch.float64) + 0.5) / fine - 0.5 for count in part.shape]
    momenta = AGAINST["momentum"][2]
    rates, kept = LRS[0] * (LRS[1] / LRS[0]) ** places[0], momenta[0] + (momenta[1] - momenta[0]) * places[1]
    ax.contour(rates, kept, squares, [0.5], colors=RED, linestyles=dash, linewidths=2)


def nets(rates: Tensor, read: Mapping[str, Tensor]) -> Figure:
    """Left, the share of images that copies with these ``rates`` read, from several starts; right, the best closer up.

    >>> [ax.get_title() for ax in nets(torch.tensor([0.01, 0.1]), {"seed 0": torch.tensor([90.0, 95.0])}).axes]
    ['all rates', 'closer up']
    """
    fig, (left, right) = figure(2, width=11, height=3.8)
    for ax in (left, right):
        looks = ((BLUE, "o-"), (RED, "s--"), (GREEN, "^-."), (ORANGE, "D:"))
        for (name, seen), (color, look) in zip(read.items(), looks, strict=False):
            ax.plot(rates, seen, look, color=color, label=name)
        ax.set(xscale="log", xlabel="learning rate, log scale")
    left.set(title="all rates", ylabel="images read, %", ylim=(0, 100))
    right.set(title="closer up", xlim=(0.007, 0.14), ylim=(92, 95))
    right.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return fig


def edges(short: Table, long: Table, fine: Table) -> Figure:
    """Left, a table that ends too early beside a longer one; right, the longer one around its best, and a finer one.

    >>> import torch
    >>> table = torch.tensor([0.1, 1.0, 10.0]), torch.tensor([3.0, 1.0, 2.0])
    >>> [text.get_text() for text in edges(table, table, table).axes[0].texts]
    ['short, best 1', 'long, best 1']
    """
    fig, (left, right) = figure(2, width=11, height=4.2, sharey=True)
    _table(left, "short", short, 16, color=GREEN, marker="s", linewidth=4)
    _table(left, "long", long, -20, color=BLUE, marker=".")
    _table(right, "fine", fine, -20, color=RED, linewidth=1)
    _table(right, "long", long, 40, color=BLUE, marker="o", linestyle="--")
    left.set(title="where the short table ends", ylabel="loss after 100 steps, log scale")
    right.set(title="between the points of the long one", xlim=(0.25, 2.5))
    for ax in (left, right):
        ax.set(xscale="log", yscale="log", xlabel="learning rate, log scale", ylim=(4e-4, 40))
    left.axvspan(0.25, 2.5, color="0.9", zorder=0)
    right.set_xticks([0.3, 0.5, 1, 2], ["0.3", "0.5", "1", "2"])
    right.set_xticks([], minor=True)
    return fig


def _table(ax: Axes, name: str, table: Table, above: float, *, color: str, **look: Any) -> None:
    rates, losses = table
    best = int(losses.argmin())
    ax.plot(rates, losses, color=color, label=name, **look)
    star: dict[str, Any] = {"markersize": 15, "markeredgecolor": "black", "zorder": 5, "label": "_best"}
    ax.plot(rates[best], losses[best], "*", color=color, **star)
    words = f"{name}, best {rates[best]:.3g}"
    ax.annotate(words, (rates[best], losses[best]), (-8, above), color=color, textcoords="offset points", ha="right")


def length_of_borders(colors: Tensor) -> float:
    """How long the borders between the squares of a map are, in widths of the map.

    >>> length_of_borders(torch.tensor([[0, 1], [0, 1]]))
    1.0
    """
    return sum(int((colors.diff(dim=axis) != 0).sum()) for axis in (0, 1)) / len(colors)


def zoomed(place: tuple[float, float], width: float, side: int, momentum: float, steps: int) -> Tensor:
    """To which of Himmelblau's minima ``side`` by ``side`` starts lead, in a square around ``place``; -1 for none.

    As in `edu_optim.sweep`, at a tenth of its time: the gradient needs no autograd.

    >>> zoomed((3.0, 2.0), 0.1, 2, 0.8, 100)
    tensor([[0, 0],
            [0, 0]])
    """
    window = tuple((at - width / 2, at + width / 2) for at in place)
    points: Any = replace(himmelblau, window=window).grid(side, side).numpy().transpose(2, 0, 1)
    velocity, slope_at = 0.0, cast(Any, himmelblau.slope)
    with numpy.errstate(all="ignore"):
        for _ in range(steps):
            slope = numpy.array(slope_at(*points))
            points, velocity = rules.momentum(points, slope, velocity, lr=0.01, momentum=momentum)
        apart = [((points - numpy.reshape(at, (2, 1, 1))) ** 2).sum(0) for at in himmelblau.minima]
        nearest = numpy.argmin(apart, 0)
        return torch.tensor(numpy.where(numpy.min(apart, 0) <= 0.01, nearest, -1))


def _every(colors: Tensor, nth: int) -> Tensor:
    return colors[nth // 2 :: nth, nth // 2 :: nth]


def last_borders(middle: str, momentum: float) -> float:
    """The last of the widths 1, 0.1, ... 1e-11 at which a map around one of `MIDDLES` has borders; 0 if none has.

    >>> last_borders("in a field", 0.95), last_borders("near that of the zooms", 0.95)
    (0.0, 0.001)
    """
    widths = [10.0**-k for k in range(12)]
    maps = {width: zoomed(MIDDLES[middle], width, 32, momentum, 300) for width in widths}
    return min((width for width in widths if length_of_borders(maps[width])), default=0.0)


def closer(side: int = 64, momentum: float = 0.95, steps: int = 300) -> Figure:
    """Which of Himmelblau's minima momentum leads to: a map, six zooms into it, and one of another place.

    Under each is the length of its borders, if every fourth row is kept, every second, and all.

    >>> [ax.get_title() for ax in closer(16, steps=10).axes][2:4]
    ['0.1 wide', '0.001 wide']
    """
    fig, axes = figure(4, 2, width=12, height=3.4)
    for ax, (place, width) in zip(axes.flat, ZOOMS, strict=True):
        minimum = zoomed(place, width, side, momentum, steps)
        _paint(ax, minimum, place, width)
        lengths = (f"{length_of_borders(_every(minimum, nth)):.3g}" for nth in (4, 2, 1))
        ax.set(
            title=f"{width:g} wide".replace("e-0", "e-"), xlabel="borders " + " → ".join(lengths), autoscale_on=False
        )
    for ax, (place, width) in zip(axes.flat, ZOOMS[1:3], strict=False):
        corner = place[0] - width / 2, place[1] - width / 2
        ax.add_patch(Rectangle(corner, width, width, fill=False, edgecolor="white", linewidth=2.5, label="the next"))
    axes[0, 0].plot(*LOST, label="the last", **RING)
    axes[-1, -1].set_title(axes[-1, -1].get_title() + ", elsewhere")
    return fig


def _paint(ax: Axes, minimum: Tensor, place: tuple[float, float], width: float) -> None:
    (x, y), half = place, width / 2
    extent = (x - half, x + half, y - half, y + half)
    ax.imshow(minimum.remainder(5).numpy(), cmap=COLORS, vmin=0, vmax=4, origin="lower", extent=extent)
    ax.set(xticks=[], yticks=[])


def zoom() -> Experiment:
    """The maps of `closer` at any width and momentum, around five middles, with 32 and with 64 squares each way.

    >>> print(zoom().text)
    borders, in widths: 37.5, with twice the squares 64.5
    at no minimum: 8.25 % of the starts
    """
    return Experiment(
        _zoom,
        columns=2,
        height=4.2,
        middle=choice("middle", *MIDDLES),
        width=rate("width", "", 1.0, 1e-11, 1.0),
        momentum=slider("momentum", "kept", 0.95, 0.0, 0.95, 0.01),
    )


def _zoom(axes: Sequence[Axes], *, middle: str, width: float, momentum: float) -> dict[str, str]:
    """A square of starts, colored by the minimum that each leads to, black for none: left a quarter, right all."""
    fine = zoomed(MIDDLES[middle], width, 64, momentum, 300)
    maps = [_every(fine, 2), fine]
    for ax, minimum in zip(axes, maps, strict=True):
        _paint(ax, minimum, MIDDLES[middle], width)
        ax.set_title(f"{width:g} wide, {len(minimum)} squares each way".replace("e-0", "e-"))
    once, twice = map(length_of_borders, maps)
    return {
        "borders, in widths": f"{once:.3g}, with twice the squares {twice:.3g}",
        "at no minimum": f"{share(fine < 0)} of the starts",
    }


def borders(maps: Mapping[str, Tensor], sides: Sequence[int] = (16, 32, 64, 128, 256)) -> Figure:
    """How the borders of square ``maps`` grow with the number of squares: `length_of_borders` of every so-many-th row.

    >>> ax = borders({"halves": torch.arange(8).div(4, rounding_mode="floor").expand(8, 8)}, [4, 8]).axes[0]
    >>> ax.get_lines()[0].get_ydata().tolist()
    [1.0, 1.0]
    """
    fig, ax = figure(width=7.5, height=3.6)
    for (name, colors), (color, marker) in zip(
        maps.items(), ((BLUE, "o"), (GREEN, "s"), (RED, "D"), (BLACK, "^")), strict=False
    ):
        seen = [side for side in sides if side <= len(colors)]
        coarser = [_every(colors, len(colors) // side) for side in seen]
        ax.plot(seen, [length_of_borders(each) for each in coarser], marker + "-", color=color, label=name)
    ax.set(xscale="log", yscale="log", xlabel="squares each way, log scale", ylabel="length in widths, log scale")
    ax.set_xticks(sides, [str(side) for side in sides])
    ax.set_yticks(ticks := [1, 2, 5, 10, 20, 50, 100], [str(tick) for tick in ticks])
    ax.minorticks_off()
    ax.set_ylim(1.5, 120)
    label_ends(ax)
    return fig
