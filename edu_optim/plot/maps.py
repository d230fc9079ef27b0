"""Maps of many descents: basins of attraction, and values over two settings."""

from typing import Literal

import numpy
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize, to_rgb
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from ..problems import Pair, Problem
from ..trace import Sweep
from .curves import contour
from .style import BLACK, BLUE, EXPLODED, GREEN, ORANGE, PINK, RED, SKY, YELLOW
from .text import number, pair, percent, rounded

BASINS = [(BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), (PINK, "D"), (RED, "v"), (SKY, "P"), (YELLOW, "X")]
LETTERS = "ABCDEFG"
NOWHERE = "#707070"
LOST = -2  # in the place of a minimum


def basins(ax: Axes, problem: Problem, sweep: Sweep) -> None:
    """Draw to which minimum of ``problem`` each start leads and how fast, with a letter and a mark at each minimum.

    The color at a start is that of its minimum: full where the path takes few steps, pale where it takes many. Dark
    gray is at no minimum, and black has diverged.

    Args:
        problem: with one to seven minima.
        sweep: an `edu_optim.Sweep` from ``problem.grid(columns, rows)``, without other axes.

    Errors: ValueError if ``sweep`` has other axes, or ``problem`` more minima than there are colors.

    >>> from edu_optim import SGD, problems, sweep
    >>> from edu_optim.plot import figure
    >>> fig, ax = figure()
    >>> basins(ax, problems.saddle, sweep(problems.saddle, SGD, 50, problems.saddle.grid(9, 9), lr=0.1))
    >>> for words in ax.get_images()[0].get_label().split("; "):
    ...     print(words)
    basins of 9 x 9 starts: A from 44.4 %, mean start (0, -1.25), 21.4 steps
    B from 44.4 %, mean start (0, 1.25), 21.4 steps
    no minimum from 11.1 %, mean start (0, 0)
    """
    minimum, arrival = sweep.minimum.cpu().numpy(), sweep.arrival.cpu().numpy()
    if minimum.ndim != 2 or min(minimum.shape) < 2:
        raise ValueError(f"sweep must be over starts [rows, columns], 2 or more each, got {list(minimum.shape)}")
    if not 0 < len(problem.minima) <= len(BASINS):
        raise ValueError(f"problem must have 1 to {len(BASINS)} minima, got {len(problem.minima)}")
    fast, slow = numpy.quantile(arrival[minimum >= 0], [0.02, 0.98]) if (minimum >= 0).any() else (0, 0)
    minimum = numpy.where(sweep.losses.isfinite().cpu().numpy(), minimum, LOST)
    colors = numpy.array([to_rgb(color) for color in (*dict(BASINS), BLACK, NOWHERE)])[minimum]
    image = ax.imshow(
        _pale(colors, numpy.where(minimum >= 0, _between(arrival, fast, slow), 0)),
        extent=_around(*problem.window, *minimum.shape),
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        zorder=-1,
    )
    image.set_label(_basins_in_words(problem, minimum, arrival))
    contour(ax, problem, levels=8, points=81)
    for letter, (x, y), (color, marker) in zip(LETTERS, problem.minima, BASINS, strict=False):
        share = f"{letter}: {percent(minimum == LETTERS.index(letter))} of the starts"
        ax.plot(x, y, marker, color=color, markersize=9, markeredgecolor="white", label=share, zorder=5)
        halo = {"boxstyle": "circle,pad=0.15", "facecolor": "white", "edgecolor": color}
        ax.annotate(letter, (x, y), (9, 9), textcoords="offset points", weight="bold", bbox=halo, zorder=6)
    _basins_legend(ax, fast, slow, minimum)


def _basins_legend(ax: Axes, fast: float, slow: float, minimum: numpy.ndarray) -> None:
    lines, labels = ax.get_legend_handles_labels()
    full = to_rgb(BASINS[0][0])
    few = "1 step" if round(fast) == 1 else f"{fast:.0f} steps"
    keys = {f"full: {few} or fewer": full, f"pale: {slow:.0f} steps or more": _pale(full, 1)}
    keys = keys if (minimum >= 0).any() else {}
    keys |= {"gray: at no minimum": NOWHERE} if (minimum == -1).any() else {}
    keys |= {"black: diverged": BLACK} if (minimum == LOST).any() else {}
    patches = [Rectangle((0, 0), 1, 1, facecolor=color) for color in keys.values()]
    ax.legend(lines + patches, labels + list(keys), loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0)


def _pale(color: ArrayLike, share: ArrayLike) -> numpy.ndarray:
    """A color mixed with white: itself at 0, half white at 1."""
    return 1 - (1 - numpy.asarray(color)) * (1 - 0.5 * numpy.asarray(share)[..., None])


def _between(steps: ArrayLike, fast: float, slow: float) -> numpy.ndarray:
    """Where ``steps`` lie between ``fast``, 0, and ``slow``, 1, by their ratios."""
    logs = numpy.log(numpy.maximum([fast, slow], 1))
    return ((numpy.log(numpy.maximum(steps, 1)) - logs[0]) / max(logs[1] - logs[0], 1e-9)).clip(0, 1)


def _around(across: Pair, up: Pair, rows: int, columns: int) -> tuple[float, float, float, float]:
    """The edges of a picture in which each start is the middle of its pixel."""
    right, above = (across[1] - across[0]) / (columns - 1) / 2, (up[1] - up[0]) / (rows - 1) / 2
    return across[0] - right, across[1] + right, up[0] - above, up[1] + above


