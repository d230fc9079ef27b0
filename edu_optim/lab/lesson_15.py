"""The experiment of lesson 15, schedule-free descent on a noisy bowl; its race, and what its pictures show.

``python -m edu_optim.lab.lesson_15 FILE NEW`` holds the race on four tasks, in about an hour, and writes it to a file,
and to another what each rule reaches on the first with a constant rate, a cosine and an average, and what Muon and a
longer AdamW do on the last, in other minibatches and at other depths; what came of it is stored in
``after_adam.json`` and ``after_adam_treatments.json``.
"""

import functools
import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torch.optim import Optimizer

from ..base import from_rule
from ..contest import RACING, TASKS, Task, beaten
from ..contest.tasks import DIGITS
from ..contest.verdict import as_text, circumstances
from ..later import Muon, NAdam, RAdam, rules, split
from ..optimizers import AdamW
from ..plot import BLUE, GREEN, RED, chart, figure, label_ends
from ..problems import small_net
from ..trace.training import cross_entropies
from .controls import rate, slider
from .experiment import Experiment

COEFFICIENTS = {"quintic": (3.4445, -4.775, 2.0315), "cubic": (1.5, -0.5, 0.0)}
LRS = tuple(float(f"{10 ** (power / 3):.3g}") for power in range(-9, 0))  # what everyone tries in the race
COSINE, AVERAGE, AVERAGED = "AdamW, cosine", "AdamW, average", "schedule-free"
TREATMENTS = ("constant", "cosine", "average")
DECAYS = (0.9, 0.95, 0.97, 0.99, 0.997)  # of the average: what everyone tries where all get all treatments
DECAY = 0.97  # the one that was chosen for AdamW's average in the race on four tasks
NEW = [first + k for first in (200, 300, 400, 500) for k in range(10)]  # seeds where all get all treatments


def play(optimizer: Callable[..., Any] | None = None) -> Experiment:
    """Schedule-free and plain descent over a bowl with noisy gradients, for a rate, a ``beta`` and a noise.

    Args:
        optimizer: a rule that is called like `edu_optim.later.rules.schedule_free_sgd`, in its place.

    >>> print(play().at(lr=0.1))
    lr: 0.1
    z, from the minimum: 1.27
    plain SGD, from the minimum: 0.457
    x, from the minimum: 0.306
    noises in which x is farther than plain SGD: 8
    plain SGD, at best: 0.262
    plain SGD, with lr 1/t: 0.165
    x, at best: 0.306
    """
    return Experiment(
        _wandering,
        _minimum,
        lr=rate("lr", "", 0.3, 0.01, 1),
        beta=slider("beta", "", 0.9, 0.0, 1.0),
        seed=slider("seed of the noise", "", 15, 0, 99),
        optimizer=optimizer,
    )


def _wandering(
    ax: Axes, *, lr: float, beta: float, seed: int, optimizer: Callable[..., Any] | None = None
) -> dict[str, Any]:
    """Where z, plain SGD and x are in 200 steps; the numbers are of the last 100 steps with 100 noises."""
    rule = optimizer or rules.schedule_free_sgd
    lines, (plain, average) = noisy_bowl(rule, lr, slice(None), beta), _at_best(rule, beta)
    for (name, line), color, dash in zip(lines.items(), (RED, BLUE, GREEN), ("-", "--", "-."), strict=True):
        ax.plot([5, *line[:, seed]], dash, color=color, label=name)
    label_ends(ax)
    off = _squares(lines)
    named = zip(("z", "plain SGD", "x"), off.mean(1) ** 0.5, strict=True)
    far = {f"{name}, from the minimum": float(distance) for name, distance in named}
    far["noises in which x is farther than plain SGD"] = int((off[2] > off[1]).sum())
    falling = -(2 * _noises()).cumsum(0) / numpy.arange(1, 201)[:, None]  # plain descent at 1/t, whatever its start
    by_t = float((falling[100:] ** 2).mean() ** 0.5)
    return far | {"plain SGD, at best": plain, "plain SGD, with lr 1/t": by_t, "x, at best": average}


