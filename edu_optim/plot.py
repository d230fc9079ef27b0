"""Pictures of descents: one style, one look for each optimizer, and a text for every figure.

Figures are made without pyplot, so that none is left open. Importing this module sets matplotlib's defaults to the
style of the course.
"""

import io
import math

import matplotlib
import numpy
import torch
from IPython.display import display
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.colors import LogNorm, Normalize, to_rgb
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation

DENSITY = 144  # pixels an inch; shown at half that, sharp on a retina screen
EXPLODED = 1e100

STYLE = {
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 6,
    "figure.dpi": DENSITY,
}
matplotlib.rcParams.update(STYLE)

# The colours of M. Okabe & K. Ito 2008, Color Universal Design, which colour-blind readers can tell apart; yellow,
# too pale for a line on white, is darkened.
BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, RED, PINK, GREY = (
    *["#000000", "#E69F00", "#56B4E9", "#009E73", "#B8A800", "#0072B2", "#D55E00", "#CC79A7", "#808080"],
)
LOOKS = {
    "SGD": (BLACK, "-", "o"),
    "momentum": (ORANGE, "--", "s"),
    "Nesterov": (SKY, "-.", "^"),
    "Adagrad": (GREEN, ":", "D"),
    "RMSprop": (PINK, (0, (6, 2)), "v"),
    "Adadelta": (GREY, (0, (2, 1)), "P"),
    "Adam": (BLUE, (0, (8, 1)), "X"),
    "AdamW": (RED, (0, (4, 1, 1, 1)), "*"),
    "AMSGrad": (YELLOW, (0, (1, 2, 6, 2)), "d"),
}
OTHERS = [(RED, "-", "h"), (BLUE, "--", "<"), (GREEN, "-.", ">"), (ORANGE, ":", "p")]


def look(name):
    """Colour, dash and marker of an optimizer, the same in every picture, as keywords for ``Axes.plot``.

    >>> look("Adam")["color"]
    '#0072B2'
    """
    color, dash, marker = LOOKS.get(name) or OTHERS[sum(map(ord, name)) % len(OTHERS)]
    return {"color": color, "linestyle": dash, "marker": marker}


def figure(columns=1, rows=1, width=None, height=3.6, **options):
    """A figure in the course's style and its axes: one, or an array of ``rows`` times ``columns``.

    ``width`` and ``height`` of one row are in inches; ``options`` go to ``Figure.subplots``.

    >>> fig, axes = figure(columns=2)
    >>> len(axes)
    2
    """
    fig = Figure(figsize=(width or (5.6 if columns == 1 else 9.0), height * rows), layout="constrained")
    return fig, fig.subplots(rows, columns, **options)


def contour(ax, problem, levels=14, points=201):
    """Draw the level lines of ``problem`` over its window, closer together towards the minima, and mark those.

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


def paths(ax, *traces, every=1):
    """Draw the way of each `Trace` over the plane, with a mark at every ``every``-th point, and a legend.

    >>> from edu_optim import SGD, descend, problems
    >>> fig, ax = figure()
    >>> paths(ax, descend(problems.booth, SGD, steps=2, lr=0.0625))
    >>> print(describe(fig).splitlines()[1])
      line SGD, 3 points, mean (-0.484, 1.52): (-4, -2) (1.62, 3.62) (0.922, 2.92)
    """
    for trace in traces:
        for x, y, label in _one_by_one(trace, trace.points[..., 0], trace.points[..., 1]):
            ax.plot(x, y, label=label, markevery=every, markersize=4, **look(trace.name))
    ax.legend(loc="best")


def losses(ax, *traces):
    """Draw the loss of each `Trace` against the step, on a logarithmic scale, with its name at its end.

    A loss beyond ``EXPLODED`` is off the picture.

    >>> from edu_optim import SGD, descend, problems
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
    label_ends(ax)


def _one_by_one(trace, x, y):
    """x, y and label of each descent in a batch; only the first gets into a legend."""
    x, y = (values.detach().cpu().reshape(len(values), -1).T for values in (x, y))
    for index in range(len(x)):
        yield x[index], y[index], trace.name if index == 0 else f"_{trace.name}"


BASINS = [(BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), (PINK, "D"), (RED, "v"), (SKY, "P"), (YELLOW, "X")]
LETTERS = "ABCDEFG"
NOWHERE = "#707070"