def _basins_in_words(problem: Problem, minimum: numpy.ndarray, arrival: numpy.ndarray) -> str:
    starts, said = problem.grid(*reversed(minimum.shape)).numpy(), []
    for index, letter in [*enumerate(LETTERS), (-1, "no minimum"), (LOST, "diverged")]:
        there = minimum == index
        if there.any():
            steps = f", {number(arrival[there].mean())} steps" if index >= 0 else ""
            said.append(f"{letter} from {percent(there)}, mean start {pair(rounded(starts[there], 0)[1])}{steps}")
    return f"basins of {minimum.shape[0]} x {minimum.shape[1]} starts: {'; '.join(said)}"


def heat(
    ax: Axes, x: ArrayLike, y: ArrayLike, values: ArrayLike, label: str, scale: Literal["log", "linear"] = "log"
) -> None:
    """Draw a map of ``values`` over two axes of a sweep, in the colors of a bar at its side.

    An axis that is spaced by ratios is drawn on a logarithmic scale. What is no number, infinite or beyond
    ``EXPLODED`` is hatched.

    Args:
        x, y: the settings across, ``[n]``, and up, ``[m]``, in increasing or decreasing order.
        values: ``[n, m]``, as a `edu_optim.Sweep` over x and then y has them.
        label: what the values are, with their unit.
        scale: of the colors, "log", over twelve powers of ten at most, or "linear".

    Errors: ValueError if the shapes do not fit, or a value is negative on a logarithmic scale.

    >>> from edu_optim import SGD, problems, sweep
    >>> from edu_optim.plot import describe, figure
    >>> lr, momentum = torch.logspace(-4, -1, 4), torch.tensor([0.0, 0.3, 0.6, 0.9])
    >>> found = sweep(problems.booth, SGD, 10, lr=lr, momentum=momentum)
    >>> fig, ax = figure()
    >>> heat(ax, lr, momentum, found.losses, "loss after 10 steps")
    >>> for words in describe(fig).split("; "):
    ...     print(words)
    panel 1: x from 3.16e-05 to 0.316, log scale
    y from -0.15 to 1.05
      mesh of 4 x 4: from 0.00355 to 434, mean 175
    loss after 10 steps
    0 % missing
    medians of ninths, from below: 371 4.49 2.6, 307 2 0.993, 223 10 272
    """
    x, y, values = (numpy.asarray(torch.as_tensor(numbers).cpu(), dtype=float) for numbers in (x, y, values))
    if min(values.shape, default=0) < 2 or values.shape != x.shape + y.shape:
        seen = f"{list(values.shape)} over {list(x.shape)} and {list(y.shape)}"
        raise ValueError(f"values must be [n, m] over x [n] and y [m], with n and m above 1, got {seen}")
    shown = numpy.ma.masked_where(~(abs(values) <= EXPLODED), values)
    (x_scale, x_edges), (y_scale, y_edges) = _cells(x), _cells(y)
    mesh = ax.pcolormesh(x_edges, y_edges, shown.T, norm=_norm(shown, scale), cmap="cividis", label=label)
    if (ax.get_xscale(), ax.get_yscale()) != (x_scale, y_scale):
        ax.set(xscale=x_scale, yscale=y_scale)
    ax.set(xlim=sorted(x_edges[[0, -1]]), ylim=sorted(y_edges[[0, -1]]))
    ax.figure.colorbar(mesh, cax=ax.inset_axes((1.03, 0, 0.04, 1)), label=label).minorticks_off()
    missing = numpy.ma.getmaskarray(shown)
    if missing.any():
        hatched = {"facecolor": "0.93", "edgecolor": "0.65", "hatch": "////", "linewidth": 0, "zorder": -1}
        ax.add_patch(Rectangle((0, 0), 1, 1, transform=ax.transAxes, **hatched))
        _name_cells(ax, "diverged", x, y, missing)


def _cells(values: numpy.ndarray) -> tuple[str, numpy.ndarray]:
    """The scale on which ``values`` are evenly spaced, and the edges of the cells in whose middle they are."""
    even, ratios = numpy.diff(values), numpy.diff(numpy.log(values.clip(1e-300)))
    by_ratio = values.min() > 0 and numpy.ptp(ratios) < 0.01 * abs(ratios.mean()) and len(values) > 2
    by_ratio = by_ratio and numpy.ptp(even) > 0.01 * abs(even.mean())
    places = numpy.log(values) if by_ratio else values
    between = (places[1:] + places[:-1]) / 2
    edges = numpy.array([2 * places[0] - between[0], *between, 2 * places[-1] - between[-1]])
    return ("log", numpy.exp(edges)) if by_ratio else ("linear", edges)


def _norm(values: numpy.ma.MaskedArray, scale: str) -> Normalize:
    if scale not in ("log", "linear"):
        raise ValueError(f"scale must be 'log' or 'linear', got {scale!r}")
    if scale == "linear" or not values.count():
        return Normalize()
    if values.min() < 0:
        raise ValueError(f"values must be >= 0 on a logarithmic scale, got {values.min():.3g}")
    high = values.max() or 1.0
    positive = values[values > 0]
    low = max(positive.min(), 1e-12 * high) if positive.count() else 1e-12 * high
    return LogNorm(low, high if high > low else 10 * low, clip=True)


def _name_cells(ax: Axes, name: str, x: numpy.ndarray, y: numpy.ndarray, chosen: numpy.ndarray) -> None:
    """Write ``name`` over the one of the ``chosen`` cells that lies nearest to the middle of all of them."""
    cells = numpy.argwhere(chosen)
    column, row = cells[((cells - cells.mean(0)) ** 2).sum(1).argmin()]
    box = {"facecolor": "white", "edgecolor": "none", "pad": 2}
    ax.text(float(x[column]), float(y[row]), name, ha="center", va="center", color="0.25", bbox=box)
