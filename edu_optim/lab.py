"""Experiments: controls beside a picture that follows them, driven by your own optimizer.

An experiment is a pure function of its controls. It draws on axes and returns numbers; `Experiment` puts sliders
beside the picture and draws again when one moves. What does not move, the ground, is drawn once and kept.
"""

import copy
import functools
import html
import inspect
import io
import math
import traceback

import ipywidgets as widgets
import torch
import traitlets
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from . import problems
from .base import from_rule
from .optimizers import SGD, Adadelta, Adagrad, Adam, AdamW, RMSprop
from .plot import BLACK, BLUE, DENSITY, LETTERS, ORANGE, RED, SKY, contour, figure, heat, look
from .plot import basins as basin_map
from .trace import descend, race, sweep

WIDE = widgets.Layout(width="26em")
SIDE_BY_SIDE = widgets.Layout(display="flex", flex_flow="row wrap")  # where there is room
NAMES_FIT = {"description_width": "12em"}


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

    ``low`` and ``high`` are the ends of its range, both positive. Beside it stands the number, which can be typed over.

    >>> rate("learning rate", "x per step", 0.1, 0.001, 1).value
    0.1
    """
    return Rate(name, unit, value, low, high)


class Rate(widgets.HBox):
    """A slider of 300 stops, evenly spaced in ratio, and the number it stands for, which may lie between two stops.

    The slider itself holds the number of a stop: a whole number comes back from a browser as it was sent. A
    FloatLogSlider comes back rounded to a stop, and late enough to undo what a cell has set in the meantime.

    >>> lr = Rate("learning rate", "", 0.1, 0.001, 1)
    >>> lr.slider.value = 300
    >>> lr.value
    1.0
    """

    value = traitlets.Float()

    def __init__(self, name, unit, value, low, high):
        self.stops = [float(f"{low * (high / low) ** (stop / 300):.3g}") for stop in range(1, 300)]
        self.stops = [low, *self.stops, high]
        self.slider = _control(widgets.IntSlider, name, unit, max=300, readout=False)
        self.slider.layout = widgets.Layout(width="20em")
        self.number = widgets.BoundedFloatText(value, min=low, max=high, layout=widgets.Layout(width="5.5em"))
        self.number.description = self.slider.description  # for those who cannot see that it stands beside the slider
        self.number.style.description_width = "0"
        super().__init__([self.slider, self.number], layout=WIDE)
        self.observe(lambda change: self.slider.set_trait("value", self._nearest()), "value")
        self.slider.observe(lambda change: self._follow(), "value")
        traitlets.link((self.number, "value"), (self, "value"))

    @property
    def description(self):
        return self.slider.description

    @traitlets.validate("value")
    def _within(self, proposal):
        return min(max(proposal.value, self.stops[0]), self.stops[-1])

    def _nearest(self):
        return min(range(301), key=lambda stop: abs(math.log(self.stops[stop] / self.value)))

    def _follow(self):
        if self.slider.value != self._nearest():
            self.value = self.stops[self.slider.value]


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
    """A slider of whole numbers with a button that plays it at a steady rate, ``pace`` at a time.

    >>> Player("step", "of 50", 1, 1, 50).value
    1
    """

    value = traitlets.Int()

    def __init__(self, name, unit, value, low, high, pace=1):
        self.slider = slider(name, unit, value, low, high)
        self.play = widgets.Play(value=value, min=low, max=high, step=pace, interval=120, tooltip=f"play {name}")
        super().__init__([self.slider, self.play])
        for source, target in ((self.slider, self), (self.slider, self.play)):
            traitlets.link((source, "value"), (target, "value"))

    @property
    def description(self):
        return self.slider.description


class Several(widgets.VBox):
    """Any number of words to choose from, each with a box to tick; `value` holds those that are ticked.

    >>> Several("optimizers", ["SGD"], ["SGD", "Adam"]).value
    ('SGD',)
    """

    value = traitlets.Tuple()

    def __init__(self, name, ticked, words):
        self.description = name
        fit = widgets.Layout(width="8em")
        self.boxes = [widgets.Checkbox(word in ticked, description=word, indent=False, layout=fit) for word in words]
        grid = widgets.Box(self.boxes, layout=widgets.Layout(flex_flow="row wrap", width="26em"))
        super().__init__([widgets.Label(name), grid])
        self._collect()
        for box in self.boxes:
            box.observe(lambda change: self._collect(), "value")

    def _collect(self):
        self.value = tuple(box.description for box in self.boxes if box.value)


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
            [widgets.Box(list(self.controls.values()), layout=SIDE_BY_SIDE), widgets.VBox([self.image, self.readout])],
            layout=SIDE_BY_SIDE,
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
            last = "\nThe picture shows the last setting that worked." if self.image.value else ""
            self.error = _in_words(error) + last
        caption = inspect.getdoc(self.picture.draw).splitlines()[0]
        colour = f"color:{RED}" if self.error else ""
        lines = html.escape(f"{caption}\n{self.text}").replace("\n", "<br>")
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
        for artist in reversed(self._moving()):  # a colour bar before what it belongs to
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
    return f"{type(error).__name__}: {error}\n{where}"


ROUNDING = 1e-12  # what is nearer to zero is noise, which differs between processors


def _number(value):
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    value = float(value)
    value = 0.0 if abs(value) < ROUNDING else value
    return f"{value:.0f}" if value.is_integer() and abs(value) < 1e6 else f"{value:.3g}"


def _pair(point):
    return f"({', '.join(_number(value) for value in point)})"


def _class(optimizer):
    return from_rule(optimizer) if inspect.isfunction(optimizer) else optimizer


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
    cls = _class(mine)
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
    return {"yours leaves torch at": f"step {step}, {_pair(yours[step])} instead of {_pair(torchs[step])}"}


FAMILY = {  # name: class, its options, and those that the controls set
    "SGD": (SGD, {}, ["lr"]),
    "momentum": (SGD, {}, ["lr", "momentum"]),
    "Nesterov": (SGD, {"nesterov": True}, ["lr", "momentum"]),
    "Adagrad": (Adagrad, {}, ["lr"]),
    "RMSprop": (RMSprop, {}, ["lr"]),
    "Adadelta": (Adadelta, {}, ["lr"]),
    "Adam": (Adam, {}, ["lr", "betas"]),
    "AdamW": (AdamW, {}, ["lr", "betas"]),
    "AMSGrad": (Adam, {"amsgrad": True}, ["lr", "betas"]),
}
RAVINE = problems.quadratic(condition=25)
SURFACES = {
    problem.name: problem
    for problem in (
        *[problems.himmelblau, problems.rosenbrock, RAVINE, problems.beale, problems.booth],
        *[problems.six_hump_camel, problems.saddle, problems.rastrigin, problems.plateau],
        *[problems.noisy_quadratic(), problems.sparse_features()],
    )
}


def playground(optimizer=None, like=None):
    """Every optimizer on every surface.

    Args:
        optimizer: your class or rule, drawn over ours and torch's of the same kind, which then needs no box to tick.
        like: the name of that kind, one of ``FAMILY``; not needed where yours has it in its own name.

    Errors: ValueError if ``like`` is no such name, or is needed.

    >>> ground = playground()
    >>> ground.controls["step"].value = 0
    >>> print(ground.text)
    SGD: at (-0.5, -1), loss 180
    momentum: at (-0.5, -1), loss 180
    Adam: at (-0.5, -1), loss 180
    """
    like = _kind(optimizer, like)
    others = [name for name in FAMILY if name != like]
    return Experiment(
        descents,
        _surface_from_above,
        width=6.4,
        height=4.4,
        surface=choice("surface", *SURFACES),
        names=Several("optimizers", [name for name in ("SGD", "momentum", "Adam") if name != like], others),
        lr=rate("learning rate", "", 0.01, 1e-4, 10),
        momentum=slider("momentum", "kept", 0.9, 0.01, 0.99, 0.01),
        beta1=slider("beta1", "kept", 0.9, 0.0, 0.99, 0.01),
        beta2=slider("beta2", "kept", 0.999, 0.9, 0.999, 0.001),
        x=slider("start", "% from the left", 45, 0, 100),
        y=slider("start", "% from below", 40, 0, 100),
        step=Player("steps", "of 500", 100, 0, 500, pace=2),
        optimizer=optimizer,
        like=like,
    )


def _kind(optimizer, like):
    """The name in `FAMILY` of what a reader's optimizer is to be compared with."""
    if optimizer is None and like is None:
        return None
    own = optimizer.__name__.lower()
    named = [name for name in FAMILY if name.lower() in own] + ["SGD"] * (own == "gradient_descent")
    like = like or max(named, key=len, default=None)
    if like not in FAMILY:
        raise ValueError(f"like must be one of {', '.join(FAMILY)}, got {like!r} for {optimizer.__name__}")
    return like


