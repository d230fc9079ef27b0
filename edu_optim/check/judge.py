"""Say whether a reader's answer is right, and if not, which mistake it is.

A rule and its reference walk the same short probes: gradients of very different sizes, some of them zero, a large
eps, a learning rate that changes. The answer to another task of `edu_optim.exercises` is watched at what it does. Two
answers agree to rounding or they do not; a mistake is named only if all that was seen is that mistake's, to rounding.
"""

import collections
import functools
import inspect
from dataclasses import dataclass

import torch

from .. import rules
from ..exercises import FAULTS, SEEN, TASKS, bank, hints
from .compare import (
    _agree,
    _first_apart,
    _first_difference,
    _largest_difference,
    _moved,
    _parting,
    _same,
    _together,
)
from .drill import GradientChanged, drills, rehearse, run
from .observe import (
    SETTINGS,
    STEPS,
    _given,
    _is_empty,
    _maker,
    _NotAttempted,
    _options,
    _order,
    _probe,
    _ReturnsNothing,
    _walk,
    _walk_of_class,
    _with_one_rate,
)
from .sandbox import _in_time, _in_words, _own_frames


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


def check(answer, like=None):
    """Say whether ``answer`` is right and, if not, where it first goes wrong and by which mistake.

    Args:
        answer: a rule function: it takes the parameter, the gradient, the buffers and the hyper-parameters, under
            whatever letters, and returns the new parameter and buffers or writes into those it was given. Or a
            subclass of `torch.optim.Optimizer`, whose groups, state and checkpoints are tried as well. Or what a
            task of `edu_optim.exercises` asks for, such as a training loop.
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
        return _told(SEEN["returns_nothing"])
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
            return _told(SEEN["returns_nothing"])
        return Verdict("error", f"not yet: {_in_words(error, answer)}")
    if any(value is None for _, value in seen):
        return _told(SEEN["returns_nothing"])
    right = _in_time(lambda: task.observe(task.right))
    if _agree(seen, right, task.close):
        return Verdict("correct", f"correct: what was asked, in {len(right)} trials" if len(right) > 1 else "correct")
    parting = _first_apart(seen, right, task)
    for mistake in bank(name):
        if _agree(seen, _in_time(functools.partial(task.observe, mistake.rule)), task.close):
            return _told(mistake, "" if mistake.kind == "variant" else parting)
    return Verdict("unknown", f"not yet.\n{parting}")


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
            return _told(SEEN["rebinds_parameter"])
        verdict = _judge(reference, probes, walks)
        hyper = {name: probes[0].hypers[-1][name] for name in wanted}
        if not verdict.passed:  # or is it a right rule, with a fault around it?
            around = _in_time(lambda: _drilled(make, reference, named, hyper))
            return around if around and around.name in {fault.name for fault in FAULTS} else verdict
        exact = next((m.rule for m in bank(reference.__name__) if m.name == verdict.name), reference)
        return _in_time(lambda: _drilled(make, exact, named, hyper)) or verdict
    except NotImplementedError:
        return NOT_ATTEMPTED
    except GradientChanged:
        return _told(SEEN["changes_gradient"])
    except Exception as error:
        if isinstance(error, RuntimeError) and "leaf Variable" in str(error):
            return _told(SEEN["updates_with_graph"])
        return Verdict("error", f"not yet: {_in_words(error, step)}")


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
            return _told(SEEN["crashes_on_missing_gradient"])
        right = rehearse(rule, drill, hyper, kept)
        if _together(walked, right):
            continue
        parting = _first_difference(drill, walked, right)
        faults = [m for m in FAULTS if _together(walked, rehearse(rule, drill, hyper, [*kept, m.rule]))]
        verdict = _told(faults[0], parting) if faults else Verdict("unknown", f"not yet.\n{parting}")
        if not verdict.passed:
            return verdict
        kept.append(faults[0].rule)
    return verdict


def _told(mistake, parting=""):
    said = f"{mistake.name}\n{mistake.why}\n{mistake.question}"
    text = f"correct, but {said}" if mistake.kind == "variant" else f"not yet: {said}"
    return Verdict("variant" if mistake.kind == "variant" else "mistake", f"{text}\n{parting}".rstrip(), mistake.name)


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
