"""An exercise, and the entries of its catalog: the reference's own text with one place changed."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class Entry:
    """A mistake or a convention, as an edit of the reference's text.

    Args:
        name: what happens, as a phrase that a learner understands without the catalog.
        edits: alternatives, the first of which applies whose places are all in the text; each is a dict from a place
            to what stands there instead.
        why: what is wrong with it or, of a convention, whose it is.
        ask: a question that leads to the way out, or how to convert.
        kind: ``"mistake"`` or ``"convention"``.
        program: a whole function instead of edits, for the few mistakes that no edit says well.
        kin: a word that entries share of which the first says what is true of all.

    >>> edit("the step goes uphill", {"p - lr": "p + lr"}, why="The step is added.", ask="Which way?").kind
    'mistake'
    """

    name: str
    edits: tuple
    why: str
    ask: str
    kind: str = "mistake"
    program: Callable | None = None
    kin: str = ""


def edit(name, *edits, why, ask, kin=""):
    """An entry that is an edit of a text; see `Entry`.

    >>> edit("lr is not used", {"- lr * g": "- g"}, why="It is not used.", ask="Where should it stand?").name
    'lr is not used'
    """
    return Entry(name, edits, why, ask, kin=kin)


def convention(name, *edits, why, ask):
    """An entry that is somebody's convention: right, and not what the reference does.

    >>> convention("eps sits inside", {"s**0.5 + eps": "(s + eps) ** 0.5"}, why="Keras's.", ask="Square it.").kind
    'convention'
    """
    return Entry(name, edits, why, ask, "convention")


def instead(name, program, *, why, ask):
    """An entry that is a whole function.

    >>> instead("nothing moves", lambda p, g, lr: p, why="It returns p.", ask="What changes it?").edits
    ()
    """
    return Entry(name, (), why, ask, program=program)


@dataclass(frozen=True)
class Exercise:
    """What is asked, how an answer is watched, and what is known to go wrong.

    Args:
        name: of the exercise, which is the name of the function that answers it.
        reference: a function that does what is asked.
        hints: from a nudge to nearly all of it.
        catalog: the entries that apply to the reference's text.
        observe: takes an answer and yields pairs of a label and a value, all that it did when it was tried. None for a
            rule of `edu_optim.rules`, which is watched as a rule or as an optimizer class, whichever the answer is.
        rtol: the largest relative difference that is still right, where it is larger than that of rounding.
        secret: whether the right values must not be told.

    >>> Exercise("double", lambda x: 2 * x, ["Add it to itself."]).secret
    False
    """

    name: str
    reference: Callable
    hints: list
    catalog: list = ()
    observe: Callable | None = None
    rtol: float = 0.0
    secret: bool = False


def at(name, *inputs):
    """How a function is watched that answers with a value: at a few inputs.

    >>> list(at("double", (3,))(lambda x: 2 * x))
    [('double(3)', 6)]
    """

    def observe(answer):
        for given in inputs:
            yield f"{name}({', '.join(map(short, given))})", answer(*map(_own, given))

    return observe


def _own(value):
    return list(value) if isinstance(value, list) else value


def short(value):
    """A number, a word or a list of them, as it stands in a call.

    >>> short([0.123456, "per_tensor"])
    "[0.1235, 'per_tensor']"
    """
    if isinstance(value, list):
        return f"[{', '.join(map(short, value))}]"
    return f"{value:.4g}" if isinstance(value, float) else repr(value)
