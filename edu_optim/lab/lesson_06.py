"""The experiments of lesson 06, Rprop's steps, RMSprop's steps and a ravine that turns, and its other pictures."""

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ..optimizers import RMSprop
from ..plot import BLUE, OTHERS, RED, SKY, figure, label_ends, legend_below, look
from ..problems import Problem, digits, quadratic, small_net
from ..rules import gradient_descent, momentum, rmsprop
from ..trace import Trace
from .comparison import overlay, rivals, steps_along
from .controls import rate, slider, switch
from .experiment import Experiment

BEFORE, AFTER = 30, 70  # steps, on either side of the jump
SMALL = 1e-4  # the gradient before the jump


def play(optimizer: Callable[..., Any] | None = None) -> Experiment:
    """The length of each step of RMSprop, along a gradient that jumps once in size.

    Args:
        optimizer: your class or rule, drawn over ours and torch's, with a red cross where it leaves torch's.

    >>> play().at(jump=1000).numbers["step 31 (lr)"]
    3.1622...
    """
    return Experiment(
        _lengths,
        _before_and_after,
        height=4.0,
        window=rate("window", "steps", 10, 1, 1000),
        jump=rate("jump", "times", 10, 0.01, 1000),
        eps=rate("ε", "", 1e-8, 1e-10, 1e-4),
        broken=switch("ε inside the root"),
        optimizer=optimizer,
    )


def _lengths(
    ax: Axes, *, window: float, jump: float, eps: float, broken: bool, optimizer: Callable[..., Any] | None = None
) -> dict[str, Any]:
    """The length of each step, and the highest that a jump can make it, dashed."""
    mine, alpha = _eps_inside if broken else optimizer, 1 - 1 / window
    gradients = [SMALL] * BEFORE + [SMALL * jump] * AFTER
    runners = rivals(RMSprop, mine, lr=1.0, alpha=alpha, eps=eps)
    lines = {name: steps_along(gradients, cls, **own).abs() for name, (cls, own) in runners.items()}
    found = overlay(ax, lines)
    ax.axhline(window**0.5, color=RED, linestyle="--", label="1 / √(1 − α)")
    ax.legend()
    last = list(lines.values())[-1]
    return {"alpha": alpha, **{f"step {n} (lr)": last[n, 1].item() for n in (1, 31, 100)}, **found}


def _eps_inside(p: Tensor, g: Tensor, s: Tensor, *, lr: float, alpha: float = 0.99, eps: float = 1e-8) -> tuple:
    s = alpha * s + (1 - alpha) * g**2
    return p - lr * g / (s + eps) ** 0.5, s  # not torch's place for eps


def _before_and_after(ax: Axes) -> None:
    ax.axvspan(BEFORE + 0.5, 101, color="0.94")
    ax.axhline(1, color="0.6", linewidth=0.8, label="_lr")
    ax.text(29.5, 0.0045, "gradient 0.0001", ha="right")
    ax.text(99.5, 0.0045, "jump times that", ha="right")
    ax.set(xlim=(0, 101), ylim=(0.003, 60), yscale="log", xlabel="step")
    ax.set(ylabel="length of the step in lr, log scale")


WHOLE = 1797  # digits


def growing() -> Experiment:
    """How long Rprop's steps become on all digits at once and, beside them, on minibatches of any size.

    Only weights whose step ever changes are drawn and counted: a pixel that is always blank never moves its own.

    >>> print(growing().at(batch=100))
    batch size (digits): 100
    steps longer than the first: 52%
    halvings among the changes: 23%
    typical step at the end: 0.00241
    """
    return Experiment(
        _steps_on_minibatches,
        _steps_on_all,
        columns=2,
        height=3.9,
        batch=rate("batch size", "digits", 10, 5, WHOLE),
        first=rate("first step", "", 0.003, 0.001, 0.1),
        updates=slider("updates", "", 20, 10, 100, 10),
    )


