"""What an answer does when it is tried: what was seen of it, and a rule in any letters and style."""

import ast
import copy
import functools
import inspect
import itertools
import math
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from ..signature import signature
from .compare import PARTLY, Raised, Seen, first_mismatch
from .kinds import Wrong, came
from .letters import Reading, Unclear, asked_for, meanings, plain, readings
from .sandbox import codes

STEPS = 12
# Two settings of every hyper-parameter. None of them is a default, and eps is large enough to be seen.
SETTINGS = [
    {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-3, "alpha": 0.8, "rho": 0.7, "momentum": 0.7, "dampening": 0.2},
    {"lr": 0.02, "betas": (0.6, 0.9), "eps": 0.3, "alpha": 0.6, "rho": 0.9, "momentum": 0.5, "dampening": 0.35},
]
SETTINGS[0] |= {"weight_decay": 0.1, "beta": 0.8, "decay": 0.7, "momentum_decay": 2.0, "nesterov": True}
SETTINGS[1] |= {"weight_decay": 0.5, "beta": 0.6, "decay": 0.9, "momentum_decay": 0.6, "nesterov": False}
SETTINGS[0] |= {"ns_coefficients": (3.4445, -4.775, 2.0315), "ns_steps": 5, "adjust_lr_fn": None}
SETTINGS[1] |= {"ns_coefficients": (2.0, -1.5, 0.5), "ns_steps": 3, "adjust_lr_fn": "match_rms_adamw"}
SIZES = torch.tensor([1, 1e-3, 1e-6, 10, 0, 1], dtype=torch.float64)
STARTS = torch.tensor([0.6, 0, 0, -1.3, 0.8, 0], dtype=torch.float64)
DEFAULTS = {"lr": 1e-3, "dampening": 0}
# What a number in an answer's text may be, if the answer takes no argument for it.
LIKELY = {"lr": (1e-6, 0.9), "eps": (1e-13, 0.1), "weight_decay": (1e-6, 0.6)}
LIKELY |= dict.fromkeys(["betas", "alpha", "rho", "momentum", "beta", "decay"], (0.3, 0.99999))
LIKELY["momentum_decay"] = 1e-6, 0.1
# The shapes of the parameters, a tall and a wide matrix for what is not elementwise and many weights where only signs
# are seen; and the buffers that are what a rule is for.
SHAPES = {"muon": ((3, 2), (2, 3), (2, 3)), "lion": ((60,), (2, 30))}
JUDGED = {"adam_ema": "a", "muon": "b"}
# Buffers that others keep in the place of one of the course: from it, and back to it.
OTHERS = {
    ("c", "muproduct"): (lambda c, p, beta: 1 - c, lambda product, p, beta: 1 - product),
    ("e", "z"): (lambda e, p, beta: p - beta * e, lambda z, p, beta: (p - z) / beta),
    ("e", "x"): (lambda e, p, beta: p + (1 - beta) * e, lambda x, p, beta: (x - p) / (1 - beta)),
}
OTHERS |= {("c", word): OTHERS["c", "muproduct"] for word in ("muprod", "product", "mmu")}


@dataclass
class Trial:
    """What was seen of an answer, and how the programs that it is compared with are watched.

    Args:
        watch: takes a program and a condition, and yields what the program does under it.
        conditions: the values that options may have of which the answer knows nothing; one of them must fit.
        rtol: the largest relative difference that is right, where it is larger than that of rounding.
        seen: all that the answer did.
        dtypes: of the numbers that it kept or returned.
        notes: what should be said about how it was tried.
        error: what it raised, if that is why it ended.
        order: of its results, where it is not the usual one: for each its letter, and the letter that usually stands
            there.
        asked: the options that it looked for in its state.
        counts: whether it returned the step count, which is then passed to it at the next step.
        given: what beside its program and its condition decides what a run does.
        runs: of programs, as far as they were asked for.

    >>> trial = Trial(lambda program, condition: [Seen("result", program(3))])
    >>> list(trial.again(lambda x: 2 * x, {}))[0].value
    6
    """

    watch: Callable
    conditions: list = field(default_factory=lambda: [{}])
    rtol: float = 0.0
    seen: list = field(default_factory=list)
    dtypes: set = field(default_factory=set)
    notes: list = field(default_factory=list)
    error: BaseException | None = None
    order: tuple = ()
    asked: set = field(default_factory=set)
    counts: bool = False
    given: tuple = ()
    runs: dict = field(default_factory=dict)

    def collect(self, watched):
        """Keep what an answer does, up to an exception, which is something seen as well."""
        try:
            for one in watched:
                self.seen.append(one._replace(value=tame(one.value)))
        except Exception as error:
            self.error = error
            self.seen.append(Seen("it goes on", Raised(error), self.seen[-1].part if self.seen else ""))
        return self

    def again(self, function, condition):
        """What a program does under the same conditions, an exception included; it is run once, as far as is asked."""
        key = function, repr(condition)
        kept, run = self.runs.setdefault(key, ([], self._run(function, condition)))
        for index in itertools.count():
            if index == len(kept):
                kept += itertools.islice(run, 1)
            if index == len(kept):
                return
            yield kept[index]

    def _run(self, function, condition):
        part = ""
        try:
            for one in self.watch(function, condition):
                part = one.part
                yield one
        except Exception as error:
            yield Seen("it goes on", Raised(error), part)


