"""Lesson 10: the shape of a learning rate over time, its peak, its warmup, and a limit on the gradient's length."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from ..contest import flip_test
from ..optimizers import SGD, Adam
from ..plot import BLUE, GRAY, OTHERS, chart, figure, label_ends
from ..problems import digits, small_net
from ..trace import History, MakeOptimizer, fit
from .comparison import against_step, overlay, rivals
from .controls import choice, rate, slider, switch
from .experiment import Experiment

T = 200  # steps of a training
MOST = 0.5  # the largest loss that is drawn against the peak
TUNING = 197  # how many of the images held out choose the peak; the others judge
BAD = 100  # the step, from 0, whose batch is bad
Shape = Callable[[float], float]


def constant(t: float) -> float:
    """The peak, all the time.

    >>> constant(7)
    1
    """
    return 1


def step_decay(t: float) -> float:
    """A tenth from one step to the next, twice.

    >>> step_decay(79), step_decay(80)
    (1.0, 0.1)
    """
    return 0.1 ** (t // 80)


def exponential(t: float) -> float:
    """1.5 % less with each step.

    >>> exponential(1)
    0.985
    """
    return 0.985**t


def cosine(t: float) -> float:
    """Half a cosine, from the peak to zero, which it would reach at t = T.

    >>> cosine(0), cosine(100)
    (1.0, 0.5)
    """
    return (1 + math.cos(math.pi * t / T)) / 2


def warmup(t: float) -> float:
    """Evenly up to the peak, in 20 steps.

    >>> warmup(0), warmup(19), warmup(20)
    (0.05, 1, 1)
    """
    return min(1, (t + 1) / 20)


def warmup_stable_decay(t: float) -> float:
    """Up in 20 steps, down in the last 80.

    >>> warmup_stable_decay(0), warmup_stable_decay(60), warmup_stable_decay(199)
    (0.05, 1, 0.0125)
    """
    return min(1, (t + 1) / 20, (T - t) / 80)


def blend(low: float, high: float, share: float) -> float:
    """From ``low`` to ``high`` along half a cosine, as ``share`` goes from 0 to 1.

    >>> blend(2, 4, 0), blend(2, 4, 0.5)
    (2.0, 3.0)
    """
    return low + (high - low) * (1 - math.cos(math.pi * share)) / 2


def one_cycle(t: int, start: float = 1 / 25, peak: float = 1, end: float = 1 / 250_000) -> float:
    """Up from a 25th in the first 30 % of the steps, then down to almost nothing.

    >>> one_cycle(0), one_cycle(59)
    (0.04, 1.0)
    """
    top = 0.3 * T - 1
    if t <= top:
        return blend(start, peak, t / top)
    return blend(peak, end, (t - top) / (T - 1 - top))


def warmed(length: int, after: Shape = cosine) -> Shape:
    """Evenly up to the peak in ``length`` steps, and from there ``after``, in the time that is left.

    >>> [round(warmed(20)(t), 2) for t in (0, 19, 109, 199)]
    [0.05, 1.0, 0.5, 0.0]
    >>> warmed(1)(100) == cosine(100)
    True
    """

    def shape(t: float) -> float:
        if t < length:
            return (t + 1) / length
        return after((t + 1 - length) * T / (T + 1 - length))

    return shape


def slowed(first: int) -> Shape:
    """A cosine whose five steps from ``first`` on are taken at 1/5, 2/5, ... of its rate: a short warmup, or too late.

    >>> [round(slowed(0)(t), 2) for t in (0, 3, 4, 5)]
    [0.2, 0.8, 1.0, 1.0]
    """
    return lambda t: cosine(t) * ((t - first + 1) / 5 if first <= t < first + 5 else 1)


AFTER = {
    "cosine": cosine,
    "constant": constant,
    "step decay": step_decay,
    "exponential": exponential,
    "stable, then decay": lambda t: min(1, (T - t) / 80),
}


@functools.cache
def split() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The handwritten digits in two parts: 1400 images and labels to train on, and 397 held out.

    >>> [len(column) for column in split()]
    [1400, 1400, 397, 397]
    """
    images, labels = digits()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    seen, held_out = order[:1400], order[1400:]
    return images[seen], labels[seen], images[held_out], labels[held_out]


