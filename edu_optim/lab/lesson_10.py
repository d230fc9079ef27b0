"""Lesson 10: the shape of a learning rate over time, its peak, its warmup, and a limit on the gradient's length."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from ..contest import flip_test
from ..optimizers import SGD, Adam
from ..plot import BLUE, GRAY, OTHERS, chart, figure, label_ends, plain_ticks
from ..problems import digits, small_net
from ..trace import History, MakeOptimizer
from ..trace.numbers import Point, path_in_numbers
from .comparison import against_step, overlay, rivals
from .controls import choice, rate, slider, switch
from .experiment import Experiment

T = 200  # steps of a training
MOST = 0.5  # the largest loss that is drawn against the peak
TUNING = 197  # how many of the images held out choose the peak; the others judge
BAD = 100  # the step, from 0, whose batch is bad
NEW = range(1000, 1048)  # seeds that choose no peak
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
    """A cosine whose five steps from ``first`` on have 1/5, 2/5, ..., 5/5 of its rate: a short warmup, or too late.

    >>> [round(slowed(0)(t), 2) for t in (0, 3, 4, 5)]
    [0.2, 0.8, 1.0, 1.0]
    """
    return lambda t: cosine(t) * ((t - first + 1) / 5 if first <= t < first + 5 else 1)


def falls_at(first: int) -> Shape:
    """The peak until step ``first``, and from there evenly to zero in 20 steps.

    >>> [falls_at(40)(t) for t in (40, 45, 60, 70)]
    [1, 0.75, 0, 0]
    """
    return lambda t: min(1, max(0, 1 - (t - first) / 20))


AFTER = {
    "cosine": cosine,
    "constant": constant,
    "step decay": step_decay,
    "exponential": exponential,
    "stable, then decay": lambda t: min(1, (T - t) / 80),
    **{f"falls at {first}": falls_at(first) for first in (40, 80, 160)},
    "per epoch": lambda t: cosine(t // 44),
    "restarted": lambda t: cosine(t % 100),
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
        last: of the same runs, the mean loss of their last 20 batches.

    >>> found = tried(SGD, {"constant": constant, "cosine": cosine}, [0.2, 0.4, 0.8], range(2), momentum=0.9)
    >>> print(found)
    constant: 0.146 ± 0.035 at 0.2
    cosine: 0.143 ± 0.024 at 0.4, p 1
    >>> print(found.last_batches())
    last 20 batches: constant 0.091, cosine 0.054
    """

    shapes: dict[str, Shape]
    peaks: list[float]
    losses: Tensor
    tuning: Tensor
    held_out: Tensor
    last: Tensor

    def __repr__(self) -> str:
        found = zip(self.shapes, self.held_out, self.tuning.mean(-1).argmin(-1), strict=True)
        rows = [f"{name}: {end.mean():.3f} ± {end.std():.3f} at {self.peaks[at]:g}" for name, end, at in found]
        apart = self.held_out[1:] - self.held_out[0]
        return "\n".join([rows[0], *(f"{row}, p {luck(one)}" for row, one in zip(rows[1:], apart, strict=True))])

    def last_batches(self) -> str:
        """The mean loss of the last 20 batches, on images that are trained on, at the best peak of each shape."""
        ends = zip(self.shapes, self.last.mean(-1), strict=True)
        return "last 20 batches: " + ", ".join(f"{name} {end:.3f}" for name, end in ends)

    def lines(self, *names: str) -> dict[str, tuple[list[float], Tensor]]:
        """What `edu_optim.plot.chart` draws: the loss of tuning against the peak, a mean over the seeds."""
        means = dict(zip(self.shapes, self.tuning.mean(-1), strict=True))
        return {name: (self.peaks, means[name]) for name in names or means}

    def runs(self, peak: float, *names: str) -> dict[str, History]:
        """The rates at this peak and the loss of each batch, a mean over the seeds, of the shapes of these names."""
        means = dict(zip(self.shapes, self.losses[:, :, self.peaks.index(peak)].mean(-1).T.tolist(), strict=True))
        return {name: History(means[name], [peak * self.shapes[name](t) for t in range(T)]) for name in names or means}

    def in_order(self, peak: float, *names: str) -> str:
        """The shapes of these names at this peak, from the lowest mean loss on the images of tuning to the highest."""
        means = dict(zip(self.shapes, self.tuning[:, self.peaks.index(peak)].mean(-1), strict=True))
        return " < ".join(sorted(names, key=means.__getitem__))


