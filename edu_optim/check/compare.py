"""Where two observations differ first."""

import math
import sys

import torch

from ..signature import signature
from .observe import STEPS, _call, _order


def _agree(seen, other, close):
    alike = all(one == two and _alike(a, b, close) for (one, a), (two, b) in zip(seen, other, strict=False))
    return len(seen) == len(other) and alike


def _alike(a, b, close):
    try:
        a, b = (torch.as_tensor(value, dtype=torch.float64).squeeze() for value in (a, b))
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return type(a) is type(b) and a == b
    return a.shape == b.shape and torch.allclose(a, b, rtol=close, atol=1e-12, equal_nan=True)


def _first_apart(seen, right, task):
    """Where an answer first differs from the right one, without the right value where that is the secret."""
    for (label, value), (_, expected) in zip(seen, right, strict=False):
        if _alike(value, expected, task.close):
            continue
        if not task.secret:
            return f"{label} is {_in_digits(value)} where {_in_digits(expected)} is right{_times(value, expected)}."
        if isinstance(expected, str) or not isinstance(value, int | float):
            return f"{label} is not {value!r}."
        return f"{label} is {'larger' if value < expected else 'smaller'} than {_in_digits(value)}."
    return ""


def _in_digits(value):
    value = value.tolist() if torch.is_tensor(value) else value
    if isinstance(value, list | tuple):
        return f"({', '.join(map(_in_digits, value))})"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _times(value, expected):
    try:
        ratio = float(value) / float(expected)
    except (TypeError, ValueError, RuntimeError, ArithmeticError):
        return ""
    return f": {ratio:.3g} times as large" if isinstance(expected, float) and abs(ratio) < 1e6 else ""


def _moved(walk):
    return bool((walk[1:, 0] != walk[:-1, 0]).any())


def _together(walked, other):
    return torch.allclose(walked, other, rtol=1e-9, atol=1e-13, equal_nan=True)


def _first_difference(drill, walked, right):
    apart = ~torch.isclose(walked, right, rtol=1e-9, atol=1e-13, equal_nan=True)
    step, parameter, index = apart.nonzero()[0].tolist()
    seen, expected = walked[step, parameter, index].item(), right[step, parameter, index].item()
    where = f"parameter {parameter + 1} is at {seen:.4g} where {expected:.4g} is right"
    return f"With {drill.name}: after step {step}, {where}."


def _moves(walk):
    return walk[1:, 0] - walk[:-1, 0]


def _same(walk, other):
    """Whether two walks take the same steps, to rounding."""
    a, b = _moves(walk), _moves(other)
    return bool((torch.isclose(a, b, rtol=1e-7, atol=0, equal_nan=True) | _within_rounding(walk, other)).all())


def _within_rounding(walk, other):
    return (_moves(walk) - _moves(other)).abs() <= 1e-14 * (1 + other[1:, 0].abs())


def _largest_difference(walk, right):
    return ((walk[:, 0] - right[:, 0]).abs() / (1e-300 + right[:, 0].abs())).max().item()


def _parting(reference, probes, walks, right, called):
    """Where an answer first differs: the step, the quantity, both values and their ratio."""
    for probe, walk, other in zip(probes, walks, right, strict=True):
        for t in range(1, STEPS + 1):
            quantities = dict(zip(signature(reference)[0], zip(walk[t, 1:], other[t, 1:], strict=True), strict=True))
            step = (walk[t, 0] - walk[t - 1, 0], other[t, 0] - other[t - 1, 0])
            if called and _apart(*step).any():
                quantities |= _letters(reference, called, probe, walk[t - 1], other[t - 1], t - 1, step)
            quantities["the step"] = step
            for name, (seen, expected) in quantities.items():
                if _apart(seen, expected).any() and not seen.isnan().all():
                    return _side_by_side(name, t, seen, expected)
    return ""


def _apart(seen, expected):
    return ~torch.isclose(seen, expected, rtol=1e-6, atol=1e-14, equal_nan=True)


def _letters(reference, called, probe, row, other, index, step):
    """The gradient and the intermediate results of one step, those of the answer beside those of the reference.

    Only letters that stand in both texts can be compared. Where the numerator agrees, so does the denominator.
    """
    order, answer = called
    own = _order(reference, reference)
    (p, *buffers), gradient, hyper = row, probe.gradients[index], probe.hypers[index]
    theirs = _at_the_end(answer, lambda: _call(order, answer, [p, gradient, *buffers], hyper))
    right = _at_the_end(reference, lambda: _call(own, reference, [other[0], gradient, *other[1:]], hyper))
    quantities = {"the gradient": (theirs.get(order[0][1], gradient), gradient)}
    spelled = {name.replace("_", "").lower(): value for name, value in theirs.items()}
    for name in right:  # buffers and arguments are no news
        if name in own[0] or name in own[1]:
            continue
        pair = (spelled.get(name.replace("_", "")), right[name])
        if all(torch.is_tensor(value) and value.shape == gradient.shape for value in pair):
            quantities[name] = pair
    if "m_hat" in quantities and not _apart(*quantities["m_hat"]).any():
        quantities["the denominator"] = tuple(-hyper["lr"] * right["m_hat"] / taken for taken in step)
    return quantities


def _at_the_end(function, call):
    """What the letters of a function stood for when it returned."""
    letters = {}

    def note(frame, event, _):
        if event == "return" and frame.f_code is function.__code__:
            letters.update(frame.f_locals)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(before)
    return letters


def _side_by_side(name, t, seen, expected):
    """Both values in one place, the one where they differ most, in as many digits as it takes to see it."""
    gaps = ((seen - expected).abs() / expected.abs()).nan_to_num(torch.inf, torch.inf)
    index = torch.where(_apart(seen, expected), gaps, -1).argmax()
    seen, expected = seen[index].item(), expected[index].item()
    digits = next((n for n in (3, 5, 8) if f"{seen:.{n}g}" != f"{expected:.{n}g}"), 12)
    ratio = seen / expected if expected else math.nan
    factor = f": {ratio:.{digits}g} times as large" if math.isfinite(ratio) and abs(ratio) < 1e6 else ""
    return f"At step {t} {name} is {seen:.{digits}g} where {expected:.{digits}g} is right{factor}."
