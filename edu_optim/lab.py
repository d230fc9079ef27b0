"""Experiments: controls beside a picture that follows them, driven by your own optimizer.

An experiment is a pure function of its controls. It draws on axes and returns numbers; `Experiment` puts sliders
beside the picture and draws again when one moves. What does not move, the ground, is drawn once and kept.
"""

import html
import inspect
import io
import traceback

import ipywidgets as widgets
import torch
import traitlets
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from .base import from_rule
from .plot import BLACK, DENSITY, ORANGE, RED, SKY, figure

WIDE = widgets.Layout(width="22em")
NAMES_FIT = {"description_width": "11em"}


def slider(name, unit, value, low, high, step=None):
    """A slider with even steps, of whole numbers if all its numbers are whole.

    >>> slider("turn", "degrees", 0, 0, 45).description
    'turn (degrees)'
    """
    whole = all(isinstance(number, int) for number in (value, low, high, step or 1))
    make = widgets.IntSlider if whole else widgets.FloatSlider
    step = step or (1 if whole else (high - low) / 100)
    precision = {} if whole else {"readout_format": ".3g"}
    return _control(make, name, unit, value=value, min=low, max=high, step=step, **precision)


def rate(name, unit, value, low, high):
    """A slider with even ratios, for what matters by its order of magnitude, such as a learning rate.

    ``low`` and ``high`` are the ends of its range, both positive.

    >>> rate("learning rate", "x per step", 0.1, 0.001, 1).value
    0.1
    """
    low, high = (torch.tensor(float(end), dtype=torch.float64).log10().item() for end in (low, high))
    step = (high - low) / 100
    return _control(widgets.FloatLogSlider, name, unit, value=value, min=low, max=high, step=step, readout_format=".3g")


def choice(name, *options):
    """One of several words, the first one at the start.

    >>> choice("form", "classical", "look-ahead").value
    'classical'
    """
    return _control(widgets.Dropdown, name, "", options=options, value=options[0])


def switch(name):
    """On or off, off at the start: for what breaks.

    >>> switch("forget zero_grad").value
    False
    """
    return widgets.Checkbox(description=name, value=False, indent=False, layout=WIDE)


class Player(widgets.VBox):
    """A slider of whole numbers with a button that plays it at a steady rate.

    >>> Player("step", "of 50", 1, 1, 50).value
    1
    """

    value = traitlets.Int()

    def __init__(self, name, unit, value, low, high):
        self.slider = slider(name, unit, value, low, high)
        self.play = widgets.Play(value=value, min=low, max=high, interval=120, tooltip=f"play {name}")
        widgets.jslink((self.play, "value"), (self.slider, "value"))
        super().__init__([self.slider, self.play])
        for source, target in ((self.slider, self), (self.slider, self.play)):
            traitlets.link((source, "value"), (target, "value"))
        traitlets.link((self.slider, "max"), (self.play, "max"))

    @property
    def description(self):
        return self.slider.description


def _control(make, name, unit, **options):
    description = f"{name} ({unit})" if unit else name
    return make(description=description, layout=WIDE, style=NAMES_FIT, **options)