@functools.cache
def _at_best(rule: Callable[..., Any], beta: float) -> list[float]:
    """How far plain descent and x are from the minimum, each at its best of 21 rates."""
    tried = [_squares(noisy_bowl(rule, lr, slice(None), beta)).mean(1) for lr in numpy.logspace(-2, 0, 21)]
    return (numpy.min(tried, 0)[1:] ** 0.5).tolist()


def _squares(lines: Mapping[str, numpy.ndarray]) -> numpy.ndarray:
    """The mean square over the last half of the steps, ``[lines, seeds]``."""
    return numpy.array([(line[100:] ** 2).mean(0) for line in lines.values()])


def _minimum(ax: Axes) -> None:
    ax.axhline(0, color="0.6", linewidth=0.8)
    ax.set(xlabel="step", ylabel="place; the minimum is 0", ylim=(-6, 6))


def polynomials(rule: Callable[..., Any]) -> dict[str, tuple[Tensor, Tensor]]:
    """What the cubic and the quintic iteration make of a singular value, from 1e-4 to 1.

    Args:
        rule: `edu_optim.later.rules.orthogonal`, or one that is called like it.

    >>> list(polynomials(rules.orthogonal))
    ['quintic, 5 steps', 'cubic, 5 steps', 'cubic, 25 steps']
    """
    sizes = torch.logspace(-4, 0, 241, dtype=torch.float64)
    made = {
        f"{name}, {steps} steps": brought(lambda u, made=COEFFICIENTS[name], steps=steps: rule(u, made, steps), sizes)
        for name, steps in (("quintic", 5), ("cubic", 5), ("cubic", 25))
    }
    return {name: (sizes, values) for name, values in made.items()}


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


@functools.cache
def _noises() -> numpy.ndarray:
    """Normal numbers for 200 steps, a column for each of 100 seeds."""
    draws = [torch.Generator().manual_seed(seed) for seed in range(100)]
    return torch.stack([torch.randn(200, generator=draw, dtype=torch.float64) for draw in draws], 1).numpy()


def noisy_bowl(
    rule: Callable[..., Any], lr: float = 0.3, seed: int | slice = 15, beta: float = 0.9, start: float = 5
) -> dict[str, numpy.ndarray]:
    """Schedule-free and plain descent in 200 steps over p**2 / 2, with noise of deviation 2 in the gradient.

    Each ``[200]``, or ``[200, seeds]``.

    Args:
        rule: `edu_optim.later.rules.schedule_free_sgd`, or one that is called like it.
        lr: the constant learning rate of both.
        seed: of the noise, below 100, which is the same for both; or several, as a slice.
        beta: how near the average the gradient is asked for.
        start: where both begin.

    >>> fast, plain, mean = noisy_bowl(rules.schedule_free_sgd).values()
    >>> len(fast), [bool(abs(line[100:]).max() < 3) for line in (fast, plain, mean)]
    (200, [False, True, True])
    """
    p, e, q, fast, plain, mean = start, 0.0, start, [], [], []
    for t, error in enumerate(2 * _noises()[:, seed], 1):
        p, e = rule(p, p + error, e, t=t, lr=lr, beta=beta)
        q = q - lr * (q + error)
        fast.append(p - beta * e)
        plain.append(q)
        mean.append(p + (1 - beta) * e)
    lines = {"z, the fast point": fast, "plain SGD": plain, "x, the average": mean}
    return {name: numpy.array(line) for name, line in lines.items()}


