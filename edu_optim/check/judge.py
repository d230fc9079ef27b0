"""Say whether a reader's answer is right and, if not, what it does: run, compare, match, report."""

import collections
import contextlib
import difflib
import functools
import inspect
import itertools
from dataclasses import dataclass, replace

import torch

from ..exercises import EXERCISES
from ..signature import signature
from .catalog import ClassFamily, Family, validate
from .compare import PARTLY, ROUNDING, alike, first_mismatch, fits, tells, until
from .kinds import Wrong
from .observe import JUDGED, trials_of_rule
from .report import Verdict, report, stale, told_error
from .sandbox import in_time, is_stub, undone
from .scenarios import trials_of_class
from .slips import slip
from .tasks import trials_of_task

validate(EXERCISES.values())


def check(answer, like=None):
    """Say whether ``answer`` is right and, if not, what it does instead and where it first differs.

    Args:
        answer: what an exercise of a lesson asks for: a rule function, under whatever letters, an optimizer class, a
            training loop, a formula.
        like: the name of the exercise, or of the rule in `edu_optim.rules`, that it should be; its own name if None.

    Nothing of the reader's is changed, and an answer that works for two seconds, or waits for six, is given up.

    Errors: ValueError if there is no exercise of this name; TypeError if ``answer`` cannot be called, or is a class
    where a function is judged.

    >>> def gradient_descent(p, g, *, lr):
    ...     return p + lr * g
    >>> check(gradient_descent)
    not yet: the steps go uphill
    Between the gradient and the parameter a minus sign is missing, or there is one too many.
    The gradient points uphill; how many minus signs must stand between it and the parameter?
    p after step 1: yours -3.733e-05, right 3.733e-05
    """
    answer = getattr(answer, "_torchdynamo_orig_callable", answer)  # what was compiled; compiling it is no hang
    if not callable(answer):
        raise TypeError(f"answer must be a function, a class or another callable, got {answer!r}")
    exercise = _exercise(like or answer)
    older = stale(answer)
    verdict = _judged(answer, exercise)
    return Verdict(verdict.kind, verdict.headline, (*verdict.says, *older), verdict.difference, verdict.name)


def hint(exercise):
    """Print the next hint for an exercise; each call says a little more.

    Args:
        exercise: its name, or the function or class that is to answer it.

    Errors: ValueError if there is no such exercise, TypeError if it is neither a name nor can be called.

    >>> hint("steps_needed")
    hint 1 of 3: After n steps the distance has been multiplied by a factor n times. Which factor?
    """
    found = _exercise(exercise)
    stage = _HINTED[found.name] = min(_HINTED[found.name] + 1, len(found.hints))
    print(f"hint {stage} of {len(found.hints)}: {found.hints[stage - 1]}")


_HINTED = collections.Counter()


def _name(answer):
    return getattr(answer, "__name__", None) or getattr(
        getattr(answer, "func", None), "__name__", type(answer).__name__
    )


def _exercise(named):
    if not isinstance(named, str) and not callable(named):
        raise TypeError(f"an exercise is named by a function, a class or a word such as 'adam', got {named!r}")
    name = named if isinstance(named, str) else _name(named)
    known = {key.lower(): exercise for key, exercise in EXERCISES.items()}
    if name.lower() in known:
        return known[name.lower()]
    if name == "<lambda>":
        raise ValueError("a lambda has no name to find an exercise by; write a def, or name the exercise, as 'adam'")
    close = [repr(known[word].name) for word in difflib.get_close_matches(name.lower(), known, 3)]
    asks = f"did you mean {' or '.join(close)}?" if close else f"say which one is meant: {', '.join(EXERCISES)}"
    raise ValueError(f"there is no exercise {name!r}; {asks}")


# The four stages