def basins(ax, problem, sweep):
    """Draw to which minimum of ``problem`` each start leads and how fast, with a letter and a mark at each minimum.

    The colour at a start is that of its minimum: full where the way takes few steps, pale where it takes many. Dark
    grey has not come to a minimum yet.

    Args:
        problem: with one to seven minima.
        sweep: an `edu_optim.Sweep` from ``problem.grid(columns, rows)``, without other axes.

    Errors: ValueError if ``sweep`` has other axes, or ``problem`` more minima than there are colours.

    >>> from edu_optim import SGD, problems, sweep
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
    colors = numpy.array([to_rgb(color) for color, _ in BASINS] + [to_rgb(NOWHERE)])[minimum]
    image = ax.imshow(
        _pale(colors, numpy.where(minimum >= 0, _between(arrival, fast, slow), 0)),
        extent=_around(*problem.window, *minimum.shape),
        **{"origin": "lower", "aspect": "auto", "interpolation": "nearest", "zorder": -1},
    )
    image.set_label(_basins_in_words(problem, minimum, arrival))
    contour(ax, problem, levels=8, points=81)
    for letter, (x, y), (color, marker) in zip(LETTERS, problem.minima, BASINS, strict=False):
        share = f"{letter}: {_percent(minimum == LETTERS.index(letter))} of the starts"
        ax.plot(x, y, marker, color=color, markersize=9, markeredgecolor="white", label=share, zorder=5)
        halo = {"boxstyle": "circle,pad=0.15", "facecolor": "white", "edgecolor": color}
        ax.annotate(letter, (x, y), (9, 9), textcoords="offset points", weight="bold", bbox=halo, zorder=6)
    _basins_legend(ax, fast, slow, (minimum >= 0).any())


def _basins_legend(ax, fast, slow, arrived):
    lines, labels = ax.get_legend_handles_labels()
    full = to_rgb(BASINS[0][0])
    keys = {f"full: {fast:.0f} steps or fewer": full, f"pale: {slow:.0f} steps or more": _pale(full, 1)}
    keys = {**(keys if arrived else {}), "grey: at no minimum yet": NOWHERE}
    patches = [Rectangle((0, 0), 1, 1, facecolor=color) for color in keys.values()]
    ax.legend(lines + patches, labels + list(keys), loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0)


def _pale(color, share):
    """A colour mixed with white: itself at 0, three quarters white at 1."""
    return 1 - (1 - numpy.asarray(color)) * (1 - 0.75 * numpy.asarray(share)[..., None])


def _between(steps, fast, slow):
    """Where ``steps`` lie between ``fast``, 0, and ``slow``, 1, by their ratios."""
    logs = numpy.log(numpy.maximum([fast, slow], 1))
    return ((numpy.log(numpy.maximum(steps, 1)) - logs[0]) / max(logs[1] - logs[0], 1e-9)).clip(0, 1)


def _around(across, up, rows, columns):
    """The edges of a picture in which each start is the middle of its pixel."""
    right, above = (across[1] - across[0]) / (columns - 1) / 2, (up[1] - up[0]) / (rows - 1) / 2
    return across[0] - right, across[1] + right, up[0] - above, up[1] + above


def _basins_in_words(problem, minimum, arrival):
    starts, said = problem.grid(*reversed(minimum.shape)).numpy(), []
    for index, letter in [*enumerate(LETTERS), (-1, "no minimum")]:
        there = minimum == index
        if there.any():
            steps = f", {_number(arrival[there].mean())} steps" if index >= 0 else ""
            said.append(f"{letter} from {_percent(there)}, mean start {_pair(_rounded(starts[there], 0)[1])}{steps}")
    return f"basins of {minimum.shape[0]} x {minimum.shape[1]} starts: {'; '.join(said)}"


def _percent(chosen):
    return f"{100 * numpy.mean(chosen):.3g} %"


def heat(ax, x, y, values, label, scale="log"):
    """Draw a map of ``values`` over two axes of a sweep, in the colours of a bar at its side.

    An axis that is spaced by ratios is drawn on a logarithmic scale. What is no number, infinite or beyond
    ``EXPLODED`` is hatched.

    Args:
        x, y: the settings across, ``[n]``, and up, ``[m]``, in increasing or decreasing order.
        values: ``[n, m]``, as a `edu_optim.Sweep` over x and then y has them.
        label: what the values are, with their unit.
        scale: of the colours, "log", over twelve powers of ten at most, or "linear".

    Errors: ValueError if the shapes do not fit, or a value is negative on a logarithmic scale.

    >>> from edu_optim import SGD, problems, sweep
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
    ax.figure.colorbar(mesh, cax=ax.inset_axes([1.03, 0, 0.04, 1]), label=label).minorticks_off()
    if shown.mask.any():
        hatched = {"facecolor": "0.93", "edgecolor": "0.65", "hatch": "////", "linewidth": 0, "zorder": -1}
        ax.add_patch(Rectangle((0, 0), 1, 1, transform=ax.transAxes, **hatched))
        _name_cells(ax, "diverged", x, y, shown.mask)


