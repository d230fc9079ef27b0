"""Lesson 11, the race: the stored one and the edge of stability as experiments, and the lesson's drawings and runs."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ..contest import COUNTS, TASKS, beaten, flip_test
from ..optimizers import SGD, Adam, RMSprop
from ..plot import BLUE, GREEN, ORANGE, RED, figure, label_ends, look, plain_ticks
from ..problems import digits, small_net
from ..trace import MakeOptimizer, sharpness
from .comparison import as_class
from .controls import choice, rate, slider
from .experiment import Experiment

SQUARED, ENTROPY = "squared error", "cross-entropy"
STEPS, EVERY = 600, 10  # steps of an experiment, and how many lie between two looks at the sharpness
TREMOR = 1e-5  # how much each weight trembles


def play(results: Mapping[str, Mapping[str, Any]]) -> Experiment:
    """Two optimizers of a race on one of its tasks, over the first few of its seeds.

    Args:
        results: of each task, as `edu_optim.contest.hold_race` returns them.

    >>> from edu_optim.contest import stored
    >>> play(stored()["results"]).at(task="digits, CNN", seeds=8).numbers["p"]
    0.015625
    """
    names = [*next(iter(results.values()))]
    return Experiment(
        _raced,
        columns=2,
        height=3.8,
        task=choice("task", *results),
        first=choice("one", *names[2:], *names[:2]),
        second=choice("the other", *names[1:], *names[:1]),
        seeds=slider(
            "seeds", "", 3, 1, min(len(row["held_out"]) for rows in results.values() for row in rows.values())
        ),
        results=results,
    )


def _raced(
    axes: Any, *, task: str, first: str, second: str, seeds: int, results: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Left, one less the other with each seed, their mean dashed; right, p of the seeds so far, 0.01 dashed."""
    one, other = (results[task][name]["held_out"] for name in (first, second))
    apart = torch.tensor(one, dtype=torch.float64) - torch.tensor(other, dtype=torch.float64)
    every, seen, reach = range(1, len(apart) + 1), apart[:seeds], 1.15 * apart.abs().max().item() or 1.0
    ps = [flip_test(one[:n], other[:n]) for n in every[:seeds]]
    axes[0].axhline(0, color="0.5", linewidth=1, label="_zero")
    axes[0].plot(every[:seeds], seen, "o", color=BLUE, label="_seeds")
    axes[0].axhline(seen.mean(), color=BLUE, linestyle="--", label="_mean")
    axes[0].set(ylabel=TASKS[task].unit, ylim=(-reach, reach), title=f"{first} less {second}")
    axes[1].plot(every[:seeds], ps, "o-", color=BLUE, label="_p")
    axes[1].axhline(COUNTS, color=RED, linestyle="--", label="_counts")
    axes[1].set(ylabel="p, log scale", yscale="log", ylim=(0.001, 1.4), title="p")
    for ax, words in zip(axes, ("seed", "seeds so far"), strict=True):
        ax.set(xlabel=words, xlim=(0.5, len(apart) + 0.5), xticks=every)
    ahead = first if seen.sum() < 0 else second
    return {
        f"mean of {first}": sum(one[:seeds]) / seeds,
        f"mean of {second}": sum(other[:seeds]) / seeds,
        "p": ps[-1],
        "verdict": f"{ahead} beats {second if ahead == first else first}" if ps[-1] < COUNTS else "we do not know",
    }


def edge(optimizer: Callable[..., Any] | None = None) -> Experiment:
    """The loss of a network on 500 digits, and its sharpness beside 2 / lr, while the whole data train it.

    Args:
        optimizer: your class or rule, which trains in the place of gradient descent; it is passed ``lr`` alone.

    >>> numbers = edge().at(lr=0.6).numbers
    >>> f"{numbers['2 / lr']:.2f}, {numbers['sharpness, last 200 steps']:.1f}"
    '3.33, 3.4'
    """
    return Experiment(
        _edge,
        columns=2,
        height=3.8,
        lr=rate("learning rate", "", 0.6, 0.2, 1.2),
        loss=choice("loss", SQUARED, ENTROPY),
        optimizer=SGD if optimizer is None else as_class(optimizer),
    )


