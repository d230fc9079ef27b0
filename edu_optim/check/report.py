"""What is told about an answer: a verdict, in words and as a box."""

import html
import re
import sys
from dataclasses import dataclass

from .compare import PARTLY, Raised, alike, first_mismatch, is_real, side_by_side, until
from .kinds import Wrong
from .letters import Unclear
from .sandbox import TooSlow, codes, in_words, own_frames

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
        return f"{label}: yours {yours}, {self._other} {right}" if right else f"{label}: yours {yours}"

    @property
    def _other(self):
        """Whose the second value is; beside a convention that passes, it is not the only right one."""
        return "ours" if self.passed else "right"

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
                heads, cells = f"{heads}<th scope='col'>{self._other}</th>", f"{cells}<td>{values[1]}</td>"
            table = f"<table><tr><th></th>{heads}</tr><tr><th scope='row'>{label}</th>{cells}</tr></table>"
        return (
            f"<div style='border-left:4px solid {color};padding:.3em .8em;max-width:46em'><div><b>"
            f"{MARKS.get(self.kind, '✗')} {html.escape(self.headline)}</b></div>{lines}{table}</div>"
        )


def report(answer, exercise, family, found):
    """The verdict on an answer that was tried.

    Args:
        answer, exercise, family: the reader's, what it should be, and the programs that it was compared with.
        found: with ``trial``, ``conventions``, ``mistake`` and ``mismatch``.

    >>> from edu_optim.check import check
    >>> print(check(lambda p, g, lr: p - g * lr, like="gradient_descent"))
    correct: it agrees in all 24 places
    """
    trial = found.trial
    if isinstance(trial.error, Wrong):
        return told_error(trial.error, answer)
    if found.mistake is None and found.mismatch is None:
        return _passed(exercise, family, found)
    mismatch = _paired(found, family)
    notes = [note for note in trial.notes if note.startswith("its arguments")]
    besides = [f"Besides, {entry.name}; that is a convention, not a mistake." for entry in found.conventions]
    says = [*besides, *_order(trial), *map(_sentence, notes)]
    if found.mistake is not None:
        says = (*filter(None, (found.mistake.why, found.mistake.ask)), *says)
        difference = None
        if isinstance(getattr(found.mismatch[0], "value", None), Raised):
            part = found.mismatch[0].part
            says += (f"{part}: " * bool(part) + in_words(trial.error, answer),)
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
    names = [entry.name for entry in found.conventions]
    texts = [text for entry in found.conventions for text in (entry.why, entry.ask)]
    names += ["its results come in another order"] * bool(trial.order)
    texts += _order(trial)
    says = (*texts, *coarse, *map(_sentence, trial.notes))
    if not names:
        return Verdict("correct", f"correct: it agrees in all {numbers} places" if numbers > 1 else "correct", says)
    right = trial.again(family.program(()), found.condition)
    mismatch = first_mismatch(trial.seen, right, *found.rounding)
    difference = _difference(mismatch, exercise) if mismatch else None
    return Verdict("convention", f"correct, but {' and '.join(names)}", says, difference, " and ".join(names))


def _order(trial):
    if not trial.order:
        return ()
    own, usual = zip(*trial.order, strict=True)
    mine, theirs = next(pair for pair in trial.order if pair[0] != pair[1])
    return (
        f"It returns {', '.join(own)}, and the rules of the course return {', '.join(usual)}: the parameter, then the "
        "buffers as they are taken.",
        f"Where it is run as one of them, as by from_rule, its new {mine} is taken for {theirs}.",
    )


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
                "higher" if float(one.value) < two.value else "lower" if float(one.value) > two.value else "a number"
            )
    return label, yours, right


def _buffer(found, family):
    """Where a buffer was another before anything that must be right."""
    trial = found.trial
    watched = trial.again(family.program(found.conventions), found.condition)
    right = {(one.part, one.label): one.value for one in until(trial.seen, watched) if not one.judged}

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
            if not all(alike(value.abs(), other.abs(), *found.rounding) for value in usual(one)):
                return  # which of them the answer means is not known
            yours, formulas = side_by_side(one.value, other)
            yield f"Before that, the buffer {one.label} is {yours}; in the formula it is {formulas}."
            return


RETURNS_NOTHING = (
    "The function gives back None, which is no result.",
    "Which word hands its result to whoever calls it?",
)


def told_error(error, answer):
    """The verdict on an answer that raised ``error``.

    >>> print(told_error(Wrong("it returns a str where a number is wanted"), None))
    not yet: what it returns does not fit
    It returns a str where a number is wanted.
    """
    if isinstance(error, Wrong) and str(error) == "returns nothing":
        return Verdict("mistake", "not yet: it returns nothing", RETURNS_NOTHING, None, "returns nothing")
    if isinstance(error, Wrong | Unclear):
        what = "what it returns does" if isinstance(error, Wrong) else "its arguments do"
        return Verdict("error", f"not yet: {what} not fit", (_sentence(str(error)),))
    if isinstance(error, TooSlow):
        return Verdict("error", "not yet: it takes too long", (_sentence(in_words(error, answer)),))
    if not isinstance(error, Exception) and own_frames(error, answer):
        return Verdict("error", f"not yet: it ended with {type(error).__name__}", (in_words(error, answer),))
    return Verdict("error", "not yet: it ends with an exception", (in_words(error, answer),))


def _sentence(text):
    text = text[0].upper() + text[1:]
    return text if "\n" in text or text.endswith((".", "?")) else f"{text}."


def stale(answer):
    """Says so if a later cell defines the same name and did not run, for then an older definition was judged.

    >>> stale(print)
    ()
    """
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