def tame(value):
    """A value that has nothing of the reader's in it any more: a number, a word, a tensor, a list of these, or None.

    >>> tame(torch.ones(1, requires_grad=True)), tame(object())
    (tensor([1.]), 'an object')
    """
    if value is None or type(value) in (bool, int, float, str) or isinstance(value, Raised):
        return value
    if isinstance(value, list | tuple):
        return [tame(item) for item in value]
    try:
        return torch.as_tensor(value).detach().to_dense().cpu().clone()
    except Exception:
        return f"a{'n' * (type(value).__name__[0] in 'aeiou')} {type(value).__name__}"


# Rules


def trials_of_rule(answer, reference):
    """A rule, in every way in which it may have been meant to be called, the most likely first.

    >>> from edu_optim.rules import gradient_descent
    >>> trial = next(trials_of_rule(lambda w, dw, eta: w - eta * dw, gradient_descent))
    >>> trial.seen[0].label, trial.dtypes
    ('p after step 1', {torch.float64})
    """
    letters, names = signature(reference)
    numbers = constants(answer)
    failed, of_lists = None, _takes_lists(answer)
    for reading in [of_lists] if of_lists else readings(answer, ["p", "g", *letters], names, asked_for(answer)):
        if not of_lists:
            _refuse_missing(answer, reading, letters)

        def run(kind, first, order=None, reading=reading):
            trial = Trial(functools.partial(_walk_program, reference.__name__, letters, names))
            trial.notes += [reading.assumed] * bool(reading.assumed)
            make = functools.partial(kind, answer, reading, letters, first, trial, order)
            trial.collect(_walk(make, reference.__name__, letters, names, {}))
            some = [*numbers, *left_alone(answer, reading)]
            trial.conditions = absent(reading.takes() | trial.asked, names, some, reference)
            return trial

        for kind in (_CallOfLists,) if of_lists else (_Call, _CallOfArrays, _CallOfFloats):
            trial = run(kind, 1)
            if trial.error is not None and len(trial.seen) == 1:  # at the first call: perhaps it wants other numbers
                failed = failed or trial
                continue
            coarse = sorted(str(dtype).removeprefix("torch.") for dtype in trial.dtypes - {torch.float64})
            trial.notes += [f"It is computed in {' and '.join(coarse)} and judged at its rounding"] * bool(coarse)
            yield trial
            if first_mismatch(trial.seen, trial.again(reference, trial.conditions[0]), *PARTLY):
                yield from (run(kind, 1, order) for order in _other_orders(answer, reading, letters))
            if trial.counts:
                yield run(kind, 0)
            break
    if failed:
        yield failed


def _takes_lists(answer):
    """How a function is called that takes lists of parameters and of states, and a dict of options, as in d2l."""
    names = list(inspect.signature(answer).parameters)
    wanted = [("params",), ("state",), ("state",)]
    if len(names) == 3 and all(meanings(name, one) for name, one in zip(names, wanted, strict=True)):
        return Reading(dict(zip(names, ["params", "states", "state"], strict=True)))
    return None


