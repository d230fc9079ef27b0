"""What real training asks of an optimizer class: short runs, each with a duty that a class may fail.

Every class is run for real in them, the reader's and those of the catalog alike.
"""

import contextlib
import copy
import functools
import inspect

import torch

from ..signature import signature
from .compare import Seen
from .letters import Reading, asked_for, plain, readings
from .observe import SETTINGS, SHAPES, SIZES, STARTS, Trial, absent, constants, left_alone, tame

# Under which names a buffer is kept; a name that could be another's is none.
KEYS = {"b": {"b", "momentumbuffer", "velocity"}, "s": {"s", "squareavg", "sum", "sq"}, "a": {"a", "gradavg"}}
KEYS |= {
    "c": {"c"},
    "e": {"e"},
    "u": {"u", "accdelta", "acc"},
    "m": {"m", "expavg"},
    "v": {"v", "expavgsq"},
    "v_max": {"vmax", "maxexpavgsq"},
}
OFFERED = ("weight_decay", "maximize")
GATHERING = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
OTHER = {"lr": 0.03, "betas": (0.5, 0.7), "eps": 0.05, "alpha": 0.5, "rho": 0.5, "momentum": 0.35, "dampening": 0.4}
OTHER |= {"weight_decay": 0.3, "beta": 0.7, "momentum_decay": 0.9}
THIRD = {"lr": 0.2, "betas": (0.7, 0.85), "eps": 0.2, "alpha": 0.75, "rho": 0.6, "momentum": 0.85, "dampening": 0.1}
THIRD |= {"weight_decay": 0.7, "beta": 0.5, "momentum_decay": 1.7}


def trials_of_class(answer, reference):
    """An optimizer class, in every way in which it may have been meant to be made.

    >>> from edu_optim.rules import gradient_descent
    >>> trial = next(trials_of_class(torch.optim.SGD, gradient_descent))
    >>> sorted({seen.part for seen in trial.seen})[:2]
    ['after a checkpoint', 'in float32']
    """
    letters, names = signature(reference)
    options = [name for name in names if name != "t"]
    numbers, asked = constants(answer), asked_for(getattr(answer, "func", answer).__init__)
    extra = [name for name in OFFERED if name not in options]
    failed = None
    for reading in readings(answer, ["params"], [*options, *extra], asked):
        taken = reading.takes() | ({"betas"} if "beta1" in reading.takes() else set())
        course = _Course(letters, options, taken, 20 if reference.__name__ in SHAPES else 1)
        some = [*numbers, *left_alone(answer, reading)]
        conditions = absent(reading.takes(), options, some, reference)
        trial = Trial(course.of_program, conditions)
        trial.notes += [reading.assumed] * bool(reading.assumed)
        trial.collect(course.of_answer(answer, reading, conditions[0], trial))
        trial.given = frozenset(taken), frozenset(course.can)
        if trial.error is None or len(trial.seen) > 1:
            yield trial
        failed = failed or trial
    if failed and len(failed.seen) == 1:
        yield failed