def uncorrected(
    p: Any, g: Any, m: Any, v: Any, *, lr: Any, betas: Any = (0.9, 0.999), eps: Any = 1e-8
) -> tuple[Any, ...]:
    """Adam without the two corrections.

    >>> p, m, v = uncorrected(0.0, 2.0, 0.0, 0.0, lr=0.1)
    >>> print(f"{p:.3f}")
    -0.316
    """
    beta1, beta2 = betas
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    p = p - lr * m / (v**0.5 + eps)
    return p, m, v


@dataclass(frozen=True, repr=False)
class Tried:
    """Networks that were trained with each shape, peak and seed, and then at the best peak of each, by `tried`.

    Args:
        shapes: name -> a function of the step.
        peaks: learning rates.
        losses: of each batch, ``[T, shapes, peaks, seeds]``.
        tuning: the loss at the end on images that choose the peak, ``[shapes, peaks, seeds]``.
        held_out: at the peak with the smallest mean of that, with other seeds and on other images, ``[shapes, seeds]``.

    >>> found = tried(SGD, {"constant": constant, "cosine": cosine}, [0.2, 0.4, 0.8], range(2), momentum=0.9)
    >>> print(found)
    constant: 0.146 ± 0.035 at 0.2
    cosine: 0.143 ± 0.024 at 0.4
    >>> print(found.only("cosine"))
    cosine: 0.143 ± 0.024 at 0.4
    """

    shapes: dict[str, Shape]
    peaks: list[float]
    losses: Tensor
    tuning: Tensor
    held_out: Tensor

    def __repr__(self) -> str:
        ends = zip(self.shapes, self.held_out, self.tuning.mean(-1).argmin(-1), strict=True)
        return "\n".join(f"{name}: {end.mean():.3f} ± {end.std():.3f} at {self.peaks[at]:g}" for name, end, at in ends)

    def only(self, *names: str) -> "Tried":
        """The shapes of these names alone, in this order: the first is the one that the others are compared with."""
        rows = [list(self.shapes).index(name) for name in names]
        shapes = {name: self.shapes[name] for name in names}
        return Tried(shapes, self.peaks, self.losses[:, rows], self.tuning[rows], self.held_out[rows])

    def lines(self, *names: str) -> dict[str, tuple[list[float], Tensor]]:
        """What `edu_optim.plot.chart` draws: the loss of tuning against the peak, a mean over the seeds."""
        means = dict(zip(self.shapes, self.tuning.mean(-1), strict=True))
        return {name: (self.peaks, means[name]) for name in names or means}

    def runs(self, peak: float, *names: str) -> dict[str, History]:
        """The rates at this peak and the loss of each batch, a mean over the seeds, of the shapes of these names."""
        means = dict(zip(self.shapes, self.losses[:, :, self.peaks.index(peak)].mean(-1).T.tolist(), strict=True))
        return {name: History(means[name], [peak * self.shapes[name](t) for t in range(T)]) for name in names}


def tried(
    optimizer: MakeOptimizer,
    shapes: Mapping[str, Shape],
    peaks: Sequence[float],
    seeds: range = range(16),
    batch: int = 32,
    racing: range | None = None,
    **options: Any,
) -> Tried:
    """Train one network on the digits for each shape, each peak and each seed, those of a seed all at once.

    Then the best peak of each shape is run with new seeds. Of the images held out, 197 choose the peak, and the other
    200 judge.

    Args:
        optimizer: an elementwise one, called once for all.
        shapes: name -> a function of the step, from 0, whose value times the peak is the learning rate.
        peaks: learning rates.
        seeds: of the starts and of the draws. The networks of one seed begin alike and meet the same batches.
        batch: how many examples for each step.
        racing: the new seeds; as many as before and 1000 higher, unless they are given.
        options: of the optimizer.

    >>> found = tried(SGD, {"constant": constant, "cosine": cosine}, [0.1, 0.2, 0.4], range(1))
    >>> found.losses.shape, found.tuning.shape, found.held_out.shape
    (torch.Size([200, 2, 3, 1]), torch.Size([2, 3, 1]), torch.Size([2, 1]))
    """
    factors = torch.tensor([[shape(t) for shape in shapes.values()] for t in range(T)], dtype=torch.float64)
    rates = (factors[:, :, None] * torch.tensor(peaks, dtype=torch.float64)).flatten(1)
    losses, tuning, _ = _together(optimizer, rates, seeds, batch, options)
    grid = len(shapes), len(peaks), len(seeds)
    tuning = tuning.reshape(grid)
    chosen = torch.tensor(peaks, dtype=torch.float64)[tuning.mean(-1).argmin(-1)]
    racing = racing or range(seeds.start + 1000, seeds.stop + 1000)
    _, _, held_out = _together(optimizer, factors * chosen, racing, batch, options)
    return Tried(dict(shapes), list(peaks), losses.reshape(T, *grid), tuning, held_out)


