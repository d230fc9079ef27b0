"""What may be passed to an optimizer, and the errors for what may not: nothing here is needed to read the module.

Each error names the argument, the value seen and what is allowed, and is raised before anything has changed.
"""

import difflib
import functools
import inspect
import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

from ..signature import members

NOT_NEGATIVE = ("a finite number >= 0", lambda x: 0 <= x < math.inf)
FRACTION = ("a number in [0, 1]", lambda x: 0 <= x <= 1)
BELOW_ONE = ("a number in [0, 1)", lambda x: 0 <= x < 1)
RANGES = {  # hyper-parameter: what it may be, in words and as a test
    "lr": NOT_NEGATIVE,
    "eps": NOT_NEGATIVE,
    "weight_decay": NOT_NEGATIVE,
    "momentum": NOT_NEGATIVE,
    "lr_decay": NOT_NEGATIVE,
    "initial_accumulator_value": NOT_NEGATIVE,
    "dampening": ("a finite number", math.isfinite),
    "alpha": FRACTION,
    "rho": FRACTION,
    "beta1": BELOW_ONE,
    "beta2": BELOW_ONE,
}
DECLINED = {
    "capturable": "the step count is a number here; use torch.optim inside a CUDA graph",
    "differentiable": "the functions in edu_optim.rules are pure: differentiate through them",
}
SYNONYMS = {"learning_rate": "lr", "epsilon": "eps", "beta1": "betas", "beta2": "betas"}


def check_rule(rule: Callable) -> None:
    """Refuse what does not take its arguments as a rule does.

    Errors: TypeError with what a rule takes, and what this one does.

    >>> check_rule(lambda p, g, lr: (p - lr * g,))
    Traceback (most recent call last):
    TypeError: rule must take the parameter, the gradient and the buffers by position and, ... got <lambda>(p, g, lr)
    """
    if not inspect.isfunction(rule):
        raise TypeError(f"rule must be a function, got {rule!r}")
    code = rule.__code__
    positional = code.co_varnames[: code.co_argcount]
    variadic = code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS)
    misplaced = {"t", "betas", *RANGES}.intersection(positional)
    if len(positional) < 2 or variadic or code.co_posonlyargcount or misplaced:
        raise TypeError(
            f"rule must take the parameter, the gradient and the buffers by position and, after a *, t and the "
            f"hyper-parameters by keyword, got {rule.__name__}{inspect.signature(rule, follow_wrapped=False)}"
        )


def listed(params: Any) -> list:
    """The parameters or groups of an optimizer as a list.

    Errors: TypeError if they are not in an order, or no collection.

    >>> listed({torch.zeros(1)})
    Traceback (most recent call last):
    TypeError: params must be a list or iterator of tensors or of groups, got {tensor([0.])}
    """
    if isinstance(params, torch.Tensor | str | dict | set) or not hasattr(params, "__iter__"):
        raise TypeError(f"params must be a list or iterator of tensors or of groups, got {params!r}")
    return list(params)


def checked_group(group: Any, others: Iterable[Mapping[str, Any]], known: Iterable[str]) -> tuple[dict, list]:
    """A group of parameters with a list of them, and its tensors.

    Options that are not ``known`` are somebody else's and stay, unless they look like one that is misspelt.

    Errors: TypeError or ValueError for what is no group, holds what cannot be stepped, or what ``others`` hold.

    >>> checked_group({"params": [1.0]}, [], known={"lr"})
    Traceback (most recent call last):
    TypeError: params[0] must be a tensor, got 1.0
    """
    if not isinstance(group, dict) or "params" not in group:
        raise TypeError(f"param_group must be a dict with the key 'params', got {group!r}")
    params = group["params"]
    group = {**group, "params": [params] if isinstance(params, torch.Tensor) else listed(params)}
    tensors = [p[1] if isinstance(p, tuple) and len(p) == 2 else p for p in group["params"]]
    _check_parameters(tensors, {id(p) for other in others for p in other["params"]})
    for name in sorted(group.keys() - known):
        if question := meant(name, known):
            raise TypeError(f"a group does not take {name}={group[name]!r}: {question}")
    return group, tensors


def _check_parameters(tensors, seen):
    for index, p in enumerate(tensors):
        if not isinstance(p, torch.Tensor):
            raise TypeError(f"params[{index}] must be a tensor, got {p!r}")
        if p.grad_fn is not None:
            raise ValueError(f"params[{index}] must be a leaf tensor, got the result of {p.grad_fn.name()}: {p!r}")
        if id(p) in seen:
            raise ValueError(f"params[{index}] must be a tensor that is not there yet, got one twice: {p!r}")
        seen.add(id(p))