def _cells(values):
    """The scale on which ``values`` are evenly spaced, and the edges of the cells in whose middle they are."""
    even, ratios = numpy.diff(values), numpy.diff(numpy.log(values.clip(1e-300)))
    by_ratio = values.min() > 0 and numpy.ptp(ratios) < 0.01 * abs(ratios.mean()) and len(values) > 2
    by_ratio = by_ratio and numpy.ptp(even) > 0.01 * abs(even.mean())
    places = numpy.log(values) if by_ratio else values
    between = (places[1:] + places[:-1]) / 2
    edges = numpy.array([2 * places[0] - between[0], *between, 2 * places[-1] - between[-1]])
    return ("log", numpy.exp(edges)) if by_ratio else ("linear", edges)


def _norm(values, scale):
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


def _name_cells(ax, name, x, y, chosen):
    """Write ``name`` over the one of the ``chosen`` cells that lies nearest to the middle of all of them."""
    cells = numpy.argwhere(chosen)
    column, row = cells[((cells - cells.mean(0)) ** 2).sum(1).argmin()]
    box = {"facecolor": "white", "edgecolor": "none", "pad": 2}
    ax.text(x[column], y[row], name, ha="center", va="center", color="0.25", bbox=box)


def label_ends(ax, gap=13):
    """Write the name of each line beside its last point, ``gap`` points apart or more, instead of a legend.

    >>> fig, ax = figure()
    >>> line, = ax.plot([0, 1], [0, 1], label="diagonal")
    >>> label_ends(ax)
    >>> ax.texts[0].get_text()
    'diagonal'
    """
    lines = [line for line in ax.get_lines() if not line.get_label().startswith("_")]
    ax.autoscale_view()
    low, high = ax.get_window_extent().intervaly
    heights = [ax.transData.transform(_end(line))[1].clip(low, high) for line in lines]
    lowest = -math.inf
    for height, line in sorted(zip(heights, lines, strict=True), key=lambda pair: pair[0]):
        lowest = max(height, lowest + gap * ax.figure.dpi / 72)
        ax.annotate(
            line.get_label(),
            xy=(1, (lowest - low) / (high - low)),
            xycoords="axes fraction",
            xytext=(3, 0),
            textcoords="offset points",
            color=line.get_color(),
            verticalalignment="center",
        )


def _end(line):
    points = line.get_xydata()
    return points[numpy.isfinite(points).all(axis=1)][-1]


def show(fig, alt):
    """Display a figure together with its text: ``alt``, then what is drawn, in numbers.

    ``alt`` says what the figure shows, in a sentence, to a reader who cannot see it. As both stand in the same
    output as the picture, a strict run of the notebook compares them, and a line that moved is noticed.

    Errors: ValueError if ``alt`` is not a sentence.

    >>> fig, ax = figure()
    >>> show(fig, "A picture.")
    Traceback (most recent call last):
        ...
    ValueError: alt must be a sentence that says what the figure shows, got 'A picture.'
    """
    if not isinstance(alt, str) or len(alt.split()) < 5:
        raise ValueError(f"alt must be a sentence that says what the figure shows, got {alt!r}")
    picture = io.BytesIO()
    fig.savefig(picture, format="png", dpi=DENSITY)
    width, height = (round(inches * DENSITY / 2) for inches in fig.get_size_inches())
    display(
        {"image/png": picture.getvalue(), "text/plain": f"{alt}\n{describe(fig)}"},
        metadata={"image/png": {"width": width, "height": height, "alt": alt}},
        raw=True,
    )