class _Mixed:
    """Muon for hidden matrices and AdamW for all the others, which step together.

    Args:
        hidden: stacked matrices or kernels. A kernel ``[N, out, in, rows, columns]`` is stepped as the matrices
            ``[N, out, in * rows * columns]``.
        muon: over the same weights, as matrices.
        adamw: over the others.
    """

    def __init__(self, hidden: list[Tensor], muon: Optimizer, adamw: Optimizer) -> None:
        self.hidden, self.parts = hidden, (muon, adamw)
        self.param_groups = muon.param_groups + adamw.param_groups

    def step(self) -> None:
        muon, adamw = self.parts
        for p, matrix in zip(self.hidden, muon.param_groups[0]["params"], strict=True):
            assert p.grad is not None
            matrix.grad = p.grad.flatten(2)
        muon.step()
        adamw.step()


def _muon(groups: list[dict[str, Any]], everywhere: bool = False, **options: Any) -> _Mixed:
    """Muon for hidden matrices and kernels, in AdamW's units of the rate, and AdamW for the others.

    Args:
        groups: of stacked parameters, each with its ``lr``; the first holds those for Muon.
        everywhere: whether all other matrices and kernels are Muon's too.
        options: of Muon.
    """
    hidden, *others = groups
    params = list(hidden["params"])
    if everywhere:
        params += [p for group in others for p in group["params"] if p.ndim > 2]
        others = [group for group in others if group["params"][0].ndim == 2]
    matrices = [p.detach().flatten(2) for p in params]  # which share their memory
    flat = {"params": matrices, "lr": hidden["lr"].flatten(2)}
    muon = Muon([flat], weight_decay=0, adjust_lr_fn="match_rms_adamw", **options)
    return _Mixed(params, muon, AdamW(others, weight_decay=0))


RULES: dict[str, Callable[[list[dict[str, Any]]], Any]] = {  # without decay; each group brings its lr
    "AdamW": functools.partial(AdamW, weight_decay=0),
    "NAdam": NAdam,
    "RAdam": RAdam,
    "Lion": functools.partial(from_rule(rules.lion), lr=1.0),
    AVERAGED: functools.partial(from_rule(rules.schedule_free_adamw), lr=1.0),
    "Muon": _muon,
}
LONG, AS_LONG, AS_LONG_TEXT = "AdamW longer", 8 / 3, 1.4  # in as many operations as Muon: on the MLP, on the text
CONTROLS: dict[str, Callable[[list[dict[str, Any]]], Any]] = {  # what takes Muon apart where all get all treatments
    "length alone": functools.partial(_muon, ns_steps=0),  # its mean gradient over its length, not orthogonalized
    "Muon on all": functools.partial(_muon, everywhere=True),
    LONG: RULES["AdamW"],
}
ENTRANTS = ("AdamW", COSINE, AVERAGE, *list(RULES)[1:])  # of the race on four tasks
MATRIX = Task(lambda seed: small_net(64, 32, 32, 10, seed=seed), **DIGITS, steps=120, tuning=range(6))
LONGER = replace(MATRIX, steps=400)
LOWER = (0.000215, 0.000464, *LRS)  # in 400 steps Lion's best rate is below 0.00215
RACES = {"digits, MLP": MATRIX, "digits, 400 steps": LONGER}
TEXT = "text, transformer"
RACES |= {name: TASKS[name] for name in ("digits, CNN", TEXT)}
MINIBATCHES = {8: 6.21, 32: AS_LONG, 128: 1.45}  # of the digits, and how many AdamW's steps one of Muon's costs
DEPTHS = {2: AS_LONG, 3: 3.45, 4: 3.89}  # the same for networks of so many hidden layers, in minibatches of 32
STORED = Path(__file__).with_name("after_adam.json")