def check_options(
    options: Mapping[str, Any], tensors: Iterable[torch.Tensor], switches: Iterable[str], run: Any = None
) -> None:
    """Refuse options that are out of range, or that do not fit each other or the shapes of ``tensors``.

    Args:
        switches: the names of those that must be True or False.
        run: how a step is run, None if that is left open.

    Errors: TypeError for a value of the wrong kind, else ValueError.

    >>> check_options({"lr": 0.1, "betas": (0.9, 1.0)}, [], switches=[])
    Traceback (most recent call last):
    ValueError: beta2 must be a number in [0, 1), got 1.0
    """
    for option, value in options.items():
        if option == "betas" and not (isinstance(value, tuple | list) and len(value) == 2):
            raise ValueError(f"betas must be two numbers in [0, 1), got {value!r}")
        for name, number in members(option, value) if option == "betas" else [(option, value)]:
            if name in RANGES:
                _check_number(name, number, tensors)
        if option in ("foreach", "fused") and value not in (None, True, False):
            raise TypeError(f"{option} must be True, False or None, got {value!r}")
        if option in switches and not isinstance(value, bool):
            raise TypeError(f"{option} must be True or False, got {value!r}")
        if option in DECLINED and value:
            raise TypeError(f"{option} must be False, got {value!r}: {DECLINED[option]}")
    if asked(options) and run is not None:
        raise ValueError(f"foreach and fused must be None beside run={run!r}, they ask for run={asked(options)!r}")
    momentum, dampening = options.get("momentum", 0), options.get("dampening", 0)
    if options.get("nesterov") and (not is_set(momentum) or is_set(dampening)):
        seen = f"momentum={momentum!r} and dampening={dampening!r}"
        raise ValueError(f"nesterov=True needs a momentum above 0 and dampening=0, got {seen}")


def is_set(value: float | torch.Tensor) -> bool:
    """Whether an option that means "none" at zero is used; a tensor of them always is.

    >>> is_set(0), is_set(0.9), is_set(torch.zeros(3))
    (False, True, True)
    """
    return isinstance(value, torch.Tensor) or bool(value != 0)


def _check_number(name, value, tensors):
    text, allows = RANGES[name]
    if isinstance(value, torch.Tensor) and not value.is_complex():
        if not (value.numel() and allows(value.min().item()) and allows(value.max().item())):
            raise ValueError(f"{name} must hold {text} in each place, got {value!r}")
        for p in tensors:
            shape = (torch.view_as_real(p) if p.is_complex() else p).shape
            if not _broadcasts(value.shape, shape):
                raise ValueError(f"{name} must broadcast to a parameter of {tuple(shape)}, got {tuple(value.shape)}")
    elif isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be {text}, got {value!r}")
    elif not allows(value):
        raise ValueError(f"{name} must be {text}, got {value!r}")


def _broadcasts(shape, to):
    try:
        return torch.broadcast_shapes(shape, to) == to
    except RuntimeError:
        return False


def refusing_unknown(constructor: Callable) -> Callable:
    """A constructor that says of an option it does not take which one may be meant.

    Errors: TypeError.

    >>> class Point:
    ...     def __init__(self, weight_decay=0): ...
    ...
    ...     __init__ = refusing_unknown(__init__)
    >>> Point(wieght_decay=0.1)
    Traceback (most recent call last):
    TypeError: Point does not take wieght_decay=0.1: did you mean weight_decay?
    """
    known = inspect.signature(constructor).parameters
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())

    @functools.wraps(constructor)
    def refusing(self, *args, **kwargs):
        for name in [] if takes_all else sorted(kwargs.keys() - known):
            allowed = f"allowed are {', '.join(list(known)[1:])}"
            raise TypeError(
                f"{type(self).__name__} does not take {name}={kwargs[name]!r}: {meant(name, known) or allowed}"
            )
        constructor(self, *args, **kwargs)

    return refusing


def meant(name: str, known: Iterable[str]) -> str | None:
    """A question after the option for which ``name`` looks misspelt; None if it looks like somebody else's.

    >>> meant("beta", ["lr", "betas"]), meant("lr_scale", ["lr", "betas"])
    ('did you mean betas?', None)
    """
    close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.82)
    close += [option for option in known if option == SYNONYMS.get(name) or sorted(option) == sorted(name.lower())]
    return f"did you mean {close[0]}?" if close else None


def asked(options: Mapping[str, Any]) -> str | None:
    """The way of running that torch's ``foreach`` and ``fused`` ask for; None where they leave it open.

    Errors: ValueError if they ask for two.

    >>> asked({"foreach": True}), asked({"fused": True}), asked({"foreach": None, "fused": False}), asked({})
    ('multi_tensor', 'compiled', 'per_tensor', None)
    """
    foreach, fused = options.get("foreach"), options.get("fused")
    if foreach and fused:
        raise ValueError("foreach and fused must not both be True")
    if foreach or fused:
        return "multi_tensor" if foreach else "compiled"
    return None if foreach is None and fused is None else "per_tensor"