class _Course:
    """The runs through which a class is sent, and what it can do at all."""

    def __init__(self, letters, options, taken, size):
        self.letters, self.options, self.taken, self.size = letters, options, taken, size
        self.offered = [name for name in OFFERED if name in taken and name not in options]
        self.can, self.guard = set(), contextlib.nullcontext

    def of_answer(self, answer, reading, fixed, trial):
        make = _Maker(answer, reading, self, fixed)
        one = make(_parameters([STARTS[:2]]), SETTINGS[0])
        self.can = {
            name for name in ("param_groups", "state_dict", "load_state_dict", "zero_grad") if hasattr(one, name)
        }
        if any(p.kind not in GATHERING for p in inspect.signature(one.step).parameters.values()):
            self.can.add("closure")
        if "param_groups" in self.can:
            make.find_keys()
        missing = [name for name in ("param_groups", "zero_grad", "closure") if name not in self.can]
        missing += ["lr"] * ("lr" not in self.taken and "lr" not in getattr(one, "param_groups", [{}])[0])
        self.can |= {"lr"} - set(missing)
        missing += [name for name in OFFERED if name not in [*self.options, *self.offered]]
        trial.notes += [f"not tried, for it is not offered: {', '.join(missing)}"] * bool(missing)
        yield from self.watch(make, trial)

    def of_program(self, cls, fixed):
        given = [*self.options, *self.offered]
        reading = Reading({"params": "params"}, gathered={name: name for name in given})
        yield from copy.copy(self).watch(_Maker(cls, reading, self, fixed))

    def watch(self, make, trial=None):
        self.make, self.trial = make, trial
        yield from self._recording()
        for part, run in {
            "with one parameter": self._alone,
            "with weight decay": self._decay,
            "with maximize": self._maximize,
            "with several parameters": self._several,
            "with a generator of parameters": self._generator,
            "with two groups": self._groups,
            "with gradients that are missing": self._gaps,
            "with a gradient that turns to zeros": self._zeros,
            "with gradients in one tensor": self._same_tensor,
            "with a schedule": self._schedule,
            "with options changed by hand": self._by_hand,
            "after a checkpoint": self._checkpoint,
            "with a closure": self._closure,
            "in float32": self._float32,
        }.items():
            yield Seen("it begins", part, part, judged=False)
            for label, value, *judged in run():
                yield Seen(label, value, part, *judged)

    def _recording(self):
        """Whether step() works while gradients are recorded; if not, it is called while they are not."""

        def try_it():
            params = _parameters([STARTS])
            params[0].grad = torch.ones_like(STARTS)
            self.make(params, SETTINGS[0]).step()

        works = "yes"
        try:
            try_it()
        except RuntimeError as error:
            try:
                with torch.no_grad():
                    try_it()
            except Exception:
                raise error from None
            works = "no"
        self.guard = torch.no_grad if works == "no" else contextlib.nullcontext
        yield Seen("does step() work while gradients are recorded?", works, "with one parameter")

    # The runs. Each yields labels and values.

    def _steps(self, optimizer, params, gradients, first=1, after=None, put=None, run=""):
        """Step along ``gradients``, a row for each step, with None where one is missing."""
        intact = True
        for t, row in enumerate(gradients, first):
            for p, g in zip(params, row, strict=True):
                (put or _put)(p, g)
            with self.guard():
                optimizer.step()
            intact = intact and all(_is(p.grad, g) for p, g in zip(params, row, strict=True))
            yield from self._state(optimizer, params, f"after step {t}{run}")
            for k, p in enumerate(params, 1):
                which = f"parameter {k}" if len(params) > 1 else "p"
                yield f"{which} after step {t}{run}", p.detach().clone()
            if after:
                yield from after(t)
        yield f"are the gradients{run} what they were before the steps?", "yes" if intact else "no"

    def _state(self, optimizer, params, when):
        """The buffers of the first parameter, as far as their names tell what they are; they need not be right."""
        state = getattr(optimizer, "state", {})
        state = state.get(params[0], {}) if isinstance(state, dict) else {}
        for key, value in state.items() if isinstance(state, dict) else ():
            if not torch.is_tensor(value):
                continue
            if value.ndim and value.is_floating_point() and value.dtype is not params[0].dtype and self.trial:
                self.trial.dtypes.add(value.dtype)
            for letter in self.letters:
                if plain(str(key)) in KEYS[letter] and value.shape == params[0].shape:
                    yield f"{letter} {when}", value.detach().clone(), False

    def _alone(self):
        for settings, shape, run in zip(SETTINGS, [(6,), (2, 3)], ["", " of the second run"], strict=True):
            params = _parameters([STARTS.view(shape)])
            gradients = _gradients([shape], 8, SIZES.view(shape))
            yield from self._steps(self.make(params, settings), params, gradients, run=run)

    def _several(self):
        shapes = [(3,), (3,), (2, 2)]
        params = _parameters(_gradients(shapes, 1)[0])
        yield from self._steps(self.make(params, SETTINGS[0]), params, _gradients(shapes, 6))

    def _generator(self):
        params = _parameters(_gradients([(3,), (2,)], 1)[0])
        yield from self._steps(self.make((p for p in params), SETTINGS[0]), params, _gradients([(3,), (2,)], 3))

    def _groups(self):
        if "param_groups" in self.can:
            shapes = [(3 * self.size,)] * 2
            params = _parameters(_gradients(shapes, 1)[0])
            groups = [{"params": [p], **self.make.keys(o)} for p, o in zip(params, [OTHER, THIRD], strict=True)]
            yield from self._steps(self.make(groups, SETTINGS[0]), params, _gradients(shapes, 6))

    def _gaps(self):
        params = _parameters(_gradients([(3,), (3,), (2,)], 1)[0])
        gradients = _gradients([(3,), (3,), (2,)], 7)
        for t, k in [(0, 0), (2, 0), (0, 2), (1, 2), (5, 1)]:
            gradients[t][k] = None
        yield from self._steps(self.make(params, SETTINGS[0]), params, gradients)

    def _zeros(self):
        params, gradients = _parameters(_gradients([(3,)], 1)[0]), _gradients([(3,)], 6)
        for row in gradients[2:4]:
            row[0].zero_()
        yield from self._steps(self.make(params, SETTINGS[0]), params, gradients)

    def _same_tensor(self):
        params = _parameters(_gradients([(3,)], 1)[0])
        optimizer = self.make(params, SETTINGS[0])

        def put(p, g):
            if p.grad is None:
                p.grad = torch.zeros_like(p)
            p.grad.copy_(g)

        yield from self._steps(optimizer, params, _gradients([(3,)], 5), put=put)
        if "zero_grad" in self.can:
            optimizer.zero_grad()
            cleared = params[0].grad is None or not params[0].grad.any()
            yield "is the gradient cleared by zero_grad()?", "yes" if cleared else "no"

    def _schedule(self):
        if not {"param_groups", "lr"} <= self.can:
            return
        params = _parameters(_gradients([(3,)], 1)[0])
        optimizer = self.make(params, SETTINGS[0])
        group = optimizer.param_groups[0]
        key = self.make.key(group, "lr")

        def after(t):
            yield f"the learning rate in the group after step {t}", group.get(key)
            if t in (2, 4) and isinstance(group.get(key), float):
                group[key] *= 0.5

        yield from self._steps(optimizer, params, _gradients([(3,)], 6), after=after)

    def _by_hand(self):
        if "param_groups" in self.can:
            params = _parameters(_gradients([(3,)], 1)[0])
            optimizer, gradients = self.make(params, SETTINGS[0]), _gradients([(3,)], 6)
            yield from self._steps(optimizer, params, gradients[:3])
            other = {name: value for name, value in OTHER.items() if name != "betas"}  # some keep their powers
            optimizer.param_groups[0].update(self.make.keys(other))
            yield from self._steps(optimizer, params, gradients[3:], first=4, run=" of the second half")

    def _checkpoint(self):
        if not {"param_groups", "state_dict", "load_state_dict"} <= self.can:
            return
        shapes = [(3,), (3,)]
        params, gradients = _parameters(_gradients(shapes, 1)[0]), _gradients(shapes, 8)
        gradients[0][0] = gradients[1][0] = gradients[5][1] = None
        optimizer = self.make(params, SETTINGS[0])
        yield from self._steps(optimizer, params, gradients[:4])
        saved = copy.deepcopy(optimizer.state_dict())
        params = _parameters([p.detach() for p in params])
        optimizer = self.make(params, OTHER)
        optimizer.load_state_dict(saved)
        group = optimizer.param_groups[0]
        key = self.make.key(group, "lr")
        if "lr" in self.can and isinstance(group.get(key), float):
            group[key] *= 0.5
        yield from self._steps(optimizer, params, gradients[4:], first=5, run=" of the second half")

    def _closure(self):
        if "closure" not in self.can:
            return
        params, gradients, calls = _parameters(_gradients([(3,)], 1)[0]), _gradients([(3,)], 4), []
        optimizer = self.make(params, SETTINGS[0])

        def closure():
            calls.append("yes" if torch.is_grad_enabled() else "no")
            params[0].grad = gradients[len(calls) % 4][0].clone()
            return torch.tensor(0.25 * len(calls), dtype=torch.float64)

        for t in range(1, 4):
            with self.guard():
                returned = optimizer.step(closure)
            yield f"how often the closure was called by step {t}", len(calls)
            yield f"are gradients recorded in the closure at step {t}?", calls[-1] if calls else "not called"
            yield f"what step() returned at step {t}", tame(returned)
            yield f"p after step {t}", params[0].detach().clone()

    def _decay(self):
        if "weight_decay" in self.offered:
            params = _parameters(_gradients([(3,), (2, 2)], 1)[0])
            optimizer = self.make(params, SETTINGS[0], weight_decay=0.3)
            yield from self._steps(optimizer, params, _gradients([(3,), (2, 2)], 5))

    def _maximize(self):
        if "maximize" in self.offered:
            params = _parameters(_gradients([(3,)], 1)[0])
            optimizer = self.make(params, SETTINGS[0], maximize=True)
            yield from self._steps(optimizer, params, _gradients([(3,)], 4))

    def _float32(self):
        params = [torch.nn.Parameter(value.float()) for value in _gradients([(3,)], 1)[0]]
        gradients = [[g.float() for g in row] for row in _gradients([(3,)], 4)]
        yield from self._steps(self.make(params, SETTINGS[0]), params, gradients)
        yield "the dtype of p", str(params[0].dtype)