def _judged(answer, exercise):
    is_class = inspect.isclass(getattr(answer, "func", answer))
    if _untouched(answer, is_class):
        return Verdict("not attempted", "not attempted yet")
    family, watch = _family(exercise, is_class)
    if is_class or exercise.observe:
        # The first optimizer of all loads half of torch; that time is not the answer's.
        torch.optim.SGD([torch.zeros(1)], lr=0)
    trials, error = in_time(lambda: list(watch(answer)), answer)
    if error is not None:
        return told_error(error, answer)
    with undone(), _kept_whole():
        for trial in trials:
            trial.runs = _runs(family)[trial.given]
        found = _best(trials, family)
        if exercise.observe and found.mismatch and not found.mistake:
            found = replace(found, mistake=slip(found.trial, exercise, family, found.rounding))
        return report(answer, exercise, family, found)


@functools.lru_cache(1)
def _runs(family):
    """What the programs of a family did: an answer to one exercise is seldom the last."""
    return collections.defaultdict(dict)


@contextlib.contextmanager
def _kept_whole():
    """Nothing is kept of a run that is interrupted."""
    try:
        yield
    except BaseException:
        _runs.cache_clear()
        raise


def _untouched(answer, is_class):
    if not is_class:
        function = getattr(answer, "func", answer)
        function = function if hasattr(function, "__code__") or inspect.ismethod(function) else type(function).__call__
        return hasattr(inspect.unwrap(function), "__code__") and is_stub(getattr(function, "__func__", function))
    step = inspect.unwrap(getattr(getattr(answer, "func", answer), "step", torch.optim.Optimizer.step))
    return step is inspect.unwrap(torch.optim.Optimizer.step) or is_stub(step)


@functools.cache
def _family_of(name, is_class):
    exercise = EXERCISES[name]
    if not is_class:
        return Family(exercise.reference, exercise.catalog)
    letters, names = signature(exercise.reference)
    return ClassFamily(exercise.reference, exercise.catalog, letters, names)


def _family(exercise, is_class):
    if exercise.observe:
        return _family_of(exercise.name, False), lambda answer: trials_of_task(answer, exercise)
    if is_class and exercise.name in JUDGED:
        raise TypeError(f"{exercise.name} is judged as a function, and a class was passed")
    watch = trials_of_class if is_class else trials_of_rule
    return _family_of(exercise.name, is_class), lambda answer: watch(answer, exercise.reference)


@dataclass(frozen=True)
class _Found:
    """How an answer compares: with these conventions and this mistake nothing differs, or here something does first."""

    trial: object
    condition: dict
    rounding: tuple
    conventions: tuple = ()
    mistake: object = None
    mismatch: tuple | None = None


def _best(trials, family):
    """What is made of the first way to try an answer in which it passes, or else of the likeliest."""
    reached = []
    for trial in trials:
        for condition in trial.conditions:
            rtol, atol = ROUNDING[torch.float32 if trial.dtypes - {torch.float64} else torch.float64]
            rounding = max(rtol, trial.rtol), atol
            reach = _reach(trial, condition, family, rounding)
            if rounding < PARTLY and _nearly(reach):
                rounding = PARTLY
                reach = _reach(trial, condition, family, rounding)
            passed = [entries for entries, mismatch in reach.items() if mismatch is None]
            if passed and not isinstance(trial.error, Wrong):
                return _Found(trial, condition, rounding, passed[0])
            reached.append((trial, condition, rounding, reach))
    found = [_named(*one, family) for one in reached if one[0] is trials[0]]
    return next((one for one in found if one.mistake), found[0])


def _reach(trial, condition, family, rounding):
    """For the sets of conventions that matter, where the answer differs first from the program with them."""
    every, reach, before = [entry for entry in family.catalog if entry.kind == "convention"], {}, -1
    sets = [()]
    while True:
        for entries in sets:
            if entries not in reach:
                reach[entries] = first_mismatch(trial.seen, trial.again(family.program(entries), condition), *rounding)
                if reach[entries] is None:
                    return reach
        furthest = max(_part(trial, mismatch) for mismatch in reach.values())
        if furthest == before:
            return reach
        before, cut = furthest, _up_to(trial, furthest)
        sets = _sets(family, [entry for entry in every if _alters(trial, condition, family, rounding, cut, entry)])


def _part(trial, mismatch):
    """The number of the part in which two observations differ first."""
    parts = list(dict.fromkeys(one.part for one in trial.seen))
    part = (mismatch[0] or mismatch[1]).part
    return parts.index(part) if part in parts else len(parts) - 1