def _surface_from_above(ax, surface):
    """The level lines of a surface."""
    contour(ax, SURFACES[surface])


def descents(ax, *, surface, names, lr, momentum, beta1, beta2, x, y, step, optimizer=None, like=None):
    """The paths of the chosen optimizers over the level lines of a surface.

    ``x`` and ``y``, in percent of the window, say where they start. Returns where each path ends, its loss and
    whether it diverged.

    >>> from edu_optim.plot import figure
    >>> settings = {"lr": 0.01, "momentum": 0.9, "beta1": 0.9, "beta2": 0.999, "x": 20, "y": 50}
    >>> descents(figure()[1], surface="Booth's function", names=("SGD",), step=60, **settings)
    {'SGD': 'at (0.464, 3.54), loss 0.574'}
    """
    settings = {"lr": lr, "momentum": momentum, "betas": (beta1, beta2)}
    blocks = 100 * max(1, -(-step // 100))  # a path is followed in hundreds, so that playing it follows it once
    traces = _followed(surface, names, optimizer, like, tuple(settings.items()), x, y, blocks)
    lines = {trace.name: trace.points[: step + 1] for trace in traces}
    compared = {name: lines.pop(name) for name in OVERLAY if name in lines}
    found = overlay(ax, compared) if compared else {}
    for name, points in lines.items():
        ax.plot(*points.T, label=name, markevery=10, markersize=5, **look(name))
        ax.plot(*points[-1], markersize=9, label=f"_{name}", **look(name))
    if lines or compared:
        ax.legend(loc="upper right", framealpha=0.8, frameon=True, edgecolor="none")
    return {**{trace.name: _ending(trace, step) for trace in traces}, **found}


@functools.lru_cache(maxsize=8)
def _followed(surface, names, optimizer, like, settings, x, y, steps):
    problem, settings = SURFACES[surface], dict(settings)
    entrants = {}
    for name in [*names, *[like] * (like is not None)]:
        cls, fixed, taken = FAMILY[name]
        options = {**fixed, **{option: settings[option] for option in taken}}
        entrants |= rivals(cls, optimizer, **options) if name == like else {name: (cls, options)}
    (x0, x1), (y0, y1) = problem.window
    start = torch.tensor([x0 + (x1 - x0) * x / 100, y0 + (y1 - y0) * y / 100], dtype=torch.float64)
    return race(problem, entrants, steps, start) if entrants else []


def _ending(trace, step):
    lost = ~(trace.losses[: step + 1] <= 1000 * max(1, trace.losses[0].item()))
    if lost.any():
        return f"diverged, past 1000 times its first loss at step {int(lost.int().argmax())}"
    return f"at {_pair(trace.points[step])}, loss {_number(trace.losses[step])}"


def microscope(optimizer, problem=RAVINE, *, lr, steps=50, **options):
    """Every step of an optimizer taken apart, read from its own ``state``.

    Args:
        optimizer: a class of torch.optim, of edu_optim or your own, or a rule.
        problem: a surface without noise.
        lr: the learning rate at the start; a control moves it.
        steps: how many there are to look at.
        options: others of the optimizer.

    A step is the sum of two arrows: what the optimizer would have done had this gradient been zero, its memory, and
    what the gradient changed about that.

    >>> from edu_optim import Adam
    >>> print(microscope(Adam, lr=0.1).text)
    at: (-4, 1)
    gradient: (-4, 25)
    exp_avg: (-0.4, 2.5)
    exp_avg / (1 - beta^t): (-4, 25)
    exp_avg_sq: (0.016, 0.625)
    exp_avg_sq / (1 - beta^t): (16, 625)
    step / -gradient, the effective rate: (0.025, 0.004)
    step: (0.1, -0.1)
    of it from memory: (0, 0)
    of it from this gradient: (0.1, -0.1)
    """
    return Experiment(
        _magnify,
        _path_and_arrows,
        columns=2,
        height=3.9,
        step=Player("step", f"of {steps}", 1, 1, steps),
        lr=rate("learning rate", "", lr, lr / 100, lr * 100),
        optimizer=optimizer,
        problem=problem,
        steps=steps,
        options=tuple(options.items()),
    )


def _path_and_arrows(axes, problem):
    """What stays under the microscope: the surface, and the names of the arrows."""
    contour(axes[0], problem)
    axes[1].set(xlim=(-1.3, 1.3), ylim=(-1.1, 1.5), xticks=[], yticks=[], aspect="equal")
    axes[1].set_title("The step, its longest arrow as 1")
    axes[1].spines[:].set_visible(False)
    for name, color in ARROWS.items():
        axes[1].plot([], [], color=color, linewidth=5 if name == "step" else 2, label=name)
    axes[1].legend(loc="upper left", handlelength=1.2, borderpad=0)


ARROWS = {"step": SKY, "of it from memory": ORANGE, "of it from this gradient": BLACK}


def _magnify(axes, *, optimizer, problem, steps, options, lr, step):
    """On the left the path, with the step at hand; on the right the arrows that add up to that step."""
    rows = _dissected(problem, optimizer, steps, (("lr", lr), *options))
    row = rows[step - 1]
    path = torch.stack([other["at"] for other in rows])
    axes[0].plot(*path.T, color=BLACK, linewidth=1, marker=".", markersize=4, label="path")
    axes[0].plot(
        *torch.stack([row["at"], row["at"] + row["step"]]).T, color=RED, linewidth=3, marker="o", label="this step"
    )
    arrows = torch.stack([row[name] for name in ARROWS])
    longest = arrows.norm(dim=-1).max()
    if 0 < longest < math.inf:
        x, y = (arrows / longest).T
        tails = torch.stack([torch.zeros(2), torch.zeros(2), arrows[1] / longest])
        widths = [0.03, 0.01, 0.01]
        for tail, dx, dy, color, width in zip(tails, x, y, ARROWS.values(), widths, strict=True):
            if dx or dy:
                axes[1].quiver(
                    *tail,
                    dx,
                    dy,
                    color=color,
                    width=width,
                    headwidth=3 + 0.02 / width,
                    angles="xy",
                    scale_units="xy",
                    scale=1,
                )
    return {name: _pair(value) for name, value in row.items()}


@functools.lru_cache(maxsize=8)
def _dissected(problem, optimizer, steps, options):
    point = torch.tensor(problem.start, dtype=torch.float64, requires_grad=True)
    runner = _class(optimizer)([point], **dict(options))
    rows = []
    for t in range(1, steps + 1):
        (point.grad,) = torch.autograd.grad(problem(point), point)
        at, gradient = point.detach().clone(), point.grad.clone()
        memory = _step_without_gradient(runner, point)
        runner.step()
        step = point.detach() - at
        seen = {"at": at, "gradient": gradient, **_buffers(runner, point, t), RATE: step / -gradient}
        rows.append({**seen, **dict(zip(ARROWS, (step, memory, step - memory), strict=True))})
    return rows


RATE = "step / -gradient, the effective rate"
MEANS = {"exp_avg": 0, "m": 0, "exp_avg_sq": 1, "v": 1, "max_exp_avg_sq": 1, "v_max": 1}  # buffer: which of the betas


def _step_without_gradient(runner, point):
    """Where a copy of the optimizer, with all that it remembers, goes if this gradient is zero."""
    copies = {}
    twin = copy.deepcopy(point, copies)
    idle = object.__new__(type(runner))
    vars(idle).update(copy.deepcopy(vars(runner), copies))
    twin.grad.zero_()
    idle.step()
    return twin.detach() - point.detach()


def _buffers(runner, point, t):
    """What the optimizer remembers of each coordinate, and its means with their start at zero corrected."""
    betas = runner.param_groups[0].get("betas")
    buffers = {}
    for key, value in runner.state[point].items():
        if torch.is_tensor(value) and value.shape == point.shape:
            buffers[key] = value.clone()
            if betas and key in MEANS:
                buffers[f"{key} / (1 - beta^t)"] = value / (1 - betas[MEANS[key]] ** t)
    return buffers


EXACT = {name: problem for name, problem in SURFACES.items() if not problem.noisy}


def basins(optimizer=SGD, *, lr=0.01, steps=60):
    """Which minimum each start leads to, and how fast, for 64 x 64 starts at once.

    Args:
        optimizer: a class of edu_optim or your own, or a rule.
        lr, steps: the learning rate and the number of steps at the start; controls move them.

    >>> print(basins(lr=0.02, steps=100).text)
    A at (3, 2): from 18.8 % of the starts, in 28.4 steps on average
    B at (-2.81, 3.13): from 26.2 % of the starts, in 29.6 steps on average
    C at (-3.78, -3.28): from 12.1 % of the starts, in 31.5 steps on average
    D at (3.58, -1.85): from 15.8 % of the starts, in 29.7 steps on average
    at no minimum yet: 27.1 % of the starts
    """
    return Experiment(
        _basins,
        _window,
        width=7.2,
        height=4.4,
        surface=choice("surface", *EXACT),
        steps=slider("steps", "", steps, 0, 300),
        **_dials(optimizer, lr),
        optimizer=optimizer,
    )


def _dials(optimizer, lr):
    """Controls for those of the best known options that an optimizer takes."""
    takes = inspect.signature(_class(optimizer)).parameters
    dials = {"lr": rate("learning rate", "", lr, lr / 100, lr * 100)}
    if "momentum" in takes:
        dials["momentum"] = slider("momentum", "kept", 0.8, 0.0, 0.99, 0.01)
    if "betas" in takes:
        dials["beta1"] = slider("beta1", "kept", 0.9, 0.0, 0.99, 0.01)
        dials["beta2"] = slider("beta2", "kept", 0.999, 0.9, 0.999, 0.001)
    return dials


def _options(cls, settings):
    """Settings by the names of their controls as options of ``cls``, which may take two of them as its betas."""
    betas = inspect.signature(cls).parameters.get("betas")
    if betas is None or not settings.keys() & {"beta1", "beta2"}:
        return settings
    pair = tuple(settings.get(f"beta{i}", default) for i, default in enumerate(betas.default, 1))
    return {**{name: value for name, value in settings.items() if name not in ("beta1", "beta2")}, "betas": pair}


def _window(ax, surface):
    ax.set_title(surface)


def _basins(ax, *, surface, steps, optimizer, **settings):
    """The colour at a start says which minimum it leads to: full where that takes few steps, pale where many."""
    problem, cls = EXACT[surface], _class(optimizer)
    found = sweep(problem, cls, steps, problem.grid(64, 64), **_options(cls, settings))
    basin_map(ax, problem, found)
    said = {}
    for index, (letter, place) in enumerate(zip(LETTERS, problem.minima, strict=False)):
        there = found.minimum == index
        mean = f", in {_number(found.arrival[there].double().mean())} steps on average" if there.any() else ""
        said[f"{letter} at {_pair(place)}"] = f"from {_share(there)} of the starts{mean}"
    return {**said, "at no minimum yet": f"{_share(found.minimum < 0)} of the starts"}


def _share(chosen):
    return f"{_number(100 * chosen.double().mean())} %"


EVEN, RATIOS = torch.linspace(0, 0.98, 50, dtype=torch.float64), torch.logspace(-4, 0, 49, dtype=torch.float64)
AGAINST = {  # option: its label, how it is drawn, and its values
    "momentum": ("momentum", EVEN, EVEN),
    "beta1": ("beta1", EVEN, EVEN),
    "beta2": ("1 - beta2, log scale", RATIOS, 1 - RATIOS),
    "alpha": ("1 - alpha, log scale", RATIOS, 1 - RATIOS),
    "rho": ("1 - rho, log scale", RATIOS, 1 - RATIOS),
    "eps": ("eps, log scale", RATIOS, RATIOS),
    "weight_decay": ("weight decay, log scale", RATIOS, RATIOS),
}
LRS = torch.logspace(-4.5, 0.5, 51, dtype=torch.float64)


def sensitivity(optimizer=SGD, *, steps=100):
    """How much the learning rate and a second option matter: the loss after some steps, for each pair of them.

    Args:
        optimizer: a class of edu_optim or your own, or a rule; it must take ``lr``.
        steps: how many at the start; a control moves it.

    Errors: ValueError if ``optimizer`` takes no second option from ``AGAINST``.

    >>> print(sensitivity(steps=200).text)
    best: learning rate 0.00251, momentum 0.94
    its loss above the minimum: 3.86e-05
    diverged: 56.5 % of the settings
    """
    takes = inspect.signature(_class(optimizer)).parameters
    takes = [*takes, *["beta1", "beta2"] * ("betas" in takes)]
    options = [name for name in AGAINST if name in takes]
    if not options:
        raise ValueError(f"optimizer must take one of {', '.join(AGAINST)}, got {_class(optimizer).__name__}")
    return Experiment(
        _sensitivity,
        _surface_and_options,
        width=6.4,
        height=4.4,
        surface=choice("surface", *sorted(EXACT, key=lambda name: name != problems.rosenbrock.name)),
        against=choice("against", *options),
        steps=slider("steps", "", steps, 1, 300),
        optimizer=optimizer,
    )


def _surface_and_options(ax, surface, against):
    ax.set(xlabel="learning rate, log scale", ylabel=AGAINST[against][0], title=surface[0].upper() + surface[1:])


def _sensitivity(ax, *, surface, against, steps, optimizer):
    """The loss that each pair of settings ends at: dark is low, hatched has diverged, and the star is the lowest."""
    problem, cls = EXACT[surface], _class(optimizer)
    _, y, values = AGAINST[against]
    found = sweep(problem, cls, steps, **_options(cls, {"lr": LRS, against: values}))
    lowest, first = problem(torch.tensor([problem.minima[0], problem.start], dtype=torch.float64)).tolist()
    lost = ~(found.losses <= 1000 * max(1, first))
    losses = (found.losses - lowest).clamp(min=0).where(~lost, math.inf)
    heat(ax, LRS, y, losses, f"loss above the minimum after {steps} steps")
    if lost.all():
        return {"diverged": "all settings"}
    i, j = divmod(int(losses.argmin()), len(values))
    ax.plot(LRS[i], y[j], "*", color="white", markersize=15, markeredgecolor="black", label="_best")
    best = f"learning rate {_number(LRS[i])}, {against} {_number(values[j])}"
    return {"best": best, "its loss above the minimum": losses[i, j], "diverged": f"{_share(lost)} of the settings"}


def rates(optimizer=SGD, *, steps=100):
    """The rate of momentum on a bowl, measured in a run for each learning rate and momentum, beside the formula.

    The rate is what a step leaves of the distance. It is measured by comparing the second half of a run with the
    first: the root of the mean square distance, so that a swing through the minimum does not count as arrival. The
    formula is the larger root of z² - (1 + β - ηλ) z + β = 0. Where its two roots are equal the distance shrinks like
    t times their t-th power, and where the ball swings slowly a half holds but a piece of a swing: there the
    measurement is off, the less the more steps are taken.

    Args:
        optimizer: a class of edu_optim or your own, or a rule; it must take ``lr`` and ``momentum``.
        steps: how many at the start; a control moves it.

    Errors: ValueError if ``optimizer`` does not take them.

    >>> print(rates().text)
    largest difference: 0.0382
    where: learning rate x curvature 2.56, momentum 0.36
    mean difference: 0.00144
    smallest rate measured in the cut: 0.592
    square root of its momentum: 0.6
    """
    takes = inspect.signature(_class(optimizer)).parameters
    if not {"lr", "momentum"} <= takes.keys():
        raise ValueError(f"optimizer must take lr and momentum, got {_class(optimizer).__name__}")
    return Experiment(
        _rates,
        _rates_and_cut,
        columns=2,
        height=3.9,
        steps=slider("steps", "", steps, 20, 200),
        momentum=slider("cut at momentum", "", 0.36, 0.0, 0.98, 0.02),
        optimizer=optimizer,
    )


def _rates_and_cut(axes):
    axes[0].set(xlabel="learning rate x curvature", ylabel="momentum", title="Colours: measured. Lines: formula")
    axes[1].set(xlabel="learning rate x curvature", ylabel="rate, per step", title="At the momentum of the red line")
    axes[1].set(xlim=(0, 4), ylim=(0, 1.5))
    axes[1].axhline(1, color="0.8", linewidth=1, label="_stands still")


CURVED = torch.linspace(0.08, 4, 50, dtype=torch.float64)  # learning rate x curvature, up to where all diverge


def _rates(axes, *, steps, momentum, optimizer):
    """What a step leaves of the distance: colours and dots are measured, lines are the formula."""
    measured, formula = _measured_rates(optimizer, steps), _larger_root(CURVED[:, None], EVEN)
    heat(axes[0], CURVED, EVEN, measured.where(measured <= 1, math.inf), "rate, measured", "linear")
    levels = [0.4, 0.6, 0.8, 0.9, 1]
    axes[0].contour(CURVED, EVEN, formula.T, levels=levels, colors="white", linewidths=1)
    for level in levels[:-1]:  # its line is level where both roots have that size
        axes[0].text(1 + level**2, level**2, level, color="white", ha="center", va="bottom")
    axes[0].axhline(momentum, color=RED, linestyle="--", linewidth=1.5, label="_cut")
    cut = int((EVEN - momentum).abs().argmin())
    axes[1].plot(CURVED, formula[:, cut], color=BLUE, label="formula")
    axes[1].plot(CURVED, measured[:, cut], ".", color=BLACK, label="measured")
    axes[1].legend(loc="upper left")
    apart = (measured - formula).abs()
    i, j = divmod(int(apart.argmax()), len(EVEN))
    return {
        "largest difference": apart[i, j],
        "where": f"learning rate x curvature {_number(CURVED[i])}, momentum {_number(EVEN[j])}",
        "mean difference": apart.mean(),
        "smallest rate measured in the cut": measured[:, cut].min(),
        "square root of its momentum": EVEN[cut] ** 0.5,
    }


@functools.lru_cache(maxsize=8)
def _measured_rates(optimizer, steps):
    """The rate of one ball for each learning rate and momentum, on a parabola of curvature 1, from 1."""
    start = torch.ones(len(CURVED), len(EVEN), dtype=torch.float64)
    run = descend(lambda p: p**2 / 2, _class(optimizer), steps, start, lr=CURVED[:, None], momentum=EVEN)
    half = steps // 2
    before, after = ((run.points[part] ** 2).sum(0) for part in (slice(-2 * half, -half), slice(-half, None)))
    return (after / before.clamp(min=1e-300)) ** (1 / (2 * half))


def _larger_root(curved, beta):
    """The larger modulus of the roots of z² - (1 + beta - curved) z + beta."""
    total = (1 + beta - curved).to(torch.complex128)
    gap = (total**2 - 4 * beta).sqrt()
    return torch.maximum((total + gap).abs(), (total - gap).abs()) / 2
