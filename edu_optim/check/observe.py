"""What an answer does: how it is called, whatever its letters, and where its parameter and buffers go."""

import dataclasses
import dis
import inspect
import math
from dataclasses import dataclass

import torch

from ..signature import signature
from .drill import Drill, run

STEPS = 12
SCALES = torch.tensor([1, 1e-3, 1e-6, 10, 0, 1], dtype=torch.float64)
# Two settings of every hyper-parameter. None of them is a default, and eps is large enough to be seen.
SETTINGS = [
    {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-3, "alpha": 0.8, "rho": 0.7, "momentum": 0.7, "dampening": 0.2},
    {"lr": 0.02, "betas": (0.6, 0.9), "eps": 0.3, "alpha": 0.6, "rho": 0.9, "momentum": 0.5, "dampening": 0.0},
]
DECAYS = [0.1, 0.5]
ALIASES = {
    "t": {"t", "step", "n", "k", "i", "iteration"},
    "lr": {"lr", "eta", "learning_rate", "rate", "step_size"},
    "betas": {"betas"},
    "beta1": {"beta1", "b1", "beta_1"},
    "beta2": {"beta2", "b2", "beta_2"},
    "eps": {"eps", "epsilon"},
    "momentum": {"momentum", "mu", "beta", "gamma"},
    "dampening": {"dampening", "tau"},
    "alpha": {"alpha", "decay", "beta", "gamma"},
    "rho": {"rho", "decay", "beta", "gamma"},
    "weight_decay": {"weight_decay", "wd", "decay", "lam"},
}


@dataclass(frozen=True)
class _Probe:
    """Gradients ``[steps, n]``, a start ``[n]`` and the hyper-parameters of each step."""

    gradients: torch.Tensor
    start: torch.Tensor
    hypers: list


class _NotAttempted(Exception):
    """The stub has not been filled in."""


class _ReturnsNothing(Exception):
    """The function ended without a return."""


