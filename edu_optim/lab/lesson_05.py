"""The experiment of lesson 05, Adagrad on a ravine that turns, and its pictures of pixels."""

import functools
from collections.abc import Callable, Mapping, Sequence
from math import cos, log, pi, radians, sin
from typing import Any

import numpy
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from torch import Tensor

from ..optimizers import SGD, Adagrad
from ..plot import BLUE, GRAY, LOOKS, RED, figure, look
from ..problems import Problem, digits, quadratic, small_net
from ..trace import Trace, descend, race
from . import nets
from .comparison import against_step, overlay, rivals
from .controls import rate, slider, switch
from .experiment import Experiment
from .surfaces import RAVINE


def play(optimizer: Callable[..., Any] | None = None) -> Experiment:
    """Adagrad on a ravine of condition number 25 that turns, beside SGD at 2 / (m + L).

    Args:
        optimizer: your rule or class, drawn beside ours and torch's; ours runs alone if None.

    >>> print(play().at(angle=45))
    turn (degrees): 45
    squares added up, y over x: 1.05
    own rates at the end, x: 0.0508
    own rates at the end, y: 0.0497
    loss after 50 steps, SGD: 0.00685
    loss after 50 steps, Adagrad: 0.0516
    """
    return Experiment(
        _turned_by,
        _plane_and_losses,
        columns=2,
        height=3.9,
        angle=slider("turn", "degrees", 0, 0, 45),
        lr=rate("learning rate", "", 2.0, 0.1, 10),
        broken=switch("forget the older squares"),
        optimizer=optimizer,
    )


def _turned_by(
    axes: Any, *, angle: float, lr: float, broken: bool, optimizer: Callable[..., Any] | None = None
) -> dict[str, Any]:
    """Left, Adagrad's path down the ravine, over SGD's; right, their losses and Adagrad's own rates."""
    mine, bowl = _forgets if broken else optimizer, quadratic(25, angle)
    runs = race(bowl, rivals(Adagrad, mine, lr=lr), steps=50)
    found = _draw_plane(axes[0], runs, angle)
    overlay(axes[1], {run.name: against_step(run.losses.clamp(min=1e-30)) for run in runs})
    own = lr * _squares(bowl, runs[0].points).cumsum(0) ** -0.5
    for k, (name, color, dash) in enumerate((("x", BLUE, ":"), ("y", RED, "-."))):
        axes[1].plot(own[:, k], dash, color=color, linewidth=1.5, label=f"_own rate of {name}", zorder=5)
        side, gap = ("top", -3) if k else ("bottom", 3)
        axes[1].annotate(
            f"own rate of {name}",
            (9, own[9, k]),
            xytext=(0, gap),
            textcoords="offset points",
            color=color,
            va=side,
            fontsize="small",
        )
    axes[1].legend()
    shown = [_plain(), *(run for run in runs if run.name != "ours")]
    losses = {f"loss after 50 steps, {run.name}": run.losses[-1] for run in shown}
    x, y = _squares(bowl, runs[-1].points).sum(0)
    ends = {"own rates at the end, x": own[-1, 0], "own rates at the end, y": own[-1, 1]}
    return {"squares added up, y over x": y / x, **ends, **losses, **found}


def _forgets(p: Any, g: Any, s: Any, *, lr: float, eps: float = 1e-10) -> tuple[Any, Any]:
    s = g**2  # not s + g**2
    return p - lr * g / (s**0.5 + eps), s


@functools.cache
def _plain() -> Trace:
    """One path of SGD is enough for all angles: it turns with the ravine."""
    return descend(RAVINE, SGD, steps=50, lr=2 / 26)


@functools.cache
def _levels() -> Tensor:
    """Points of nine level lines ``[9 * 61, 2]``, with a nan between two lines to lift the pen."""
    sizes = torch.logspace(-0.6, 1.2, 9, dtype=torch.float64)[:, None]
    around = torch.linspace(0, 2 * pi, 61, dtype=torch.float64)
    levels = torch.stack([sizes * around.cos(), sizes * around.sin() / 5], -1)
    levels[:, -1] = torch.nan
    return levels.flatten(0, 1)


