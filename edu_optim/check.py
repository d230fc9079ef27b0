"""Say whether a reader's answer is right, and if not, which mistake it is.

A rule and its reference walk the same short probes: gradients of very different sizes, some of them zero, a large
eps, a learning rate that changes. The answer to another task of `edu_optim.tasks` is watched at what it does. Two
answers agree to rounding or they do not; a mistake is named only if all that was seen is that mistake's, to rounding.
"""

import collections
import ctypes
import dataclasses
import dis
import functools
import inspect
import linecache
import math
import sys
import threading
import traceback
import warnings
from dataclasses import dataclass

import torch

from . import mistakes, rules
from .base import signature
from .drill import Drill, GradientChanged, drills, rehearse, run
from .mistakes import bank
from .tasks import TASKS, hints

SECONDS = 2
STEPS = 12
SCALES = torch.tensor([1, 1e-3, 1e-6, 10, 0, 1], dtype=torch.float64)
# Two settings of every hyper-parameter. None of them is a default, and eps is large enough to be seen.
SETTINGS = [
    {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-3, "alpha": 0.8, "rho": 0.7, "momentum": 0.7, "dampening": 0.2},
    {"lr": 0.02, "betas": (0.6, 0.9), "eps": 0.3, "alpha": 0.6, "rho": 0.9, "momentum": 0.5, "dampening": 0.0},
]
DECAYS = [0.1, 0.5]
ALIASES = {
    "t": {"t", "step", "n", "k", "i", "iteration"},
    "lr": {"lr", "eta", "learning_rate", "rate", "step_size"},
    "betas": {"betas"},
    "beta1": {"beta1", "b1", "beta_1"},
    "beta2": {"beta2", "b2", "beta_2"},
    "eps": {"eps", "epsilon"},
    "momentum": {"momentum", "mu", "beta", "gamma"},
    "dampening": {"dampening", "tau"},
    "alpha": {"alpha", "decay", "beta", "gamma"},
    "rho": {"rho", "decay", "beta", "gamma"},
    "weight_decay": {"weight_decay", "wd", "decay", "lam"},
}


@dataclass(frozen=True)
class Verdict:
    """What `check` found.

    Args:
        kind: ``"not attempted"``, ``"correct"``, ``"variant"``, ``"mistake"``, ``"unknown"`` or ``"error"``.
        text: what the learner is told.
        name: of the mistake or the variant, None where there is none.

    >>> Verdict("correct", "correct: in all 24 steps").passed
    True
    """

    kind: str
    text: str
    name: str | None = None

    @property
    def passed(self):
        """Whether the answer does what was asked, in whatever convention."""
        return self.kind in ("correct", "variant")

    def __repr__(self):
        return self.text


@dataclass(frozen=True)
class _Probe:
    """Gradients ``[steps, n]``, a start ``[n]`` and the hyper-parameters of each step."""

    gradients: torch.Tensor
    start: torch.Tensor
    hypers: list


def check(answer, like=None):
    """Say whether ``answer`` is right and, if not, where it first goes wrong and by which mistake.

    Args:
        answer: a rule function: it takes the parameter, the gradient, the buffers and the hyper-parameters, under
            whatever letters, and returns the new parameter and buffers or writes into those it was given. Or a
            subclass of `torch.optim.Optimizer`, whose groups, state and checkpoints are tried as well. Or what a
            task of `edu_optim.tasks` asks for, such as a training loop.
        like: the name of the task, or of the rule in `edu_optim.rules`, that it should be; its own name if None.

    Nothing of the reader's is changed, and an answer that takes longer than two seconds is stopped.

    Errors: ValueError if there is no such rule or task; TypeError if ``answer`` is none of these.

    >>> def gradient_descent(p, g, *, lr):
    ...     return p + lr * g
    >>> check(gradient_descent)
    not yet: climbs
    The step is added, so the loss is climbed.
    The gradient points uphill; which way do you want to go?
    At step 1 the step is -0.231 where 0.231 is right: -1 times as large.
    """
    if inspect.isclass(answer) and issubclass(answer, torch.optim.Optimizer):
        return _check_class(answer, _reference(like or answer.__name__.lower()))
    if not inspect.isfunction(answer):
        raise TypeError(f"answer must be a function or a subclass of torch.optim.Optimizer, got {answer!r}")
    if (like or answer.__name__) in TASKS:
        return _check_task(answer, like or answer.__name__)
    reference = _reference(like or answer.__name__)
    try:
        order = _order(answer, reference)
        probes = [_probe(reference, order, number) for number in range(len(SETTINGS))]
        walks = _in_time(lambda: [_walk(order, answer, probe) for probe in probes])
    except (_NotAttempted, NotImplementedError):
        return NOT_ATTEMPTED
    except _ReturnsNothing:
        return _told(mistakes.SEEN["returns_nothing"])
    except Exception as error:
        return Verdict("error", f"not yet: {_in_words(error, answer)}")
    return _judge(reference, probes, walks, (order, answer))