def _together(
    optimizer: MakeOptimizer, rates: Tensor, seeds: range, batch: int, options: Mapping[str, Any]
) -> tuple[Tensor, Tensor, Tensor]:
    """Networks with the learning rates of each column of ``rates [T, n]`` and each seed, trained all at once.

    Returns the loss of each batch, ``[T, n, seeds]``, and that at the end on the images to tune with and on those
    to judge with, ``[n, seeds]`` each.
    """
    images, labels, unseen, answers = split()
    nets = [small_net(64, 16, 10, seed=seed) for seed in seeds]
    state = {  # [seeds, n, ...]
        name: stacked.detach()[:, None].repeat(1, len(rates[0]), *[1] * (stacked.ndim - 1)).requires_grad_()
        for name, stacked in torch.func.stack_module_state(nets)[0].items()
    }
    runner = optimizer([{"params": [p], "lr": _beside(rates[0], p)} for p in state.values()], lr=0.0, **options)

    def loss(state: dict[str, Tensor], inputs: Tensor, labels: Tensor) -> Tensor:
        return torch.nn.functional.cross_entropy(torch.func.functional_call(nets[0], state, inputs), labels)

    over_rates = torch.vmap(loss, (0, None, None))
    over_both = torch.vmap(over_rates)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    losses = []
    for row in rates:
        drawn = torch.stack([torch.randint(len(images), (batch,), generator=generator) for generator in generators])
        runner.zero_grad()
        now = over_both(state, images[drawn], labels[drawn])
        now.sum().backward()
        for group, p in zip(runner.param_groups, state.values(), strict=True):
            group["lr"] = _beside(row, p)
        runner.step()
        losses.append(now.detach())
    with torch.no_grad():
        tuning, held_out = (
            torch.vmap(over_rates, (0, None, None))(state, unseen[part], answers[part]).T
            for part in (slice(TUNING), slice(TUNING, None))
        )
    return torch.stack(losses).mT, tuning, held_out


def _beside(rates: Tensor, p: Tensor) -> Tensor:
    """A rate for each copy, in a shape that broadcasts against the stacked parameter ``[seeds, copies, ...]``."""
    return rates.reshape(1, -1, *[1] * (p.ndim - 2)).expand(len(p), *[-1] * (p.ndim - 1))


def smooth(losses: Sequence[float]) -> Tensor:
    """The mean of the last ten, or of all so far.

    >>> smooth([1.0, 3.0])
    tensor([1., 2.], dtype=torch.float64)
    """
    sums = torch.tensor([0.0, *losses], dtype=torch.float64).cumsum(0)
    ends = torch.arange(1, len(sums))
    starts = (ends - 10).clamp(min=0)
    return (sums[ends] - sums[starts]) / (ends - starts)


def on_one_axis(runs: Mapping[str, History]) -> Figure:
    """The learning rate of each run and, below it on the same axis of time, its loss, the mean of ten batches.

    Args:
        runs: name -> what it saw; at most four.

    >>> len(on_one_axis({"a": History([2.0, 1.0], [0.1, 0.1], [1.0, 1.0])}).axes)
    2
    """
    fig, (above, below) = figure(rows=2, width=7, height=2.4, sharex=True)
    for (name, run), (color, dash, _) in zip(runs.items(), OTHERS, strict=False):
        above.plot(run.rates, color=color, linestyle=dash, label=name)
        below.plot(smooth(run.losses), color=color, linestyle=dash, label=name)
    above.set(ylabel="learning rate")
    below.set(xlabel="step", ylabel="loss, log scale", yscale="log")
    label_ends(below)
    return fig


