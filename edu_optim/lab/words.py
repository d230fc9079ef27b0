"""Numbers, points and errors as an experiment writes them."""

import traceback


def _in_words(error):
    """What an error says, and in which line of which function it was raised."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"in {last.name}, line {last.lineno}: {last.line}" if last.line else f"in {last.name}"
    return f"{type(error).__name__}: {error}\n{where}"


ROUNDING = 1e-12  # what is nearer to zero is noise, which differs between processors


def _number(value):
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    value = float(value)
    value = 0.0 if abs(value) < ROUNDING else value
    return f"{value:.0f}" if value.is_integer() and abs(value) < 1e6 else f"{value:.3g}"


def _pair(point):
    return f"({', '.join(_number(value) for value in point)})"


def _share(chosen):
    return f"{_number(100 * chosen.double().mean())} %"