def hint(exercise):
    """Print the next hint for an exercise; each call says a little more.

    Args:
        exercise: the name of a task or a rule, or the function that is to become it.

    Errors: ValueError if there are no hints for it.

    >>> hint("largest_rate")
    hint 1 of 3: One step multiplies the distance along a curvature by 1 - lr * curvature. When does it shrink?
    """
    name = exercise if isinstance(exercise, str) else exercise.__name__.lower()
    stages = hints(name)
    stage = _HINTED[name] = min(_HINTED[name] + 1, len(stages))
    print(f"hint {stage} of {len(stages)}: {stages[stage - 1]}")


_HINTED = collections.Counter()
NOT_ATTEMPTED = Verdict("not attempted", "not attempted yet")


class _NotAttempted(Exception):
    """The stub has not been filled in."""


class _ReturnsNothing(Exception):
    """The function ended without a return."""


def _is_empty(function):
    """Whether a function has no more than ``...`` or ``pass`` in it."""
    nothing = {"RESUME", "NOP", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST", "POP_TOP"}
    return {instruction.opname for instruction in dis.get_instructions(function)} <= nothing


def _reference(name):
    rule = getattr(rules, name, None)
    if not inspect.isfunction(rule) or rule is rules.maximum:
        known = [key for key, value in vars(rules).items() if inspect.isfunction(value) and value is not rules.maximum]
        raise ValueError(f"like must be one of {', '.join([*known, *TASKS])}; got {name!r}")
    return rule


# A task: what an answer does, watched beside what the right one does.


def _check_task(answer, name):
    task, results = TASKS[name], []

    def attempt(*given):
        results.append(answer(*given))
        if results[-1] is Ellipsis or results[-1] is NotImplemented or (results[-1] is None and _is_empty(answer)):
            raise _NotAttempted
        return results[-1]

    try:
        seen = _in_time(lambda: task.observe(attempt))
    except (_NotAttempted, NotImplementedError):
        return NOT_ATTEMPTED
    except Exception as error:
        if results and results[-1] is None and not _own_frames(error, answer):
            return _told(mistakes.SEEN["returns_nothing"])
        return Verdict("error", f"not yet: {_in_words(error, answer)}")
    if any(value is None for _, value in seen):
        return _told(mistakes.SEEN["returns_nothing"])
    right = _in_time(lambda: task.observe(task.right))
    if _agree(seen, right, task.close):
        return Verdict("correct", f"correct: what was asked, in {len(right)} trials" if len(right) > 1 else "correct")
    parting = _first_apart(seen, right, task)
    for mistake in bank(name):
        if _agree(seen, _in_time(functools.partial(task.observe, mistake.rule)), task.close):
            return _told(mistake, "" if mistake.kind == "variant" else parting)
    return Verdict("unknown", f"not yet.\n{parting}")


def _agree(seen, other, close):
    alike = all(one == two and _alike(a, b, close) for (one, a), (two, b) in zip(seen, other, strict=False))
    return len(seen) == len(other) and alike


def _alike(a, b, close):
    try:
        a, b = (torch.as_tensor(value, dtype=torch.float64).squeeze() for value in (a, b))
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return type(a) is type(b) and a == b
    return a.shape == b.shape and torch.allclose(a, b, rtol=close, atol=1e-12, equal_nan=True)


def _first_apart(seen, right, task):
    """Where an answer first differs from the right one, without the right value where that is the secret."""
    for (label, value), (_, expected) in zip(seen, right, strict=False):
        if _alike(value, expected, task.close):
            continue
        if not task.secret:
            return f"{label} is {_in_digits(value)} where {_in_digits(expected)} is right{_times(value, expected)}."
        if isinstance(expected, str) or not isinstance(value, int | float):
            return f"{label} is not {value!r}."
        return f"{label} is {'larger' if value < expected else 'smaller'} than {_in_digits(value)}."
    return ""


def _in_digits(value):
    value = value.tolist() if torch.is_tensor(value) else value
    if isinstance(value, list | tuple):
        return f"({', '.join(map(_in_digits, value))})"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _times(value, expected):
    try:
        ratio = float(value) / float(expected)
    except (TypeError, ValueError, RuntimeError, ArithmeticError):
        return ""
    return f": {ratio:.3g} times as large" if isinstance(expected, float) and abs(ratio) < 1e6 else ""


# Calling an answer, whatever its letters.


def _order(answer, reference):
    """The parameters of ``answer`` that take p, g and the buffers, and for each other the name of what it takes."""
    buffers, wanted = signature(reference)
    positional, named = [], {}
    for parameter in inspect.signature(answer).parameters.values():
        meanings = [name for name in [*wanted, "beta1", "beta2"] if parameter.name.lower() in ALIASES[name]]
        if parameter.kind is parameter.VAR_KEYWORD:
            named |= {name: name for name in wanted if name not in named.values()}
        elif parameter.kind is parameter.VAR_POSITIONAL:
            positional += ["p", "g", *buffers][len(positional) :]
        elif meanings:
            named[parameter.name] = meanings[0]
        elif parameter.default is parameter.empty:
            positional.append(parameter.name)
    expected = ["the parameter", "its gradient", *(f"the buffer {letter}" for letter in buffers)]
    if len(positional) != len(expected):
        raise TypeError(f"it must take {', '.join(expected)}, in this order, got ({', '.join(positional)})")
    return positional, named


def _call(order, answer, columns, hyper):
    """What ``answer`` makes of the parameter and the buffers: what it returns, or what it wrote into them."""
    positional, named = order
    settings = {**hyper, **dict(zip(("beta1", "beta2"), hyper.get("betas", ()), strict=False))}
    given = [column.clone() for column in columns]
    options = {key: settings[name] for key, name in named.items()}
    with torch.no_grad():
        returned = answer(*given, **options)
    if returned is Ellipsis or returned is NotImplemented:
        raise _NotAttempted
    parameter, gradient, *buffers = given
    if returned is None:
        if all(torch.equal(new, old) for new, old in zip(given, columns, strict=True)) and columns[1].any():
            raise _NotAttempted if _is_empty(answer) else _ReturnsNothing
        return parameter, *buffers
    returned = returned if isinstance(returned, tuple | list) else (returned,)
    if len(returned) not in (1, 1 + len(buffers)) or not all(torch.is_tensor(value) for value in returned):
        kinds = ", ".join(type(value).__name__ for value in returned)
        raise TypeError(f"it must return the new parameter and the {len(buffers)} new buffers, got ({kinds})")
    return *returned, *buffers[len(returned) - 1 :]


# A class: its rule first, on one parameter, then what is around the rule.


def _check_class(answer, reference):
    step = inspect.unwrap(answer.step)
    if step is torch.optim.Optimizer.step or _is_empty(step):
        return NOT_ATTEMPTED
    try:
        named, wanted = _options(answer, reference)
        make = _maker(answer, named)
        probes = [_with_one_rate(_probe(reference, ([], named), number)) for number in range(len(SETTINGS))]
        walks = _in_time(lambda: [_walk_of_class(make, named, reference, probe) for probe in probes])
        if not any(map(_moved, walks)):
            return _told(mistakes.SEEN["rebinds_parameter"])
        verdict = _judge(reference, probes, walks)
        hyper = {name: probes[0].hypers[-1][name] for name in wanted}
        if not verdict.passed:  # or is it a right rule, with a fault around it?
            around = _in_time(lambda: _drilled(make, reference, named, hyper))
            return around if around and around.name in {fault.name for fault in mistakes.FAULTS} else verdict
        exact = next((m.rule for m in bank(reference.__name__) if m.name == verdict.name), reference)
        return _in_time(lambda: _drilled(make, exact, named, hyper)) or verdict
    except NotImplementedError:
        return NOT_ATTEMPTED
    except GradientChanged:
        return _told(mistakes.SEEN["changes_gradient"])
    except Exception as error:
        if isinstance(error, RuntimeError) and "leaf Variable" in str(error):
            return _told(mistakes.SEEN["updates_with_graph"])
        return Verdict("error", f"not yet: {_in_words(error, step)}")


def _options(answer, reference):
    """For each option of the class the name of what it takes, and the hyper-parameters of the rule that it is given."""
    parameters = [*inspect.signature(answer).parameters.values()][1:]
    wanted = [name for name in signature(reference)[1] if name != "t"]
    named = {}
    for parameter in parameters:
        meanings = [name for name in [*wanted, "beta1", "beta2"] if parameter.name.lower() in ALIASES[name]]
        if meanings:
            named[parameter.name] = meanings[0]
        elif parameter.kind is parameter.VAR_KEYWORD:
            named |= {name: name for name in wanted if name not in named.values()}
        elif parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            raise TypeError(f"{answer.__name__} must take parameters and {', '.join(wanted)}, got {parameter.name}")
    return named, [name for name in wanted if name != "lr"]


def _maker(answer, named):
    """The class, whatever it calls the learning rate."""
    (rate,) = [key for key, name in named.items() if name == "lr"] or ["lr"]
    return lambda groups, lr, **options: answer(groups, **{rate: lr}, **options)


def _given(named, hyper):
    settings = {**hyper, **dict(zip(("beta1", "beta2"), hyper.get("betas", ()), strict=False))}
    return {key: settings[name] for key, name in named.items() if name != "lr" and name in settings}


def _with_one_rate(probe):
    """A probe as a class meets it: one learning rate, and a first gradient that torch does not dampen."""
    hypers = [{**hyper, "lr": probe.hypers[0]["lr"]} for hyper in probe.hypers]
    if "dampening" in hypers[0]:
        hypers[0]["dampening"] = 0
    return dataclasses.replace(probe, hypers=hypers)


def _walk_of_class(make, named, reference, probe):
    """As `_walk`, with NaN for the buffers, of which a class may keep what it likes."""
    alone = [[gradient] for gradient in probe.gradients]
    drill = Drill("one parameter", [probe.start], alone, [[probe.hypers[0]["lr"]]] * STEPS)
    places = run(make, drill, _given(named, probe.hypers[-1]))
    unseen = places.new_full((STEPS + 1, len(signature(reference)[0]), len(probe.start)), math.nan)
    return torch.cat([places, unseen], dim=1)


def _moved(walk):
    return bool((walk[1:, 0] != walk[:-1, 0]).any())


def _drilled(make, rule, named, hyper):
    """What is wrong or somebody else's convention around the rule, or None."""
    kept, verdict = [], None
    for drill in drills(0.1):
        has_gaps = any(None in row for row in drill.gradients)
        try:
            walked = run(make, drill, _given(named, hyper))
        except Exception as error:
            if isinstance(error, GradientChanged) or not has_gaps or drill.load is not None:
                raise
            return _told(mistakes.SEEN["crashes_on_missing_gradient"])
        right = rehearse(rule, drill, hyper, kept)
        if _together(walked, right):
            continue
        parting = _first_difference(drill, walked, right)
        faults = [m for m in mistakes.FAULTS if _together(walked, rehearse(rule, drill, hyper, [*kept, m.rule]))]
        verdict = _told(faults[0], parting) if faults else Verdict("unknown", f"not yet.\n{parting}")
        if not verdict.passed:
            return verdict
        kept.append(faults[0].rule)
    return verdict


def _together(walked, other):
    return torch.allclose(walked, other, rtol=1e-9, atol=1e-13, equal_nan=True)


def _first_difference(drill, walked, right):
    apart = ~torch.isclose(walked, right, rtol=1e-9, atol=1e-13, equal_nan=True)
    step, parameter, index = apart.nonzero()[0].tolist()
    seen, expected = walked[step, parameter, index].item(), right[step, parameter, index].item()
    where = f"parameter {parameter + 1} is at {seen:.4g} where {expected:.4g} is right"
    return f"With {drill.name}: after step {step}, {where}."


def _told(mistake, parting=""):
    said = f"{mistake.name}\n{mistake.why}\n{mistake.question}"
    text = f"correct, but {said}" if mistake.kind == "variant" else f"not yet: {said}"
    return Verdict("variant" if mistake.kind == "variant" else "mistake", f"{text}\n{parting}".rstrip(), mistake.name)


# Walking.


def _probe(reference, order, number):
    generator = torch.Generator().manual_seed(number)
    gradients = torch.randn(STEPS, len(SCALES), generator=generator, dtype=torch.float64) * SCALES
    start = torch.randn(len(SCALES), generator=generator, dtype=torch.float64)
    settings = {**SETTINGS[number], "weight_decay": DECAYS[number]}
    neutral = {"dampening": 0} if "dampening" not in order[1].values() else {}
    names = signature(reference)[1]
    hypers = []
    for t in range(1, STEPS + 1):
        lr = settings["lr"] / (1 if t <= STEPS // 2 else 4)
        every = {**settings, **neutral, "lr": lr, "t": t}
        hypers.append({name: every[name] for name in names})
    return _Probe(gradients, start, hypers)


def _walk(order, answer, probe):
    """The parameter and the buffers after each step: ``[steps + 1, 1 + buffers, n]``."""
    rows = [[probe.start, *[torch.zeros_like(probe.start)] * (len(order[0]) - 2)]]
    for gradient, hyper in zip(probe.gradients, probe.hypers, strict=True):
        parameter, *buffers = rows[-1]
        rows.append(_call(order, answer, [parameter, gradient, *buffers], hyper))
    return torch.stack([torch.stack([value.double().broadcast_to(probe.start.shape) for value in row]) for row in rows])


def _in_time(work):
    """The result of ``work``, run in a thread of its own, which is stopped after a while."""
    outcome = {}
    torch.optim.SGD([torch.zeros(1)], lr=0)  # the first optimizer of all loads half of torch, which is not the answer's

    def run():
        try:
            with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                outcome["result"] = work()
        except BaseException as error:
            outcome["error"] = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(SECONDS)
    if thread.is_alive():
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(_TooSlow))
        thread.join(1)
        raise outcome.get("error") or _TooSlow()
    error = outcome.get("error")
    if error is not None and not isinstance(error, Exception):  # such as exit(): it ends the answer, not the notebook
        raise RuntimeError(f"it ended with {type(error).__name__}").with_traceback(error.__traceback__)
    if error is not None:
        raise error
    return outcome["result"]


class _TooSlow(Exception):
    """An answer took too long."""

    def __str__(self):
        return f"it took more than {SECONDS} seconds; is there a loop that never ends?"


def _in_words(error, answer):
    """What an error says, at the line of the reader's that raised it."""
    own = _own_frames(error, answer)
    if not own:
        return f"{error}" if isinstance(error, TypeError | _TooSlow) else f"{type(error).__name__}: {error}"
    line = own[-1].line or linecache.getline(own[-1].filename, own[-1].lineno).strip()
    return f"{type(error).__name__}: {error}\nin {own[-1].name}, line {own[-1].lineno}: {line}"


def _own_frames(error, answer):
    frames = traceback.extract_tb(error.__traceback__)
    return [frame for frame in frames if frame.filename == answer.__code__.co_filename]


# Judging.


def _judge(reference, probes, walks, called=None):
    own = _order(reference, reference)
    right = [_walk(own, reference, probe) for probe in probes]
    if all(map(_same, walks, right)):
        largest = max(_largest_difference(*pair) for pair in zip(walks, right, strict=True))
        count = STEPS * len(probes)
        return Verdict("correct", f"correct: the same as {reference.__name__} in {count} steps, to {largest:.0e}")
    parting = _parting(reference, probes, walks, right, called)
    mistake = _named(reference, own, probes, walks)
    if mistake is None:
        return Verdict("unknown", f"not yet.\n{parting}")
    return _told(mistake, "" if mistake.kind == "variant" else parting)


def _named(reference, order, probes, walks):
    """The mistake of the bank that walks this way, preferably one with the same buffers too."""
    found = []
    for mistake in bank(reference.__name__):
        theirs = [_walk(order, mistake.rule, probe) for probe in probes]
        if all(map(_same, walks, theirs)):
            buffers = all(
                torch.allclose(a[:, 1:], b[:, 1:], equal_nan=True) for a, b in zip(walks, theirs, strict=True)
            )
            found.append((not buffers, len(found), mistake))
    return min(found)[2] if found else None


def _moves(walk):
    return walk[1:, 0] - walk[:-1, 0]


def _same(walk, other):
    """Whether two walks take the same steps, to rounding."""
    a, b = _moves(walk), _moves(other)
    return bool((torch.isclose(a, b, rtol=1e-7, atol=0, equal_nan=True) | _within_rounding(walk, other)).all())


def _within_rounding(walk, other):
    return (_moves(walk) - _moves(other)).abs() <= 1e-14 * (1 + other[1:, 0].abs())


def _largest_difference(walk, right):
    return ((walk[:, 0] - right[:, 0]).abs() / (1e-300 + right[:, 0].abs())).max().item()


def _parting(reference, probes, walks, right, called):
    """Where an answer first differs: the step, the quantity, both values and their ratio."""
    for probe, walk, other in zip(probes, walks, right, strict=True):
        for t in range(1, STEPS + 1):
            quantities = dict(zip(signature(reference)[0], zip(walk[t, 1:], other[t, 1:], strict=True), strict=True))
            step = (walk[t, 0] - walk[t - 1, 0], other[t, 0] - other[t - 1, 0])
            if called and _apart(*step).any():
                quantities |= _letters(reference, called, probe, walk[t - 1], other[t - 1], t - 1, step)
            quantities["the step"] = step
            for name, (seen, expected) in quantities.items():
                if _apart(seen, expected).any() and not seen.isnan().all():
                    return _side_by_side(name, t, seen, expected)
    return ""


def _apart(seen, expected):
    return ~torch.isclose(seen, expected, rtol=1e-6, atol=1e-14, equal_nan=True)


def _letters(reference, called, probe, row, other, index, step):
    """The gradient and the intermediate results of one step, those of the answer beside those of the reference.

    Only letters that stand in both texts can be compared. Where the numerator agrees, so does the denominator.
    """
    order, answer = called
    own = _order(reference, reference)
    (p, *buffers), gradient, hyper = row, probe.gradients[index], probe.hypers[index]
    theirs = _at_the_end(answer, lambda: _call(order, answer, [p, gradient, *buffers], hyper))
    right = _at_the_end(reference, lambda: _call(own, reference, [other[0], gradient, *other[1:]], hyper))
    quantities = {"the gradient": (theirs.get(order[0][1], gradient), gradient)}
    spelled = {name.replace("_", "").lower(): value for name, value in theirs.items()}
    for name in right:  # buffers and arguments are no news
        if name in own[0] or name in own[1]:
            continue
        pair = (spelled.get(name.replace("_", "")), right[name])
        if all(torch.is_tensor(value) and value.shape == gradient.shape for value in pair):
            quantities[name] = pair
    if "m_hat" in quantities and not _apart(*quantities["m_hat"]).any():
        quantities["the denominator"] = tuple(-hyper["lr"] * right["m_hat"] / taken for taken in step)
    return quantities


def _at_the_end(function, call):
    """What the letters of a function stood for when it returned."""
    letters = {}

    def note(frame, event, _):
        if event == "return" and frame.f_code is function.__code__:
            letters.update(frame.f_locals)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(before)
    return letters


def _side_by_side(name, t, seen, expected):
    """Both values in one place, the one where they differ most, in as many digits as it takes to see it."""
    gaps = ((seen - expected).abs() / expected.abs()).nan_to_num(torch.inf, torch.inf)
    index = torch.where(_apart(seen, expected), gaps, -1).argmax()
    seen, expected = seen[index].item(), expected[index].item()
    digits = next((n for n in (3, 5, 8) if f"{seen:.{n}g}" != f"{expected:.{n}g}"), 12)
    ratio = seen / expected if expected else math.nan
    factor = f": {ratio:.{digits}g} times as large" if math.isfinite(ratio) and abs(ratio) < 1e6 else ""
    return f"At step {t} {name} is {seen:.{digits}g} where {expected:.{digits}g} is right{factor}."
