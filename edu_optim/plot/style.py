"""One style for every figure, and one look for each optimizer.

Importing this module sets matplotlib's defaults to the style of the course.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.transforms import ScaledTranslation

DENSITY = 144  # pixels an inch; shown at half that, sharp on a retina screen
EXPLODED = 1e100

STYLE: dict[Any, Any] = {
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
_SEEN: dict[str, Any] = {}  # all settings as they were inside of the style

# The colors of M. Okabe & K. Ito 2008, Color Universal Design, which color-blind readers can tell apart; yellow,
# too pale for a line on white, is darkened.
BLACK = "#000000"
ORANGE = "#E69F00"
SKY = "#56B4E9"
GREEN = "#009E73"
YELLOW = "#B8A800"
BLUE = "#0072B2"
RED = "#D55E00"
PINK = "#CC79A7"
GRAY = "#808080"
LOOKS = {
    "SGD": (BLACK, "-", "o"),
    "momentum": (ORANGE, "--", "s"),
    "Nesterov": (SKY, "-.", "^"),
    "Adagrad": (GREEN, ":", "D"),
    "RMSprop": (PINK, (0, (6, 2)), "v"),
    "Adadelta": (GRAY, (0, (2, 1)), "P"),
    "Adam": (BLUE, (0, (8, 1)), "X"),
    "AdamW": (RED, (0, (4, 1, 1, 1)), "*"),
    "AMSGrad": (YELLOW, (0, (1, 2, 6, 2)), "d"),
    "NAdam": ("#332288", (0, (3, 2)), "<"),
    "RAdam": ("#882255", (0, (1, 3)), ">"),
    "Muon": ("#661100", (0, (9, 2, 2, 2)), "H"),
    "schedule-free": ("#999933", (0, (4, 2, 1, 2)), "p"),
}
OTHERS = [(RED, "-", "h"), (BLUE, "--", "<"), (GREEN, "-.", ">"), (ORANGE, ":", "p")]


def look(name: str) -> dict[str, Any]:
    """Color, dash and marker of an optimizer, the same in every picture, as keywords for ``Axes.plot``.

    >>> look("Adam")["color"]
    '#0072B2'
    """
    color, dash, marker = LOOKS.get(name) or OTHERS[sum(map(ord, name)) % len(OTHERS)]
    return {"color": color, "linestyle": dash, "marker": marker}


@contextmanager
def course_style() -> Iterator[None]:
    """The style of the course for what is drawn inside of it, whatever style the reader has set.

    >>> matplotlib.rcParams["text.color"] = "white"
    >>> with course_style():
    ...     matplotlib.rcParams["text.color"]
    'black'
    >>> matplotlib.rcParams["text.color"] = "black"
    """
    if matplotlib.rcParams == _SEEN.get("inside"):  # entering a style takes long
        yield
        return
    with style.context(["default", STYLE]):
        _SEEN["inside"] = matplotlib.rcParams.copy()
        yield


def figure(
    columns: int = 1, rows: int = 1, width: float | None = None, height: float = 3.6, **options: Any
) -> tuple[Figure, Any]:
    """A figure in the course's style and its axes: one, or an array of ``rows`` times ``columns``.

    ``width`` and ``height`` of one row are in inches; ``options`` go to ``Figure.subplots``.

    >>> fig, axes = figure(columns=2)
    >>> len(axes)
    2
    """
    with course_style():
        fig = Figure(figsize=(width or (5.6 if columns == 1 else 9.0), height * rows), layout="constrained")
        return fig, fig.subplots(rows, columns, **options)


def legend_below(ax: Axes) -> Legend | None:
    """Move the legend of an Axes under it, where it covers no line, in as many columns as fit, and return it.

    One that stands outside already stays there.

    >>> fig, ax = figure()
    >>> line, = ax.plot([0, 1], label="rises")
    >>> _ = ax.legend()
    >>> bool(legend_below(ax).get_bbox_to_anchor().y0 < ax.bbox.y0)
    True
    """
    legend, place, fig = ax.get_legend(), ax.get_subplotspec(), ax.get_figure(root=True)
    if not (legend and legend.get_texts() and place and fig and legend.get_bbox_to_anchor() is ax.bbox):
        return legend
    names = [text.get_text() for text in legend.get_texts()]
    points = place.get_position(fig).width * fig.get_size_inches()[0] * 72
    columns = max(1, min(len(names), int(points / (34 + 6.2 * max(map(len, names))))))
    under = ScaledTranslation(0, -(46 if ax.get_xlabel() else 28) / 72, fig.dpi_scale_trans)
    return ax.legend(
        [handle for handle in legend.legend_handles if handle is not None],
        names,
        loc="upper left",
        bbox_to_anchor=(0, 0),
        bbox_transform=ax.transAxes + under,
        borderaxespad=0,
        ncols=columns,
    )
