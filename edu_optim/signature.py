"""What a rule takes, read off its text: its buffers and its hyper-parameters."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple


class Signature(NamedTuple):
    """The names of a rule's buffers, and of its keyword arguments.

    >>> Signature(buffers=("b",), keywords=("lr", "momentum")).buffers
    ('b',)
    """

    buffers: tuple[str, ...]
    keywords: tuple[str, ...]


def signature(rule: Callable) -> Signature:
    """Read off the text of a rule what it takes besides the parameter and its gradient.

    >>> from edu_optim.rules import adam
    >>> signature(adam)
    Signature(buffers=('m', 'v'), keywords=('t', 'lr', 'betas', 'eps'))
    """
    code, letters = inspect.unwrap(rule).__code__, positional(rule)
    return Signature(letters[2:], code.co_varnames[len(letters) : len(letters) + code.co_kwonlyargcount])


def positional(rule: Callable) -> tuple[str, ...]:
    """The letters that a rule has for the parameter, its gradient and its buffers.

    >>> from edu_optim.rules import momentum
    >>> positional(momentum)
    ('p', 'g', 'b')
    """
    code = inspect.unwrap(rule).__code__
    return code.co_varnames[: code.co_argcount]


def members(name: str, value: Any) -> list[tuple[str, Any]]:
    """A hyper-parameter as its numbers, each with a name: betas are beta1 and beta2.

    >>> members("betas", (0.9, 0.999)), members("lr", 0.1)
    ([('beta1', 0.9), ('beta2', 0.999)], [('lr', 0.1)])
    """
    if not isinstance(value, tuple | list):
        return [(name, value)]
    return [(f"{name.removesuffix('s')}{number}", member) for number, member in enumerate(value, 1)]