def raced(task: Task = MATRIX, racing: Iterable[int] = RACING, lrs: Sequence[float] = LRS) -> dict[str, dict[str, Any]]:
    """Each of the entrants on a task by the rules of lesson 11, in the form of `edu_optim.contest.hold_race`.

    ``tuning`` is a mean over seeds.

    Args:
        task: of lesson 11, or one like them.
        racing: new seeds with which the best rate of each is raced.
        lrs: learning rates that each of them tries.

    >>> from dataclasses import replace
    >>> list(raced(replace(MATRIX, steps=1, tuning=range(1)), racing=[1]))
    ['AdamW', 'AdamW, cosine', 'AdamW, average', 'NAdam', 'RAdam', 'Lion', 'schedule-free', 'Muon']
    """
    found = {}
    for name in ENTRANTS:
        tried = learned(task, name, lrs, task.tuning)[0].mean(0)
        found[name] = {"lrs": lrs, "tuning": tried.tolist(), "best": lrs[int(tried.argmin())]}
    return again(found, racing, task)


def again(
    results: Mapping[str, Mapping[str, Any]], racing: Iterable[int], task: Task = MATRIX
) -> dict[str, dict[str, Any]]:
    """The same entrants at the same rates, with other seeds.

    Args:
        results: what `raced` returns.
        racing: the seeds.
        task: the one of the results.

    >>> list(again({"Lion": {"best": 0.01}}, [0])["Lion"])
    ['best', 'held_out']
    """
    racing = list(racing)
    return {
        name: {**result, "held_out": learned(task, name, [result["best"]], racing)[1][:, 0].tolist()}
        for name, result in results.items()
    }


def learned(task: Task, name: str, lrs: Sequence[float], seeds: Iterable[int]) -> tuple[Tensor, Tensor]:
    """What an entrant reaches on examples to tune with and held out, each ``[seeds, lrs]``.

    Args:
        task: what is learned, and how long.
        name: of an entrant.
        lrs: learning rates.
        seeds: of the start, the minibatches and the split of the data.

    >>> from dataclasses import replace
    >>> tune, held = learned(replace(MATRIX, steps=60), "AdamW", [0.001, 0.01], [0])
    >>> tune.shape, bool(tune[0, 0] > tune[0, 1])
    (torch.Size([1, 2]), True)
    """
    rule, _, treatment = name.partition(", ")
    decays = (DECAY,) if treatment == "average" else ()
    tune, held = trained(task, rule, lrs, seeds, decays, cosine=treatment == "cosine")
    return tune[-1], held[-1]


def trained(
    task: Task,
    rule: str,
    lrs: Sequence[float],
    seeds: Iterable[int],
    decays: Sequence[float] = (),
    cosine: bool = False,
) -> tuple[Tensor, Tensor]:
    """What a task measures of a rule and of averages of its weights: all networks at once.

    On examples to tune with and held out, each ``[1 + decays, seeds, lrs]``; the first is without an average.

    Args:
        task: what is learned, and how long.
        rule: one of `RULES`, or of `CONTROLS`.
        lrs: learning rates.
        seeds: of the start, the minibatches and the split of the data.
        decays: of averages of the weights, or of what the rule answers with.
        cosine: whether the rate falls along a cosine.

    >>> from dataclasses import replace
    >>> tune, held = trained(replace(MATRIX, steps=2), "Lion", [0.001, 0.01], [0], [0.5])
    >>> tune.shape, held.shape
    (torch.Size([2, 1, 2]), torch.Size([2, 1, 2]))
    """
    seeds = list(seeds)
    nets = [task.model(seed) for seed in seeds for _ in lrs]
    state, _ = torch.func.stack_module_state(nets)  # type: ignore[arg-type]
    scores = torch.vmap(lambda weights, x: torch.func.functional_call(nets[0], weights, x))
    data = [task.data(seed) for seed in seeds]
    optimizer = (RULES | CONTROLS)[rule](
        _groups(nets[0], state, torch.tensor(lrs, dtype=torch.float64).repeat(len(seeds)))
    )
    at_first = [group["lr"] for group in optimizer.param_groups]
    seen = [torch.stack(part) for part in zip(*(learn for learn, *_ in data), strict=True)]
    each = torch.arange(len(seeds))[:, None]
    draws = [torch.Generator().manual_seed(seed) for seed in seeds]
    means = [{key: torch.zeros_like(p) for key, p in state.items()} for _ in decays]
    answer = {key: p.detach() for key, p in state.items()}
    for step in range(task.steps):
        rows = torch.stack([torch.randint(seen[0].shape[1], (task.batch,), generator=draw) for draw in draws])
        inputs, labels = (part[each, rows].repeat_interleave(len(lrs), 0) for part in seen)
        loss = cross_entropies(scores(state, inputs), labels).sum()
        for p, gradient in zip(state.values(), torch.autograd.grad(loss, list(state.values())), strict=True):
            p.grad = gradient
        if cosine:
            for group, lr in zip(optimizer.param_groups, at_first, strict=True):
                group["lr"] = lr * (1 + math.cos(math.pi * step / task.steps)) / 2
        optimizer.step()
        if rule == AVERAGED:
            answer = {key: p.detach() + (1 - 0.9) * optimizer.state[p]["e"] for key, p in state.items()}
        for decay, mean in zip(decays, means, strict=True):
            for key, p in answer.items():
                mean[key].lerp_(p, 1 - decay)
    for decay, mean in zip(decays, means, strict=True):
        for p in mean.values():
            p /= 1 - decay**task.steps
    with torch.no_grad():
        tune, held = (
            torch.stack([_measured(task, scores, one, [parts[at] for parts in data]) for one in (answer, *means)])
            for at in (1, 2)
        )
    return tune, held