def _steps_on_minibatches(axes: Any, *, batch: float, first: float, updates: int) -> dict[str, Any]:
    """Rprop's steps, black the typical one: left on all digits at once, right on minibatches."""
    sizes = _draw_steps(axes[1], round(batch), first, updates)
    changes = sizes.diff(dim=0)
    return {
        "steps longer than the first": f"{(sizes[-1] > first).double().mean():.0%}",
        "halvings among the changes": f"{(changes < 0).sum() / (changes != 0).sum():.0%}",
        "typical step at the end": sizes[-1].log().mean().exp(),
    }


def _steps_on_all(axes: Any, first: float, updates: int) -> None:
    _draw_steps(axes[0], WHOLE, first, updates)
    for ax, title in zip(axes, ("All digits at once", "Minibatches"), strict=True):
        ax.axhline(first, color="0.4", linewidth=0.8, linestyle=":", label="_first")
        ax.set(xlim=(0, updates), ylim=(first / 500, 60 * first), yscale="log", xlabel="update", title=title)
        ax.set(ylabel="length of the step, log scale")
        ax.legend(handles=[])


def _draw_steps(ax: Axes, batch: int, first: float, updates: int) -> Tensor:
    """Draws some of the steps that ever change after the first update, and returns them all."""
    sizes = rprop_on_digits(batch, first=first, updates=updates)
    sizes = sizes[:, (sizes != first).any(0)]
    for start, stop, label in ((0, 1, "one weight"), (53, None, "_steps")):
        ax.plot(sizes[:, start:stop:53], color=RED, linewidth=0.8, alpha=0.6, label=label)
    ax.plot(sizes.log().mean(1).exp(), color="black", linewidth=2.5, label="typical")
    ax.legend()
    return sizes


@functools.cache
def rprop_on_digits(batch: int, seed: int = 0, first: float = 0.003, updates: int = 20) -> Tensor:
    """The lengths ``[updates + 1, weights]`` of the steps of torch's Rprop, from the first one on.

    Args:
        batch: how many digits to draw, with replacement, for each update; all of them, undrawn, if there are no more.
        seed: of the net and of the draws.
        first: the length of the first step of each weight.
        updates: how many.

    >>> rprop_on_digits(WHOLE).shape
    torch.Size([21, 1210])
    """
    images, labels = digits()
    net, dice = small_net(64, 16, 10, seed=seed), torch.Generator().manual_seed(seed)
    shapes = [p.shape for p in net.parameters()]
    flat = torch.nn.utils.parameters_to_vector(net.parameters()).detach()
    before, size, sizes = torch.zeros_like(flat), torch.zeros_like(flat), [torch.full_like(flat, first)]
    for _ in range(updates):
        drawn = slice(None) if batch >= WHOLE else torch.randint(WHOLE, (batch,), generator=dice)
        leaf = flat.requires_grad_()
        parts = leaf.split([shape.numel() for shape in shapes])
        weights, biases, above, top = (part.view(shape) for part, shape in zip(parts, shapes, strict=True))
        scores = torch.addmm(top, torch.addmm(biases, images[drawn], weights.T).tanh(), above.T)
        (slopes,) = torch.autograd.grad(torch.nn.functional.cross_entropy(scores, labels[drawn]), leaf)
        flat, before, size = rprop(leaf.detach(), slopes, before, size, lr=first)
        sizes.append(size)
    return torch.stack(sizes)


def windows(*steps: int, alpha: float = 0.9) -> Figure:
    """A figure of how much of RMSprop's window is filled at each of these ``steps``, a panel each.

    >>> [ax.get_title() for ax in windows(1, 10).axes]
    ['Step 1: 10% of the window is filled', 'Step 10: 65% of the window is filled']
    """
    fig, axes = figure(len(steps), squeeze=False)
    for ax, t in zip(axes[0], steps, strict=True):
        edges = torch.arange(-20, t + 1) + 0.5
        share = (1 - alpha) * alpha ** (t - edges[:-1] - 0.5)
        ax.stairs(share[:21], edges[:22], hatch="////", color="0.65", baseline=0)
        ax.stairs(share[20:], edges[20:], fill=True, color=BLUE)
        ax.text(-19, 0.107, "before training: zeros", color="0.35")
        ax.text(t, share[-1] + 0.002, "seen", color=BLUE, ha="center")
        ax.set(xlabel="step", ylabel="share in the mean", ylim=(0, 0.118), xlim=(-20, max(steps) + 2))
        ax.set_title(f"Step {t}: {1 - alpha**t:.0%} of the window is filled")
    return fig


