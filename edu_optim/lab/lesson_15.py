"""The experiment of lesson 15, the Newton-Schulz iteration; its fair race, and what its pictures show."""

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from matplotlib.axes import Axes
from torch import Tensor
from torch.optim import Optimizer

from ..base import from_rule
from ..contest.tasks import mixed_digits, share_wrong
from ..later import Muon, NAdam, RAdam, rules
from ..optimizers import AdamW
from ..plot import BLUE, RED, label_ends
from ..problems import digits, small_net
from .controls import choice, rate, slider
from .experiment import Experiment

COEFFICIENTS = {"quintic": (3.4445, -4.775, 2.0315), "cubic": (1.5, -0.5, 0.0)}
LRS = tuple(float(f"{10 ** (power / 3):.3g}") for power in range(-9, 0))  # what everyone tries in the race
COSINE, AVERAGED = "AdamW, cosine", "schedule-free"


def play(optimizer: Callable[..., Any] | None = None) -> Experiment:
    """What the iteration makes of each singular value between 0 and 1.

    Args:
        optimizer: a function of a matrix, its coefficients and the number of steps, in the place of the course's.

    >>> play().numbers["smallest after"] > 0.6
    True
    """
    return Experiment(
        _iterated,
        _ones,
        coefficients=choice("coefficients", *COEFFICIENTS),
        steps=slider("steps", "", 5, 0, 12),
        smallest=rate("smallest singular value", "", 0.1, 0.0001, 0.5),
        optimizer=optimizer,
    )


def _iterated(
    ax: Axes, *, coefficients: str, steps: int, smallest: float, optimizer: Callable[..., Any] | None = None
) -> dict[str, Any]:
    """Ten singular values before, from the smallest to 1, and after the iteration."""
    before = torch.logspace(torch.tensor(smallest).log10().item(), 0, 10, dtype=torch.float64)
    made = (optimizer or rules.orthogonal)(before.diag(), COEFFICIENTS[coefficients], steps)
    after = torch.linalg.svdvals(made)
    ax.plot(range(1, 11), before.flip(0), "o-", color=BLUE, label="before")
    ax.plot(range(1, 11), after, "s-", color=RED, label="after")
    label_ends(ax)
    return {"largest after": after.max().item(), "smallest after": after.min().item()}


def _ones(ax: Axes) -> None:
    ax.axhline(1, color="0.6", linewidth=0.8)
    ax.set(xlabel="singular value, from the largest", ylabel="size", ylim=(0, 1.4), xlim=(0.5, 10.5))


def careful_steps(rule: Callable[..., Any]) -> dict[str, tuple[Sequence[int], list[float]]]:
    """How far each of 1,000 steps goes where all gradients are 1, in lr, for two settings of beta2.

    Args:
        rule: `edu_optim.later.rules.radam`, or one that is called like it.

    >>> steps = careful_steps(rules.radam)["beta2 0.99"][1]
    >>> [f"{steps[at]:.2f}" for at in (4, 5, 999)]
    ['1.00', '0.08', '1.00']
    """
    lines = {}
    for beta2 in (0.99, 0.999):
        m, v, steps = 0.0, 0.0, []
        for t in range(1, 1001):
            p, m, v = rule(0.0, 1.0, m, v, t=t, lr=1.0, betas=(0.9, beta2))
            steps.append(-p)
        lines[f"beta2 {beta2}"] = (range(1, 1001), steps)
    return lines


def noisy_bowl(rule: Callable[..., Any], lr: float = 0.3) -> dict[str, list[float]]:
    """The fast point and the average in 200 steps from 5 over p**2 / 2, with noise of deviation 2 in its gradient.

    Args:
        rule: `edu_optim.later.rules.schedule_free_sgd`, or one that is called like it.
        lr: its constant learning rate.

    >>> fast, mean = noisy_bowl(rules.schedule_free_sgd).values()
    >>> len(fast), max(map(abs, mean[100:])) < 1 < max(map(abs, fast[100:]))
    (200, True)
    """
    noise = torch.randn(200, generator=torch.Generator().manual_seed(15), dtype=torch.float64).tolist()
    p, e, fast, mean = 5.0, 0.0, [], []
    for t, error in enumerate(noise, 1):
        p, e = rule(p, p + 2 * error, e, t=t, lr=lr)
        fast.append(p - 0.9 * e)
        mean.append(p + 0.1 * e)
    return {"z, the fast point": fast, "x, the average": mean}


class _Mixed:
    """Several optimizers that step together: Muon for hidden matrices, say, and AdamW for all the others."""

    def __init__(self, *parts: Optimizer) -> None:
        self.parts = parts
        self.param_groups = [group for part in parts for group in part.param_groups]

    def step(self) -> None:
        for part in self.parts:
            part.step()


def _muon(groups: list[dict[str, Any]]) -> _Mixed:
    """Muon for the hidden matrices, in AdamW's units of the rate, and AdamW for the others.

    Args:
        groups: of the stacked matrices of a network's layers, and of its biases, each with its ``lr``.
    """
    matrices, biases = groups
    first, *hidden, last = matrices["params"]
    return _Mixed(
        Muon([{**matrices, "params": hidden}], weight_decay=0, adjust_lr_fn="match_rms_adamw"),
        AdamW([{**matrices, "params": [first, last]}, biases], weight_decay=0),
    )