def _up_to(trial, last):
    parts = list(dict.fromkeys(one.part for one in trial.seen))
    return [one for one in trial.seen if parts.index(one.part) <= last]


def _alters(trial, condition, family, rounding, cut, entry, besides=()):
    """Whether an entry changes what a program does in what was seen."""
    program = family.program((*besides, entry))
    right = until(cut, trial.again(family.program(besides), condition))
    return program is not None and not fits(list(right), trial.again(program, condition), rounding)


def _nearly(reach):
    pairs = [mismatch for mismatch in reach.values() if mismatch and None not in mismatch]
    return any(one.label == two.label and alike(one.value, two.value, *PARTLY) for one, two in pairs)


def _named(trial, condition, rounding, reach, family):
    """The mistake that an answer makes, or where it differs first."""
    at = {entries: _part(trial, mismatch) for entries, mismatch in reach.items()}
    best = max(at, key=lambda entries: (at[entries], -len(entries)))
    cut = _up_to(trial, at[best])
    alters = functools.partial(_alters, trial, condition, family, rounding, cut)
    every = [entry for entry in family.catalog if entry.kind == "convention"]
    if at[best]:
        as_far = [set(entries) for entries in at if at[entries] == at[best]]
        sets = [entries for entries in at if set(entries) in as_far and not any(one < set(entries) for one in as_far)]
        more = [(*entries, entry) for entries in sets for entry in every if entry not in entries]
        more = [entries for entries in more if alters(entries[-1], entries[:-1])]
        less = [
            entries
            for chosen in sets
            for size in range(len(chosen))
            for entries in itertools.combinations(chosen, size)
        ]
        sets = dict.fromkeys([*sets, *more, *(entries for entries in less if family.program(entries))])
    else:
        sets = _sets(family, [entry for entry in every if entry in family.core or alters(entry)])
    conventions, mistake = _mistake(trial, condition, family, rounding, cut, sets)
    if mistake is None:
        return _Found(trial, condition, rounding, best, None, reach[best])
    watched = trial.again(family.program(conventions), condition)
    return _Found(
        trial, condition, rounding, conventions, mistake, first_mismatch(cut, watched, *rounding, whole=False)
    )


def _sets(family, conventions):
    """Every set of conventions that find a place together, the smallest first."""
    for size in range(len(conventions) + 1):
        for entries in itertools.combinations(conventions, size):
            if family.program(entries):
                yield entries


def _mistake(trial, condition, family, rounding, cut, sets):
    """The one mistake, with the fewest conventions, that does all that was seen; None where two names do, or none."""
    alters = functools.cache(functools.partial(_alters, trial, condition, family, rounding, cut))
    mistakes = [entry for entry in family.catalog if entry.kind == "mistake"]
    for _, same_size in itertools.groupby(sorted(sets, key=len), key=len):
        found = []
        for conventions, mistake in itertools.product(same_size, mistakes):
            function = family.program((*conventions, mistake))
            if not function or not fits(cut, trial.again(function, condition), rounding):
                continue
            if family.program((mistake,)) is None or alters(mistake):  # asked last, since that is slow
                found.append((conventions, mistake, function))
        if found and (_ambiguous(found) or not tells(cut)):
            same = [one for one in found if _same_buffers(cut, trial.again(one[2], condition), rounding)]
            found = same or [
                one for one in found if tells(cut) and fits(trial.seen, trial.again(one[2], condition), rounding)
            ]
        if _ambiguous(found):
            found = [one for one in found if fits(trial.seen, trial.again(one[2], condition), rounding)]
        if found:
            return found[0][:2] if not _ambiguous(found) else ((), None)
    return (), None


def _ambiguous(found):
    return len({mistake.kin or mistake.name for _, mistake, _ in found}) > 1


def _same_buffers(seen, watched, rounding):
    mine = {(one.part, one.label): one.value for one in seen if not one.judged}
    theirs = {(one.part, one.label): one.value for one in until(seen, watched) if not one.judged}
    both = mine.keys() & theirs.keys()
    return bool(both) and len(mine) == len(theirs) and all(alike(mine[key], theirs[key], *rounding) for key in both)
