"""Say whether a reader's answer is right and, if not, what it does: run, compare, match, report."""

import collections
import difflib
import functools
import html
import inspect
import itertools
import re
import sys
from dataclasses import dataclass

import torch

from ..exercises import EXERCISES
from ..signature import signature
from .catalog import ClassFamily, Family, validate
from .compare import PARTLY, ROUNDING, Raised, alike, first_mismatch, is_real, side_by_side
from .letters import Unclear
from .observe import Wrong, trials_of_rule, trials_of_task
from .sandbox import TooSlow, codes, in_time, in_words, is_stub, own_frames, undone
from .scenarios import trials_of_class

validate(EXERCISES.values())
MARKS = {"correct": "✓", "convention": "✓", "not attempted": "…"}


@dataclass(frozen=True)
class Verdict:
    """What `check` found; a notebook shows it as a box, with the same words.

    Args:
        kind: ``"not attempted"``, ``"correct"``, ``"convention"``, ``"mistake"``, ``"unknown"`` or ``"error"``.
        headline: in a phrase.
        says: sentences, each a line.
        difference: where the answer and the reference differ first: a label, the answer's value and the right one,
            which is empty where it is secret; None where there is no difference.
        name: of the mistake or the convention, None where there is none.

    >>> Verdict("correct", "correct").passed
    True
    """

    kind: str
    headline: str
    says: tuple = ()
    difference: tuple | None = None
    name: str | None = None

    @property
    def passed(self):
        """Whether the answer does what was asked, in whatever convention."""
        return self.kind in ("correct", "convention")

    @property
    def text(self):
        """All of it in plain words."""
        return "\n".join([self.headline, *self.says, *([self._row()] if self.difference else [])])

    def _row(self):
        label, yours, right = self.difference
        return f"{label}: yours {yours}, right {right}" if right else f"{label}: yours {yours}"

    def __repr__(self):
        return self.text

    def _repr_mimebundle_(self, include=None, exclude=None):
        bundle = {"text/plain": self.text}
        if self.kind != "not attempted":
            bundle["text/html"] = self._box()
        return bundle

    def _box(self):
        color = "#2a7f4f" if self.passed else "#b3541e"
        lines = "".join(f"<div>{html.escape(line)}</div>" for line in "\n".join(self.says).split("\n") if line)
        table = ""
        if self.difference:
            label, *values = map(html.escape, self.difference)
            heads, cells = ("<th scope='col'>yours</th>", f"<td>{values[0]}</td>")
            if values[1]:
                heads, cells = heads + "<th scope='col'>right</th>", f"{cells}<td>{values[1]}</td>"
            table = f"<table><tr><th></th>{heads}</tr><tr><th scope='row'>{label}</th>{cells}</tr></table>"
        return (
            f"<div style='border-left:4px solid {color};padding:.3em .8em;max-width:46em'><div><b>"
            f"{MARKS.get(self.kind, '✗')} {html.escape(self.headline)}</b></div>{lines}{table}</div>"
        )


