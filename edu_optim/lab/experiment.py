"""Controls beside a picture that follows them.

An experiment is a pure function of its controls. It draws on axes and returns numbers; `Experiment` puts sliders
beside the picture and draws again when one moves. What does not move, the ground, is drawn once and kept.
"""

import html
import inspect
import io
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import numpy
import traitlets
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.legend import Legend
from PIL import Image

from ..plot import RED, bundle, course_style, figure, legend_below
from .controls import check_value
from .words import AGREEMENT, in_words, number

STYLE = Path(__file__).with_name("experiment.css").read_text("utf-8")
WIDTH = 9.0


class Experiment(widgets.Box):
    """Controls beside the picture of ``draw``, which is drawn again whenever one of them moves.

    Args:
        draw: ``draw(axes, **values)`` draws what moves, on one Axes or an array of them, and returns a dict
            from what is measured to a number or words. The first line of its docstring says what the picture
            shows. It must depend on nothing but its arguments.
        ground: ``ground(axes, ...)`` draws what does not move, sets limits and labels, and names the controls that
            it depends on; drawn again only when one of those moves.
        columns: how many panels stand side by side.
        height: of the picture, in inches; it is 9 inches wide.
        controls: name -> a control, whose value is passed to ``draw`` under that name; what is no control
            is passed as it is, such as ``optimizer=``.

    ``numbers`` and ``text`` hold what ``draw`` measured. If it raises, the experiment says so in words and keeps its
    last picture.

    Errors: ValueError if ``draw`` has no docstring.

    >>> from edu_optim.lab import slider
    >>> def square(ax, *, side):
    ...     '''A square.'''
    ...     ax.plot([0, side, side, 0], [0, 0, side, side])
    ...     return {"area": side**2}
    >>> experiment = Experiment(square, side=slider("side", "m", 2, 0, 5))
    >>> experiment.controls["side"].value = 3
    >>> print(experiment)
    side (m): 3
    area: 9
    """

    def __init__(
        self,
        draw: Callable[..., dict[str, Any]],
        ground: Callable[..., None] | None = None,
        *,
        columns: int = 1,
        height: float = 3.6,
        **controls: Any,
    ) -> None:
        shows = inspect.getdoc(draw)
        if not shows:
            raise ValueError(f"draw must have a docstring that says what its picture shows, got {draw!r}")
        self.caption = shows.splitlines()[0]
        self.controls: dict[str, Any] = {}
        self.constants: dict[str, Any] = {}
        for name, value in controls.items():
            (self.controls if isinstance(value, widgets.Widget) else self.constants)[name] = value
        self.picture = _Picture(draw, ground, columns=columns, width=WIDTH, height=height)
        self.numbers = {}
        self.error = None
        self.seconds = 0.0
        self.image = _Image(format="jpeg", tooltip=self.caption)
        self.readout = widgets.HTML()
        for control in self.controls.values():
            control.observe(lambda change: self.follow(), "value")
        table = widgets.Box(list(self.controls.values())).add_class("edu-optim-controls")
        super().__init__([widgets.HTML(f"<style>{STYLE}</style>"), table, self.image, self.readout])
        self.add_class("edu-optim")
        self.follow()

    @property
    def values(self) -> dict[str, Any]:
        """What ``draw`` is called with."""
        return self.constants | {name: control.value for name, control in self.controls.items()}

    @property
    def text(self) -> str:
        """What was measured, a line each; or what went wrong."""
        return self.error or "\n".join(f"{name}: {number(value)}" for name, value in self.numbers.items())

    def follow(self) -> None:
        """Draw the picture for the controls as they stand, and say what it shows."""
        if self.seconds > 1:
            self.readout.value = '<div role="status" class="edu-optim-readings">working ...</div>'
        started = time.perf_counter()
        try:
            with course_style():
                self.numbers, jpeg = self.picture.jpeg(self.values)
            self.error = None
            self.image.value = jpeg
        except Exception as error:
            last = "\nThe picture shows the last setting that worked." if self.image.value else ""
            self.error = in_words(error) + last
        self.readout.value = f'<div role="status" class="edu-optim-readings">{self._readings()}</div>'
        self.seconds = time.perf_counter() - started

    def _readings(self) -> str:
        """What the picture shows, whether the optimizers agree, and a table of the numbers, as HTML."""
        if self.error:
            lines = html.escape(f"{self.caption}\n{self.error}").replace("\n", "<br>")
            return f'<p style="color:{RED}">{lines}</p>'
        said = {html.escape(name): html.escape(number(value)) for name, value in self.numbers.items()}
        found = [f'<p class="agreement">{name}: {said.pop(name)}</p>' for name in AGREEMENT if name in said]
        rows = [f'<tr><th scope="row">{name}</th><td>{value}</td></tr>' for name, value in said.items()]
        return "".join([f"<p>{html.escape(self.caption)}</p>", *found, "<table>", *rows, "</table>"])

    def at(self, **values: Any) -> "Snapshot":
        """The picture and the words for other values of some controls; the experiment itself stays as it is.

        Errors: TypeError if there is no such control, ValueError if it cannot stand at that value; whatever ``draw``
        raises.
        """
        if unknown := values.keys() - self.controls.keys():
            raise TypeError(f"the controls are {', '.join(self.controls)}, got {', '.join(sorted(unknown))}")
        for name, value in values.items():
            check_value(name, self.controls[name], value)
        settings = {self.controls[name].description: value for name, value in values.items()}
        fig, numbers = self.picture.snapshot(self.values | values)
        return Snapshot(self.caption, settings, fig, numbers)

    def __repr__(self) -> str:
        lines = [f"{control.description}: {number(control.value)}" for control in self.controls.values()]
        return "\n".join([*lines, self.text])

    def _repr_mimebundle_(self, **options: Any) -> Any:  # the data and its metadata, as IPython takes them too
        widget = super()._repr_mimebundle_(**options) or {}
        words = f"{self.caption}\n{self!r}"
        if self.error:
            return widget | {"text/plain": words}, {}
        data, metadata = bundle(self.at().fig, words)
        return widget | data, metadata


