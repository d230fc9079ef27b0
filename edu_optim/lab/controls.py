"""Controls: widgets of the standard set, each with a name, a unit and a range."""

import math
from collections.abc import Callable, Collection
from typing import Any

import ipywidgets as widgets
import traitlets


def slider(
    name: str, unit: str, value: float, low: float, high: float, step: float | None = None
) -> widgets.IntSlider | widgets.FloatSlider:
    """A slider with even steps, of whole numbers if all its numbers are whole.

    >>> slider("turn", "degrees", 0, 0, 45).description
    'turn (degrees)'
    """
    whole = all(isinstance(number, int) for number in (value, low, high, step or 1))
    make = widgets.IntSlider if whole else widgets.FloatSlider
    step = step or (1 if whole else (high - low) / 100)
    precision = {} if whole else {"readout_format": ".3g"}
    return _control(make, name, unit, value=value, min=low, max=high, step=step, **precision)


def rate(name: str, unit: str, value: float, low: float, high: float) -> "Rate":
    """A slider with even ratios, for what matters by its order of magnitude, such as a learning rate.

    ``low`` and ``high`` are the ends of its range, both positive. Beside it stands the number, which can be typed over.

    Errors: TypeError if one of the three is no positive number.

    >>> rate("learning rate", "x per step", 0.1, 0.001, 1).value
    0.1
    """
    if not all(isinstance(number, int | float) and number > 0 for number in (value, low, high)):
        raise TypeError(f"{name} must be positive numbers: value, low, high, got {(value, low, high)!r}")
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

    def __init__(self, name: str, unit: str, value: float, low: float, high: float) -> None:
        self.stops = [float(f"{low * (high / low) ** (stop / 300):.3g}") for stop in range(1, 300)]
        self.stops = [low, *self.stops, high]
        self.slider = _control(widgets.IntSlider, name, unit, max=300, readout=False)
        self.number = widgets.BoundedFloatText(value, min=low, max=high)
        self.number.description = self.slider.description  # for those who cannot see that it stands beside the slider
        super().__init__([self.slider, self.number])
        self.add_class("edu-optim-rate")
        self.observe(lambda change: self.slider.set_trait("value", self._nearest()), "value")
        self.slider.observe(lambda change: self._follow(), "value")
        traitlets.link((self.number, "value"), (self, "value"))

    @property
    def description(self) -> str:
        return self.slider.description

    @traitlets.validate("value")
    def _within(self, proposal: Any) -> float:
        return min(max(proposal.value, self.stops[0]), self.stops[-1])

    def _nearest(self) -> int:
        return min(range(301), key=lambda stop: abs(math.log(self.stops[stop] / self.value)))

    def _follow(self) -> None:
        if self.slider.value != self._nearest():
            self.value = self.stops[self.slider.value]


def choice(name: str, *options: str) -> widgets.Dropdown:
    """One of several words, the first one at the start.

    >>> choice("form", "classical", "look-ahead").value
    'classical'
    """
    return _control(widgets.Dropdown, name, "", options=options, value=options[0])


def switch(name: str) -> widgets.Checkbox:
    """On or off, off at the start: for what breaks.

    >>> switch("forget zero_grad").value
    False
    """
    return widgets.Checkbox(description=name, value=False, indent=False)


class Player(widgets.VBox):
    """A slider of whole numbers with a button that plays it at a steady rate, ``pace`` at a time.

    >>> Player("step", "of 50", 1, 1, 50).value
    1
    """

    value = traitlets.Int()

    def __init__(self, name: str, unit: str, value: int, low: int, high: int, pace: int = 1) -> None:
        self.slider = slider(name, unit, value, low, high)
        self.play = widgets.Play(value=value, min=low, max=high, step=pace, interval=120, show_repeat=False)
        self.play.tooltip = f"play {name}"
        super().__init__([self.slider, self.play])
        for source, target in ((self.slider, self), (self.slider, self.play)):
            traitlets.link((source, "value"), (target, "value"))

    @property
    def description(self) -> str:
        return self.slider.description


class Several(widgets.VBox):
    """Any number of words to choose from, each with a box to tick; `value` holds those that are ticked.

    >>> Several("optimizers", ["SGD"], ["SGD", "Adam"]).value
    ('SGD',)
    """

    value = traitlets.Tuple()

    def __init__(self, name: str, ticked: Collection[str], words: Collection[str]) -> None:
        self.description = name
        fit = widgets.Layout(width="8em")
        self.boxes = [widgets.Checkbox(word in ticked, description=word, indent=False, layout=fit) for word in words]
        row = widgets.Box(self.boxes, layout=widgets.Layout(flex_flow="row wrap"))
        super().__init__([widgets.Label(name), row])
        self.add_class("edu-optim-several")
        self._collect()
        for box in self.boxes:
            box.observe(lambda change: self._collect(), "value")

    def _collect(self) -> None:
        self.value = tuple(box.description for box in self.boxes if box.value)


def check_value(name: str, control: Any, value: Any) -> None:
    """Refuse a value at which a control could not stand.

    Errors: ValueError with the control's name, the value and what is allowed.

    >>> check_value("side", slider("side", "m", 2, 0, 5), 7)
    Traceback (most recent call last):
    ValueError: side must be a number from 0 to 5, got 7
    """
    if isinstance(control, widgets.Checkbox):
        fits, allowed = isinstance(value, bool), "True or False"
    elif isinstance(control, widgets.Dropdown):
        fits, allowed = value in control.options, f"one of {', '.join(map(repr, control.options))}"
    elif isinstance(control, Several):
        words = [box.description for box in control.boxes]
        fits, allowed = set(value) <= set(words), f"some of {', '.join(map(repr, words))}"
    else:
        held = control.number if isinstance(control, Rate) else getattr(control, "slider", control)
        fits = isinstance(value, int | float) and held.min <= value <= held.max
        allowed = f"a number from {held.min:g} to {held.max:g}"
    if not fits:
        raise ValueError(f"{name} must be {allowed}, got {value!r}")


def _control(make: Callable[..., Any], name: str, unit: str, **options: Any) -> Any:
    description = f"{name} ({unit})" if unit else name
    return make(description=description, **options)