ENTRANTS: dict[str, Callable[[list[dict[str, Any]]], Any]] = {  # without decay; each group brings its lr
    "AdamW": functools.partial(AdamW, weight_decay=0),
    COSINE: functools.partial(AdamW, weight_decay=0),
    "NAdam": NAdam,
    "RAdam": RAdam,
    "Lion": functools.partial(from_rule(rules.lion), lr=1.0),
    AVERAGED: functools.partial(from_rule(rules.schedule_free_adamw), lr=1.0),
    "Muon": _muon,
}


def raced(
    steps: int = 120, tuning: Iterable[int] = range(6), racing: Iterable[int] = range(100, 110)
) -> dict[str, dict[str, Any]]:
    """Each of the entrants on the digits by the rules of lesson 11, in the form of `edu_optim.contest.hold_race`.

    Args:
        steps: how long each learns.
        tuning, racing: seeds with which the rate is chosen, and new ones with which the best one is raced.

    >>> list(raced(steps=1, tuning=[0], racing=[1]))
    ['AdamW', 'AdamW, cosine', 'NAdam', 'RAdam', 'Lion', 'schedule-free', 'Muon']
    """
    found = {}
    for name in ENTRANTS:
        tried = learned(name, LRS, list(tuning), steps)[0].mean(0)
        best = LRS[int(tried.argmin())]
        held_out = learned(name, [best], list(racing), steps)[1][:, 0]
        found[name] = {"lrs": LRS, "tuning": tried.tolist(), "best": best, "held_out": held_out.tolist()}
    return found


def learned(name: str, lrs: Sequence[float], seeds: Sequence[int], steps: int) -> tuple[Tensor, Tensor]:
    """Digits wrong in %, of those to tune with and of those held out, each ``[seeds, lrs]``: all networks at once.

    Args:
        name: of an entrant.
        lrs: learning rates.
        seeds: of the start, the minibatches of 32 and the split of the data.
        steps: how long each learns.

    >>> tune, held = learned("AdamW", [0.001, 0.01], [0], 60)
    >>> tune.shape, bool(tune[0, 0] > tune[0, 1])
    (torch.Size([1, 2]), True)
    """
    nets = [small_net(64, 32, 32, 10, seed=seed) for seed in seeds for _ in lrs]
    state, _ = torch.func.stack_module_state(nets)  # type: ignore[arg-type]
    scores = torch.vmap(lambda weights, x: torch.func.functional_call(nets[0], weights, x))
    entropy = torch.vmap(torch.nn.functional.cross_entropy)
    parts = [[*map(torch.stack, zip(*part, strict=True))] for part in zip(*map(mixed_digits, seeds), strict=True)]
    learn, *others = [[of.repeat_interleave(len(lrs), 0) for of in part] for part in parts]
    rates = torch.tensor(lrs, dtype=torch.float64).repeat(len(seeds))
    groups = [
        {"params": [p for p in state.values() if p.ndim == n], "lr": rates.reshape(-1, *[1] * (n - 1))} for n in (3, 2)
    ]
    optimizer = ENTRANTS[name](groups)
    at_first = [group["lr"] for group in optimizer.param_groups]
    draws = [torch.Generator().manual_seed(seed) for seed in seeds]
    copies = torch.arange(len(nets))[:, None]
    for step in range(steps):
        drawn = torch.stack([torch.randint(learn[0].shape[1], (32,), generator=draw) for draw in draws])
        images, labels = (of[copies, drawn.repeat_interleave(len(lrs), 0)] for of in learn)
        loss = entropy(scores(state, images), labels).sum()
        for p, gradient in zip(state.values(), torch.autograd.grad(loss, list(state.values())), strict=True):
            p.grad = gradient
        if name == COSINE:
            for group, lr in zip(optimizer.param_groups, at_first, strict=True):
                group["lr"] = lr * (1 + math.cos(math.pi * step / steps)) / 2
        optimizer.step()
    with torch.no_grad():
        if name == AVERAGED:
            for p in state.values():
                p += (1 - 0.9) * optimizer.state[p]["e"]
        tune, held = (share_wrong(scores(state, of), labels) for of, labels in others)
    return tune.reshape(len(seeds), -1), held.reshape(len(seeds), -1)


def singular_values(size: int = 8) -> tuple[Tensor, Tensor]:
    """The singular values of a gradient of the digits' network, and of Muon's step with it; each over its largest.

    >>> [values.shape for values in singular_values()]
    [torch.Size([8]), torch.Size([8])]
    """
    images, labels = digits()
    net = small_net(64, size, size, 10)
    loss = torch.nn.functional.cross_entropy(net(images), labels)
    weight = list(net.parameters())[2]
    start, (gradient,) = weight.detach().clone(), torch.autograd.grad(loss, [weight])
    weight.grad = gradient
    Muon([weight], lr=1.0, weight_decay=0).step()
    values = torch.linalg.svdvals(gradient), torch.linalg.svdvals(start - weight.detach())
    return values[0] / values[0][0], values[1] / values[1][0]
