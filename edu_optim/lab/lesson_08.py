"""Lesson 08, Adam: its experiment, and the longer of its drawings and runs."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy
import torch
from matplotlib.axes import Axes
from torch import Tensor

from ..optimizers import SGD, Adam, RMSprop
from ..plot import BLUE, GREEN, RED, label_ends
from ..problems import Problem, digits, line_model, line_points, small_net
from ..rules import adam
from ..trace import MakeOptimizer, Trace, descend, train_many
from .comparison import overlay, rivals, steps_along
from .controls import choice, rate, slider, switch
from .experiment import Experiment
from .lesson_08_means import NOISY
from .lesson_08_words import RIVALS

SERIES = {
    "noisy": NOISY,
    "sign-flipping": [1.0, -1.0] * 25,
    "sparse": ([0.0] * 15 + [1.0]) * 3 + [0.0] * 2,
}


def play(optimizer: Callable[..., Any] | None = None) -> Experiment:
    """Fifty gradients of three kinds, a thousandth of what is drawn, and each step that an Adam makes of them.

    Args:
        optimizer: your rule or class, laid over ours and torch's; only those two if None.

    >>> numbers = play().at(gradient="sign-flipping").numbers
    >>> f"{numbers['all 50 (lr)']:.2f}, {numbers['step 50 (lr)']:.4f}"
    '1.76, -0.0526'
    """
    return Experiment(
        _steps_of,
        _gradients_below,
        gradient=choice("gradients", *SERIES),
        window_m=rate("window of m", "steps", 10, 1, 100),
        window_v=rate("window of v", "steps", 1000, 1, 10000),
        eps=rate("ε", "", 1e-8, 1e-10, 1),
        broken=switch("leave out the correction"),
        optimizer=optimizer,
    )


def _steps_of(
    ax: Axes, *, gradient: str, window_m: float, window_v: float, eps: float, broken: bool, optimizer: Any = None
) -> dict[str, Any]:
    """The 50 steps in units of lr, over the gradients; a dashed line marks 1 lr."""
    mine = _uncorrected if broken else optimizer
    betas, small = (1 - 1 / window_m, 1 - 1 / window_v), [0.001 * g for g in SERIES[gradient]]
    runners = rivals(Adam, mine, lr=1.0, betas=betas, eps=eps)
    lines = {name: steps_along(small, cls, **own) for name, (cls, own) in runners.items()}
    found = overlay(ax, lines)
    ax.legend()
    steps = list(lines.values())[-1][1:, 1]
    drawn = torch.stack([line[1:, 1] for line in lines.values()] + [1000 * torch.tensor(small)]).nan_to_num(0)
    top = next((top for top in (1.5, 3, 7, 15, 30, 60) if top > drawn.abs().max()), 144)
    ax.set_ylim(-top if drawn.min() < -1.5 else -1.5, top)
    some = {f"step {t} (lr)": steps[t - 1] for t in (1, 2, 16, 50)}
    measured = {**some, "longest step (lr)": steps.abs().max(), "all 50 (lr)": steps.sum()}
    return {"betas": ", ".join(f"{beta:.4g}" for beta in betas), **measured, **found}


def _uncorrected(p: Any, g: Any, m: Any, v: Any, *, lr: Any, betas: Any, eps: Any) -> Any:
    beta1, beta2 = betas
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g**2
    return p - lr * m / (v**0.5 + eps), m, v


def _gradients_below(ax: Axes, gradient: str) -> None:
    ax.vlines(range(1, 51), 0, SERIES[gradient], color="0.7", linewidth=2, zorder=0, label="gradient · 1000")
    ax.axhline(1, color=RED, linestyle="--", linewidth=1, label="_1 lr")
    ax.text(51.4, 1, "1 lr", color=RED, va="center")
    ax.set(xlim=(0, 51), xlabel="step", ylabel="step in units of lr")


def lesson_00(optimizer: MakeOptimizer) -> tuple[dict[str, list[float]], float]:
    """The 50 epochs of lesson 00 at a learning rate of 0.01: what each epoch found, and the prediction for x = 5.

    >>> diary, prediction = lesson_00(Adam)
    >>> f"{diary['loss'][49]:.4f}, {prediction:.4f}"
    '2.9324, 6.4472'
    """
    model, (x, y) = line_model(), line_points()
    weight, bias = model.parameters()
    runner = optimizer([weight, bias], lr=0.01)
    rows = []
    for _ in range(50):
        loss = ((model(x) - y) ** 2).mean()
        weight.grad, bias.grad = slopes = torch.autograd.grad(loss, [weight, bias])
        rows.append([number.item() for number in (loss, *slopes, weight, bias)])
        runner.step()
    names = "loss", "gradient of weight", "gradient of bias", "weight", "bias"
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)), model(torch.tensor([[5.0]])).item()


def held_out(
    optimizer: MakeOptimizer, lrs: Sequence[float], *, seeds: int = 5, steps: int = 300, **options: Any
) -> list[float]:
    """The share of 360 unseen digits that a small network gets right for each learning rate, averaged over starts.

    It learns from the other 1,437 digits, in batches of 32.

    >>> tuned, tiny = held_out(Adam, [0.01, 1e-5], seeds=1, steps=200)
    >>> tuned > 0.9 > tiny
    True
    """
    images, labels = digits()
    mixed = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    seen, unseen = mixed[360:], mixed[:360]
    starts = [small_net(64, 32, 10, seed=seed) for _ in lrs for seed in range(seeds)]
    each = torch.tensor([lr for lr in lrs for _ in range(seeds)])
    copies = train_many(starts, optimizer, images[seen], labels[seen], steps, batch=32, lr=each, **options)
    return copies.accuracy(images[unseen], labels[unseen]).reshape(len(lrs), seeds).mean(1).tolist()


def on_digits(*, seeds: int = 5, steps: int = 500) -> dict[str, tuple[float, float]]:
    """The best of four learning rates of each optimizer, and the share of unseen digits that it gets right.

    >>> {name: f"{lr:g}" for name, (lr, _) in on_digits(seeds=1, steps=100).items()}
    {'SGD': '1', 'momentum': '0.1', 'Adam': '0.01'}
    """
    best = {}
    for (name, (optimizer, options)), least in zip(RIVALS.items(), (0.1, 0.01, 0.001), strict=True):
        lrs = [least, 3 * least, 10 * least, 30 * least]
        right = held_out(optimizer, lrs, seeds=seeds, steps=steps, **options)
        best[name] = lrs[right.index(max(right))], max(right)
    return best


def untuned(problem: Problem, slow: float, lr: float, *, steps: int = 100) -> dict[str, Trace]:
    """Momentum at the learning rate ``slow``, RMSprop and Adam at ``lr``, by their names.

    >>> from edu_optim.problems import beale
    >>> list(untuned(beale, 0.002, 0.1))
    ['momentum', 'RMSprop', 'Adam']
    """
    return {
        "momentum": descend(problem, SGD, steps=steps, name="momentum", lr=slow, momentum=0.9),
        "RMSprop": descend(problem, RMSprop, steps=steps, lr=lr),
        "Adam": descend(problem, Adam, steps=steps, lr=lr),
    }


def distances(
    rule: Callable[..., Any],
    betas: tuple[float, float] = (0.9, 0.999),
    lr: float = 0.1,
    *,
    noise: float = 1.0,
    falling: bool = False,
    steps: int = 2000,
) -> Tensor:
    """How far 200 weights are from their minimum at 3, averaged over them and every 100 steps, ``[steps / 100]``.

    They begin at 0; the gradient of each is ``4 * (p - 3)`` and noise of standard deviation ``noise``. If ``falling``,
    the rate goes in a straight line to zero.

    >>> from edu_optim.rules import adam
    >>> f"{distances(adam)[-1]:.2f}, {distances(adam, falling=True)[-1]:.2f}"
    '0.08, 0.02'
    """

    def walk(p: Any, noises: Any) -> Tensor:
        path, m, v = [], 0.0, 0.0
        for t, each in enumerate(noises, 1):
            rate = lr * (1 - t / steps if falling else 1)
            p, m, v = rule(p, 4 * (p - 3) + each, m, v, t=t, lr=rate, betas=betas)
            path.append(torch.as_tensor(p - 3))
        return torch.stack(path).abs().reshape(-1, 100 * 200).mean(1)

    noises = noise * _draws(steps)
    try:
        with numpy.errstate(all="ignore"):
            return walk(numpy.zeros(200, numpy.float32), noises.numpy())  # in a fifth of the time of tensors
    except TypeError:  # the rule asks for tensors
        return walk(torch.zeros(200), noises)


@functools.cache
def _draws(steps: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.stack([torch.randn(200, generator=generator) for _ in range(steps)])


def settling(rule: Callable[..., Any] = adam) -> Experiment:
    """How near its minimum Adam comes in noise, beside the usual betas at three rates, and without noise.

    >>> settling().at(lr=0.01)
    learning rate: 0.01
    distance at the end: 0.0201
    """
    return Experiment(
        _yours,
        _fixed_settings,
        lr=rate("learning rate", "", 0.1, 0.001, 1),
        falling=switch("let it fall to zero"),
        noise=slider("noise", "", 1.0, 0.0, 3.0),
        window_m=rate("window of m", "steps", 10, 1, 100),
        window_v=rate("window of v", "steps", 1000, 1, 10000),
        rule=rule,
    )


_MIDDLES = range(50, 2000, 100)


def _yours(
    ax: Axes, *, lr: float, falling: bool, noise: float, window_m: float, window_v: float, rule: Callable[..., Any]
) -> dict[str, Any]:
    """The distance from the minimum: yours broad and pale; lr 0.1 dips, then ends at 0.08, the others at 0.02 or 0."""
    betas = 1 - 1 / window_m, 1 - 1 / window_v
    far = distances(rule, betas, lr, noise=noise, falling=falling)
    ax.plot(_MIDDLES, far, color=RED, linewidth=9, alpha=0.35, zorder=0, solid_capstyle="round", label="_yours")
    return {"distance at the end": far[-1]}


def _fixed_settings(ax: Axes) -> None:
    fixed: dict[str, tuple[str, str, dict[str, Any]]] = {
        "lr 0.1": ("0", "-", {}),
        "lr 0.01": (BLUE, "--", {"lr": 0.01}),
        "lr falls": (GREEN, "-.", {"falling": True}),
        "no noise": ("0.5", ":", {"noise": 0}),
    }
    for name, (color, dashes, own) in fixed.items():
        ax.plot(_MIDDLES, distances(adam, **own), color=color, linestyle=dashes, label=name)
    ax.set(yscale="log", ylim=(1e-3, 5), xlabel="step", ylabel="distance, log scale")
    label_ends(ax)