def describe(fig):
    """What a figure shows, as lines of text: axes, limits, and all that is drawn, in numbers of three digits.

    >>> fig, ax = figure()
    >>> line, = ax.plot([0, 1, 2], [0, 1, 4], label="squares")
    >>> print(describe(fig))
    panel 1: x from -0.1 to 2.1; y from -0.2 to 4.2
      line squares, 3 points, mean (1, 1.67): (0, 0) (1, 1) (2, 4)
    """
    lines = []
    for number, ax in enumerate(fig.axes, 1):
        title = f"panel {number} {ax.get_title()}".strip()
        lines.append(f"{title}: {_axis('x', ax.xaxis)}; {_axis('y', ax.yaxis)}")
        lines += [f"  {_curve(line)}" for line in ax.get_lines()]
        lines += [f"  {_collection(collection)}" for collection in ax.collections]
        lines += [f"  {_spread('image', image.get_array())}{_label(image)}" for image in ax.get_images()]
        lines += [f"  patch {_box(patch.get_path().get_extents(patch.get_patch_transform()))}" for patch in ax.patches]
        lines += [f"  {_text(text)}" for text in ax.texts]
    return "\n".join(lines)


def _axis(letter, axis):
    low, high = axis.get_view_interval()
    name = axis.get_label_text() or letter
    is_said = (axis.get_scale() == "linear") == ("log" not in name)
    scale = "" if is_said else f", {axis.get_scale()} scale"
    return f"{name} from {low:.3g} to {high:.3g}{scale}"


def _curve(line):
    """A line by its label, length and mean, and five of its points at equal distances."""
    points, mean = _rounded(line.get_xydata(), axis=0)
    shown = dict.fromkeys(round(i * (len(points) - 1) / 4) for i in range(5)) if len(points) else []
    label = "" if line.get_label().startswith("_child") else f" {line.get_label().lstrip('_')}"
    listed = " ".join(_pair(points[index]) for index in shown)
    return f"line{label}, {len(points)} points, mean {_pair(mean)}: {listed}"


def _rounded(values, axis=None):
    """Values and their mean, with zero for what is zero but for rounding, and a mask over what is no number."""
    values = numpy.ma.masked_invalid(numpy.asarray(values, dtype=float))
    mean, noise = values.mean(axis), 1e-12 * abs(values).max(axis)
    return numpy.ma.where(abs(values) < noise, 0, values), numpy.ma.where(abs(mean) < noise, 0, mean)


def _pair(pair):
    return f"({', '.join(_number(value) for value in pair)})"


def _number(value):
    return "--" if numpy.ma.is_masked(value) else f"{float(value) + 0.0:.3g}"


def _spread(what, values):
    values, mean = _rounded(values)
    low, mean, high = map(_number, (values.min(), mean, values.max()))
    return f"{what} of {' x '.join(map(str, values.shape))}: from {low} to {high}, mean {mean}"


def _label(artist):
    label = artist.get_label()
    return "" if label.startswith("_") else f"; {label}"


def _ninths(mesh):
    """Of a mesh with a name, what is not shown and the median of each ninth, so that it can be seen to be turned."""
    values = numpy.ma.masked_invalid(mesh.get_array())
    if not _label(mesh) or min(values.shape) < 3:
        return ""
    bands = [numpy.array_split(band, 3, axis=1) for band in numpy.array_split(values, 3)]
    rows = [" ".join(_number(numpy.ma.median(part)) for part in band) for band in bands]
    return f"; {_percent(values.mask)} missing; medians of ninths, from below: {', '.join(rows)}"


def _collection(collection):
    if isinstance(collection, ContourSet):
        lengths = sum(len(path.vertices) > 0 for path in collection.get_paths())
        return f"{_spread('contour levels', collection.levels)}, {lengths} of them in sight"
    if isinstance(collection, QuadMesh):
        return _spread("mesh", collection.get_array()) + _label(collection) + _ninths(collection)
    if isinstance(collection, PathCollection):
        colors = "" if collection.get_array() is None else f"; {_spread('colors', collection.get_array())}"
        return _spread("marks at", collection.get_offsets()) + colors
    return f"{type(collection).__name__} {_box(collection.get_datalim(collection.axes.transData))}"


def _text(text):
    if not isinstance(text, Annotation):
        return f"text {text.get_text()!r} at {_pair(text.get_position())}"
    arrow = f", arrow from {_pair(text.xyann)}" if text.arrow_patch else ""
    return f"text {text.get_text()!r} at {_pair(text.xy)}{arrow}"


def _box(box):
    return f"from {_pair(box.min)} to {_pair(box.max)}"