def sensitivity(lines: Mapping[str, tuple[list[float], Tensor]]) -> Figure:
    """The loss on the images of tuning against the peak, from `Tried.lines`, up to ``MOST``.

    What is larger is cut: at such peaks training is chaotic, and differs from one processor to another.

    >>> len(sensitivity({"constant": ([0.1, 0.2], torch.tensor([0.3, 0.2]))}).axes)
    1
    """
    cut = {name: (peaks, mean.clamp(max=MOST)) for name, (peaks, mean) in lines.items()}
    fig = chart(cut, x="peak of the learning rate, log scale", y=f"loss of tuning, cut at {MOST}, log scale")
    tried_at = next(iter(lines.values()))[0]
    heights = 0.1, 0.15, 0.2, 0.3, 0.4, MOST
    fig.axes[0].set_xticks(tried_at, [f"{peak:g}" for peak in tried_at])
    fig.axes[0].set_yticks(heights, [f"{height:g}" for height in heights])
    fig.axes[0].set(ylim=(0.11, 0.53))
    fig.axes[0].minorticks_off()
    return fig


def paired(*runs: Tried, titles: Sequence[str] = (), first: int = 16) -> Figure:
    """The loss held out, less that of the first shape with the same seed: a dot for each seed, and their mean as a bar.

    Dark and above are the ``first`` seeds, pale and below the others. Beside each row stands the p of the first, and of
    all: how often signs drawn by lot bring the sum of the differences as far from 0.

    Args:
        runs: a panel for each.
        titles: of the panels; else they name the first shape.

    >>> shapes = {"constant": constant, "cosine": cosine}
    >>> found = Tried(shapes, [1], torch.ones(T, 2, 1, 1), torch.ones(2, 1, 1), torch.tensor([[0.3] * 8, [0.2] * 8]))
    >>> [text.get_text() for text in paired(found).axes[0].texts]
    ['p of 8', '0.0078']
    """
    rows = [len(found.shapes) - 1 for found in runs]
    height = 0.7 + 0.45 * sum(rows) / len(rows)
    fig, axes = figure(1, len(runs), 8, height, sharex=True, squeeze=False, height_ratios=rows)
    for ax, found, title in zip(
        axes.flat, runs, titles or [f"less {[*found.shapes][0]}" for found in runs], strict=True
    ):
        names, apart = [*found.shapes][1:], found.held_out[1:] - found.held_out[0]
        for row, (name, one) in enumerate(zip(names, apart, strict=True)):
            ax.plot(one[:first], [row - 0.15] * len(one[:first]), "o", color=BLUE, alpha=0.6, label=name)
            if len(one) > first:
                ax.plot(
                    one[first:], [row + 0.15] * (len(one) - first), "o", color=BLUE, alpha=0.25, label=f"_more {name}"
                )
            ax.plot(one.mean(), row, "|", color="0", markersize=20, label=f"_mean of {name}")
        for column, many in enumerate(sorted({min(first, apart.shape[1]), apart.shape[1]})):
            at = 1.03 + 0.13 * column
            ax.annotate(f"p of {many}", (at, 1), (0, 6), xycoords="axes fraction", textcoords="offset points")
            for row, one in enumerate(apart):
                ax.text(at, row, luck(one[:many]), va="center", transform=ax.get_yaxis_transform())
        ax.axvline(0, color="0.5", linewidth=1, label="_zero")
        ax.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5))
        ax.set_title(title, loc="left")
    axes[-1, 0].set(xlabel="difference of the loss held out")
    axes[-1, 0].locator_params("x", nbins=6)
    return fig


def luck(apart: Tensor) -> str:
    """The p of these differences in two digits, by `edu_optim.contest.flip_test`, after rounding them to 0.0001.

    >>> luck(torch.tensor([0.1, 0.2, 0.3, 0.4])), luck(torch.full((12,), 0.1))
    ('0.12', '< 0.001')
    """
    p = flip_test([round(one, 4) for one in apart.tolist()], [0.0] * len(apart))
    return f"{p:.2g}" if p >= 0.001 else "< 0.001"


def curves(runs: Mapping[str, History]) -> Figure:
    """The loss of each run, the mean of ten batches.

    >>> len(curves({"a": History([2.0, 1.0], [0.1, 0.1], [1.0, 1.0])}).axes)
    1
    """
    return chart({name: smooth(run.losses) for name, run in runs.items()})