def _turn(points: Tensor, angle: float) -> Tensor:
    c, s = cos(radians(angle)), sin(radians(angle))
    return points @ torch.tensor([[c, s], [-s, c]], dtype=torch.float64)


def _plane_and_losses(axes: Any) -> None:
    axes[0].set(xlim=(-5.4, 3.2), ylim=(-4.3, 2.3), aspect="equal", xlabel="x")
    axes[0].set(ylabel="y", title="50 steps down the ravine")
    axes[0].plot(0, 0, "+", color="0.2", markersize=10, label="_minimum")
    axes[0].legend(handles=[])  # the names stand on the right
    axes[1].plot(numpy.asarray(_plain().losses), "--", color=GRAY, label="SGD")
    axes[1].set(xlim=(0, 50), ylim=(1e-6, 1e3), yscale="log")
    axes[1].set(xlabel="step", ylabel="loss, or own rate; log scale", title="losses and, thin, Adagrad's own rates")


def _draw_plane(ax: Axes, runs: list[Trace], angle: float) -> Mapping[str, str]:
    ax.plot(*_turn(_levels(), angle).T.numpy(), color="0.8", linewidth=0.8, label="_levels", zorder=0)
    ax.plot(*_turn(_plain().points, angle).T.numpy(), "--", color=GRAY, label="SGD")
    return overlay(ax, {run.name: run.points for run in runs})


def _squares(bowl: Problem, points: Tensor) -> Tensor:
    at = points.clone().requires_grad_()
    (gradients,) = torch.autograd.grad(bowl(at).sum(), at)
    return gradients**2


def pixels(share: Tensor, ring: tuple[int, int]) -> Figure:
    """A figure of the 8 x 8 pixels, the darker, the more images light it, and a ring around one.

    Args:
        share: of each pixel, ``[64]``, from 0 to 1.
        ring: row and column of the pixel with the ring.

    >>> [ax.get_ylabel() for ax in pixels(torch.rand(64), ring=(5, 0)).axes]
    ['row', 'share of images, log scale']
    """
    fig, ax = figure(width=6, height=4)
    squares = ax.imshow(share.reshape(8, 8).numpy(), cmap="gray_r", norm=LogNorm(2e-4, 1))  # what is 0 stays white
    fig.colorbar(squares, label="share of images, log scale")
    row, column = ring
    ax.plot(column, row, "o", color=RED, markersize=22, markeredgewidth=2.5, markerfacecolor="none", label="ringed")
    never = (share.reshape(8, 8) == 0).nonzero()
    ax.plot(never[:, 1], never[:, 0], "x", color=GRAY, markersize=9, label="never lit")
    ax.set(xlabel="column", ylabel="row", title="How many images light it? Cross: none")
    return fig


def distances(share: Tensor, moved: Mapping[str, Tensor]) -> Figure:
    """A figure of how far the weights of each pixel moved, against the share of images that light it.

    Args:
        share: of each pixel, ``[64]``; what is never lit is left out.
        moved: name of an optimizer -> the distance for each pixel, ``[64]``.

    >>> far = distances(torch.tensor([0.0, 0.01, 0.9]), {"SGD": torch.tensor([0.0, 0.02, 1.6])})
    >>> far.axes[0].get_lines()[0].get_xydata().round(2).tolist()
    [[0.01, 0.02], [0.9, 1.6]]
    """
    fig, ax = figure(width=6.5)
    for name, distance in moved.items():
        style = look(name) | {"linestyle": "", "markerfacecolor": "none"}
        ax.plot(share[share > 0].numpy(), distance[share > 0].numpy(), **style, label=name)
    ax.set(xscale="log", xlabel="share of images that light the pixel, log scale")
    ax.set(yscale="log", ylabel="distance moved, log scale")
    ax.legend(loc="lower right")
    return fig


