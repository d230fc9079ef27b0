"""Whether two observations agree, and where they differ first."""

import math
from typing import NamedTuple

import torch

# For each dtype that was seen: the largest relative difference that is rounding, and below which size nothing counts.
ROUNDING = {torch.float64: (1e-7, 1e-14), torch.float32: (2e-4, 2e-6)}
PARTLY = 1e-5, 1e-8  # float64 with a step count in float32, as torch keeps it


class Seen(NamedTuple):
    """Something that an answer did.

    Args:
        label: what it is, in words.
        value: a number, tensor or word.
        part: of the trial; each part is a run of its own.
        judged: whether it must be right. A buffer need not be: another may keep other buffers and be right.

    >>> Seen("p after step 1", 0.5).judged
    True
    """

    label: str
    value: object
    part: str = ""
    judged: bool = True


class Raised(NamedTuple):
    """That an answer raised an exception, as something seen.

    >>> Raised(ValueError("no")) == Raised(KeyError())
    True
    """

    error: BaseException

    def __eq__(self, other):
        return isinstance(other, Raised)

    __hash__ = None


def alike(one, two, rtol, atol):
    """Whether two values are the same to rounding; NaN and infinity are values, and equal themselves.

    >>> alike(1.0, torch.tensor([1 + 1e-9]), 1e-6, 0), alike(float("nan"), 1.0, 1e-6, 0)
    (True, False)
    """
    if isinstance(one, Raised | str | bool | None) or isinstance(two, Raised | str | bool | None):
        return type(one) is type(two) and one == two
    try:
        if torch.float32 in (getattr(one, "dtype", None), getattr(two, "dtype", None)):
            rtol, atol = ROUNDING[torch.float32]
        a, b = (_in_double(value).squeeze() for value in (one, two))
        pairs = zip(a.flatten().tolist(), b.flatten().tolist(), strict=True)
        return a.shape == b.shape and all(_close(x, y, rtol, atol) for x, y in pairs)
    except Exception:
        try:
            return type(one) is type(two) and bool(one == two)
        except Exception:
            return False


def _close(x, y, rtol, atol):
    return x == y or abs(x - y) <= atol + rtol * abs(y) < math.inf or (x != x and y != y)


def first_mismatch(seen, right, rtol, atol, whole=True):
    """Where two observations differ first: a pair of what was seen and what is right, or None.

    Args:
        seen: a list.
        right: an iterable, of which no more is asked for than is needed.
        whole: whether it is a mismatch if ``right`` goes on after the end of ``seen``.

    >>> first_mismatch([Seen("p", 1.0)], [Seen("p", 2.0)], 1e-6, 0)[1].value
    2.0
    """
    right = (two for two in right if two.judged)
    for one in (one for one in seen if one.judged):
        two = next(right, None)
        if two is None or one.label != two.label or not alike(one.value, two.value, rtol, atol):
            return one, two
    two = next(right, None) if whole else None
    return (None, two) if two is not None else None


def until(seen, watched):
    """What was watched, up to where ``seen`` ends.

    >>> [one.value for one in until([Seen("p", 1.0)], [Seen("p", 2.0), Seen("q", 3.0)])]
    [2.0]
    """
    last = seen[-1].label, seen[-1].part
    for one in watched:
        yield one
        if (one.label, one.part) == last:
            return


def fits(seen, watched, rounding):
    """Whether all that was seen is in what was watched, which may go on after it.

    >>> fits([Seen("p", 1.0)], [Seen("p", 1.0), Seen("p", 2.0)], (1e-6, 0))
    True
    """
    return first_mismatch(seen, watched, *rounding, whole=False) is None


def tells(seen):
    """Whether there are finite numbers that move in what was seen, or all are finite: many mistakes look alike as nan.

    >>> tells([Seen("p", torch.tensor(math.nan))])
    False
    """
    values = [one.value for one in seen if one.judged and not isinstance(one.value, Raised)]
    tensors = [value for value in values if torch.is_tensor(value)]
    if not tensors or all(bool(value.isfinite().all()) for value in tensors):
        return bool(values)
    before = {}
    for value in tensors:
        last = before.get(value.shape, value)
        if bool((last.isfinite() & value.isfinite() & (last != value)).any()):
            return True
        before[value.shape] = value
    return False


def is_real(value):
    """Whether a value is one real number.

    >>> is_real(torch.tensor([0.5])), is_real(torch.tensor(1j)), is_real(torch.ones(2)), is_real("1")
    (True, False, False, False)
    """
    return isinstance(value, int | float) or (
        torch.is_tensor(value) and value.numel() == 1 and bool(value.isreal().all())
    )


def side_by_side(one, two):
    """Two different values in words, in as many digits as it takes to tell them apart; of tensors, one element.

    >>> side_by_side(torch.tensor([1.0, 3.7581]), torch.tensor([1.0, 3.7579]))
    ('3.7581', '3.7579')
    >>> side_by_side(None, 2)
    ('nothing', '2')
    """
    a, b = _number(one), _number(two)
    if torch.is_tensor(a) and torch.is_tensor(b):
        if a.shape != b.shape:
            return tuple(f"a tensor of shape {list(x.shape)}" if x.ndim else "one number" for x in (a, b))
        gaps = ((a - b).abs() / b.abs()).nan_to_num(math.inf, math.inf).flatten()
        gaps = torch.where((a == b).flatten() | (a.isnan() & b.isnan()).flatten(), -1.0, gaps)
        a, b = a.flatten()[gaps.argmax()].item(), b.flatten()[gaps.argmax()].item()
        for digits in range(4, 18):
            if f"{a:.{digits}g}" != f"{b:.{digits}g}":
                return f"{a:.{digits}g}", f"{b:.{digits}g}"
    texts = in_short(one), in_short(two)
    return (
        texts if texts[0] != texts[1] else (f"{texts[0]} ({type(one).__name__})", f"{texts[1]} ({type(two).__name__})")
    )


def _number(value):
    if isinstance(value, bool | str) or value is None:
        return value
    try:
        return _in_double(value)
    except Exception:
        return value


def _in_double(value):
    """A value as a tensor in double precision, complex if it is."""
    is_complex = isinstance(value, complex) or (torch.is_tensor(value) and value.is_complex())
    return torch.as_tensor(value, dtype=torch.complex128 if is_complex else torch.float64)


def in_short(value):
    """A value in a few words, whatever it is.

    >>> in_short(0.123456), in_short(None), in_short([1.0, 2]), in_short("edge"), in_short("edge ")
    ('0.1235', 'nothing', '[1, 2]', 'edge', "'edge '")
    """
    try:
        if isinstance(value, Raised):
            return f"an exception ({type(value.error).__name__})"
        if value is None:
            return "nothing"
        if torch.is_tensor(value):
            value = value.tolist()
        if isinstance(value, float):
            return f"{value:.4g}"
        if isinstance(value, list | tuple):
            return f"[{', '.join(map(in_short, value[:6]))}{', ...' * (len(value) > 6)}]"
        return value if isinstance(value, str) and value.strip() == value != "" else repr(value)[:60]
    except BaseException as error:
        return f"a {type(value).__name__} (its repr raises {type(error).__name__})"