def _measured(
    task: Task, scores: Callable[..., Tensor], state: Mapping[str, Tensor], examples: Sequence[Any]
) -> Tensor:
    """What a task measures of stacked networks, ``[seeds, lrs]``, where each seed has its own examples."""
    found = []
    for k, (inputs, labels) in enumerate(examples):
        parts = {key: p.unflatten(0, (len(examples), -1))[k] for key, p in state.items()}
        many = len(next(iter(parts.values())))
        found.append(task.measure(scores(parts, inputs.expand(many, *inputs.shape)), labels))
    return torch.stack(found)


def _groups(net: torch.nn.Module, state: Mapping[str, Tensor], rates: Tensor) -> list[dict[str, Any]]:
    """The stacked parameters of networks like ``net``, each rank with the rates in a shape that broadcasts against it.

    Those for Muon come first: hidden matrices, and all kernels but the first.
    """
    kernels = [p for p in net.parameters() if p.ndim == 4]
    hidden, groups = set(map(id, [*split(net)[0], *kernels[1:]])), {}
    for own, p in zip(net.parameters(), state.values(), strict=True):
        lr = rates.reshape(-1, *[1] * (p.ndim - 1))
        groups.setdefault((id(own) not in hidden, p.ndim), {"params": [], "lr": lr})["params"].append(p)
    return [groups[key] for key in sorted(groups)]