def read_digits(
    optimizer: Callable[..., Any],
    batch: int,
    images: Tensor | None = None,
    seeds: Sequence[int] = range(12),
    **options: Any,
) -> Tensor:
    """The mean held-out loss of one layer after 50 steps, over some draws, at the rate of fifteen where it is lowest.

    A draw holds out 600 images and takes the minibatches from the others. All draws and rates are taught at once.

    Args:
        optimizer: a class of this course, or any that is elementwise.
        batch: how many images a minibatch has.
        images: the pixels, ``[1797, 64]``; those of `digits` if None.
        seeds: one for each draw.
        options: of the optimizer.

    >>> print(f"{read_digits(SGD, batch=32, seeds=range(2)):.1f}")
    0.3
    """
    pixels, labels = digits()
    pixels, rates = pixels if images is None else images, torch.logspace(-2, 1.5, 15, dtype=torch.float64)
    dice = [torch.Generator().manual_seed(seed) for seed in seeds]
    mixed = torch.stack([torch.randperm(len(pixels), generator=torch.Generator().manual_seed(seed)) for seed in seeds])
    unseen, seen = mixed[:, :600], mixed[:, 600:]
    layers = nets.copied([small_net(64, 10)] * len(seeds), len(rates))
    runner = optimizer([{"params": layers, "lr": rates[:, None, None]}], lr=rates, **options)
    for _ in range(50):
        drawn = torch.stack([torch.randint(seen.shape[1], (batch,), generator=one) for one in dice])
        drawn = seen.gather(1, drawn)
        runner.zero_grad()
        nets.losses(layers, pixels[drawn], labels[drawn]).sum().backward()
        runner.step()
    return nets.losses([layer.detach() for layer in layers], pixels[unseen], labels[unseen]).mean(0).min()


def words(share: Tensor, pull: Tensor | float, seed: int = 0) -> tuple[Tensor, Tensor, float, float]:
    """Ten collections of 3,000 texts by dice: their words ``[10, 3000, 200]``, labels ``[10, 3000]``, and two numbers.

    Each word pulls the label up or down. The first number is the noise, the share of labels that go against the sum of
    their words' pulls, among the texts where that is not zero; the second the mean loss, on the last 600 texts of each
    collection, of whoever knows the pulls.

    Args:
        share: of the texts that have a word, for each word or one for all.
        pull: how hard a word pulls, for each word or one for all.
        seed: of the dice.

    >>> texts, labels, noise, known = words(torch.tensor(0.03), pull=3.0)
    >>> print(f"{noise:.2f}, {known:.1f}")
    0.02, 0.2
    """
    dice = torch.Generator().manual_seed(seed)
    texts = (torch.rand(10, 3000, 200, generator=dice) < share).double()
    pulls = pull * (2.0 * torch.randint(2, (10, 200), generator=dice) - 1).double()
    score = (texts @ pulls[..., None])[..., 0]
    labels = (torch.rand(10, 3000, generator=dice) < score.sigmoid()).double()
    against = (labels > 0.5) != (score > 0)
    known = _word_losses(pulls[:, None], texts[:, -600:], labels[:, -600:]).mean().item()
    return texts, labels, against[score.abs() > 1e-9].double().mean().item(), known


def learn_words(
    optimizer: Callable[..., Any], texts: Tensor, labels: Tensor, rates: Tensor, batch: int = 32, **options: Any
) -> Tensor:
    """The held-out losses ``[sets]`` of a logistic regression on each set after 50 steps, at the rate best in the mean.

    Each starts at zero and learns in minibatches, of the same numbers in each set; the last 600 are held out. All
    sets and rates are taught at once.

    Args:
        optimizer: a class of this course, or any that is elementwise.
        texts: which words each text has, ``[sets, texts, words]``.
        labels: of the texts, 0 or 1, ``[sets, texts]``.
        rates: one regression learns with each, in each set.
        batch: how many texts a minibatch has.
        options: of the optimizer.

    >>> texts = (torch.rand(3, 700, 5) < 0.3).double()
    >>> learn_words(SGD, texts, texts[:, :, 0], torch.tensor([0.1, 1.0])).shape
    torch.Size([3])
    """
    weights = torch.zeros(len(texts), len(rates), texts.shape[2], dtype=texts.dtype, requires_grad=True)
    runner = optimizer([{"params": [weights], "lr": rates[:, None]}], lr=rates, **options)
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        drawn = torch.randint(texts.shape[1] - 600, (batch,), generator=generator)
        runner.zero_grad()
        _word_losses(weights, texts[:, drawn], labels[:, drawn]).sum().backward()
        runner.step()
    losses = _word_losses(weights.detach(), texts[:, -600:], labels[:, -600:])
    return losses[:, losses.mean(0).argmin()]


