"""What an optimizer class must do around its rule: several parameters and groups, schedules, gaps, checkpoints.

Each drill is a short run. `run` sends a class through it; `rehearse` says where a rule would go, with or without one
of the faults of `edu_optim.exercises`.
"""

import collections
import copy
import types
from dataclasses import dataclass

import torch

from ..signature import signature

STEPS = 10
SIZES = torch.tensor([1.0, 1e-2, 10.0], dtype=torch.float64)


@dataclass(frozen=True)
class Drill:
    """A run, of ten steps where `drills` made it.

    Args:
        name: what is special about it.
        starts: a tensor for each parameter.
        gradients: for each step a list, with a tensor or None for each parameter.
        rates: for each step the learning rate of each group; with more than one, every parameter has its own.
        load: the step before which a checkpoint is loaded into a new optimizer, None if there is none.
        decays: for each group, by what its weight_decay is multiplied.

    >>> drills(0.1)[-1].load
    6
    """

    name: str
    starts: list
    gradients: list
    rates: list
    load: int | None = None
    decays: tuple = (1,)


def drills(lr):
    """All of them, from the easiest on, around a learning rate.

    >>> [drill.name for drill in drills(0.1)][:2]
    ['two parameters of the same shape', 'two groups']
    """
    draw = torch.Generator().manual_seed(0)
    pushes = [list(row) for row in torch.randn(STEPS, 2, 3, generator=draw, dtype=torch.float64) * SIZES]
    starts = list(torch.randn(2, 3, generator=draw, dtype=torch.float64))
    gaps = [[None if step in (0, 3, 4) else g, h] for step, (g, h) in enumerate(pushes)]
    alone, first = [[g] for g, _ in pushes], starts[:1]
    return [
        Drill("two parameters of the same shape", starts, pushes, [[lr]] * STEPS),
        Drill("two groups", starts, pushes, [[lr, lr / 5]] * STEPS, decays=(1, 0)),
        Drill("a learning rate that changes", first, alone, [[lr]] * 5 + [[lr / 4]] * 5),
        Drill("a gradient that is missing", starts, gaps, [[lr]] * STEPS),
        Drill("a checkpoint", starts, gaps, [[lr]] * STEPS, load=6),
    ]


class GradientChanged(Exception):
    """A step has written into the gradient.

    >>> class Halves(torch.optim.SGD):
    ...     def step(self):
    ...         self.param_groups[0]["params"][0].grad.mul_(0.5)
    >>> run(Halves, drills(0.1)[0], {})
    Traceback (most recent call last):
    edu_optim.check.drill.GradientChanged
    """


def run(make, drill, options):
    """The places of all parameters, ``[steps + 1, parameters, n]``, of an optimizer sent through a drill.

    Errors: GradientChanged; what the optimizer raises.

    >>> run(torch.optim.SGD, drills(0.1)[0], {}).shape
    torch.Size([11, 2, 3])
    """
    parameters = [start.clone().requires_grad_() for start in drill.starts]
    groups = [{"params": parameters}] if len(drill.rates[0]) == 1 else [{"params": [p]} for p in parameters]

    def new():
        fresh = [{**group, "lr": lr} for group, lr in zip(groups, drill.rates[0], strict=True)]
        for group, factor in zip(fresh, drill.decays, strict=True):
            if "weight_decay" in options:
                group["weight_decay"] = factor * options["weight_decay"]
        return make(fresh, lr=drill.rates[0][0], **options)

    optimizer, places = new(), [torch.stack(drill.starts)]
    for step, (gradients, rates) in enumerate(zip(drill.gradients, drill.rates, strict=True)):
        if step == drill.load:
            saved, optimizer = copy.deepcopy(optimizer.state_dict()), new()
            optimizer.load_state_dict(saved)
        for group, lr in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = lr
        for p, g in zip(parameters, gradients, strict=True):
            p.grad = None if g is None else g.clone()
        optimizer.step()
        for p, g in zip(parameters, gradients, strict=True):
            if g is not None and (p.grad is None or not torch.equal(p.grad, g)):
                raise GradientChanged
        places.append(torch.stack([p.detach().clone() for p in parameters]))
    return torch.stack(places)


def rehearse(rule, drill, options, faults=()):
    """Where a rule goes in a drill, ``[steps + 1, parameters, n]``, if its class has these faults.

    >>> from edu_optim.rules import gradient_descent
    >>> walked, expected = run(torch.optim.SGD, drills(0.1)[1], {}), rehearse(gradient_descent, drills(0.1)[1], {})
    >>> torch.allclose(walked, expected)
    True
    """
    letters, names = signature(rule)
    memory, counts, updates, count = {}, collections.Counter(), 0, {}
    places = [torch.stack(drill.starts)]
    for step, (gradients, rates) in enumerate(zip(drill.gradients, drill.rates, strict=True)):
        if step == drill.load:
            count = dict(counts)
        after = []
        for index, (p, g) in enumerate(zip(places[-1], gradients, strict=True)):
            if g is None:
                after.append(p)
                continue
            counts[index] += 1
            updates += 1
            group = index if len(rates) > 1 else 0
            at = types.SimpleNamespace(index=index, group=group, drawer=index, t=counts[index], lr=rates[group])
            at.step, at.rates, at.first_rates, at.updates = step + 1, rates, drill.rates[0], updates
            at.loaded, at.count = bool(count), count.get(index, 0)
            at.given, at.options = options, _of_group(options, drill.decays[group], first=at.t == 1)
            for fault in faults:
                fault(at)
            known = {**at.options, "t": at.t, "lr": at.lr}
            buffers = memory.get(at.drawer, [torch.zeros_like(p)] * len(letters))
            p, *memory[at.drawer] = rule(p, g, *buffers, **{name: known[name] for name in names})
            after.append(p)
        places.append(torch.stack(after))
    return torch.stack(places)


def _of_group(options, decay, first):
    """The options of one group, as torch uses them: the first gradient is never dampened."""
    own = dict(options)
    if "weight_decay" in own:
        own["weight_decay"] *= decay
    if first and "dampening" in own:
        own["dampening"] = 0
    return own