def check(answer, like=None):
    """Say whether ``answer`` is right and, if not, what it does instead and where it first differs.

    Args:
        answer: what an exercise of a lesson asks for: a rule function, under whatever letters, an optimizer class, a
            training loop, a formula.
        like: the name of the exercise, or of the rule in `edu_optim.rules`, that it should be; its own name if None.

    Nothing of the reader's is changed, and an answer that takes longer than two seconds is stopped.

    Errors: ValueError if there is no exercise of this name; TypeError if ``answer`` cannot be called.

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
    stale = _stale(answer)
    verdict = _judged(answer, exercise)
    return Verdict(verdict.kind, verdict.headline, (*verdict.says, *stale), verdict.difference, verdict.name)


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
        return _told_error(error, answer)
    with undone():
        return _report(answer, exercise, family, _best(trials, family))


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
            rounding = ROUNDING[torch.float32 if trial.dtypes - {torch.float64} else torch.float64]
            reach = _reach(trial, condition, family, rounding)
            if _nearly(reach):
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
    right = _until(cut, trial.again(family.program(besides), condition))
    return program is not None and not _fits(list(right), trial.again(program, condition), rounding)


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
    alters = functools.partial(_alters, trial, condition, family, rounding, cut)
    mistakes = [entry for entry in family.catalog if entry.kind == "mistake"]
    mistakes = [entry for entry in mistakes if family.program((entry,)) is None or alters(entry)]
    for _, same_size in itertools.groupby(sorted(sets, key=len), key=len):
        found = []
        for conventions, mistake in itertools.product(same_size, mistakes):
            function = family.program((*conventions, mistake))
            if function and _fits(cut, trial.again(function, condition), rounding):
                found.append((conventions, mistake, function))
        if found and (_ambiguous(found) or not _tells(cut)):
            same = [one for one in found if _same_buffers(cut, trial.again(one[2], condition), rounding)]
            found = same or [
                one for one in found if _tells(cut) and _fits(trial.seen, trial.again(one[2], condition), rounding)
            ]
        if _ambiguous(found):
            found = [one for one in found if _fits(trial.seen, trial.again(one[2], condition), rounding)]
        if found:
            return found[0][:2] if not _ambiguous(found) else ((), None)
    return (), None


def _ambiguous(found):
    return len({mistake.kin or mistake.name for _, mistake, _ in found}) > 1


def _fits(seen, watched, rounding):
    return first_mismatch(seen, watched, *rounding, whole=False) is None


def _until(seen, watched):
    last = seen[-1].label, seen[-1].part
    for one in watched:
        yield one
        if (one.label, one.part) == last:
            return


def _tells(seen):
    """Whether there is a finite number in what was seen: where all is nan, many mistakes look alike."""
    values = [one.value for one in seen if one.judged and not isinstance(one.value, Raised)]
    tensors = [value for value in values if torch.is_tensor(value)]
    return any(bool(value.isfinite().any()) for value in tensors) if tensors else bool(values)


def _same_buffers(seen, watched, rounding):
    mine = {(one.part, one.label): one.value for one in seen if not one.judged}
    theirs = {(one.part, one.label): one.value for one in _until(seen, watched) if not one.judged}
    both = mine.keys() & theirs.keys()
    return bool(both) and len(mine) == len(theirs) and all(alike(mine[key], theirs[key], *rounding) for key in both)


# The report


def _report(answer, exercise, family, found):
    trial = found.trial
    if isinstance(trial.error, Wrong):
        return _told_error(trial.error, answer)
    if found.mistake is None and found.mismatch is None:
        return _passed(exercise, family, found)
    mismatch = _paired(found, family)
    notes = [note for note in trial.notes if note.startswith("its arguments")]
    besides = [f"Besides, {entry.name}; that is a convention, not a mistake." for entry in found.conventions]
    says = [*besides, *map(_sentence, notes)]
    if found.mistake is not None:
        says = (found.mistake.why, found.mistake.ask, *says)
        difference = None
        if isinstance(getattr(found.mismatch[0], "value", None), Raised):
            says += (f"{found.mismatch[0].part}: {in_words(trial.error, answer)}",)
        else:
            difference = _difference(mismatch, exercise)
        return Verdict("mistake", f"not yet: {found.mistake.name}", says, difference, found.mistake.name)
    if isinstance(getattr(found.mismatch[0], "value", None), Raised):
        part = found.mismatch[0].part
        where = f"not yet: it ends with an exception{', ' * bool(part)}{part}"
        return Verdict("error", where, (in_words(trial.error, answer), *says))
    return Verdict("unknown", "not yet", (*_buffer(found, family), *says), _difference(mismatch, exercise))


def _passed(exercise, family, found):
    trial = found.trial
    numbers = sum(one.judged for one in found.trial.seen)
    coarse = ["It agrees to one part in a hundred thousand."] * (found.rounding == PARTLY)
    says = [*coarse, *map(_sentence, trial.notes)]
    if not found.conventions:
        return Verdict(
            "correct", f"correct: it agrees in all {numbers} places" if numbers > 1 else "correct", tuple(says)
        )
    names = " and ".join(entry.name for entry in found.conventions)
    texts = [text for entry in found.conventions for text in (entry.why, entry.ask)]
    right = trial.again(family.program(()), found.condition)
    difference = _difference(first_mismatch(trial.seen, right, *found.rounding), exercise)
    return Verdict("convention", f"correct, but {names}", (*texts, *says), difference, names)


def _paired(found, family):
    """Where an answer differs first, with what the program has under the same label, if it has it at all."""
    one, two = found.mismatch
    if one is None or two is None or one.label == two.label:
        return one, two
    watched = found.trial.again(family.program(found.conventions), found.condition)
    same = next((other for other in watched if (other.part, other.label) == (one.part, one.label)), None)
    return (one, two) if same is None or alike(one.value, same.value, *found.rounding) else (one, same)


def _difference(mismatch, exercise):
    one, two = mismatch
    place = one or two
    label = f"{place.part}: {place.label}" if place.part else place.label
    if one is None or two is None or one.label != two.label:
        return (
            label,
            "not there" if one is None else side_by_side(one.value, None)[0],
            "there" if one is None else "not there",
        )
    if isinstance(two.value, int | float) and not is_real(one.value):
        return label, side_by_side(one.value, two.value)[0], "a number"
    yours, right = side_by_side(one.value, two.value)
    if exercise.secret:
        right = ""
        if isinstance(two.value, int | float):
            right = (
                "larger" if float(one.value) < two.value else "smaller" if float(one.value) > two.value else "a number"
            )
    return label, yours, right


def _buffer(found, family):
    """Where a buffer was another before anything that must be right."""
    trial = found.trial
    watched = trial.again(family.program(found.conventions), found.condition)
    right = {(one.part, one.label): one.value for one in _until(trial.seen, watched) if not one.judged}

    def usual(buffer):  # its values in other conventions
        for entry in family.core:
            if entry.kind == "convention":
                program = trial.again(family.program((entry,)), found.condition)
                yield from (one.value for one in program if one[0::2] == buffer[0::2])

    for one in trial.seen:
        if one is found.mismatch[0]:
            return
        other = right.get((one.part, one.label))
        if not one.judged and other is not None and not alike(one.value, other, *found.rounding):
            if any(alike(one.value.abs(), value.abs(), *found.rounding) for value in usual(one)):
                return
            yours, formulas = side_by_side(one.value, other)
            yield f"Before that, the buffer {one.label} is {yours}; in the formula it is {formulas}."
            return


RETURNS_NOTHING = (
    "The function comes to its end without giving back a result.",
    "What does whoever calls it get, and which word would do that?",
)


def _told_error(error, answer):
    if isinstance(error, Wrong) and str(error) == "returns nothing":
        return Verdict("mistake", "not yet: it returns nothing", RETURNS_NOTHING, None, "returns nothing")
    if isinstance(error, Wrong | Unclear):
        return Verdict("error", "not yet: it cannot be gone on with", (_sentence(str(error)),))
    if isinstance(error, TooSlow):
        return Verdict("error", "not yet: it does not come to an end", (_sentence(in_words(error, answer)),))
    if not isinstance(error, Exception) and own_frames(error, answer):
        return Verdict("error", f"not yet: it ended with {type(error).__name__}", (in_words(error, answer),))
    return Verdict("error", "not yet: it ends with an exception", (in_words(error, answer),))


def _sentence(text):
    text = text[0].upper() + text[1:]
    return text if "\n" in text or text.endswith((".", "?")) else f"{text}."


def _stale(answer):
    """Says so if a later cell defines the same name and did not run, for then an older definition was judged."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    name = getattr(answer, "__name__", None)
    if shell is None or name is None:
        return ()
    head = re.compile(rf"^\s*(?:def|class) {re.escape(name)}\b", re.MULTILINE)
    cells = [(n, text) for n, text in enumerate(shell.user_ns.get("In", [])) if head.search(text)]
    own = {code.co_filename for code in codes(answer)}
    numbers = getattr(shell.compile, "_filename_map", {})
    judged = max((numbers.get(file, 0) for file in own), default=0)
    if judged and cells and cells[-1][0] > judged:
        return (f"Judged is the {name} of cell [{judged}]; the later one, of cell [{cells[-1][0]}], did not run.",)
    return ()
