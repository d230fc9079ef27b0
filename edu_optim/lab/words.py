"""Numbers, points and errors as an experiment writes them."""

import traceback
from collections.abc import Iterable
from typing import Any

from torch import Tensor

AGREEMENT = SAME, APART = "yours, ours and torch", "yours leaves torch at"  # what `overlay` finds


def in_words(error: Exception) -> str:
    """What an error says, and in which line of which function it was raised.

    >>> import json
    >>> try:
    ...     json.loads("{")
    ... except ValueError as error:
    ...     print(in_words(error))
    JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)
    in raw_decode, line ...
    """
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"in {last.name}, line {last.lineno}: {last.line}" if last.line else f"in {last.name}"
    return f"{type(error).__name__}: {error}\n{where}"


ROUNDING = 1e-12  # what is nearer to zero is noise, which differs between processors


def number(value: Any, digits: int = 3) -> str:
    """A value as an experiment shows it: a number in three digits, or whole, words as they are, a tuple as a list.

    >>> number(0.123456), number(12345.0), number(("SGD", "Adam"))
    ('0.123', '12345', 'SGD, Adam')
    """
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    value = float(value)
    value = 0.0 if abs(value) < ROUNDING else value
    return f"{value:.0f}" if value.is_integer() and abs(value) < 1e6 else f"{value:.{digits}g}"


def pair(point: Iterable[object], digits: int = 3) -> str:
    """A point, its coordinates in three digits.

    >>> pair([0.123456, -2])
    '(0.123, -2)'
    """
    return f"({', '.join(number(value, digits) for value in point)})"


def instead(point: Iterable[object], of: Iterable[object]) -> str:
    """A point and the one expected, in as many digits as it takes to tell them apart, from three on.

    >>> instead([0.5, 1.00002], [0.5, 1.00001])
    '(0.5, 1.00002) instead of (0.5, 1.00001)'
    """
    point, of = list(point), list(of)
    digits = next((n for n in range(3, 17) if pair(point, n) != pair(of, n)), 17)
    return f"{pair(point, digits)} instead of {pair(of, digits)}"


def share(chosen: Tensor) -> str:
    """The share of a tensor that is true.

    >>> import torch
    >>> share(torch.tensor([True, False, False]))
    '33.3 %'
    """
    return f"{number(100 * chosen.double().mean())} %"