def _word_losses(weights: Tensor, texts: Tensor, labels: Tensor) -> Tensor:
    """The mean cross-entropy ``[sets, rates]``."""
    scores = texts @ weights.mT
    return (torch.nn.functional.softplus(scores) - labels[:, :, None] * scores).mean(1)


def read_words(
    rules: Mapping[str, tuple[Callable[..., Any], dict[str, Any]]],
    share: Tensor,
    pull: Tensor | float,
    size: Tensor | float,
    rates: Tensor | None = None,
    seed: int = 0,
    batch: int = 32,
) -> tuple[dict[str, float], float]:
    """How much each rule has learned after 50 steps, of what can be learned from `words`, and the noise of the labels.

    0 is the loss of whoever says one half to every text, log 2, and 1 that of whoever knows the pulls.

    Args:
        rules: name -> a class that steps and its options.
        share: of the texts that have a word.
        pull: how hard a word pulls.
        size: of the number as which a word stands in a text.
        rates: the learning rates to choose from, one for all collections; 21 from 0.01 to 1000 if None.
        seed: of the dice.
        batch: how many texts a minibatch has.

    >>> learned, noise = read_words({"SGD": (SGD, {})}, torch.tensor(0.1), pull=3.0, size=1.0)
    >>> 0.5 < learned["SGD"] < 1
    True
    """
    texts, labels, noise, known = words(share, pull, seed)
    rates = torch.logspace(-2, 3, 21, dtype=torch.float64) if rates is None else rates
    learned, texts = {}, texts * size
    for name, (rule, options) in rules.items():
        loss = learn_words(rule, texts, labels, rates, batch, **options).mean().item()
        learned[name] = (log(2) - loss) / (log(2) - known)
    return learned, noise


def shares(found: Mapping[str, Mapping[str, tuple[Mapping[str, float], float]]]) -> Figure:
    """A figure of how much each rule has learned, a row for each kind of text, with the noise of its labels.

    Args:
        found: title of a panel -> kind of text -> what `read_words` found there.

    >>> learned = {"SGD": 0.5, "Adagrad": 0.6}, 0.02
    >>> fig = shares({"clear labels": {"rare": learned, "equal": learned}})
    >>> [text.get_text() for text in fig.axes[0].get_yticklabels()]
    ['rare', 'equal']
    """
    fig, axes = figure(len(found), height=5, squeeze=False, sharex=True, sharey=True)
    for ax, (title, rows) in zip(axes[0], found.items(), strict=True):
        names = list(next(iter(rows.values()))[0])
        for i, name in enumerate(names):
            places = [row + 0.7 * (i + 0.5) / len(names) - 0.35 for row in range(len(rows))]
            parts = [learned[name] for learned, _ in rows.values()]
            style = look(name) if name in LOOKS else {"color": RED, "marker": "h"}
            ax.plot(parts, places, **style | {"linestyle": ""}, label=name)
        words = {-0.6: "noise"} | {row: f"{noise:.0%}" for row, (_, noise) in enumerate(rows.values())}
        for row, word in words.items():
            ax.annotate(word, (1.02, row), va="center", color="0.4", annotation_clip=False)
        ax.set_yticks(range(len(rows)), list(rows))
        ax.set(xlabel="share of what can be learned", title=title, xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5))
        ax.hlines([row + 0.5 for row in range(len(rows) - 1)], 0, 1, color="0.9", linewidth=0.8)
        ax.xaxis.set_major_formatter(PercentFormatter(1))
    marks, names = axes[0][0].get_legend_handles_labels()
    fig.legend(marks, names, loc="outside upper center", ncols=len(names))
    return fig