class _Maker:
    """Makes an optimizer of a class, under the class's own names."""

    def __init__(self, cls, reading, course, fixed):
        self.cls, self.signature, self.reading, self.fixed = cls, _signature(cls), reading, fixed
        self.options, self.offered = course.options, course.offered
        self.taken = course.taken | ({"beta1", "beta2"} if "betas" in course.taken else set())
        self.kept = {**reading.bound, **reading.gathered}

    def __call__(self, params, settings, **extra):
        known = {"betas": (0, 0), **{name: settings[name] for name in self.options}, **self.fixed}
        values = {**known, "params": params, "beta1": known["betas"][0], "beta2": known["betas"][1]}
        values |= {"weight_decay": 0, "maximize": False} if self.offered else {}
        values |= {name: known[name] for name in self.options} | extra
        positional, named = self.reading.arguments(self.signature, values)
        return self.cls(*positional, **named)

    def find_keys(self):
        """Find out under which keys a group keeps the options: where the values are that it was made with."""
        made = [(_with_single_betas(settings), self._group(settings)) for settings in (SETTINGS[0], OTHER)]
        found = {}
        for name in self.taken & made[0][0].keys():
            keys = [key for key in made[0][1] if all(_equals(group.get(key), values[name]) for values, group in made)]
            own = [key for key in keys if self.kept.get(key) == name]
            found |= dict.fromkeys((own or keys)[:1], name)
        told = {*found.values(), *(("betas",) if "beta1" in found.values() else ())}
        told |= {"beta1", "beta2"} if "betas" in told else set()
        self.kept = found | {key: name for key, name in self.kept.items() if name not in told}

    def _group(self, settings):
        extra = {"weight_decay": settings["weight_decay"]} if "weight_decay" in self.offered else {}
        return self(_parameters([STARTS[:2]]), settings, **extra).param_groups[0]

    def keys(self, settings):
        """Options for a group, under its own keys; only those that the constructor takes."""
        values = _with_single_betas(settings)
        values = {name: value for name, value in values.items() if name in self.taken}
        return {key: values[name] for key, name in self.kept.items() if name in values}

    def key(self, group, name):
        """Under which name a group keeps an option."""
        return next((key for key, kept in self.kept.items() if kept == name), name)


def _with_single_betas(settings):
    return {**settings, **dict(zip(("beta1", "beta2"), settings.get("betas", ()), strict=False))}


def _equals(one, two):
    try:
        return bool(one == two)
    except Exception:
        return False


@functools.lru_cache(4096)
def _signature(cls):
    return inspect.signature(cls)


def _parameters(values):
    return [torch.nn.Parameter(value.clone()) for value in values]


def _gradients(shapes, steps, sizes=1):
    drawn = _drawn(tuple(shapes), steps)
    return [[g * sizes for g in row] for row in drawn]


@functools.cache
def _drawn(shapes, steps):
    draw = torch.Generator().manual_seed(len(shapes) + steps)
    return [[torch.randn(shape, generator=draw, dtype=torch.float64) for shape in shapes] for _ in range(steps)]


def _put(p, g):
    p.grad = None if g is None else g.clone()


def _is(grad, g):
    return (grad is None) == (g is None) and (g is None or (grad.shape == g.shape and torch.equal(grad, g)))