class Experiment(widgets.Box):
    """Controls beside the picture of ``draw``, which is drawn again whenever one of them moves.

    Args:
        draw: ``draw(axes, **values)`` draws what moves, on one Axes or an array of them, and returns a dict
            from what is measured to a number or words. The first line of its docstring says what the picture
            shows. It must depend on nothing but its arguments.
        ground: ``ground(axes, ...)`` draws what does not move, sets limits and labels, and names the controls that
            it depends on; drawn again only when one of those moves.
        columns, width, height: of the figure, as in `edu_optim.plot.figure`.
        controls: name -> a control, whose value is handed to ``draw`` under that name; what is no control
            is handed over as it is, such as ``optimizer=``.

    ``numbers`` and ``text`` hold what ``draw`` measured. If it raises, the experiment says so in words and keeps its
    last picture.

    Errors: ValueError if ``draw`` has no docstring.

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

    def __init__(self, draw, ground=None, *, columns=1, width=None, height=3.6, **controls):
        if not inspect.getdoc(draw):
            raise ValueError(f"draw must have a docstring that says what its picture shows, got {draw!r}")
        self.controls = {name: control for name, control in controls.items() if isinstance(control, widgets.Widget)}
        self.constants = {name: value for name, value in controls.items() if name not in self.controls}
        self.picture = _Picture(draw, ground, columns=columns, width=width, height=height)
        self.numbers = {}
        self.error = None
        pixels = self.picture.fig.get_size_inches()[0] * DENSITY / 2
        self.image = widgets.Image(format="png", layout=widgets.Layout(width=f"{pixels:.0f}px", max_width="100%"))
        self.readout = widgets.HTML()
        for control in self.controls.values():
            control.observe(lambda change: self.follow(), "value")
        super().__init__(
            [widgets.VBox(list(self.controls.values())), widgets.VBox([self.image, self.readout])],
            layout=widgets.Layout(display="flex", flex_flow="row wrap"),
        )
        self.follow()

    @property
    def values(self):
        """What ``draw`` is called with."""
        return {**self.constants, **{name: control.value for name, control in self.controls.items()}}

    @property
    def text(self):
        """What was measured, a line each; or what went wrong."""
        return self.error or "\n".join(f"{name}: {_number(value)}" for name, value in self.numbers.items())

    def follow(self):
        """Draw the picture for the controls as they stand, and say what it shows."""
        try:
            self.numbers, png = self.picture.png(self.values)
            self.error = None
            self.image.value = png
        except Exception as error:
            self.error = _in_words(error)
        self.image.tooltip = f"{inspect.getdoc(self.picture.draw).splitlines()[0]} {self.text}"
        colour = f"color:{RED}" if self.error else ""
        lines = html.escape(self.text).replace("\n", "<br>")
        self.readout.value = f'<div role="status" style="line-height:1.5;{colour}">{lines}</div>'

    def still(self):
        """A figure of its own with the picture as it stands, for `edu_optim.plot.show`."""
        return self.picture.still(self.values)

    def __repr__(self):
        lines = [f"{control.description}: {_number(control.value)}" for control in self.controls.values()]
        return "\n".join([*lines, self.text])

    def _repr_mimebundle_(self, **options):
        return {**super()._repr_mimebundle_(**options), "text/plain": repr(self)}


class _Picture:
    """A figure that is kept: a move draws only what moves, over a copy of the rest."""

    def __init__(self, draw, ground, **size):
        self.draw, self.ground, self.size = draw, ground, size
        self.needs = [] if ground is None else list(inspect.signature(ground).parameters)[1:]
        self.fig, self.axes = figure(**size)
        self.canvas = FigureCanvasAgg(self.fig)
        self.stands_for = self.rest = self.frame = self.backdrop = None

    def still(self, values):
        fig, axes = figure(**self.size)
        self._prepare(axes, values)
        self.draw(axes, **values)
        return fig

    def png(self, values):
        """What ``draw`` measured, and the picture as PNG."""
        needed = {name: values[name] for name in self.needs}
        if self.rest is None or needed != self.stands_for:
            self.rest = self.frame = None
            self.fig.clear()
            self.axes = self.fig.subplots(1, self.size["columns"])
            self._prepare(self.axes, values)
            self.stands_for, self.rest = needed, set(self._artists())
        for artist in self._moving():
            artist.remove()
        for ax in self.fig.axes:
            ax.set_prop_cycle(None)
            ax.relim()
        numbers = self.draw(self.axes, **values)
        moving = sorted(self._moving(), key=lambda artist: artist.zorder)
        frame = [_frame(ax) for ax in self.fig.axes]
        if frame != self.frame:
            for artist in moving:
                artist.set_animated(True)
            self.canvas.draw()
            self.frame, self.backdrop = frame, self.canvas.copy_from_bbox(self.fig.bbox)
        self.canvas.restore_region(self.backdrop)
        for artist in moving:
            artist.axes.draw_artist(artist)
        return numbers, _png(self.canvas)

    def _prepare(self, axes, values):
        if self.ground:
            self.ground(axes, **{name: values[name] for name in self.needs})

    def _artists(self):
        return [artist for ax in self.fig.axes for artist in ax.get_children()]

    def _moving(self):
        return [artist for artist in self._artists() if artist not in self.rest]


def _frame(ax):
    """All that stands in the backdrop and that drawing may change."""
    ax.autoscale_view()
    labels = ax.get_title(), ax.get_xlabel(), ax.get_ylabel()
    return *ax.get_xlim(), *ax.get_ylim(), ax.get_xscale(), ax.get_yscale(), *labels


def _png(canvas):
    pixels = Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba(), "raw", "RGBA", 0, 1)
    file = io.BytesIO()
    pixels.convert("RGB").save(file, "png", compress_level=1)
    return file.getvalue()


def _in_words(error):
    """What an error says, and in which line of which function it was raised."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"in {last.name}, line {last.lineno}: {last.line}" if last.line else f"in {last.name}"
    return f"{type(error).__name__}: {error}\n{where}\nThe picture shows the last setting that worked."