@dataclass(frozen=True, repr=False)
class Snapshot:
    """The picture of an `Experiment` at some values of its controls, and what it measured there.

    Args:
        caption: what the picture shows.
        settings: description of a control -> its value.
        fig: the picture.
        numbers: what was measured.

    >>> from edu_optim.lab import slider
    >>> def square(ax, *, side):
    ...     '''A square that grows with its side.'''
    ...     ax.plot([0, side, side, 0], [0, 0, side, side])
    ...     return {"area": side**2}
    >>> Experiment(square, side=slider("side", "m", 2, 0, 5)).at(side=4)
    side (m): 4
    area: 16
    """

    caption: str
    settings: dict[str, Any]
    fig: Figure
    numbers: dict[str, Any]

    def __repr__(self) -> str:
        return "\n".join(f"{name}: {number(value)}" for name, value in (self.settings | self.numbers).items())

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return bundle(self.fig, f"{self.caption}\n{self!r}")


class _Image(widgets.Image):
    """An image whose tooltip says what it shows to those who cannot see it; without a description it would fail."""

    description = traitlets.Unicode().tag(sync=True)


class _KeptLayout(ConstrainedLayoutEngine):
    """Lays a figure out only where the texts beside its Axes need other room: it takes as long as all the drawing."""

    room: Any = None
    places: list[tuple[Any, ...]] = []

    def execute(self, fig: Any) -> None:
        room = [_room(ax) for ax in fig.axes]
        if room != self.room:
            super().execute(fig)
            self.room = room
            self.places = [(ax.get_position(True), ax.get_anchor(), ax.get_box_aspect()) for ax in fig.axes]
        for ax, (position, anchor, aspect) in zip(fig.axes, self.places, strict=True):
            ax.set_position(position)
            ax.set_in_layout(True)  # which the line before has ended
            ax.set(anchor=anchor, box_aspect=aspect)


class _Picture:
    """A figure that is kept: a move draws only what moves, over a copy of the rest."""

    def __init__(self, draw: Callable[..., dict[str, Any]], ground: Callable[..., None] | None, **size: Any) -> None:
        self.draw, self.ground, self.size = draw, ground, size
        self.needs = [] if ground is None else list(inspect.signature(ground).parameters)[1:]
        self.fig, self.axes = figure(**size)
        self.fig.set_layout_engine(_KeptLayout())
        self.canvas = FigureCanvasAgg(self.fig)
        self.rest: set[Artist] = set()
        self.legends: dict[Axes, tuple[Any, Any]] = {}
        self.stands_for = self.frame = self.backdrop = None

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
            self.stands_for = self.frame = None
            self.fig.clear()
            self.axes = self.fig.subplots(1, self.size["columns"])
            self._prepare(self.axes, values)
            self.stands_for, self.rest = needed, set(self._artists())
        for artist in reversed(self._moving()):  # a color bar before what it belongs to
            artist.remove()
        for ax in self.fig.axes:
            ax.set_prop_cycle(None)
            ax.relim()
        numbers = self.draw(self.axes, **values)
        frame = [_frame(ax) for ax in self.fig.axes]
        if frame != self.frame:
            for ax in _listed(self.axes):
                legend_below(ax)
                if place := ax.get_subplotspec():
                    ax.set_subplotspec(place)  # the layout depends on where it starts
            for artist in self._moving():
                artist.set_animated(True)
            self.canvas.draw()
            self.frame, self.backdrop, self.legends = frame, self.canvas.copy_from_bbox(self.fig.bbox), {}
        self.canvas.restore_region(self.backdrop)
        for ax in _listed(self.axes):
            self._draw_legend(ax)
        for artist in sorted(self._moving(), key=lambda artist: artist.zorder):
            if not isinstance(artist, Legend):
                artist.draw(self.canvas.get_renderer())
        return numbers, as_jpeg(self.canvas)

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


def _listed(axes: Any) -> list[Axes]:
    return list(numpy.ravel(axes))


def _frame(ax: Axes) -> tuple[Any, ...]:
    """All that stands in the backdrop and that drawing may change."""
    ax.autoscale_view()
    labels = ax.get_title(), ax.get_xlabel(), ax.get_ylabel(), len(_entries(ax.get_legend()))
    return *ax.get_xlim(), *ax.get_ylim(), ax.get_xscale(), ax.get_yscale(), *labels


def _room(ax: Axes) -> tuple[Any, ...]:
    """What the room depends on that an Axes needs around it: its texts, by lines or letters, and its legend."""
    texts = [text.count("\n") + bool(text) for text in (ax.get_title(), ax.get_xlabel(), ax.get_ylabel())]
    letters = [_letters(axis) for axis in (ax.xaxis, ax.yaxis)]
    return *texts, *letters, [name for name, color in _entries(ax.get_legend())]


def _letters(axis: Axis) -> int:
    """The length of the longest number along an axis."""
    formatter = axis.get_major_formatter()
    numbers = formatter.format_ticks(list(axis.get_majorticklocs()))
    return max(map(len, [*numbers, formatter.get_offset()]))


def _entries(legend: Legend | None) -> list[tuple[Any, ...]]:
    """The names in a legend, and their colors."""
    if legend is None:
        return []
    colors = [str(getattr(handle, "get_color", str)()) for handle in legend.legend_handles]
    return list(zip([text.get_text() for text in legend.get_texts()], colors, strict=True))


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
