"""The text of a figure: what is drawn, in numbers, for those who cannot see it and for what compares outputs."""

import io
from collections.abc import Iterable
from typing import Any

import matplotlib
import numpy
from IPython.display import display
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import Collection, PathCollection, QuadMesh
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation, Text
from matplotlib.transforms import BboxBase
from numpy.typing import ArrayLike

from .style import DENSITY, course_style


def show(fig: Figure, alt: str, *, numbers: bool = True) -> None:
    """Display a figure together with its text: ``alt``, then what is drawn, in numbers.

    ``alt`` says what the figure shows, in a sentence, to a reader who cannot see it. As both stand in the same
    output as the picture, a strict run of the notebook compares them, and a line that moved is noticed. Without
    ``numbers`` the text is ``alt`` alone, for what no two machines have in common: times, or where long trainings end.

    Errors: ValueError if ``alt`` is not a sentence.

    >>> from edu_optim.plot import figure
    >>> fig, ax = figure()
    >>> show(fig, "A picture.")
    Traceback (most recent call last):
        ...
    ValueError: alt must be a sentence that says what the figure shows, got 'A picture.'
    """
    if not isinstance(alt, str) or len(alt.split()) < 5:
        raise ValueError(f"alt must be a sentence that says what the figure shows, got {alt!r}")
    data, metadata = bundle(fig, alt)
    if not numbers:
        data["text/plain"] = alt
    display(data, metadata=metadata, raw=True)


def bundle(fig: Figure, words: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A figure as PNG with its text, as IPython displays it, and the size and the alt text of the picture.

    >>> from edu_optim.plot import figure
    >>> data, metadata = bundle(figure()[0], "An empty picture.")
    >>> print(data["text/plain"])
    An empty picture.
    panel 1: x from 0 to 1; y from 0 to 1
    """
    theirs = matplotlib.rcParams["text.color"]
    for text in fig.findobj(Text):  # what a cell wrote on the figure is in the reader's style
        text.set_usetex(False)
        if text.get_color() == theirs:
            text.set_color("black")
    picture = io.BytesIO()
    with course_style():
        fig.savefig(picture, format="png", dpi=DENSITY)
    width, height = (round(inches * DENSITY / 2) for inches in fig.get_size_inches())
    data = {"image/png": picture.getvalue(), "text/plain": f"{words}\n{describe(fig)}"}
    return data, {"image/png": {"width": width, "height": height, "alt": words}}


def describe(fig: Figure) -> str:
    """What a figure shows, as lines of text: axes, limits, and all that is drawn, in numbers of three digits.

    >>> from edu_optim.plot import figure
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
        lines += [f"  {_collection(collection, ax)}" for collection in ax.collections]
        lines += [f"  {_spread('image', image.get_array())}{_label(image)}" for image in ax.get_images()]
        lines += [f"  patch {_box(patch.get_path().get_extents(patch.get_patch_transform()))}" for patch in ax.patches]
        lines += [f"  {_text(text)}" for text in ax.texts]
    return "\n".join(lines)


def _axis(letter: str, axis: Axis) -> str:
    low, high = axis.get_view_interval()
    name = axis.get_label_text() or letter
    is_said = (axis.get_scale() == "linear") == ("log" not in name)
    scale = "" if is_said else f", {axis.get_scale()} scale"
    return f"{name} from {low:.3g} to {high:.3g}{scale}"


def _curve(line: Line2D) -> str:
    """A line by its label, length and mean, and five of its points at equal distances."""
    points, mean = rounded(numpy.asarray(line.get_xydata()), axis=0)
    shown = dict.fromkeys(round(i * (len(points) - 1) / 4) for i in range(5)) if len(points) else []
    label = str(line.get_label())
    label = "" if label.startswith("_child") else f" {label.lstrip('_')}"
    listed = " ".join(pair(points[index]) for index in shown)
    return f"line{label}, {len(points)} points, mean {pair(mean)}: {listed}"


def rounded(values: ArrayLike, axis: int | None = None) -> tuple[numpy.ma.MaskedArray, Any]:
    """Values and their mean, with zero for what is zero but for rounding, and a mask over what is no number.

    >>> values, mean = rounded([1e-17, 4.0, float("nan")])
    >>> print(values, mean)
    [0.0 4.0 --] 2.0
    """
    values = numpy.ma.masked_invalid(numpy.asarray(values, dtype=float))
    mean, noise = values.mean(axis), 1e-12 * abs(values).max(axis)
    return numpy.ma.where(abs(values) < noise, 0, values), numpy.ma.where(abs(mean) < noise, 0, mean)


def pair(point: Iterable[Any]) -> str:
    """A point, as it stands in the text of a figure.

    >>> pair([0.123456, -2])
    '(0.123, -2)'
    """
    return f"({', '.join(number(value) for value in point)})"


def number(value: Any) -> str:
    """A number in three digits, as it stands in the text of a figure.

    >>> number(-0.0), number(1234.5)
    ('0', '1.23e+03')
    """
    return "--" if numpy.ma.is_masked(value) else f"{float(value) + 0.0:.3g}"


def _spread(what: str, values: Any) -> str:
    values, mean = rounded(values)
    low, mean, high = map(number, (values.min(), mean, values.max()))
    return f"{what} of {' x '.join(map(str, values.shape))}: from {low} to {high}, mean {mean}"


def _label(artist: Artist) -> str:
    label = str(artist.get_label())
    return "" if label.startswith("_") else f"; {label}"


def _ninths(mesh: QuadMesh) -> str:
    """Of a mesh with a name, what is not shown and the median of each ninth, so that it can be seen to be turned."""
    values = numpy.ma.masked_invalid(numpy.ma.asanyarray(mesh.get_array()))
    if not _label(mesh) or min(values.shape) < 3:
        return ""
    bands = [numpy.array_split(band, 3, axis=1) for band in numpy.array_split(values, 3)]
    rows = [" ".join(number(numpy.ma.median(ninth)) for ninth in band) for band in bands]
    return f"; {percent(values.mask)} missing; medians of ninths, from below: {', '.join(rows)}"


def _collection(collection: Collection, ax: Axes) -> str:
    if isinstance(collection, ContourSet):
        lengths = sum(numpy.size(path.vertices) > 0 for path in collection.get_paths())
        return f"{_spread('contour levels', collection.levels)}, {lengths} of them in sight"
    if isinstance(collection, QuadMesh):
        return _spread("mesh", collection.get_array()) + _label(collection) + _ninths(collection)
    if isinstance(collection, PathCollection):
        colors = "" if collection.get_array() is None else f"; {_spread('colors', collection.get_array())}"
        return _spread("marks at", collection.get_offsets()) + colors
    return f"{type(collection).__name__} {_box(collection.get_datalim(ax.transData))}"


def _text(text: Text) -> str:
    if not isinstance(text, Annotation):
        return f"text {text.get_text()!r} at {pair(text.get_position())}"
    arrow = f", arrow from {pair(text.xyann)}" if text.arrow_patch else ""
    return f"text {text.get_text()!r} at {pair(text.xy)}{arrow}"


def _box(box: BboxBase) -> str:
    return f"from {pair(box.min)} to {pair(box.max)}"


def percent(chosen: ArrayLike) -> str:
    """The share of an array that is true.

    >>> percent([True, False, False])
    '33.3 %'
    """
    return f"{100 * numpy.asarray(chosen).mean():.3g} %"
