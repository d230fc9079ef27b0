"""Controls beside a picture that follows them.

An experiment is a pure function of its controls. It draws on axes and returns numbers; `Experiment` puts sliders
beside the picture and draws again when one moves. What does not move, the ground, is drawn once and kept.
"""

import functools
import gc
import html
import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import traitlets
from matplotlib.figure import Figure

from ..plot import RED, bundle, course_style
from .controls import check_value
from .picture import Picture
from .words import AGREEMENT, in_words, number

STYLE = Path(__file__).with_name("experiment.css").read_text("utf-8")
WIDTH = 9.0


@functools.cache
def _keep_imports() -> None:
    """Look no more for garbage in what imports made, the first optimizer's too: it takes as long as three moves."""
    gc.freeze()


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
        self.picture = Picture(draw, ground, columns=columns, width=WIDTH, height=height)
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
        _keep_imports()

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