STEPS = 200  # down the ravine, at most
RATES = [10 ** (stop / 8 - 2) for stop in range(17)]  # to choose from, 0.01 to 1
ANGLES = range(0, 46, 5)
LOOKS = {"Rprop": {"color": RED, "linestyle": "-", "marker": "h"}}
LOOKS["signs"] = {"color": BLUE, "linestyle": "--", "marker": "<"}
LOOKS["RMSprop 0.9"] = LOOKS["RMSprop, α = 0.9"] = look("RMSprop") | {"marker": "^", "linestyle": "-."}


def turned(start: tuple[float, float] = (-4, 1)) -> Experiment:
    """A ravine of condition number 25 that turns, and how many steps five rules need down it, as in `quickest`.

    Args:
        start: in the ravine before it is turned.

    >>> print(turned().at(angle=45))
    turn (degrees): 45
    steps, SGD: 43
    steps, momentum: 12
    steps, Rprop: 24
    steps, RMSprop: 56
    steps, RMSprop 0.9: 41
    RMSprop's gradients, y over x: 0.943
    """
    return Experiment(
        _three_paths,
        _ravine_and_steps,
        columns=2,
        height=4.2,
        angle=slider("turn", "degrees", 0, 0, 45),
        start=start,
    )


def _three_paths(axes: Any, *, angle: float, start: tuple[float, float]) -> dict[str, Any]:
    """Left, the quickest paths down the turned ravine; right, how many steps they take at each angle."""
    found = quickest(angle, start=start)
    for name, size in (("momentum", 5), ("RMSprop", 7), ("Rprop", 4)):
        axes[0].plot(*found[name].T, label=name, markersize=size, linewidth=1.4, **_look(name))
    axes[1].axvline(angle, color="0.6", linewidth=1, label="_turn")
    steps = {f"steps, {name}": len(path) - 1 for name, path in found.items()}
    at: Any = quadratic(25, angle).slope
    x, y = torch.tensor([at(*place) for place in found["RMSprop"].tolist()]).T
    return {**steps, "RMSprop's gradients, y over x": y.norm() / x.norm()}


def _ravine_and_steps(axes: Any, angle: float, start: tuple[float, float]) -> None:
    bowl = quadratic(25, angle)
    points = bowl.grid(121, 121)
    axes[0].contour(*points.unbind(-1), bowl(points), levels=[0.1, 0.5, 2, 6, 20, 60], colors="0.8", linewidths=0.8)
    axes[0].plot(0, 0, "+", color="0.2", markersize=10, label="_minimum")
    axes[0].set(xlim=(-5, 2.5), ylim=(-4, max(2.5, start[1] + 0.5)), aspect="equal", xlabel="x", ylabel="y")
    axes[0].set(title="Down the ravine")
    axes[0].legend(handles=[])  # the names stand on the right
    for name in quickest(0, start=start):
        needed = [len(quickest(turn, start=start)[name]) - 1 for turn in ANGLES]
        axes[1].plot(ANGLES, needed, label=name, markersize=5, **_look(name))
    axes[1].set(xlim=(-1, 46), ylim=(0, 62), xlabel="turn (degrees)", ylabel="steps", title="Steps that it takes")
    axes[1].legend()


def _look(name: str) -> dict[str, Any]:
    return LOOKS.get(name) or look(name)