def tried(
    optimizer: MakeOptimizer,
    shapes: Mapping[str, Shape],
    peaks: Sequence[float],
    seeds: range = range(16),
    batch: int = 32,
    racing: range | None = None,
    steps: int = T,
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
        steps: of each training; the shapes, which are made for T, are stretched to them.
        options: of the optimizer.

    >>> found = tried(SGD, {"constant": constant, "cosine": cosine}, [0.1, 0.2, 0.4], range(1))
    >>> found.losses.shape, found.tuning.shape, found.held_out.shape
    (torch.Size([200, 2, 3, 1]), torch.Size([2, 3, 1]), torch.Size([2, 1]))
    """
    times = [t * T / steps for t in range(steps)]
    factors = torch.tensor([[shape(t) for shape in shapes.values()] for t in times], dtype=torch.float64)
    rates = (factors[:, :, None] * torch.tensor(peaks, dtype=torch.float64)).flatten(1)
    losses, tuning, _ = _together(optimizer, rates, seeds, batch, options)
    grid = len(shapes), len(peaks), len(seeds)
    tuning = tuning.reshape(grid)
    chosen = torch.tensor(peaks, dtype=torch.float64)[tuning.mean(-1).argmin(-1)]
    racing = racing or range(seeds.start + 1000, seeds.stop + 1000)
    raced, _, held_out = _together(optimizer, factors * chosen, racing, batch, options)
    return Tried(dict(shapes), list(peaks), losses.reshape(steps, *grid), tuning, held_out, raced[-20:].mean(0))


def several(shape: Shape, peak: float) -> History:
    """The rates and the batch losses of SGD with momentum 0.9, a mean over 16 seeds.

    >>> several(constant, 0.04).rates[:2]
    [0.04, 0.04]
    """
    return tried(SGD, {"": shape}, [peak], racing=range(1), momentum=0.9).runs(peak)[""]


def _together(
    optimizer: MakeOptimizer, rates: Tensor, seeds: range, batch: int, options: Mapping[str, Any]
) -> tuple[Tensor, Tensor, Tensor]:
    """Networks with the learning rates of each column of ``rates [T, n]`` and each seed, trained all at once.

    Returns the loss of each batch, ``[T, n, seeds]``, and that at the end on the images to tune with and on those
    to judge with, ``[n, seeds]`` each.
    """
    images, wanted, unseen, answers = _arrays()
    begun = [_start(seed, len(rates), batch) for seed in seeds]
    weights = torch.stack([start for start, _ in begun])[:, None].repeat(1, rates.shape[1], 1).requires_grad_()
    lrs = rates[:, None, :, None].expand(-1, len(seeds), -1, 1)
    runner = optimizer([{"params": [weights], "lr": lrs[0]}], lr=0.0, **options)
    now, losses = weights.detach().numpy(), []
    for runner.param_groups[0]["lr"], *drawn in zip(lrs, *(drawn for _, drawn in begun), strict=True):
        loss, slope = _slope(now, images[drawn][:, None], wanted[drawn][:, None])
        weights.grad = torch.from_numpy(slope)
        runner.step()
        losses.append(torch.from_numpy(loss))
    tuning, held_out = (
        torch.from_numpy(_slope(now, unseen[part], answers[part])[0]).T for part in (slice(TUNING), slice(TUNING, None))
    )
    return torch.stack(losses).mT, tuning, held_out


@functools.cache
def _arrays() -> list[Point]:
    """What `split` gives, for `_slope`: the labels as rows of ten, 1 at the digit and else 0."""
    images, labels, unseen, answers = (column.numpy() for column in split())
    return [images, numpy.eye(10)[labels], unseen, numpy.eye(10)[answers]]


@functools.cache
def _start(seed: int, steps: int = T, batch: int = 32) -> tuple[Tensor, NDArray[Any]]:
    """The weights of a network in a row, and what `edu_optim.trace.fit` draws for each step, ``[steps, batch]``."""
    weights = torch.nn.utils.parameters_to_vector(small_net(64, 16, 10, seed=seed).parameters()).detach()
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.stack([torch.randint(1400, (batch,), generator=generator) for _ in range(steps)])
    return weights, drawn.numpy()


def _slope(weights: Point, images: Point, wanted: Point) -> tuple[Any, Point]:
    """The cross-entropy of a batch and its gradient, written out, for one network or many ``[..., 1210]``.

    Autograd takes several times as long for networks as small as these.
    """
    many = weights.shape[:-1]
    first, second = weights[..., :1024].reshape(*many, 16, 64), weights[..., 1040:1200].reshape(*many, 10, 16)
    hidden = numpy.tanh(images @ first.swapaxes(-1, -2) + weights[..., None, 1024:1040])
    scores = hidden @ second.swapaxes(-1, -2) + weights[..., None, 1200:]
    scores -= scores.max(-1, keepdims=True)
    likely = numpy.exp(scores)
    total = likely.sum(-1, keepdims=True)
    loss = numpy.log(total).mean((-1, -2)) - (scores * wanted).sum(-1).mean(-1)
    behind = (likely / total - wanted) / images.shape[-2]
    before = behind @ second * (1 - hidden**2)
    parts = before.swapaxes(-1, -2) @ images, before.sum(-2), behind.swapaxes(-1, -2) @ hidden, behind.sum(-2)
    return loss, numpy.concatenate([part.reshape(*many, -1) for part in parts], -1)


def smooth(losses: Sequence[float]) -> Tensor:
    """The mean of the last ten, or of all so far.

    >>> smooth([1.0, 3.0])
    tensor([1., 2.], dtype=torch.float64)
    """
    sums = torch.tensor([0.0, *losses], dtype=torch.float64).cumsum(0)
    ends = torch.arange(1, len(sums))
    starts = (ends - 10).clamp(min=0)
    return (sums[ends] - sums[starts]) / (ends - starts)


def drawn(*shapes: Shape) -> Figure:
    """Each shape against the step, in a panel of its own, three in a row.

    >>> [ax.get_title() for ax in drawn(step_decay, cosine, warmup).axes]
    ['step_decay', 'cosine', 'warmup']
    """
    fig, axes = figure(3, len(shapes) // 3, 8, 1.4, sharex=True, sharey=True, squeeze=False)
    for ax, shape in zip(axes.flat, shapes, strict=True):
        ax.plot([shape(t) for t in range(T)], color=BLUE, label=shape.__name__)
        ax.set_title(shape.__name__)
    for ax in axes[:, 0]:
        ax.set_ylabel("s(t)")
    axes[-1, 1].set_xlabel("step")
    return fig


def on_one_axis(*runs: Mapping[str, History]) -> Figure:
    """The learning rate of each run and, below it on the same axis of time, its loss, the mean of ten batches.

    Args:
        runs: name -> what it saw, at most four; each in a column of its own.

    >>> len(on_one_axis({"a": History([2.0, 1.0], [0.1, 0.1], [1.0, 1.0])}).axes)
    2
    """
    fig, axes = figure(len(runs), 2, 7 if len(runs) == 1 else 9, 2.4, sharex=True, squeeze=False)
    for column, (above, below) in zip(runs, axes.T, strict=True):
        for (name, run), (color, dash, _) in zip(column.items(), OTHERS, strict=False):
            above.plot(run.rates, color=color, linestyle=dash, label=name)
            below.plot(smooth(run.losses), color=color, linestyle=dash, label=name)
        below.set(xlabel="step", yscale="log")
        plain_ticks(below.yaxis)
        label_ends(below)
    axes[0, 0].set(ylabel="learning rate")
    axes[1, 0].set(ylabel="batch loss, mean of ten, log")
    return fig


def sensitivity(lines: Mapping[str, tuple[list[float], Tensor]]) -> Figure:
    """The loss on the images of tuning against the peak, from `Tried.lines`, up to ``MOST``.

    A line that rises further leaves the picture, as if its next point lay at 2 times ``MOST``: at such peaks training
    is chaotic, and differs from one processor to another.

    >>> len(sensitivity({"constant": ([0.1, 0.2], torch.tensor([0.3, 0.2]))}).axes)
    1
    """
    cut = {name: (peaks, mean.where(mean < MOST, 2 * MOST)) for name, (peaks, mean) in lines.items()}
    at, loss = "peak of the learning rate, log scale", "loss of tuning, log scale"
    fig = chart(cut, x=at, y=loss, ylim=(0.11, MOST))
    tried_at = next(iter(lines.values()))[0]
    heights = 0.15, 0.2, 0.3, 0.4, MOST
    fig.axes[0].set_xticks(tried_at, [f"{peak:g}" for peak in tried_at])
    fig.axes[0].set_yticks(heights, [f"{height:g}" for height in heights])
    fig.axes[0].minorticks_off()
    return fig


def paired(*runs: Tried, titles: Sequence[str] = ()) -> Figure:
    """The loss held out, less that of the first shape with the same seed: a dot for each seed, and their mean as a bar.

    Beside each row stands p: how often signs drawn by lot bring the sum of the differences as far from 0.

    Args:
        runs: a panel for each.
        titles: what each panel adds to the name of the first shape.

    >>> shapes = {"constant": constant, "cosine": cosine}
    >>> ends = torch.tensor([[0.3] * 8, [0.2] * 8])
    >>> found = Tried(shapes, [1], torch.ones(T, 2, 1, 1), torch.ones(2, 1, 1), ends, ends)
    >>> [text.get_text() for text in paired(found).axes[0].texts]
    ['p', '0.0078']
    """
    rows = [len(found.shapes) - 1 for found in runs]
    height = 0.7 + 0.4 * sum(rows) / len(rows)
    fig, axes = figure(1, len(runs), 8, height, sharex=True, squeeze=False, height_ratios=rows)
    for ax, found, title in zip(axes.flat, runs, titles or [""] * len(runs), strict=True):
        (first, *names), apart = found.shapes, found.held_out[1:] - found.held_out[0]
        ax.annotate("p", (1.03, 1), (0, 6), xycoords="axes fraction", textcoords="offset points")
        for row, (name, one) in enumerate(zip(names, apart, strict=True)):
            ax.plot(one, [row] * len(one), "o", color=BLUE, alpha=0.4, label=name)
            ax.plot(one.mean(), row, "|", color="0", markersize=24, markeredgewidth=2, label=f"_mean of {name}")
            ax.text(1.03, row, luck(one), va="center", transform=ax.get_yaxis_transform())
        ax.axvline(0, color="0.5", linewidth=1, label="_zero")
        ax.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5))
        ax.set_title(f"{title}: minus {first}" if title else f"minus {first}", loc="left")
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
        seed=slider("seed", "", 0, 0, 20),
        optimizer=optimizer,
    )


def _draw(
    axes: Any,
    *,
    method: str,
    after: str,
    warmup: int,
    peak: float,
    clip: float,
    bad: bool,
    seed: int,
    optimizer: Any = None,
) -> dict[str, Any]:
    """The learning rate, and the loss as the mean of ten batches."""
    ours, options = METHODS[method]
    mine = {ADAM: optimizer, UNCORRECTED: uncorrected, MOMENTUM: None}[method]
    runs = {
        name: trained(make, warmed(warmup, AFTER[after]), clip=clip, bad=bad, seed=seed, **chosen)
        for name, (make, chosen) in rivals(ours, mine, lr=peak, **options).items()
    }
    run = list(runs.values())[-1]
    axes[0].plot(run.rates, color=BLUE)
    axes[0].set_ylim(0, 1.05 * peak)
    lines = {name: against_step(smooth(run.losses)) for name, run in runs.items()}
    found = overlay(axes[1], lines, _sure(lines))
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


def _sure(lines: Mapping[str, Tensor]) -> int | None:
    """How many points no rounding decides: those before ours parts from torch's by a billionth."""
    if "ours" not in lines:
        return None
    apart = ~torch.isclose(lines["ours"], lines["torch"], rtol=1e-9, atol=0, equal_nan=True).all(-1)
    return int(apart.int().argmax()) if apart.any() else None


def trained(
    make: MakeOptimizer, shape: Shape, *, clip: float = math.inf, bad: bool = False, seed: int = 0, **options: Any
) -> History:
    """One training on the digits with the learning rate ``options["lr"]`` times ``shape``, step by step as in `fit`.

    Args:
        make, options: an elementwise optimizer, as for `edu_optim.trace.train`.
        shape: a function of the step, from 0.
        clip: the largest length of a gradient.
        bad: whether the gradient of one batch is 32 times too long, as if its losses were added up, not averaged.
        seed: of the start and of the draws.

    >>> trained(SGD, constant, lr=0.1)
    200 steps, loss 2.258 -> 0.7484
    """
    images, wanted, *_ = _arrays()
    start, drawn = _start(seed)
    run = History(rates=[options["lr"] * shape(t) for t in range(T)])

    def gradient(weights: Point) -> Point:
        t = len(run.losses)
        loss, slope = _slope(weights, images[drawn[t]], wanted[drawn[t]])
        slope *= 32 if bad and t == BAD else 1
        run.losses.append(float(loss))
        run.norms.append(math.sqrt(slope @ slope))
        return slope * min(1, clip / (run.norms[-1] + 1e-6))

    if path_in_numbers(make, options, start.tolist(), gradient, T, run.rates) is None:
        run.losses.clear()
        run.norms.clear()
        weights = start.clone().requires_grad_()
        optimizer = make([weights], **options)
        for optimizer.param_groups[0]["lr"] in run.rates:
            weights.grad = torch.from_numpy(gradient(weights.detach().numpy()))
            optimizer.step()
    return run


def _empty_picture(axes: Any) -> None:
    axes[0].set(xlabel="step", ylabel="learning rate", xlim=(0, T))
    axes[1].set(xlabel="step", ylabel="loss, log scale", yscale="log", xlim=(0, T))
