"""The picture of an experiment, kept from move to move: a move draws only what moves."""

import inspect
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.legend import Legend
from PIL import Image

from ..plot import course_style, figure, legend_below


class _KeptLayout(ConstrainedLayoutEngine):
    """Lays a figure out once for each room that the texts beside its Axes need: it takes as long as all the drawing."""

    def __init__(self) -> None:
        super().__init__()
        self.places: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}

    def execute(self, fig: Any) -> None:
        room = tuple(_room(ax) for ax in fig.axes)
        if room not in self.places:
            super().execute(fig)
            self.places[room] = [(ax.get_position(True), ax.get_anchor(), ax.get_box_aspect()) for ax in fig.axes]
        for ax, (position, anchor, aspect) in zip(fig.axes, self.places[room], strict=True):
            ax.set_position(position)
            ax.set_in_layout(True)  # which the line before has ended
            ax.set(anchor=anchor, box_aspect=aspect)


class _Axes(Axes):
    """Axes that take over the legend of the move before, unless names or colors are others: a new one takes long."""

    before: Legend | None = None

    def legend(self, *given: Any, **options: Any) -> Any:
        handles, names = self.get_legend_handles_labels()
        if given or options.get("handles") or not self.before or _entries(self.before) != _named(handles, names):
            return super().legend(*given, **options)
        self.legend_ = self.before
        return self.before