@functools.cache
def quickest(angle: float, condition: float = 25, start: tuple[float, float] = (-4, 1)) -> dict[str, Tensor]:
    """The paths of five rules down a ravine until the loss is below a two-thousandth of the first, ``[steps + 1, 2]``.

    Each is at that of 17 rates that comes down first, momentum also at that of five momenta; RMSprop has
    alpha = 0.99 unless its name says more.

    Args:
        angle: by how many degrees the ravine is turned, and the start with it.
        condition, start: of the ravine, before it is turned.

    >>> {name: len(path) - 1 for name, path in quickest(0).items()}
    {'SGD': 43, 'momentum': 12, 'Rprop': 9, 'RMSprop': 5, 'RMSprop 0.9': 6}
    """
    bowl, paths = quadratic(condition, angle), {}
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    begin = c * start[0] - s * start[1], s * start[0] + c * start[1]
    momenta = [{"momentum": mu} for mu in (0.5, 0.6, 0.7, 0.8, 0.9)]
    tried: dict[str, Any] = {"SGD": (gradient_descent, 0, [{}]), "momentum": (momentum, 1, momenta)}
    tried |= {"Rprop": (rprop, 2, [{}]), "RMSprop": (rmsprop, 1, [{}])}
    tried["RMSprop 0.9"] = (rmsprop, 1, [{"alpha": 0.9}])
    for name, (rule, buffers, choices) in tried.items():
        most = STEPS
        for options, lr in itertools.product(choices, RATES):
            path = _walk(bowl, begin, rule, buffers, lr=lr, most=most, **options)
            if name not in paths or len(path) <= most:
                paths[name], most = path, len(path) - 1
    return {name: torch.tensor(path, dtype=torch.float64) for name, path in paths.items()}


def _walk(
    bowl: Problem, begin: tuple, rule: Callable[..., tuple], buffers: int, most: int = STEPS, **options: float
) -> list:
    """A path on plain numbers, each weight with buffers of its own, of ``most`` steps unless it comes down before."""
    at: Any = bowl.slope
    place, state, path, slope = list(begin), [[0.0] * buffers for _ in "xy"], [begin], at(*begin)
    low = sum(map(math.prod, zip(place, slope, strict=True))) / 2000  # on a bowl, twice the loss is place times slope
    while len(path) <= most and sum(map(math.prod, zip(place, slope, strict=True))) >= low:
        for i, g in enumerate(slope):
            place[i], *state[i] = rule(place[i], g, *state[i], **options)
        path.append(tuple(place))
        slope = at(*place)
    return path


def rprop(p: Any, g: Any, before: Any, size: Any, *, lr: Any, least: float = 1e-6) -> tuple[Any, Any, Any]:
    """Rprop, as torch has it, on plain numbers or on tensors; ``before`` and ``size`` start at 0.

    Args:
        before: the gradient before, 0 where the sign has just flipped.
        size: of the step, which becomes ``lr`` at first.
        least: no step is shorter.

    >>> rprop(0.0, 4.0, 3.0, 0.5, lr=0.1)
    (-0.6, 4.0, 0.6)
    """
    size = size + (lr + 0 * size) * (size == 0)
    same = g * before
    size = size + 0.2 * size * (same > 0) - 0.5 * size * (same < 0)
    size = size + (50 - size) * (size > 50) + (least - size) * (size < least)
    g = g * (same >= 0)
    return p - size * (g > 0) + size * (g < 0), g, size