def _refuse_missing(answer, reading, letters):
    missing = [letter for letter in ("p", "g", *letters) if letter not in {*reading.takes(), "c"}]  # c follows from t
    keeps_its_own = "state" in reading.takes() or not inspect.isfunction(inspect.unwrap(answer))
    if missing and not (keeps_its_own and missing[0] in letters):
        needed = ", ".join(["the parameter p", "its gradient g", *(f"the buffer {letter}" for letter in letters)])
        raise Unclear(f"it takes no {missing[0]}; it must take {needed}.")


def constants(answer):
    """The numbers with a fraction in the text of an answer.

    >>> constants(lambda p, g: p - 0.25 * g)
    [0.25]
    """
    waiting, found = codes(answer), set()
    while waiting:
        for value in waiting.pop().co_consts:
            waiting += [value] * inspect.iscode(value)
            found.update(value if isinstance(value, tuple) else [value])
    return sorted(value for value in found if isinstance(value, float))


def left_alone(answer, reading):
    """The defaults of the arguments of an answer that are not understood: it is judged at them.

    >>> left_alone(lambda w, dw, fading=0.75: 0, readings(lambda w, dw: 0, ["p", "g"], [])[0])
    [0.75]
    """
    parameters = inspect.signature(answer).parameters.values()
    return [p.default for p in parameters if p.name not in reading.bound and isinstance(p.default, float)]


def absent(taken, names, numbers, reference):
    """The values that options may have of which an answer knows nothing: those in its text, or else the usual ones.

    >>> from edu_optim.rules import rmsprop
    >>> absent({"p", "g", "s", "lr", "alpha"}, ["lr", "alpha", "eps"], [1e-7, 2.0], rmsprop)
    [{'eps': 1e-07}, {'eps': 1e-08}]
    """
    parameters = inspect.signature(reference).parameters.values()
    usual = {**DEFAULTS, **{p.name: p.default for p in parameters if p.default is not p.empty}}
    choices = []
    for name in names:
        if name == "t" or name in taken or (name == "betas" and {"beta1", "beta2"} <= taken):
            continue
        low, high = LIKELY.get(name, (1, 0))
        likely = [value for value in numbers if low <= value <= high]
        likely = list(itertools.permutations(likely, 2)) if name == "betas" else likely
        choices.append([(name, value) for value in dict.fromkeys([*likely, usual[name]])])
    return [dict(chosen) for chosen in itertools.islice(itertools.product(*choices), 8)]


