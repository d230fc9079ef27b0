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
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
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
        lines += [f"  {_spread('image', image.get_array())}" for image in ax.get_images()]
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


def _collection(collection):
    if isinstance(collection, ContourSet):
        lengths = sum(len(path.vertices) > 0 for path in collection.get_paths())
        return f"{_spread('contour levels', collection.levels)}, {lengths} of them in sight"
    if isinstance(collection, QuadMesh):
        return _spread("mesh", collection.get_array())
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