class Picture:
    """A figure that is kept: a move draws only what moves, over a copy of the rest.

    ``draw``, ``ground`` and the size are those of `edu_optim.lab.Experiment`.

    >>> def square(ax, *, side):
    ...     ax.plot([0, side, side, 0], [0, 0, side, side])
    ...     return {"area": side**2}
    >>> Picture(square, None, columns=1, width=9, height=3.6).jpeg({"side": 2})[0]
    {'area': 4}
    """

    def __init__(self, draw: Callable[..., dict[str, Any]], ground: Callable[..., None] | None, **size: Any) -> None:
        self.draw, self.ground, self.size = draw, ground, size
        self.needs = [] if ground is None else list(inspect.signature(ground).parameters)[1:]
        self.fig, self.axes = figure(**size, subplot_kw={"axes_class": _Axes})
        self.fig.set_layout_engine(_KeptLayout())
        self.canvas = FigureCanvasAgg(self.fig)
        self.blank = self.rest = set(self._artists())
        self.legends: dict[Axes, tuple[Any, Any]] = {}
        self.stands_for = self.frame = self.ticks = self.titles = self.empty = self.backdrop = None

    def snapshot(self, values: Mapping[str, Any]) -> tuple[Figure, dict[str, Any]]:
        """A figure of its own with the picture, and what ``draw`` measured."""
        with course_style():
            fig, axes = figure(**self.size)
            self._prepare(axes, values)
            numbers = self.draw(axes, **values)
            for ax in _listed(axes):
                legend_below(ax)
            return fig, numbers

    def jpeg(self, values: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
        """What ``draw`` measured, and the picture as JPEG."""
        needed = {name: values[name] for name in self.needs}
        if needed != self.stands_for:
            self._lay_ground(needed, values)
        for ax in _listed(self.axes):
            if ax.get_legend() not in self.rest:
                ax.before, ax.legend_ = ax.get_legend(), None
        self._take_off()
        numbers = self.draw(self.axes, **values)
        frame = [_frame(ax) for ax in self.fig.axes]
        if frame != self.frame or (self.backdrop is None and self._ticks() != self.ticks):
            self._draw_frame()
            self.frame, self.ticks = frame, self._ticks()
        titles = [ax.get_title() for ax in _listed(self.axes)]
        if self.backdrop is None or titles != self.titles:
            self._draw_ground()
            self.titles = titles
        self.canvas.restore_region(self.backdrop)
        for ax in _listed(self.axes):
            self._draw_legend(ax)
        for artist in sorted(self._moving(), key=lambda artist: artist.zorder):
            if not isinstance(artist, Legend):
                artist.draw(self.canvas.get_renderer())
        return numbers, as_jpeg(self.canvas)

    def _lay_ground(self, needed: dict[str, Any], values: Mapping[str, Any]) -> None:
        """Another ground, on the same Axes as if they were new."""
        self.stands_for, self.backdrop, self.rest = None, None, self.blank
        self.frame = None if self._beside() else self.frame
        for ax in _listed(self.axes):
            ax.before, ax.legend_ = ax.get_legend(), None
        self._take_off()
        for ax in _listed(self.axes):
            ax.set(title="", xlabel="", ylabel="", aspect="auto", xscale="linear", yscale="linear")
            ax.set(xlim=(0, 1), ylim=(0, 1), autoscale_on=True)
        self._prepare(self.axes, values)
        self.stands_for, self.rest = needed, set(self._artists())

    def _draw_frame(self) -> None:
        """Draw what takes longest: the Axes with their numbers, and nothing in them."""
        for ax in _listed(self.axes):
            legend_below(ax)
            if place := ax.get_subplotspec():
                ax.set_subplotspec(place)  # the layout depends on where it starts
        for artist in [*self._grounds(), *self._moving()]:
            artist.set_animated(True)
        self.canvas.draw()
        self.empty, self.backdrop, self.legends = self.canvas.copy_from_bbox(self.fig.bbox), None, {}

    def _draw_ground(self) -> None:
        self.canvas.restore_region(self.empty)
        for artist in sorted(self._grounds(), key=lambda artist: artist.zorder):
            artist.draw(self.canvas.get_renderer())
        self.backdrop = self.canvas.copy_from_bbox(self.fig.bbox)

    def _grounds(self) -> list[Artist]:
        """What the ground has put into the Axes, with what lies over it: their titles and edges."""
        laid, axes = self.rest - self.blank, _listed(self.axes)
        within = [artist for ax in axes for artist in ax.get_children() if artist in laid]
        return within + [artist for ax in axes for artist in (ax.title, *ax.spines.values())]

    def _ticks(self) -> list[Any]:
        return [_numbers(axis) for ax in self.fig.axes for axis in (ax.xaxis, ax.yaxis)]

    def _beside(self) -> list[Axes]:
        """Axes that the ground has added, such as those of a color bar."""
        return self.fig.axes[len(_listed(self.axes)) :]

    def _take_off(self) -> None:
        """Take off all but the rest. The Axes stay, since new ones, with all their ticks, take as long as the rest."""
        for artist in reversed(self._moving()):  # a color bar before what it belongs to
            artist.remove()
        for ax in self.fig.axes:
            ax.set_prop_cycle(None)
            ax.relim()

    def _draw_legend(self, ax: Axes) -> None:
        """Draw what takes longest of all only where its words or colors have changed."""
        legend = ax.get_legend()
        if legend is None or legend in self.rest:
            return
        entries = _entries(legend)
        if self.legends.get(ax, (None, None))[0] == entries:
            return self.canvas.restore_region(self.legends[ax][1])
        renderer, legend = self.canvas.get_renderer(), legend_below(ax) or legend
        legend.draw(renderer)
        self.legends[ax] = entries, self.canvas.copy_from_bbox(legend.get_window_extent(renderer).padded(2))

    def _prepare(self, axes: Any, values: Mapping[str, Any]) -> None:
        if self.ground:
            self.ground(axes, **{name: values[name] for name in self.needs})
            for ax in _listed(axes):
                legend_below(ax)

    def _artists(self) -> list[Artist]:
        return [artist for ax in self.fig.axes for artist in ax.get_children()]

    def _moving(self) -> list[Artist]:
        return [artist for artist in self._artists() if artist not in self.rest]


def _listed(axes: Any) -> list[Any]:
    return list(numpy.ravel(axes))


def _frame(ax: Axes) -> tuple[Any, ...]:
    """All that stands around the Axes and that drawing may change, but for the numbers that follow from it."""
    ax.autoscale_view()
    labels = _lines(ax.get_title()), ax.get_xlabel(), ax.get_ylabel(), len(_entries(ax.get_legend()))
    shape = ax.get_aspect(), ax.axison
    return *ax.get_xlim(), *ax.get_ylim(), ax.get_xscale(), ax.get_yscale(), *labels, *shape


def _room(ax: Axes) -> tuple[Any, ...]:
    """What the room depends on that an Axes needs around it: its texts, by lines or letters, and its legend."""
    texts = [_lines(text) for text in (ax.get_title(), ax.get_xlabel(), ax.get_ylabel())]
    letters = [max(map(len, _numbers(axis)[1:])) for axis in (ax.xaxis, ax.yaxis)]
    return *texts, *letters, *[name for name, color in _entries(ax.get_legend())]


def _lines(text: str) -> int:
    return text.count("\n") + bool(text)


def _numbers(axis: Axis) -> list[Any]:
    """Where an axis has ticks, the numbers along it, and what is added to them all."""
    formatter, places = axis.get_major_formatter(), [*axis.get_majorticklocs()]
    return [(*places, *axis.get_minorticklocs()), *formatter.format_ticks(places), formatter.get_offset()]


def _entries(legend: Legend | None) -> list[tuple[Any, ...]]:
    """The names in a legend, and their colors."""
    return _named(legend.legend_handles, [text.get_text() for text in legend.get_texts()]) if legend else []


def _named(handles: Sequence[Any], names: Sequence[str]) -> list[tuple[Any, ...]]:
    colors = [str(getattr(handle, "get_color", str)()) for handle in handles]
    return list(zip(names, colors, strict=True))


def as_jpeg(canvas: FigureCanvasAgg) -> bytes:
    """What a canvas shows, as the bytes of a JPEG, which takes a sixth of the time that a PNG takes.

    >>> canvas = FigureCanvasAgg(figure()[0])
    >>> canvas.draw()
    >>> as_jpeg(canvas)[6:10]
    b'JFIF'
    """
    pixels = Image.fromarray(numpy.asarray(canvas.buffer_rgba()))
    file = io.BytesIO()
    pixels.convert("RGB").save(file, "jpeg", quality=95, subsampling=0)
    return file.getvalue()