def _number(value):
    if isinstance(value, bool | str):
        return str(value)
    value = float(value)
    return f"{value:.0f}" if value.is_integer() and abs(value) < 1e6 else f"{value:.3g}"


def rivals(ours, mine=None, **options):
    """Entrants of a `edu_optim.trace.race`: your optimizer beside ours and torch's of the same name.

    Args:
        ours: a class of `edu_optim`.
        mine: your class, or your rule, made a class by `edu_optim.from_rule`; ours runs alone if None.
        options: of ours and torch's; yours is given those that it takes.

    >>> from edu_optim import SGD
    >>> from edu_optim.rules import gradient_descent
    >>> list(rivals(SGD, gradient_descent, lr=0.1))
    ['torch', 'ours', 'yours']
    """
    if mine is None:
        return {ours.__name__: (ours, options)}
    cls = from_rule(mine) if inspect.isfunction(mine) else mine
    parameters = inspect.signature(cls).parameters
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    taken = {name: value for name, value in options.items() if takes_all or name in parameters}
    return {"torch": (getattr(torch.optim, ours.__name__), options), "ours": (ours, options), "yours": (cls, taken)}


OVERLAY = {
    "torch": {"color": SKY, "linewidth": 7, "alpha": 0.6, "solid_capstyle": "round"},
    "ours": {"color": ORANGE, "linewidth": 3.5},
    "yours": {"color": BLACK, "linewidth": 1.2, "marker": ".", "markersize": 5},
}


def overlay(ax, lines):
    """Draw lines over each other so that all can be seen, and mark where yours first leaves torch's.

    Args:
        lines: name -> points ``[n, 2]``; the names are those of `rivals`.

    Returns what it found, in words: an empty dict where there is nothing to compare.

    >>> from edu_optim.plot import figure
    >>> straight, bent = torch.tensor([[0.0, 0.0], [1.0, 1.0]]), torch.tensor([[0.0, 0.0], [1.0, 2.0]])
    >>> overlay(figure()[1], {"torch": straight, "ours": straight, "yours": bent})
    {'yours leaves torch at': 'step 1, (1, 2) instead of (1, 1)'}
    """
    for name, points in lines.items():
        ax.plot(*points.T, label=name, **OVERLAY.get(name, OVERLAY["yours"]))
    if "yours" not in lines:
        return {}
    if ax.get_legend() is None:
        ax.legend(loc="upper right")
    yours, torchs = lines["yours"], lines["torch"]
    apart = ~torch.isclose(yours, torchs, rtol=1e-6, atol=1e-9, equal_nan=True).all(-1)
    if not apart.any():
        return {"yours, ours and torch": f"the same in all {len(yours) - 1} steps"}
    step = int(apart.int().argmax())
    ax.plot(*yours[step], marker="X", markersize=12, color=RED, linestyle="none", label="_parting", zorder=5)
    seen, expected = (f"({', '.join(_number(value) for value in line[step])})" for line in (yours, torchs))
    return {"yours leaves torch at": f"step {step}, {seen} instead of {expected}"}