def table(races: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """For each entrant the learning rate and the mean on each task, and whether it beats AdamW at a constant rate.

    ``+`` it beats it, ``-`` it is beaten, ``?`` nobody knows, ``.`` it is it.

    Args:
        races: task -> what `raced` returns.

    >>> good, poor = {"best": 0.1, "held_out": [1.0] * 8}, {"best": 0.01, "held_out": [2.0] * 8}
    >>> print(table({"digits": {"AdamW": poor, "AdamW, cosine": good, "Lion": good}}).partition("AdamW, average")[0])
    optimizer      digits
    AdamW          0.01     2.00 .
    AdamW, cosine  0.1      1.00 +
    <BLANKLINE>
    """
    rows = [f"{'optimizer':15}{''.join(f'{task:21}' for task in races)}"]
    for name in ENTRANTS:
        cells = [
            f"{results[name]['best']:<8}{_mean(results[name]):5.2f} {_sign(name, 'AdamW', results)}"
            for results in races.values()
            if name in results
        ]
        rows.append(f"{name:15}{''.join(f'{cell:21}' for cell in cells)}")
    return "\n".join(map(str.rstrip, rows))


def _sign(name: str, to: str, results: Mapping[str, Mapping[str, Any]]) -> str:
    if name == to:
        return "."
    beats = beaten({one: results[one] for one in (name, to)})
    return "+" if beats[name] else "-" if beats[to] else "?"


def _mean(result: Mapping[str, Any]) -> float:
    return sum(result["held_out"]) / len(result["held_out"])


def treated(
    task: Task = MATRIX,
    tuning: Iterable[int] = range(20),
    racing: Iterable[int] = NEW,
    entrants: Sequence[str] = (*RULES, *CONTROLS),
    longer: float = AS_LONG,
) -> dict[str, dict[str, Any]]:
    """Each rule with a constant rate, a cosine and an average, which choose from the same rates on the same seeds.

    An average chooses its decay too, of five: ``tuning`` is then a list for each decay.

    Args:
        task: what is learned, and how long.
        tuning, racing: seeds to choose with, and to compare with.
        entrants: of `RULES` and `CONTROLS`.
        longer: how many times the steps of the task AdamW longer takes.

    >>> from dataclasses import replace
    >>> found = treated(replace(MATRIX, steps=1), [0], [1])
    >>> list(found)[:4], len(found), len(found["Lion, average"]["tuning"])
    (['AdamW, constant', 'AdamW, cosine', 'AdamW, average', 'NAdam, constant'], 27, 5)
    """
    tuning, racing, found = list(tuning), list(racing), {}
    for rule in entrants:
        run = replace(task, steps=round(longer * task.steps)) if rule == LONG else task
        plain, *averages = trained(run, rule, LRS, tuning, DECAYS)[0].mean(1).tolist()
        falling = trained(run, rule, LRS, tuning, cosine=True)[0][0].mean(0).tolist()
        for treatment, tried in zip(TREATMENTS, ([plain], [falling], averages), strict=True):
            least = [min(row) for row in tried]
            at = least.index(min(least))
            lr, decays = LRS[tried[at].index(least[at])], DECAYS[at : at + 1] if treatment == "average" else ()
            held = trained(run, rule, [lr], racing, decays, treatment == "cosine")[1][-1, :, 0]
            own = {"tuning": tried, "decay": decays[0]} if decays else {"tuning": tried[0]}
            found[f"{rule}, {treatment}"] = {"lrs": LRS, **own, "best": lr, "held_out": held.tolist()}
    return found


def treated_table(results: Mapping[str, Mapping[str, Any]], to: str = "AdamW", digits: bool = True) -> str:
    """For each rule and treatment the mean of what was held out, and two signs as in `table`.

    The first is against ``to`` with the same treatment, the second against the rule's own constant rate.

    Args:
        results: what `treated` returns.
        to: a rule.
        digits: whether the results are digits, in %, which are counted.

    >>> print(treated_table(treatments()).partition("NAdam")[0])
    rule           constant     cosine       average
    AdamW           5.91 . .     4.33 . +     4.17 . +
    <BLANKLINE>
    """
    counts = counted(results) if digits else results
    rows = [f"{'rule':15}{''.join(f'{treatment:13}' for treatment in TREATMENTS)}"]
    for rule in dict.fromkeys(name.partition(", ")[0] for name in results):
        cells = []
        for treatment in TREATMENTS:
            name = f"{rule}, {treatment}"
            signs = (_sign(name, to, counts) for to in (f"{to}, {treatment}", f"{rule}, constant"))
            cells.append(f"{_mean(results[name]):5.2f} {' '.join(signs)}")
        rows.append(f"{rule:15}{''.join(f'{cell:13}' for cell in cells)}")
    return "\n".join(map(str.rstrip, rows))


def by_treatment(results: Mapping[str, Mapping[str, Any]]) -> Figure:
    """The mean of what was held out on the digits and its standard error, for each of `RULES` at each treatment.

    Args:
        results: what `treated` returns.

    >>> [line.get_label() for line in by_treatment(treatments()).axes[0].get_lines()[:6]]
    ['AdamW', 'NAdam', 'RAdam', 'Lion', 'schedule-free', 'Muon']
    """
    lines = {rule: [_mean(results[f"{rule}, {treatment}"]) for treatment in TREATMENTS] for rule in RULES}
    fig = chart(lines, x="", y="held-out digits wrong, %", xticks=range(3), xticklabels=TREATMENTS)
    (ax,) = fig.axes
    ax.legend().remove()
    for place, (line, rule) in enumerate(zip(ax.get_lines(), RULES, strict=True)):
        at = numpy.arange(3) + 0.1 * (place - 2.5)
        held = [results[f"{rule}, {treatment}"]["held_out"] for treatment in TREATMENTS]
        errors = numpy.std(held, axis=1, ddof=1) / len(held[0]) ** 0.5
        line.set(xdata=at, linestyle="none", marker="s" if rule == AVERAGED else line.get_marker())
        ax.errorbar(at, lines[rule], errors, color=line.get_color(), linestyle="none", capsize=3, label="_")
    label_ends(ax)
    return fig


def counted(results: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, list[int]]]:
    """How many of the 360 held-out digits are wrong: with whole numbers, forty seeds can be tested.

    >>> counted({"Lion": {"held_out": [0.27778, 100.0]}})
    {'Lion': {'held_out': [1, 360]}}
    """
    return {name: {"held_out": [round(3.6 * wrong) for wrong in race["held_out"]]} for name, race in results.items()}