def _edge(axes: Any, *, lr: float, loss: str, optimizer: MakeOptimizer) -> dict[str, Any]:
    """The loss on the left; on the right the sharpness, and 2 / lr as a dashed line."""
    losses, sharp = at_the_edge(optimizer, lr, loss)
    axes[0].plot(losses, color=BLUE)
    axes[0].set(xlabel="step", ylabel=f"{loss}, log scale", yscale="log")
    plain_ticks(axes[0].yaxis)
    axes[1].plot(range(0, STEPS, EVERY), sharp, color=BLUE, label="sharpness")
    axes[1].axhline(2 / lr, color=RED, linestyle="--", label="2 / lr, edge of plain descent")
    axes[1].set(xlabel="step", ylabel="sharpness", ylim=(0, 1.25 * max(2 / lr, max(sharp))))
    axes[1].legend(loc="lower right")
    late = torch.tensor(sharp[-200 // EVERY :]).mean()
    rises = (losses.diff()[-200:] > 0).sum()
    return {
        "2 / lr": 2 / lr,
        "sharpness at the start": sharp[0],
        "sharpness, last 200 steps": late,
        "steps uphill of the last 200": rises,
        "loss, mean of the last 50": losses[-50:].mean(),
    }


@functools.cache
def at_the_edge(optimizer: MakeOptimizer, lr: float, loss: str = SQUARED) -> tuple[Tensor, list[float]]:
    """The loss before each of 600 steps with the whole data, and the sharpness before every tenth.

    After each step all weights tremble by about 1e-5. Without that the trembling that grows at the edge is the
    rounding of the processor, and every kind of processor goes another way.

    >>> losses, sharp = at_the_edge(SGD, 0.6, SQUARED)
    >>> len(losses), len(sharp)
    (600, 60)
    """
    images, labels = digits()
    images, labels = (images - images.mean(0))[:500], labels[:500]
    wanted = torch.nn.functional.one_hot(labels, 10).double()
    net, tremor = small_net(64, 16, 16, 10), torch.Generator().manual_seed(1)
    weights = list(net.parameters())
    runner, direction, losses, sharp = optimizer(weights, lr=lr), None, [], []
    for step in range(STEPS):
        scores = net(images)
        if loss == SQUARED:
            value = ((scores - wanted) ** 2).sum(1).mean() / 2
        else:
            value = torch.nn.functional.cross_entropy(scores, labels)
        if step % EVERY == 0:
            found, direction = sharpness(value, weights, 30 if direction is None else 5, direction)
            sharp.append(found)
        runner.zero_grad()
        value.backward()
        runner.step()
        losses.append(value.detach())
        with torch.no_grad():
            for p in weights:
                p.add_(torch.randn(p.shape, generator=tremor, dtype=p.dtype), alpha=TREMOR)
    return torch.stack(losses), sharp


def three_edges(*lrs: float) -> Figure:
    """The sharpness while gradient descent trains with each of these learning rates, and 2 / lr beside it, dashed.

    >>> [line.get_label() for line in three_edges(0.6).axes[0].get_lines()]
    ['lr 0.6', '_2 / 0.6']
    """
    fig, ax = figure(height=4)
    for number, lr in enumerate(lrs):
        color = (BLUE, ORANGE, GREEN)[number]
        ax.plot(range(0, STEPS, EVERY), at_the_edge(SGD, lr, SQUARED)[1], color=color, label=f"lr {lr}")
        ax.axhline(2 / lr, color=color, linestyle="--", linewidth=1, label=f"_2 / {lr}")
    ax.set(xlabel="step", ylabel="sharpness; dashed: 2 / lr", ylim=(0, None))
    label_ends(ax)
    return fig


def wall(lrs: Sequence[float]) -> tuple[Figure, float]:
    """The loss of the last 50 steps of gradient descent against its learning rate; gray where it is infinite.

    Returns the figure, and the rate beyond which a bowl as sharp as the start would throw the weights out.

    >>> fig, bowl = wall([0.6, 1.6])
    >>> f"{bowl:.2f}"
    '0.73'
    """
    runs = [at_the_edge(SGD, lr, SQUARED) for lr in lrs]
    ends, bowl = [losses[-50:].mean().item() for losses, _ in runs], 2 / runs[0][1][0]
    fig, ax = figure(height=3.2)
    ax.plot(lrs, ends, "o-", color=BLUE, label="loss")
    ax.axvline(bowl, color=RED, linestyle="--", label="_wall of the bowl")
    ax.text(bowl + 0.02, 0.9, "a bowl's wall", color=RED, transform=ax.get_xaxis_transform())
    beyond = [lr for lr, end in zip(lrs, ends, strict=True) if not math.isfinite(end)]
    if beyond:
        ax.axvspan(beyond[0], lrs[-1], color="0.85", label="_infinite")
        ax.text(beyond[0] + 0.02, 0.5, "infinite", transform=ax.get_xaxis_transform())
    ax.set(xlabel="learning rate", ylabel=f"{SQUARED}, last 50 steps", ylim=(0, None))
    return fig, bowl


def sensitivity(results: Mapping[str, Mapping[str, Any]], unit: str) -> Figure:
    """What was measured against the learning rate, a panel for each optimizer: thin each seed, thick their mean.

    Dotted, and in the title, is the rate that was chosen.

    Args:
        results: of one task, as `edu_optim.contest.hold_race` returns them.
        unit: of what was measured.

    >>> one = {"lrs": [0.1, 1, 10], "tuning": [[3, 4], [1, 2], [5, 6]], "best": 1}
    >>> fig = sensitivity({"SGD": one, "Adam": one}, "error, %")
    >>> [ax.get_title() for ax in fig.axes]
    ['SGD: 1', 'Adam: 1']
    """
    columns = min(4, len(results))
    fig, axes = figure(columns, -(-len(results) // columns), width=10, height=2.6, sharey=True, squeeze=False)
    for ax, (name, result) in zip(axes.flat, results.items(), strict=True):
        tuning = torch.tensor(result["tuning"], dtype=torch.float64)
        color = look(name)["color"]
        for number, seed in enumerate(tuning.T):
            ax.plot(result["lrs"], seed, color=color, linewidth=0.7, alpha=0.6, label=f"_seed {number}")
        ax.plot(result["lrs"], tuning.mean(1), color=color, linewidth=2.2, label="mean")
        ax.axvline(result["best"], color="0.3", linestyle=":", linewidth=1.5, label="_best")
        ax.set(title=f"{name}: {result['best']:g}", xscale="log", yscale="log")
    fig.supxlabel("learning rate, log scale", fontsize=11)
    fig.supylabel(f"{unit}, log scale", fontsize=11)
    return fig


def finish(results: Mapping[str, Mapping[str, Any]], unit: str) -> Figure:
    """Each seed of the race as a dot, and who beats whom: filled where p is below 0.01, else nobody knows.

    Seeds that are further off than five times what lies between the best and the median stand as an arrow at the
    edge, with their numbers.

    Args:
        results: of one task, as `edu_optim.contest.hold_race` returns them.
        unit: of what was measured.

    >>> fig = finish({"SGD": {"held_out": [2.0] * 8}, "Adam": {"held_out": [1.0] * 8}}, "error, %")
    >>> [label.get_text() for label in fig.axes[0].get_yticklabels()]
    ['Adam', 'SGD']
    """
    held_out = {name: torch.tensor(result["held_out"], dtype=torch.float64) for name, result in results.items()}
    order = sorted(held_out, key=lambda name: held_out[name].mean())
    beats = beaten(results)
    fig, (dots, pairs) = figure(2, height=0.6 + 0.38 * len(order), width=10)
    everything = torch.cat(list(held_out.values()))
    edge = everything.median() + 5 * (everything.median() - everything.min())
    for row, name in enumerate(order):
        dots.plot(held_out[name], [row] * len(held_out[name]), "o", color=look(name)["color"], alpha=0.5, label=name)
        dots.plot(held_out[name].mean(), row, "|", color="0", markersize=16, label=f"_mean of {name}")
        if far := [f"{error:.2f}" for error in sorted(held_out[name].tolist()) if error > edge]:
            there = f"off, at {', '.join(far)} \N{RIGHTWARDS ARROW}"
            dots.annotate(there, (1, row), xycoords=("axes fraction", "data"), ha="right", va="center")
    if (everything > edge).any():
        dots.set_xlim(right=edge.item())
    won = [(order.index(other), row) for row, name in enumerate(order) for other in beats[name]]
    if won:
        pairs.plot(*zip(*won, strict=True), "s", color=BLUE, markersize=14, label="beats")
    else:
        white = {"facecolor": "1", "edgecolor": "1"}
        pairs.text(0.5, 0.5, "no pair counts", ha="center", va="center", transform=pairs.transAxes, bbox=white)
    for ax in (dots, pairs):
        ax.set(yticks=range(len(order)), yticklabels=order, ylim=(len(order) - 0.5, -0.5))
    dots.set(xlabel=unit)
    pairs.set(xticks=range(len(order)), xlim=(-0.5, len(order) - 0.5), title="the row beats the column")
    pairs.set_xticklabels(order, rotation=45, ha="right")
    pairs.grid(color="0.9")
    return fig


def differences(panels: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]]) -> Figure:
    """Pairs seed by seed: a dot for each difference, their mean as a bar, and p beside them.

    The gray reaches as far as a true difference of one spread of the dots, the light gray as far as one and a half: of
    ten seeds the first is noticed at p below 0.01 about every second time, the second nine times in ten.

    Args:
        panels: what is measured -> name -> what two have reached with the same seeds.

    >>> fig = differences({"error": {"SGD less Adam": ([2.0] * 8, [1.0] * 8)}})
    >>> [text.get_text() for text in fig.axes[0].texts]
    ['p', '0.008']
    """
    rows, gray = [len(pairs) for pairs in panels.values()], {}
    fig, axes = figure(1, len(rows), 8, 1.2 + 0.5 * sum(rows) / len(rows), squeeze=False, height_ratios=rows)
    for ax, (unit, pairs) in zip(axes.flat, panels.items(), strict=True):
        ax.use_sticky_edges = False  # or the widest gray would touch the frame on its left
        ax.annotate("p", (1.03, 1), (0, 4), xycoords="axes fraction", textcoords="offset points")
        for row, (name, (a, b)) in enumerate(pairs.items()):
            apart = torch.tensor(a, dtype=torch.float64) - torch.tensor(b, dtype=torch.float64)
            for reach, shade in ((1.5, "0.92"), (1, "0.8")):
                far = reach * apart.std().item()
                gray[reach] = ax.barh(row, 2 * far, 0.8, -far, color=shade, label=f"noticed, {name}")
            ax.plot(apart, [row] * len(apart), "o", color=BLUE, alpha=0.6, label=name)
            ax.plot(apart.mean(), row, "|", color="0", markersize=24, markeredgewidth=2, label=f"_mean of {name}")
            ax.text(1.03, row, f"{flip_test(a, b):.3f}", va="center", transform=ax.get_yaxis_transform())
        ax.axvline(0, color="0.5", linewidth=1, label="_zero")
        ax.set(xlabel=unit, yticks=range(len(pairs)), yticklabels=pairs, ylim=(len(pairs) - 0.5, -0.5))
    often = "a true difference as large is noticed every second time", "nine times in ten"
    fig.legend([gray[1], gray[1.5]], often, loc="outside lower center", ncols=2)
    return fig


def kept(round_to: Callable[[Tensor], Tensor], *, lr: float = 1e-4, steps: int = 2000) -> Tensor:
    """The loss before each step while Adam teaches a network the digits, whose weights are rounded after each step.

    All arithmetic is float64, so nothing but the rounding of the weights differs from run to run.

    Args:
        round_to: a tensor -> what is kept of it.

    >>> losses = kept(lambda weights: weights, lr=0.01, steps=200)
    >>> losses[0] > 2.2 and losses[-1] < 0.5
    tensor(True)
    """
    images, labels = digits()
    net, draws = small_net(64, 32, 10), torch.Generator().manual_seed(0)
    runner, losses = Adam(net.parameters(), lr=lr), []
    for _ in range(steps):
        drawn = torch.randint(len(images), (32,), generator=draws)
        loss = torch.nn.functional.cross_entropy(net(images[drawn]), labels[drawn])
        runner.zero_grad()
        loss.backward()
        runner.step()
        losses.append(loss.detach())
        with torch.no_grad():
            for p in net.parameters():
                p.copy_(round_to(p))
    return torch.stack(losses)


def smooth(losses: Tensor, over: int = 50) -> tuple[Tensor, Tensor]:
    """The mean of each ``over`` losses in a row, and the step in its middle.

    >>> smooth(torch.tensor([1.0, 3.0, 5.0, 7.0]), over=2)
    (tensor([1., 3.]), tensor([2., 6.]))
    """
    means = losses.reshape(-1, over).mean(1)
    return torch.arange(len(means)) * over + over / 2, means


PLATE = {"boxstyle": "square,pad=0.1", "color": "1", "alpha": 0.8}  # under a name that stands on lines
RUNS = {"SGD": (SGD, 1.0), "RMSprop": (RMSprop, 0.01), "Adam": (Adam, 0.03)}


def paths_through_weights(steps: int = 100) -> tuple[Callable[[Tensor], float], dict[str, Tensor], list[torch.Size]]:
    """A loss of 500 digits as a function of 1,210 weights in a row, and the paths ``[steps + 1, 1210]`` of three.

    The third is the shapes of the parameters that the weights are.

    >>> loss, paths, shapes = paths_through_weights(steps=3)
    >>> paths["Adam"].shape, shapes[0], f"{loss(paths['Adam'][0]):.1f}"
    (torch.Size([4, 1210]), torch.Size([16, 64]), '2.3')
    """
    images, labels = (values[:500] for values in digits())
    net, paths = small_net(64, 16, 10), {}
    start = torch.nn.utils.parameters_to_vector(net.parameters()).detach().clone()

    def loss_of_net() -> Tensor:
        return torch.nn.functional.cross_entropy(net(images), labels)

    @torch.no_grad()
    def loss(weights: Tensor) -> float:
        torch.nn.utils.vector_to_parameters(weights, net.parameters())
        return loss_of_net().item()

    for name, (optimizer, lr) in RUNS.items():
        torch.nn.utils.vector_to_parameters(start.clone(), net.parameters())
        runner, path = optimizer(net.parameters(), lr=lr), [start]
        for _ in range(steps):
            runner.zero_grad()
            loss_of_net().backward()
            runner.step()
            path.append(torch.nn.utils.parameters_to_vector(net.parameters()).detach().clone())
        paths[name] = torch.stack(path)
    return loss, paths, [p.shape for p in net.parameters()]


def filter_normalized(weights: Tensor, shapes: Sequence[torch.Size], seed: int) -> Tensor:
    """A random direction in which each row of each matrix is as long as that row of ``weights``, and biases rest.

    Source: H. Li et al. 2018, Visualizing the loss landscape of neural nets, arXiv 1712.09913.

    >>> filter_normalized(torch.tensor([3.0, 4.0, 9.0]), [torch.Size([1, 2]), torch.Size([1])], seed=0).norm()
    tensor(5.)
    """
    generator, parts = torch.Generator().manual_seed(seed), []
    for part, shape in zip(weights.split([shape.numel() for shape in shapes]), shapes, strict=True):
        drawn = torch.randn(shape, generator=generator, dtype=weights.dtype)
        rows = part.reshape(shape)
        own = drawn / drawn.norm(dim=-1, keepdim=True) * rows.norm(dim=-1, keepdim=True)
        parts.append((own if len(shape) > 1 else torch.zeros_like(drawn)).reshape(-1))
    return torch.cat(parts)


def surface(points: int = 25) -> tuple[Figure, dict[str, dict[str, float]]]:
    """The loss where three paths run, in two planes through the end of Adam's; and what the planes miss of the paths.

    The planes are along two random, filter-normalized directions, and along the two in which the paths extend most.

    Returns the figure and, for each plane, the ``share`` of the paths' squared distance that it holds and the loss
    ``at the start`` as it shows it, under the paths' first point; and that loss as it is.

    >>> fig, held = surface(points=3)
    >>> [f"{plane['share']:.2f}" for plane in held.values()]
    ['0.00', '0.96']
    """
    loss, paths, shapes = paths_through_weights()
    center = paths["Adam"][-1]
    apart = torch.cat(list(paths.values())) - center
    own = torch.linalg.svd(apart, full_matrices=False).Vh[:2]
    planes = {
        "random directions": torch.stack([filter_normalized(center, shapes, seed) for seed in (1, 2)]),
        "the paths' own directions": own * (own @ apart[0]).sign()[:, None],  # towards the start, on every machine
    }
    fig, axes = figure(2, height=4.4)
    held = {}
    for ax, (title, plane) in zip(axes, planes.items(), strict=True):
        places = {name: torch.linalg.lstsq(plane.T, (path - center).T).solution.T for name, path in paths.items()}
        seen = torch.cat(list(places.values())) @ plane
        held[title] = {
            "share": ((seen**2).sum() / (apart**2).sum()).item(),
            "at the start": loss(center + seen[0]),
            "in truth": loss(center + apart[0]),
        }
        _landscape(ax, lambda x, y, plane=plane: loss(center + x * plane[0] + y * plane[1]), places, points)
        wide = ax.get_xlim()[1] - ax.get_xlim()[0]
        ax.set(title=f"{title}, {wide:.2g} wide", xlabel="first direction", ylabel="second direction")
    return fig, held


def _landscape(ax: Axes, height: Callable[[Tensor, Tensor], float], places: Mapping[str, Tensor], points: int) -> None:
    """The level lines of a height where paths run, each with its number, and the paths, each with its name."""
    everywhere = torch.cat(list(places.values()))
    low, high = everywhere.min(0).values, everywhere.max(0).values
    reach = 0.65 * (high - low).max()
    sides = [
        torch.linspace(float(at - reach), float(at + reach), points, dtype=torch.float64) for at in (low + high) / 2
    ]
    heights = torch.tensor([[height(x, y) for x in sides[0]] for y in sides[1]])
    levels = torch.logspace(heights.min().log10(), heights.max().log10(), 9)
    lines = ax.contour(*sides, heights, levels=levels, colors="0.6", linewidths=0.9)
    middle, spots = (low + high) / 2, []
    for line in filter(None, lines.allsegs):
        along = torch.from_numpy(numpy.concatenate(line))
        along = along[((along - middle).abs() < 0.9 * reach).all(1)]  # where there is room for a number
        if len(along):
            spots.append(along[torch.cdist(along, everywhere).amin(1).argmax()].tolist())
    ax.clabel(lines, fmt=lambda level: f"{level:.2g}", fontsize=9, manual=spots)
    for name, place in places.items():
        ax.plot(*place.T, label=name, markevery=20, markersize=4, **look(name))
    for name, at, color in [("start", everywhere[0], "0"), *((n, p[-1], look(n)["color"]) for n, p in places.items())]:
        ax.annotate(name, at.tolist(), (0, -15), textcoords="offset points", ha="center", color=color, bbox=PLATE)


def weights(fitted: Mapping[str, Tensor]) -> Figure:
    """A bar for each weight of the 6 by 33 example, a panel for each optimizer.

    Args:
        fitted: name -> 33 weights.

    >>> len(weights({"SGD": torch.zeros(33), "Adam": torch.ones(33)}).axes)
    2
    """
    fig, axes = figure(rows=len(fitted), width=8, height=1.9, sharex=True, sharey=True)
    for ax, (name, row) in zip(axes, fitted.items(), strict=True):
        for first, end, color in ((0, 1, BLUE), (1, 3, ORANGE), (3, len(row), GREEN)):
            ax.bar(range(first, end), row[first:end].tolist(), color=color)
        ax.axhline(0, color="0", linewidth=0.8, label="_zero")
        ax.set(ylabel="weight")
        ax.set_title(name, loc="left")
    names = (0.6, 0.5, "the label", BLUE), (2.6, 0.3, "always 1", ORANGE), (8, 0.15, "seen in one example", GREEN)
    for x, y, words, color in names:
        axes[0].text(x, y, words, color=color)
    axes[-1].set(xlabel="feature")
    return fig