@functools.cache
def probes(*shapes):
    """The runs: a start, the gradients of each step, and its options, of which the learning rate falls half way.

    >>> [(start.shape, len(gradients)) for start, gradients, _ in probes()]
    [(torch.Size([6]), 12), (torch.Size([2, 3]), 12)]
    """
    found = []
    shapes = shapes or ((6,), (2, 3))
    runs = zip(itertools.cycle(SETTINGS), shapes, strict=False)
    for number, (settings, shape) in enumerate(runs):
        draw = torch.Generator().manual_seed(number)
        sizes, starts = (column.repeat(math.prod(shape) // len(column)) for column in (SIZES, STARTS))
        gradients = torch.randn(STEPS, len(sizes), generator=draw, dtype=torch.float64) * sizes
        hypers = [
            {**settings, "t": t, "lr": settings["lr"] / (1 if t <= STEPS // 2 else 4)} for t in range(1, STEPS + 1)
        ]
        found.append((starts.view(shape), gradients.view(STEPS, *shape), hypers))
    return found


def _walk(make, name, letters, names, fixed):
    """Where p and the buffers go in the probes."""
    for number, (p, gradients, hypers) in enumerate(probes(*SHAPES.get(name, ()))):
        call, buffers = make(), [torch.zeros_like(p) for _ in letters]
        for t, (g, hyper) in enumerate(zip(gradients, hypers, strict=True), 1):
            hyper = hyper | fixed
            betas = dict(zip(("beta1", "beta2"), hyper["betas"], strict=True)) if "betas" in names else {}
            hyper = {**{name: hyper[name] for name in names}, **betas}
            p, buffers = call(p, g, buffers, hyper)
            when = f"after step {t}" + ["", " of the second run", " of the third run"][number]
            for letter, buffer in zip(letters, buffers, strict=False):
                if letter not in getattr(call, "others", ()):  # where it was worked out from what the answer keeps
                    yield Seen(f"{letter} {when}", buffer, judged=JUDGED.get(name) == letter)
            yield Seen(f"p {when}", p)


def _walk_program(name, letters, names, rule, fixed):
    def call(p, g, buffers, hyper):
        p, *buffers = rule(p, g, *buffers, **{name: hyper[name] for name in names})
        return p, buffers

    return _walk(lambda: call, name, letters, names, fixed)


class _Call:
    """A reader's rule, called as a rule of the course, with tensors."""

    def __init__(self, answer, reading, letters, first, trial, order=None):
        self.answer, self.reading, self.first, self.trial = (
            answer if inspect.isfunction(answer) else copy.deepcopy(answer),
            reading,
            first,
            trial,
        )
        self.signature = inspect.signature(answer)
        self.letters = letters
        self.usual_order = _usual_order(reading, letters)
        self.order = order or _order_in_text(answer, reading, letters) or self.usual_order
        self.memory, self.t = Memory(), None
        bound = {letter: plain(name) for name, letter in reading.bound.items()}
        self.others = {letter: OTHERS[letter, word] for letter, word in bound.items() if (letter, word) in OTHERS}

    def __call__(self, p, g, buffers, hyper):
        beta = hyper.get("beta", hyper.get("beta1"))
        buffers = [
            self.others[letter][0](buffer, p, beta) if letter in self.others else buffer
            for letter, buffer in zip(self.letters, buffers, strict=False)
        ]
        kept = dict(zip(self.letters, map(self.given, buffers), strict=False))
        values = {**hyper, "p": self.given(p), "g": self.given(g), **kept, "state": self.memory}
        if self.trial.counts:
            values["t"] = self.first if self.t is None else self.t
        self.memory.hyper, self.memory.p, self.memory.asked = hyper, values["p"], self.trial.asked
        positional, named = self.reading.arguments(self.signature, values)
        with torch.no_grad():
            returned = self.answer(*positional, **named)
        found = {
            name: _number(value)
            for name, value in self.results(returned, {"p": values["p"], **kept}, p, buffers).items()
        }
        self.trial.dtypes |= {value.dtype for value in found.values() if value.is_floating_point()}
        found |= {letter: back(found[letter], found["p"], beta) for letter, (_, back) in self.others.items()}
        return found["p"], [found[letter] for letter in self.letters if letter in found]

    given = staticmethod(lambda value: value.clone() if torch.is_tensor(value) else value)

    def results(self, returned, given, p, buffers):
        """What came back for p and each buffer, whether it was returned or written into what was passed."""
        needed = [name for name in self.order if name == "p" or name in self.reading.takes()]
        changed = not all(_equal(given[letter], buffer) for letter, buffer in zip(self.letters, buffers, strict=False))
        if returned is None:
            if not changed and _equal(given["p"], p):
                raise Wrong("returns nothing")
            return {name: given[name] for name in needed}
        values = list(returned) if isinstance(returned, tuple | list) else [returned]
        if "state" in self.reading.takes():
            self.memory = next(
                (value for value in values if value is self.memory or isinstance(value, dict)), self.memory
            )
            values = [value for value in values if not isinstance(value, dict)]
            if not self.letters or self.letters[0] not in self.reading.takes():
                values, needed = values[:1] or [given["p"]], ["p"]
        if len(values) == len(needed) + 1 and "t" in self.reading.takes():
            self.trial.counts, self.t = True, values.pop()
        if len(values) == 1 and (changed or len(needed) == 1):
            return {**{name: given[name] for name in needed}, "p": values[0]}
        if self.order != self.usual_order and len(values) == len(needed) == len(self.order):
            self.trial.order = tuple(zip(needed, self.usual_order, strict=True))
        if len(values) != len(needed):
            some = f"{len(values)} value{'s' * (len(values) != 1)}"
            if isinstance(returned, dict | str):
                raise Wrong(f"it returns {came(returned)}, and {len(needed)} values are needed: {', '.join(needed)}")
            are = "is" if len(needed) == 1 else "are"
            raise Wrong(f"it returns {some}, and {len(needed)} {are} needed: {', '.join(needed)}")
        return dict(zip(needed, values, strict=True))


class _CallOfArrays(_Call):
    """With NumPy's arrays."""

    def given(self, value):
        import numpy

        return numpy.array(value.numpy() if torch.is_tensor(value) else value)


class _CallOfFloats:
    """With plain numbers, one element after the other."""

    def __init__(self, *given):
        self.given, self.calls = given, []

    def __call__(self, p, g, buffers, hyper):
        self.calls = self.calls or [_Call(*self.given) for _ in p.flatten()]
        self.others = self.calls[0].others
        columns = [column.double().flatten().tolist() for column in (p, g, *buffers)]
        rows = [call(a, b, c, hyper) for call, a, b, *c in zip(self.calls, *columns, strict=True)]
        found = torch.tensor([[value.item() for value in (a, *c)] for a, c in rows], dtype=torch.float64)
        p, *buffers = found.T.reshape(-1, *p.shape)
        return p, buffers


class _CallOfLists(_Call):
    """With a list of one parameter, whose gradient it holds, a list of its buffers, and a dict of options."""

    def __call__(self, p, g, buffers, hyper):
        leaf, kept = p.clone().requires_grad_(), [buffer.clone() for buffer in buffers]
        leaf.grad = g.clone()
        options = _Options({"t": hyper["t"]} if "t" in hyper else {})
        options.hyper, options.p, options.asked = hyper, p, self.trial.asked
        self.answer([leaf], [kept[0] if len(kept) == 1 else tuple(kept)], options)
        self.trial.dtypes.add(leaf.dtype)
        return leaf.detach(), kept


class Memory(dict):
    """What is passed where an answer takes its state as one object: it finds its options and empty buffers in there.

    >>> memory = Memory()
    >>> memory.hyper, memory.p = {"lr": 0.5}, torch.ones(2)
    >>> memory["learning_rate"], memory["cache"], memory.setdefault("t", 0)
    (0.5, tensor([0., 0.]), 0)
    """

    hyper = p = asked = None

    def __missing__(self, key):
        found = self._option(key)
        if found is not None:
            return found
        return 0 if meanings(str(key), ["t"]) else 0 * self.p

    def _option(self, key):
        found = next(iter(meanings(str(key), [name for name in self.hyper if name != "t"])), None)
        if found is not None and self.asked is not None:
            self.asked.update({found} | ({"betas"} if found in ("beta1", "beta2") else set()))
        return self.hyper.get(found)

    def get(self, key, default=None):
        found = self._option(key) if key not in self else None
        return super().get(key, default) if found is None else found

    def setdefault(self, key, default=None):
        found = self._option(key) if key not in self else None
        return super().setdefault(key, default) if found is None else found

    def __getattr__(self, name):
        return self[name]

    def __setattr__(self, name, value):
        if name in ("hyper", "p", "asked"):
            super().__setattr__(name, value)
        else:
            self[name] = value


class _Options(Memory):
    """Options alone: whatever else is looked for in there is missing."""

    def __missing__(self, key):
        found = self._option(key)
        if found is None:
            raise KeyError(key)
        return found


def _number(value):
    known = isinstance(value, int | float) or torch.is_tensor(value) or hasattr(value, "__array__")
    if isinstance(value, bool) or not known:
        raise Wrong(f"it returns {came(value)} where a number or tensor is wanted")
    return torch.as_tensor(value, dtype=torch.float64 if isinstance(value, int | float) else None).detach()


def _equal(one, two):
    return bool((torch.as_tensor(one) == torch.as_tensor(two)).all())


def _usual_order(reading, letters):
    """p, and then the buffers as they are taken."""
    return ["p", *sorted(letters, key=[*reading.bound.values(), *letters].index)]


def _order_in_text(answer, reading, letters):
    """What is returned in which order, if the text names it."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(answer))))
    except (OSError, TypeError, SyntaxError):
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
            named = [reading.bound.get(getattr(part, "id", None)) for part in node.value.elts]
            if sorted(name or "p" for name in named) == sorted(["p", *letters]):
                return [name or "p" for name in named]
    return None


def _other_orders(answer, reading, letters):
    """In which other orders the results may come, where the text does not tell: p last, or two buffers swapped."""
    usual = _usual_order(reading, letters)
    if len(usual) == 1 or _order_in_text(answer, reading, letters):
        return []
    return [[*usual[1:], "p"], *([["p", *reversed(usual[1:])]] if len(usual) == 3 else [])]