def learn_digits(
    optimizer: Callable[..., Any],
    rates: Tensor,
    unit: Any = 1.0,
    *,
    falling: bool = False,
    seeds: Iterable[int] = range(7),
    steps: int = 200,
    batch: int = 10,
    **options: Any,
) -> Tensor:
    """The losses ``[seeds]`` on all digits after the last step, at the rate with the lowest median.

    Each is what `edu_optim.train` makes of ``small_net(64, 16, 10, seed=seed)``, with this seed for its draws too; all
    seeds and rates are taught at once.

    Args:
        optimizer: a class of this course, or any that is elementwise.
        rates: a net learns with each, ``[rates]``.
        unit: of each pixel, ``[64]``, which multiplies it and divides its first weights.
        falling: whether each rate falls in a line, to zero after the last step.
        seeds: of the starts, an odd number of them.
        steps, batch: as in `train`.
        options: of the optimizer.

    >>> learn_digits(RMSprop, torch.tensor([0.01, 0.1]), seeds=range(3), steps=9).shape
    torch.Size([3])
    """
    images, labels = digits()
    inputs = images * unit
    batches = [torch.randint(len(labels), (steps, batch), generator=torch.Generator().manual_seed(k)) for k in seeds]
    starts = zip(*(small_net(64, 16, 10, seed=seed).parameters() for seed in seeds), strict=True)
    weights, biases, *top = (torch.stack(each).detach().unsqueeze(1) for each in starts)
    shapes = [weights.mT / torch.as_tensor(unit).reshape(-1, 1), biases.unsqueeze(2), top[0].mT, top[1].unsqueeze(2)]
    net = [each.repeat(1, len(rates), 1, 1).requires_grad_() for each in shapes]
    runner = optimizer([{"params": net, "lr": rates[:, None, None]}], lr=rates, **options)

    def losses(drawn: Tensor) -> Tensor:
        hidden = inputs[drawn].unsqueeze(-3) @ net[0] + net[1]
        scores = (hidden.tanh() @ net[2] + net[3]).log_softmax(-1)
        right = labels[drawn][..., None, :, None].expand(*scores.shape[:-1], 1)
        return -scores.gather(-1, right).mean((-2, -1))

    for t, drawn in enumerate(torch.stack(batches, 1)):
        runner.zero_grad()
        losses(drawn).sum().backward()
        if falling:
            runner.param_groups[0]["lr"] = rates[:, None, None] * (1 - t / steps)
        runner.step()
    with torch.no_grad():
        ends = losses(torch.arange(len(labels)))
    return ends[:, ends.median(0).values.nan_to_num(math.inf).argmin()]


def learn_all(
    tried: Mapping[str, tuple[Callable[..., Any], Mapping[str, Any]]], rates: Tensor, unit: Any = 1.0, **how: Any
) -> dict[str, Tensor]:
    """What `learn_digits` gives for each name.

    Args:
        tried: name -> an optimizer and its options, or more for `learn_digits`.
        rates, unit, how: for `learn_digits`.

    >>> learn_all({"α = 0.9": (RMSprop, {"alpha": 0.9})}, torch.tensor([0.01]), seeds=(1,), steps=9)
    {'α = 0.9': tensor([1.89...], dtype=torch.float64)}
    """
    return {name: learn_digits(cls, rates, unit, **how, **more) for name, (cls, more) in tried.items()}


def by_batch(
    tried: Mapping[str, tuple[Callable[..., Any], Mapping[str, Any]]], batches: Iterable[int] = (10, 20, 50, 100)
) -> dict[str, tuple[list[int], list[float]]]:
    """Batch sizes and the median losses, for each name, of three starts after minibatches of these sizes.

    Args:
        tried: as in `learn_all`; each at the best of four rates, 0.003 to 0.1.
        batches: the sizes.

    >>> by_batch({"RMSprop": (RMSprop, {"steps": 20})}, (10, 30))
    {'RMSprop': ([10, 30], [1.01..., 0.70...])}
    """
    sizes, rates = list(batches), torch.tensor([0.003, 0.01, 0.03, 0.1], dtype=torch.float64)
    ends = [learn_all(tried, rates, seeds=range(3), batch=batch) for batch in sizes]
    return {name: (sizes, [each[name].median().item() for each in ends]) for name in tried}