def race_and_write(to: str, new: str) -> None:
    """Hold the race on four tasks, in about an hour, and write it to a file, and what `treated` returns to another.

    >>> race_and_write("after_adam.json", "after_adam_treatments.json")  # doctest: +SKIP
    """
    begun = time.monotonic()
    results = {name: raced(task, lrs=LOWER if task is LONGER else LRS) for name, task in RACES.items()}
    Path(to).write_text(as_text(circumstances(begun), results), "utf-8")
    begun = time.monotonic()
    found = {"digits, MLP": treated()}
    found[TEXT] = treated(RACES[TEXT], RACES[TEXT].tuning, RACING, ("Muon", LONG), AS_LONG_TEXT)
    alike = MATRIX.tuning, NEW, ("AdamW", "Muon", LONG)
    for batch in (8, 128):
        found[f"digits, minibatches of {batch}"] = treated(replace(MATRIX, batch=batch), *alike, MINIBATCHES[batch])
    for depth in (3, 4):
        found[f"digits, {depth} hidden layers"] = treated(deeper(depth), *alike, DEPTHS[depth])
    Path(new).write_text(as_text(circumstances(begun), found), "utf-8")


def deeper(depth: int) -> Task:
    """The race's digits for a network of so many hidden layers of 32 units.

    >>> len(list(deeper(3).model(0).parameters()))
    8
    """
    return replace(MATRIX, model=lambda seed: small_net(64, *[32] * depth, 10, seed=seed))


def stored() -> dict[str, Any]:
    """The race that is stored with the course, in the form of `edu_optim.contest.stored`.

    >>> list(stored()["results"])
    ['digits, MLP', 'digits, 400 steps', 'digits, CNN', 'text, transformer']
    """
    return json.loads(STORED.read_text("utf-8"))


def treatments(task: str = "digits, MLP") -> dict[str, dict[str, Any]]:
    """What `treated` returned, stored with the course.

    Args:
        task: or `TEXT`, with Muon and AdamW longer only, or the digits in minibatches of 8 or 128, or with 3 or 4
            hidden layers, and AdamW too.

    >>> {len(result["held_out"]) for result in treatments().values()}
    {40}
    """
    return json.loads(STORED.with_name("after_adam_treatments.json").read_text("utf-8"))["results"][task]


