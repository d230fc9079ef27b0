"""What an exercise asks for, the mistakes that are known of it, and its hints."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass

from .. import rules


@dataclass(frozen=True)
class Mistake:
    """An entry of the bank.

    Args:
        name: of the mistake, in a few words.
        kind: ``"bug"``, ``"variant"`` or ``"loop"``, a mistake around an optimizer and not in it.
        of: the name of the right rule or task.
        rule: the wrong one.
        why: what is wrong with it, or whose convention it is.
        question: leads to the way out, or says how to convert.

    >>> bank("adam")[0].name
    'no correction'
    """

    name: str
    kind: str
    of: str
    rule: Callable
    why: str
    question: str


BANK = []


ANY = []


def bank(rule):
    """The mistakes that are known of the rule or task of this name: its own, then those that can befall any rule.

    >>> [mistake.name for mistake in bank("gradient_descent")]
    ['ignores lr', 'scales the weight', 'climbs', 'stands still', 'resets state']
    """
    right = getattr(rules, rule, None)
    general = [_mistake("bug", rule, function, functools.partial(function, right)) for function in ANY if right]
    return [mistake for mistake in BANK if mistake.of == rule] + general


def _mistake(kind, of, function, rule):
    why, question = (" ".join(part.split()) for part in inspect.getdoc(function).split("\n\n"))
    name = function.__name__.removeprefix(f"{of}_").replace("_", " ")
    return Mistake(name, kind, of, rule, why, question)


def _entry(kind, of):
    def enter(rule):
        BANK.append(_mistake(kind, of, rule, rule))
        return rule

    return enter


def bug(of):
    """Enter a function into the bank, as a wrong form of the rule of this name.

    >>> {mistake.kind for mistake in bank("gradient_descent")}
    {'bug'}
    """
    return _entry("bug", of)


def variant(of):
    """Enter a function into the bank, as somebody else's form of the rule of this name.

    >>> [mistake.name for mistake in bank("momentum") if mistake.kind == "variant"]
    ['ema', 'lr inside']
    """
    return _entry("variant", of)


def loop(of):
    """Enter a function into the bank, as a wrong form of the training loop of this name.

    >>> [mistake.name for mistake in bank("training_loop")][0]
    'no zero grad'
    """
    return _entry("loop", of)


@dataclass(frozen=True)
class Task:
    """What an exercise asks for.

    Args:
        right: a function that does it.
        observe: takes an answer and returns what it does: a list of pairs of a label and a number, tensor or word.
        hints: from the first to the last.
        secret: whether the right values must not be told.
        close: the largest relative difference that is still right.

    >>> from edu_optim.exercises.lesson_03 import to_torch
    >>> TASKS["to_torch"].observe(to_torch)[0][0]
    'to_torch(0.1, 0.5)'
    """

    right: Callable
    observe: Callable
    hints: list
    secret: bool
    close: float


TASKS = {}


def task(*inputs, observe=None, secret=False, close=1e-6):
    """Enter a function as the right answer to the exercise of its name.

    Args:
        inputs: the tuples of arguments that an answer is given.
        observe: instead of inputs, what is done with an answer.
        secret: whether the right values must not be told.
        close: the largest relative difference that is still right.

    >>> sorted(TASKS)[:2]
    ['adagrad_distance', 'best_momentum']
    """

    def enter(right):
        hints = [" ".join(part.split()) for part in inspect.getdoc(right).split("\n\n")]
        TASKS[right.__name__] = Task(right, observe or _at(right.__name__, inputs), hints, secret, close)
        return right

    return enter


def _at(name, inputs):
    def observe(answer):
        return [(f"{name}({', '.join(map(_short, given))})", answer(*given)) for given in inputs]

    return observe


def _short(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def hints(name):
    """The hints for an exercise, whether it is a task or a rule, from the first to the last.

    Errors: ValueError if there is no such exercise.

    >>> len(hints("adam"))
    3
    """
    if name in TASKS:
        return TASKS[name].hints
    if name in RULE_HINTS:
        return RULE_HINTS[name]
    raise ValueError(f"there are hints for {', '.join([*TASKS, *RULE_HINTS])}; got {name!r}")


RULE_HINTS = {}
