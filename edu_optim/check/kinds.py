"""Of which kind a value is, in words, and whether it is the kind that a task asks for."""

import collections.abc
import numbers
import sys

import torch

from .compare import in_short


class Wrong(Exception):
    """An answer that cannot be gone on with, and why.

    >>> from edu_optim.check import check
    >>> check(lambda p, g, b, lr, momentum: p - lr * g, like="momentum").says
    ('It returns 1 value, and 2 are needed: p, b.',)
    """


def fitted(value, right):
    """A value as it is compared with ``right``, or None where it is of another kind.

    >>> fitted(iter([1, 2]), (3, 4)), fitted([1.0], 2.0)
    ([1, 2], None)
    """
    if isinstance(right, bool):
        return value if isinstance(value, bool) or (_size(value) == 1 and value in (0, 1)) else None
    if isinstance(right, int | float):
        return _number(value)
    if isinstance(right, dict):
        try:
            named = dict(value)
        except (TypeError, ValueError):
            return None
        return named if set(map(str, named)) <= set(right) else None
    if isinstance(right, list | tuple):
        return _items(value, right)
    if torch.is_tensor(right):
        return _tensor(value, right)
    if isinstance(right, str):
        return value if isinstance(value, str) else None
    return value


def _size(value):
    """How many numbers are in it: 1 for a number, None for what holds none."""
    if torch.is_tensor(value):
        return value.numel()
    if isinstance(value, numbers.Number):
        return 1
    return getattr(value, "size", None) if hasattr(value, "__array__") else None


def _is_numeric(value):
    """Whether a tensor or an array holds numbers: not truth values, words or objects."""
    return value.dtype is not torch.bool if torch.is_tensor(value) else value.dtype.kind in "iufc"


def _number(value):
    if isinstance(value, bool) or (hasattr(value, "dtype") and not _is_numeric(value)):
        return None
    if isinstance(value, int):
        return value if abs(value) < sys.float_info.max else None
    if not isinstance(value, int | float | complex) and hasattr(value, "__float__") and not hasattr(value, "dtype"):
        return float(value)  # such as a Fraction, or a number of SymPy
    return value if _size(value) == 1 else None


def _items(value, right):
    if isinstance(value, str | dict | set) or not isinstance(value, collections.abc.Iterable):
        return None
    try:
        items = list(value)
    except TypeError:  # a tensor or an array of one number alone
        return None
    each = right if isinstance(right, tuple) else [right[0]] * len(items)
    found = [_item(item, one) for item, one in zip(items, each, strict=False)]
    fits = len(items) == len(each) and not any(item is None for item in found)
    return found if fits else None


def _item(value, right):
    if isinstance(right, dict):
        return value if isinstance(value, dict) else None
    return fitted(value, right)


def _tensor(value, right):
    try:
        found = torch.as_tensor(value).detach().to_dense().cpu()
    except Exception:  # such as an array of words, or a tensor without numbers
        return None
    fits = found.squeeze().shape == right.squeeze().shape and _is_numeric(found)
    return (found if torch.is_tensor(value) else value) if fits else None


def wanted(right):
    """The kind that a task asks for, where ``right`` is what its reference returns.

    >>> wanted((1.0, 2.0)), wanted([torch.ones(2)]), wanted({"lr": 0.1})
    ('a tuple of 2 numbers', 'a list of tensors of shape [2]', 'a dict with the keys lr')
    """
    if isinstance(right, bool):
        return "True or False"
    if isinstance(right, int | float):
        return "a number"
    if isinstance(right, str):
        return "a text"
    if isinstance(right, list):
        return (
            "a list of dicts" if isinstance(right[0], dict) else f"a list of {came(right[0])[2:].replace(' ', 's ', 1)}"
        )
    return came(right)


def came(value):
    """What came, in words.

    >>> came(torch.ones(2, 3)), came([1, 2]), came("x")
    ('a tensor of shape [2, 3]', 'a list of 2 numbers', "the text 'x'")
    >>> came(torch.ones(2) == 1)
    'a tensor of 2 truth values'
    >>> came(print)
    'a function, not what it gives when it is called'
    """
    if value is None or isinstance(value, bool):
        return in_short(value)
    if isinstance(value, numbers.Number):
        return f"the {'complex ' * isinstance(value, complex)}number {in_short(value)}"
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    if torch.is_tensor(value) or type(value).__module__ == "numpy":
        what = "a tensor" if torch.is_tensor(value) else "an array"
        if value.dtype in (torch.bool, bool):
            return f"{what} of {_size(value)} truth value{'s' * (_size(value) != 1)}"
        if not _is_numeric(value) or getattr(value, "is_meta", False):
            return f"{what} without numbers"
        return f"{what} of shape {list(value.shape)}" if value.ndim else f"{what} of one number"
    kind = type(value).__name__
    if isinstance(value, list | tuple | set):
        what = "number" if all(isinstance(item, numbers.Number) for item in value) else "value"
        return f"a {kind} of {len(value)} {what}{'s' * (len(value) != 1)}" if value else f"an empty {kind}"
    if isinstance(value, dict):
        return f"a dict with the keys {', '.join(map(in_short, list(value)[:8]))}" if value else "an empty dict"
    if callable(value) and not isinstance(value, type):
        return "a function, not what it gives when it is called"
    return f"a{'n' * (kind[0] in 'aeiouAEIOU')} {kind}"


def refuse(value, right, call):
    """Raise `Wrong` for a value that is of another kind than ``right``, with words for the call that returned it.

    >>> refuse([1.0], 2.0, "double(1)")
    Traceback (most recent call last):
    edu_optim.check.kinds.Wrong: a number is wanted, and double(1) returns a list of 1 number
    >>> refuse([1.0, "2"], (1.0, 2.0), "both(1)")
    Traceback (most recent call last):
    edu_optim.check.kinds.Wrong: a tuple of 2 numbers is wanted, and both(1)[1] is the text '2'
    """
    said = f"{call} returns {came(value)}"
    if isinstance(right, list | tuple) and isinstance(value, list | tuple):
        each = right if isinstance(right, tuple) else [right[0]] * len(value)
        odd = [k for k, (item, one) in enumerate(zip(value, each, strict=False)) if _item(item, one) is None]
        if odd and len(value) == len(each):
            said = f"{call}[{odd[0]}] is {came(value[odd[0]])}"
    raise Wrong(f"{wanted(right)} is wanted, and {said}")