METHODS = {
    "Adam": (Adam, {}),
    "Adam, not corrected": (Adam, {}),
    "SGD, momentum 0.9": (SGD, {"momentum": 0.9}),
}
ADAM, UNCORRECTED, MOMENTUM = METHODS


def play(optimizer: Callable[..., Any] | None = None) -> Experiment:
    """The learning rate and the loss of 200 steps on the digits, for a shape, a peak, a warmup and a limit to clip at.

    Args:
        optimizer: an Adam of your own, a class or a rule, which runs beside ours and torch's.

    >>> play().at(peak=0.02)
    peak of the learning rate: 0.02
    loss, mean of the last 20: 0.114
    highest loss: 2.34
    steps that were clipped: 0
    """
    return Experiment(
        _draw,
        _empty_picture,
        columns=2,
        method=choice("method", *METHODS),
        after=choice("after the warmup", *AFTER),
        warmup=slider("warmup", "steps", 1, 1, 100),
        peak=rate("peak of the learning rate", "", 0.04, 0.003, 3),
        clip=rate("clip at length", "", 100.0, 0.1, 100),
        bad=switch(f"a bad batch at step {BAD}"),
        optimizer=optimizer,
    )


def _draw(
    axes: Any, *, method: str, after: str, warmup: int, peak: float, clip: float, bad: bool, optimizer: Any = None
) -> dict[str, Any]:
    """The learning rate, and the loss as the mean of ten batches."""
    ours, options = METHODS[method]
    mine = {ADAM: optimizer, UNCORRECTED: uncorrected, MOMENTUM: None}[method]
    runs = {
        name: trained(make, warmed(warmup, AFTER[after]), clip=clip, bad=bad, **chosen)
        for name, (make, chosen) in rivals(ours, mine, lr=peak, **options).items()
    }
    run = list(runs.values())[-1]
    axes[0].plot(run.rates, color=BLUE)
    axes[0].set_ylim(0, 1.05 * peak)
    found = overlay(axes[1], {name: against_step(smooth(run.losses)) for name, run in runs.items()})
    seen = torch.tensor(run.losses, dtype=torch.float64)
    shortened = [t for t, norm in enumerate(run.norms) if norm > clip]
    if bad:
        axes[1].axvline(BAD, color=GRAY, linestyle=":")
        axes[1].text(BAD + 3, 0.9, "bad batch", transform=axes[1].get_xaxis_transform())
    if shortened:
        axes[1].plot(shortened, [0.04] * len(shortened), "k|", transform=axes[1].get_xaxis_transform())
        axes[1].text(3, 0.08, "clipped", transform=axes[1].get_xaxis_transform())
    return {
        "loss, mean of the last 20": seen[-20:].mean().item(),
        "highest loss": seen.max().item(),
        "steps that were clipped": len(shortened),
        **found,
    }


def trained(make: MakeOptimizer, shape: Shape, *, clip: float = math.inf, bad: bool = False, **options: Any) -> History:
    """One training on the digits with the learning rate ``options["lr"]`` times ``shape``.

    Args:
        make, options: as for `edu_optim.trace.train`.
        shape: a function of the step, from 0.
        clip: the largest length of a gradient.
        bad: whether the gradient of one batch is 32 times too long, as if its losses were added up, not averaged.

    >>> trained(SGD, constant, lr=0.1)
    200 steps, loss 2.258 -> 0.7484
    """
    images, labels, *_ = split()
    net, calls = small_net(64, 16, 10), iter(range(T))
    optimizer = make(net.parameters(), **options)

    def loss(scores: Tensor, labels: Tensor) -> Tensor:
        mean = torch.nn.functional.cross_entropy(scores, labels)
        too_long = bad and next(calls) == BAD
        return 32 * mean - 31 * mean.detach() if too_long else mean  # the same loss, 32 times the gradient

    return fit(net, optimizer, images, labels, T, loss=loss, batch=32, scheduler=LambdaLR(optimizer, shape), clip=clip)


def _empty_picture(axes: Any) -> None:
    axes[0].set(xlabel="step", ylabel="learning rate", xlim=(0, T))
    axes[1].set(xlabel="step", ylabel="loss, log scale", yscale="log", xlim=(0, T))