def hidden_layer(steps: int = 60, seed: int = 0) -> dict[int, Tensor]:
    """The singular values of Muon's mean gradient in the race's hidden layer, over the length of the matrix.

    At the first step and ``steps`` later, ``[32]`` each, as Muon trains the network in float64 at the rate of the race.

    >>> [(step, len(values)) for step, values in hidden_layer(2).items()]
    [(1, 32), (3, 32)]
    """
    (images, labels), *_ = MATRIX.data(seed)
    net, draw = MATRIX.model(seed).double(), torch.Generator().manual_seed(seed)
    matrices, others = split(net)
    muon = Muon(matrices, lr=0.01, weight_decay=0, adjust_lr_fn="match_rms_adamw")
    adamw = AdamW(others, lr=0.01, weight_decay=0)
    mean, found = torch.zeros((), dtype=torch.float64), {}
    for step in range(1, steps + 2):
        rows = torch.randint(len(images), (MATRIX.batch,), generator=draw)
        net.zero_grad()
        torch.nn.functional.cross_entropy(net(images[rows].double()), labels[rows]).backward()
        gradient = matrices[0].grad
        assert gradient is not None
        mean = 0.95 * mean + 0.05 * gradient
        if step in (1, steps + 1):
            values = torch.linalg.svdvals(0.95 * mean + 0.05 * gradient)
            found[step] = values / values.norm()
        muon.step()
        adamw.step()
    return found


def brought(rule: Callable[..., Any], sizes: Tensor) -> Tensor:
    """What singular values become, each of a matrix of length 1, ``[n]``.

    Args:
        rule: `edu_optim.later.rules.orthogonal`, or one that is called like it.
        sizes: of the singular values, between 0 and 1, ``[n]``.

    >>> brought(rules.orthogonal, torch.tensor([0.001, 0.1], dtype=torch.float64))
    tensor([0.4705, 0.7121], dtype=torch.float64)
    """
    both = torch.stack([sizes, (1 - sizes**2).clamp(min=0).sqrt()], -1)
    return rule(torch.diag_embed(both))[..., 0, 0]


def near_one(rule: Callable[..., Any], layer: Mapping[int, Tensor]) -> Figure:
    """How far a layer's last step reaches in each direction, and the curve of what a rule makes of a singular value.

    On the left stand the singular values of that step, with momentum and with the rule; on the right, on the curve,
    those at all steps, but for what is below 1e-6.

    Args:
        rule: as in `brought`.
        layer: step -> singular values, as `hidden_layer` returns them.

    >>> fig = near_one(rules.orthogonal, {1: torch.tensor([0.5, 0.1], dtype=torch.float64)})
    >>> [[line.get_label() for line in ax.get_lines()] for ax in fig.axes]
    [['momentum', 'Muon'], ['five iterations', 'step 1']]
    """
    fig, (left, right) = figure(2, width=11.5, height=3.6, sharey=True)
    *_, (step, last) = layer.items()
    for name, reach, color, look in (
        ("momentum", last / last.max(), BLUE, "o-"),
        ("Muon", brought(rule, last), RED, "s-"),
    ):
        left.plot(range(1, len(last) + 1), reach, look, color=color, label=name)
    left.set(xlabel="direction, from the longest", ylabel="how far the step reaches", title=f"step {step}")
    label_ends(left)
    sizes = torch.logspace(-6, 0, 241, dtype=torch.float64)
    right.plot(sizes, brought(rule, sizes), color="0.6", label="five iterations")
    for (step, values), color, marker in zip(layer.items(), (GREEN, RED), "os", strict=False):
        seen = values[values > 1e-6]
        right.plot(seen, brought(rule, seen), marker, color=color, alpha=0.7, label=f"step {step}")
    right.set(xscale="log", xlabel="singular value over the matrix's length, log scale")
    right.set(title="what five iterations make of it")
    right.legend(loc="upper left")
    return fig


if __name__ == "__main__":
    race_and_write(*sys.argv[1:])