def dots(
    kinds: Mapping[str, Mapping[str, Tensor]], falling: Mapping[str, Mapping[str, Tensor]] | None = None
) -> Figure:
    """A figure of where rules end, a panel for each kind of data: small marks for the seeds, a large one at the median.

    Args:
        kinds: title -> name of a rule -> the losses of an odd number of seeds, at a constant rate.
        falling: the same at a falling rate, drawn hollow below it.

    >>> fig = dots({"digits": {"SGD": torch.tensor([0.2, 0.3, 0.24])}}, {"digits": {"SGD": torch.tensor([0.1])}})
    >>> [text.get_text() for text in fig.axes[0].texts]
    ['0.24', '0.10']
    """
    fig, axes = figure(len(kinds), height=4.8 if falling else 3.4, squeeze=False, sharex=True, sharey=True)
    series = [(-0.18, "full", kinds), (0.2, "none", falling)] if falling else [(0, "full", kinds)]
    rows = list(dict.fromkeys(name for ends in kinds.values() for name in ends))
    for ax, title in zip(axes[0], kinds, strict=True):
        for shift, fill, found in series:
            for name, losses in found[title].items():
                style, row = _look(name) | {"linestyle": "", "fillstyle": fill}, rows.index(name) + shift
                ax.plot(losses, [row] * len(losses), **style, markersize=5, alpha=0.5, label=f"_seeds of {name}")
                label = name if fill == "full" else f"{name}, falling"
                ax.plot(losses.median(), row, **style, markersize=10, label=label)
                ax.text(losses.max() + 0.02, row, f"{losses.median():.2f}", color=style["color"], va="center")
        ax.set_yticks(range(len(rows)), rows)
        ax.grid(axis="y", color="0.9")
        ax.set(xlabel="loss on all digits" + ("; hollow, at a falling rate" if falling else ""), title=title)
    all_ends = [ends for _, _, found in series for ends in found.values()]
    highest = max(losses.max().item() for ends in all_ends for losses in ends.values())
    axes[0][0].set(xlim=(0, 1.2 * highest), ylim=(len(rows) - 0.5, -0.5))
    return fig


def beside(panels: Mapping[float, Mapping[str, Tensor]]) -> Figure:
    """A figure of losses against the step, a panel for each lr, all at one scale, with the names at line ends.

    >>> fig = beside({0.03: {"plain": torch.tensor([2.0, 0.5])}, 0.01: {"plain": torch.tensor([2.0, 1.5])}})
    >>> [ax.get_title() for ax in fig.axes]
    ['lr 0.03', 'lr 0.01']
    """
    fig, axes = figure(len(panels), width=10, squeeze=False, sharey=True)
    highest = max(losses.max().item() for curves in panels.values() for losses in curves.values())
    for ax, (lr, curves) in zip(axes[0], panels.items(), strict=True):
        for (name, losses), (color, dash, marker) in zip(curves.items(), OTHERS, strict=False):
            ax.plot(losses, color=color, linestyle=dash, marker=marker, markevery=max(1, len(losses) // 8), label=name)
        ax.set(title=f"lr {lr}", xlabel="step", ylabel="loss on the digits", ylim=(0, 1.1 * highest))
        label_ends(ax)
    return fig


def bounces(runs: Mapping[str, Trace], near: str) -> Figure:
    """A figure of the losses of runs, and of where both coordinates of one are in its last ten steps.

    Args:
        runs: name -> a run on a surface, four at most; the first 800 steps are drawn.
        near: the name of the one.

    >>> from edu_optim import descend
    >>> fig = bounces({"one": descend(quadratic(condition=4), RMSprop, steps=20, lr=0.1)}, "one")
    >>> [ax.get_title() for ax in fig.axes]
    ['The loss', 'one: the last ten steps']
    """
    fig, (left, right) = figure(2, width=10)
    for (name, run), (color, dash, _) in zip(runs.items(), OTHERS, strict=False):
        left.plot(run.losses[:801], color=color, linestyle=dash, linewidth=2, label=name)
    left.set(yscale="log", ylim=(1e-10, 100), title="The loss", xlabel="step", ylabel="loss, log scale")
    left.legend()
    legend_below(left)
    points = runs[near].points[-11:]
    steps = range(len(runs[near].points) - len(points), len(runs[near].points))
    for name, along, color, size in zip(
        ("x, on the floor", "y, on the wall"), points.T, (SKY, RED), (12, 5), strict=True
    ):
        right.plot(steps, along, "o-", color=color, markersize=size, linewidth=size / 3, label=name)
    right.axhline(0, color="0.4", linewidth=0.8, label="_minimum")
    right.set(title=f"{near}: the last ten steps", xlabel="step", ylabel="place")
    right.legend()
    legend_below(right)
    return fig