def _is_empty(function):
    """Whether a function has no more than ``...`` or ``pass`` in it."""
    nothing = {"RESUME", "NOP", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST", "POP_TOP"}
    return {instruction.opname for instruction in dis.get_instructions(function)} <= nothing


# Calling an answer, whatever its letters.


def _order(answer, reference):
    """The parameters of ``answer`` that take p, g and the buffers, and for each other the name of what it takes."""
    buffers, wanted = signature(reference)
    positional, named = [], {}
    for parameter in inspect.signature(answer).parameters.values():
        meanings = [name for name in [*wanted, "beta1", "beta2"] if parameter.name.lower() in ALIASES[name]]
        if parameter.kind is parameter.VAR_KEYWORD:
            named |= {name: name for name in wanted if name not in named.values()}
        elif parameter.kind is parameter.VAR_POSITIONAL:
            positional += ["p", "g", *buffers][len(positional) :]
        elif meanings:
            named[parameter.name] = meanings[0]
        elif parameter.default is parameter.empty:
            positional.append(parameter.name)
    expected = ["the parameter", "its gradient", *(f"the buffer {letter}" for letter in buffers)]
    if len(positional) != len(expected):
        raise TypeError(f"it must take {', '.join(expected)}, in this order, got ({', '.join(positional)})")
    return positional, named


def _call(order, answer, columns, hyper):
    """What ``answer`` makes of the parameter and the buffers: what it returns, or what it wrote into them."""
    positional, named = order
    settings = {**hyper, **dict(zip(("beta1", "beta2"), hyper.get("betas", ()), strict=False))}
    given = [column.clone() for column in columns]
    options = {key: settings[name] for key, name in named.items()}
    with torch.no_grad():
        returned = answer(*given, **options)
    if returned is Ellipsis or returned is NotImplemented:
        raise _NotAttempted
    parameter, gradient, *buffers = given
    if returned is None:
        if all(torch.equal(new, old) for new, old in zip(given, columns, strict=True)) and columns[1].any():
            raise _NotAttempted if _is_empty(answer) else _ReturnsNothing
        return parameter, *buffers
    returned = returned if isinstance(returned, tuple | list) else (returned,)
    if len(returned) not in (1, 1 + len(buffers)) or not all(torch.is_tensor(value) for value in returned):
        kinds = ", ".join(type(value).__name__ for value in returned)
        raise TypeError(f"it must return the new parameter and the {len(buffers)} new buffers, got ({kinds})")
    return *returned, *buffers[len(returned) - 1 :]


def _options(answer, reference):
    """For each option of the class the name of what it takes, and the hyper-parameters of the rule that it is given."""
    parameters = [*inspect.signature(answer).parameters.values()][1:]
    wanted = [name for name in signature(reference)[1] if name != "t"]
    named = {}
    for parameter in parameters:
        meanings = [name for name in [*wanted, "beta1", "beta2"] if parameter.name.lower() in ALIASES[name]]
        if meanings:
            named[parameter.name] = meanings[0]
        elif parameter.kind is parameter.VAR_KEYWORD:
            named |= {name: name for name in wanted if name not in named.values()}
        elif parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            raise TypeError(f"{answer.__name__} must take parameters and {', '.join(wanted)}, got {parameter.name}")
    return named, [name for name in wanted if name != "lr"]


def _maker(answer, named):
    """The class, whatever it calls the learning rate."""
    (rate,) = [key for key, name in named.items() if name == "lr"] or ["lr"]
    return lambda groups, lr, **options: answer(groups, **{rate: lr}, **options)


def _given(named, hyper):
    settings = {**hyper, **dict(zip(("beta1", "beta2"), hyper.get("betas", ()), strict=False))}
    return {key: settings[name] for key, name in named.items() if name != "lr" and name in settings}


def _with_one_rate(probe):
    """A probe as a class meets it: one learning rate, and a first gradient that torch does not dampen."""
    hypers = [{**hyper, "lr": probe.hypers[0]["lr"]} for hyper in probe.hypers]
    if "dampening" in hypers[0]:
        hypers[0]["dampening"] = 0
    return dataclasses.replace(probe, hypers=hypers)


def _walk_of_class(make, named, reference, probe):
    """As `_walk`, with NaN for the buffers, of which a class may keep what it likes."""
    alone = [[gradient] for gradient in probe.gradients]
    drill = Drill("one parameter", [probe.start], alone, [[probe.hypers[0]["lr"]]] * STEPS)
    places = run(make, drill, _given(named, probe.hypers[-1]))
    unseen = places.new_full((STEPS + 1, len(signature(reference)[0]), len(probe.start)), math.nan)
    return torch.cat([places, unseen], dim=1)


def _probe(reference, order, number):
    generator = torch.Generator().manual_seed(number)
    gradients = torch.randn(STEPS, len(SCALES), generator=generator, dtype=torch.float64) * SCALES
    start = torch.randn(len(SCALES), generator=generator, dtype=torch.float64)
    settings = {**SETTINGS[number], "weight_decay": DECAYS[number]}
    neutral = {"dampening": 0} if "dampening" not in order[1].values() else {}
    names = signature(reference)[1]
    hypers = []
    for t in range(1, STEPS + 1):
        lr = settings["lr"] / (1 if t <= STEPS // 2 else 4)
        every = {**settings, **neutral, "lr": lr, "t": t}
        hypers.append({name: every[name] for name in names})
    return _Probe(gradients, start, hypers)


def _walk(order, answer, probe):
    """The parameter and the buffers after each step: ``[steps + 1, 1 + buffers, n]``."""
    rows = [[probe.start, *[torch.zeros_like(probe.start)] * (len(order[0]) - 2)]]
    for gradient, hyper in zip(probe.gradients, probe.hypers, strict=True):
        parameter, *buffers = rows[-1]
        rows.append(_call(order, answer, [parameter, gradient, *buffers], hyper))
    return torch.stack([torch.stack([value.double().broadcast_to(probe.start.shape) for value in row]) for row in rows])
