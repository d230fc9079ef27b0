"""Lesson 09: learning rate and weight decay, and what is left of a faint and of a loud weight."""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure
from torch import Tensor

from ..base import from_rule
from ..optimizers import AdamW
from ..plot import BLUE, GREEN, RED, SKY, figure, label_ends, look
from ..rules import adam, adamw
from ..trace import MakeOptimizer
from ..trace.numbers import path_in_numbers
from .comparison import overlay, rivals
from .controls import choice, rate, slider
from .experiment import Experiment

LOSS = "loss of the means, cut at 1"
LEVELS = [0, 0.003, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.4, 1]
SHADES = BoundaryNorm(LEVELS, 256)
LEARNING_RATES = torch.logspace(-3, -1, 41, dtype=torch.float64)
DECAYS = torch.logspace(-3, 2.5, 56, dtype=torch.float64)
NOISE = torch.tensor([0.01, 10.0], dtype=torch.float64)  # of the faint weight and of the loud one


def l2(
    p: Any, g: Any, m: Any, v: Any, *, t: int, lr: Any, betas: Any = (0.9, 0.999), eps: Any = 1e-8, weight_decay: Any
) -> tuple[Any, ...]:
    """L2 through Adam.

    >>> p, m, v = l2(2.0, 0.0, 0.0, 0.0, t=1, lr=0.1, weight_decay=0.01)
    >>> print(f"{p:.4f}")
    1.9000
    """
    g = g + weight_decay * p  # not decoupled: Adam divides the decay as well
    return adam(p, g, m, v, t=t, lr=lr, betas=betas, eps=eps)


def paper(
    p: Any, g: Any, m: Any, v: Any, *, t: int, lr: Any, betas: Any = (0.9, 0.999), eps: Any = 1e-8, weight_decay: Any
) -> tuple[Any, ...]:
    """AdamW as its paper writes it, with a schedule that stays at 1.

    >>> p, m, v = paper(2.0, 0.0, 0.0, 0.0, t=1, lr=0.1, weight_decay=0.01)
    >>> print(f"{p:.4f}")
    1.9800
    """
    p = p - weight_decay * p  # without lr
    return adam(p, g, m, v, t=t, lr=lr, betas=betas, eps=eps)


FORMS = {"decoupled, times η (torch)": adamw, "decoupled, without η (paper)": paper, "L2 through Adam": l2}
TORCH, PAPER, L2 = FORMS
CIRCLES = {  # two settings of each form, a learning rate and a weight decay
    TORCH: [(0.05, 0.1), (0.005, 1)],
    PAPER: [(0.05, 0.005), (0.005, 0.005)],
    L2: [(0.005, 0.1), (0.005, 1)],
}


def play(optimizer: Callable[..., Any] | None = None) -> Experiment:
    """A map of losses over the learning rate and the weight decay, and the mean path of 16 faint and 16 loud weights.

    All start at 1, their gradients are noise of 0.01 and of 10, and the loss is least where both means are 0.6.

    Args:
        optimizer: an AdamW of your own, a class or a rule, which runs beside ours and torch's.

    >>> play().at(weight_decay=0.2)
    weight decay λ: 0.2
    η · λ: 0.01
    mean of the faint: 0.366
    mean of the loud: 0.366
    loss of the means: 0.0547
    """
    for form in FORMS:
        losses(form)  # so that no move waits for them
    return Experiment(
        _draw,
        _scales_and_plane,
        columns=2,
        height=4.0,
        lr=rate("learning rate η", "", 0.05, 0.001, 0.1),
        weight_decay=rate("weight decay λ", "", 0.1, 0.001, 10**2.5),
        form=choice("form", *FORMS),
        optimizer=optimizer,
    )


def _draw(axes: Any, *, lr: float, weight_decay: float, form: str, optimizer: Any = None) -> dict[str, Any]:
    """The setting on the map of losses, the mean path of the faint and the loud weights, and the 16 of each as dots."""
    mine = optimizer if form == TORCH else FORMS[form]
    runners = rivals(AdamW, mine, lr=lr, weight_decay=weight_decay)
    clouds = {name: _cloud(cls, **options) for name, (cls, options) in runners.items()}
    _map(axes[0], form)
    axes[0].set_title(form[0].upper() + form[1:])
    axes[0].plot(lr, weight_decay, "o", color=RED, markeredgecolor="1", markersize=12)
    found = overlay(axes[1], clouds)
    for line in axes[1].get_lines():
        if line.get_label() in clouds:
            line.set_marker("")
    weights = list(clouds.values())[-1][-1]
    if "torch" in clouds:
        axes[1].plot(*clouds["torch"][-1].T, "o", color=SKY, alpha=0.6, markersize=9, label="_torch's 16", zorder=1)
    axes[1].plot(*weights.T, ".", color="0.3", label="the 16 of each", zorder=1)
    if beside := axes[1].get_legend():
        beside.remove()  # there is room for it under the map
    axes[0].legend(*axes[1].get_legend_handles_labels(), loc="upper left", bbox_to_anchor=(0, -0.2), ncols=2)
    end = weights.mean(0)
    axes[1].plot(*end, "o", color=RED, markeredgecolor="1", markersize=8, zorder=6)
    left = {"mean of the faint": end[0], "mean of the loud": end[1], "loss of the means": loss_of(end)}
    return {"η · λ": lr * weight_decay, **left, **found}


@functools.cache
def pushes() -> Tensor:
    """The gradients, ``[100, 16, 2]``: 8 draws for each step and their mirror images, so that they average to zero.

    >>> pushes().shape
    torch.Size([100, 16, 2])
    """
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(100, 8, 2, generator=generator, dtype=torch.float64)
    return torch.cat([drawn, -drawn], dim=1) * NOISE


def _weights(optimizer: MakeOptimizer, *shape: int, **options: Any) -> Iterator[Tensor]:
    """The 16 faint and the 16 loud weights, ``[16, 2, *shape]``, at the start and after each step."""
    weights = torch.ones(16, 2, *shape, dtype=torch.float64, requires_grad=True)
    runner = optimizer([weights], **options)
    yield weights.detach().clone()
    for push in pushes():
        weights.grad = push.reshape(16, 2, *[1] * len(shape)).expand_as(weights)
        runner.step()
        yield weights.detach().clone()


def _cloud(optimizer: MakeOptimizer, **options: Any) -> Tensor:
    """The weights at the start and after each step, ``[101, 16, 2]``."""
    met = iter(pushes().flatten(1).tolist())
    path = path_in_numbers(optimizer, options, [1.0] * 32, lambda point: next(met), len(pushes()))
    return torch.stack(list(_weights(optimizer, **options))) if path is None else path.unflatten(1, (16, 2))


def follow(optimizer: MakeOptimizer, *shape: int, **options: Any) -> Tensor:
    """What is left of the faint and of the loud weights on average, ``[101, 2, *shape]``: at once for all settings.

    >>> follow(AdamW, lr=0.05, weight_decay=0.1)[-1]
    tensor([0.6058, 0.6058], dtype=torch.float64)
    """
    return torch.stack([weights.mean(0) for weights in _weights(optimizer, *shape, **options)])


def loss_of(weights: Tensor) -> Tensor:
    """The mean of the squared distances from 0.6, over the first axis.

    >>> loss_of(torch.tensor([0.6, 1.6], dtype=torch.float64))
    tensor(0.5000, dtype=torch.float64)
    """
    return ((weights - 0.6) ** 2).mean(0)


@functools.cache
def losses(form: str) -> Tensor:
    """The loss after 100 steps, ``[56, 41]`` over `DECAYS` and `LEARNING_RATES`.

    >>> losses(TORCH).shape
    torch.Size([56, 41])
    """
    shape = len(DECAYS), len(LEARNING_RATES)
    return loss_of(follow(from_rule(FORMS[form]), *shape, lr=LEARNING_RATES, weight_decay=DECAYS[:, None])[-1])


def _scales_and_plane(axes: Any) -> None:
    _scales(axes[0])
    shades = ScalarMappable(SHADES, "cividis")
    axes[0].figure.colorbar(shades, cax=axes[0].inset_axes((1.03, 0, 0.05, 1)), label=LOSS, format="%g")
    axes[0].set_ylabel("weight decay λ, log scale")
    _plane(axes[1])


def valleys() -> Figure:
    """The maps of losses of the three forms side by side, each with the two settings of ``CIRCLES``.

    >>> [ax.get_title() for ax in valleys().axes[:3]]
    ['Decoupled, times η (torch)', 'Decoupled, without η (paper)', 'L2 through Adam']
    """
    fig, axes = figure(len(FORMS), width=11.5, height=3.9, sharey=True)
    for ax, form in zip(axes, FORMS, strict=True):
        _scales(ax)
        _map(ax, form)
        ax.set_title(form[0].upper() + form[1:])
        ax.plot(*zip(*CIRCLES[form], strict=True), "o", color=RED, markeredgecolor="1", markersize=12)
    fig.colorbar(axes[-1].collections[0], ax=axes, label=LOSS, format="%g")
    axes[0].set_ylabel("weight decay λ, log scale")
    return fig


def _scales(ax: Axes) -> None:
    ax.set(xscale="log", yscale="log", xlim=(1e-3, 0.1), ylim=(1e-3, 10**2.5), xlabel="learning rate η, log scale")


def _map(ax: Axes, form: str) -> None:
    shown = losses(form).clamp(max=LEVELS[-1])
    ax.pcolormesh(*[values.numpy() for values in (LEARNING_RATES, DECAYS, shown)], cmap="cividis", norm=SHADES)


def _plane(ax: Axes) -> None:
    side = torch.linspace(-0.6, 1.8, 121, dtype=torch.float64)
    heights = loss_of(torch.stack(torch.meshgrid(side, side, indexing="xy")))
    ax.contour(side, side, heights, levels=LEVELS[1:-1], colors="0.8", linewidths=0.8)
    ax.plot(0.6, 0.6, "+", color="0.2", markersize=18, label="_best")
    ax.plot(1, 1, "s", color="0.2", markersize=6, label="_start")
    ax.set(xlim=(-0.6, 1.8), ylim=(-0.6, 1.8))
    ax.set(xlabel="faint weight", ylabel="loud weight", aspect="equal")


def noise_left(loudness: Tensor, runs: Mapping[str, Mapping[str, Tensor]], asked: float) -> Figure:
    """The mean of what is left of the weights at each loudness, and how far AdamW's weights scatter about it.

    Args:
        loudness: of the noise, ``[n]``.
        runs: title of a panel -> name -> what is left of each weight, ``[weights, n]``; one of the names is AdamW.
        asked: what decay alone would leave.

    >>> fig = noise_left(torch.tensor([0.1, 1.0]), {"η 1": {"AdamW": torch.rand(9, 2)}}, 0.6)
    >>> fig.axes[0].get_lines()[-1].get_label()
    'AdamW'
    """
    fig, axes = figure(len(runs), sharey=True, squeeze=False)
    for ax, (title, left) in zip(axes[0], runs.items(), strict=True):
        ax.axhline(asked, color="0", linewidth=3, alpha=0.5, label="_asked for")
        for name, weights in reversed(list(left.items())):
            ax.plot(loudness, weights.mean(0), label=name, **look(name.rpartition(" ")[2]))
        mean, spread = left["AdamW"].mean(0), left["AdamW"].std(0)
        ax.fill_between(loudness, mean - spread, mean + spread, color=RED, alpha=0.15)
        ax.set(xscale="log", xlabel="size of the noise, log scale", title=title)
    for ax in axes[0]:
        label_ends(ax)
    axes[0, 0].set_ylabel("left of a weight of 1")
    return fig


AIMS = torch.linspace(0, 10, 21, dtype=torch.float64)


def biases(
    rule: Callable[..., Any] = adamw, betas: tuple[float, float] = (0.9, 0.95), *, steps: int = 2000, **options: Any
) -> Tensor:
    """Where biases settle that begin at 0 and should become ``AIMS``, ``[21]``: the mean of 40 of each.

    The gradient is the bias minus its aim, and noise; averaged is over the last quarter of the steps.

    Args:
        rule: an AdamW.
        betas: of the rule.
        steps: how many it takes.
        options: the standard deviation ``noise``, and the ``weight_decay``.

    >>> print([f"{end:.2f}" for end in biases(noise=0, weight_decay=0.2)[[8, 20]]])
    ['4.00', '5.00']
    """
    noise = options.pop("noise")

    def walk(p: Any, aims: Any, noises: Any) -> Tensor:
        m, v, total, late = 0.0, 0.0, torch.zeros_like(AIMS), steps - int(0.75 * steps)
        for t, each in enumerate(noises, 1):
            p, m, v = rule(p, p - aims + each, m, v, t=t, lr=0.03, betas=betas, **options)
            if t > steps - late:
                total += torch.as_tensor(p.mean(0))
        return total / late

    noises = noise * _noises(steps) if noise else torch.zeros(steps, 1, 1)
    start = torch.zeros(noises.shape[1], len(AIMS), dtype=torch.float64)
    try:
        return walk(start.clone().numpy(), AIMS.numpy(), noises.numpy())  # in a third of the time of tensors
    except TypeError:  # the rule asks for tensors
        return walk(start, AIMS, noises)


@functools.cache
def _noises(steps: int) -> Tensor:
    return torch.randn(steps, 40, len(AIMS), generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def limit(rule: Callable[..., Any] = adamw) -> Experiment:
    """Where AdamW lets a bias settle, over where it should: without noise, and in noise of yours.

    >>> limit().at(noise=10.0)
    noise: 10
    1 / λ: 5
    should be 4: 4.0 without noise, 1.3 in noise
    should be 10: 5.0 without noise, 2.9 in noise
    """
    return Experiment(
        _settled,
        _wanted,
        weight_decay=rate("weight decay λ", "", 0.2, 0.05, 1),
        noise=slider("noise", "", 1.0, 0.0, 10.0),
        rule=rule,
    )


def _settled(ax: Axes, *, weight_decay: float, noise: float, rule: Callable[..., Any]) -> dict[str, Any]:
    """Where biases settle, over where they should, without noise and in yours; a dotted line marks 1/λ."""
    quiet, noisy = (biases(rule, noise=size, weight_decay=weight_decay) for size in (0.0, noise))
    ax.axhline(1 / weight_decay, color="0.3", linestyle=":", label="_1/λ")
    ax.plot(AIMS, quiet, color=BLUE, label="without noise")
    ax.plot(AIMS, noisy, color=RED, linestyle="--", label="in noise")
    ax.legend(loc="upper left")
    ends = {f"should be {AIMS[i]:.0f}": f"{quiet[i]:.1f} without noise, {noisy[i]:.1f} in noise" for i in (8, 20)}
    return {"1 / λ": 1 / weight_decay, **ends}


def _wanted(ax: Axes) -> None:
    ax.plot(AIMS, AIMS, color="0.7", linewidth=1, label="as it should")
    ax.set(xlabel="bias as it should be", ylabel="bias as it settles", xlim=(0, 10), ylim=(0, 10))


RATES = torch.logspace(-4.5, -1.5, 13, dtype=torch.float64)
GRID = torch.cat([torch.zeros(1, dtype=torch.float64), torch.logspace(-1, 1.5, 6, dtype=torch.float64)])


def own_and_unseen(
    optimizer: MakeOptimizer,
    spread: float,
    seeds: range = range(10),
    budgets: tuple[int, ...] = (2000,),
    rates: Tensor = RATES,
    decays: Tensor = GRID,
) -> Tensor:
    """The squared errors of a linear model on its own and on unseen examples, ``[2, budgets, seeds, rates, decays]``.

    40 features, 60 noisy examples, minibatches of 8. Each feature matters alike, but their units differ: the sizes
    of the features run from 10^-spread to 10^spread, evenly on a log scale. The targets of its own examples have noise
    of variance 1; those of unseen examples are the true answers.

    Args:
        optimizer: a class that takes ``lr`` and ``weight_decay``; one descent each for all settings.
        spread: 0 for features of one unit.
        seeds: of the examples; each draws true weights, noise and minibatches of its own.
        budgets: after how many steps to ask for the error.
        rates, decays: what is tried, each with each.

    >>> own_and_unseen(AdamW, 0, range(1), (1, 2), RATES[:3], GRID[:1]).shape
    torch.Size([2, 2, 1, 3, 1])
    """
    units = torch.logspace(-spread, spread, 40, dtype=torch.float64)
    drawn = [_examples(seed, units, max(budgets)) for seed in seeds]
    inputs, targets, batches, unseen, answers = (torch.stack(each) for each in zip(*drawn, strict=True))
    lr, decay = (settings.flatten() for settings in torch.meshgrid(rates, decays, indexing="ij"))
    weights = torch.zeros(len(seeds), 40, len(lr), dtype=torch.float64, requires_grad=True)
    runner = optimizer([weights], lr=lr, weight_decay=decay)
    task, errors = torch.arange(len(seeds))[:, None], []
    for step, batch in enumerate(batches.unbind(1), 1):
        x, y = inputs[task, batch], targets[task, batch]
        weights.grad = x.mT @ (x @ weights.detach() - y[..., None]) / 8
        runner.step()
        if step in budgets:
            both = [(inputs, targets), (unseen, answers)]
            wrong = [((x @ weights.detach() - y[..., None]) ** 2).mean(1) for x, y in both]
            errors.append(torch.stack(wrong).view(2, len(seeds), len(rates), len(decays)))
    return torch.stack(errors, 1)


def unseen_error(*args: Any, **kwargs: Any) -> Tensor:
    """The squared error on unseen examples of `own_and_unseen`, ``[budgets, seeds, rates, decays]``.

    >>> unseen_error(AdamW, 0, range(1), budgets=(1, 2)).shape
    torch.Size([2, 1, 13, 7])
    """
    return own_and_unseen(*args, **kwargs)[1]


def _examples(seed: int, units: Tensor, steps: int) -> tuple[Tensor, ...]:
    """Inputs and noisy targets, the batches of each step, and unseen inputs with their true answers."""
    generator = torch.Generator().manual_seed(seed)
    draw = functools.partial(torch.randn, generator=generator, dtype=torch.float64)
    truth, seen, unseen = draw(40) / 40**0.5, draw(60, 40), draw(1000, 40)
    targets = seen @ truth + draw(60)
    batches = torch.randint(60, (steps, 8), generator=generator)
    return seen * units, targets, batches, unseen * units, unseen @ truth


def over_time(steps: tuple[int, ...], errors: Tensor, rates: Tensor) -> Figure:
    """The error on unseen examples as a run goes on, at three learning rates, without decay and with it.

    Args:
        steps: at which the errors were asked for.
        errors: mean errors ``[steps, 3, 2]``, over the rates and over no decay and some.
        rates: the three learning rates.

    >>> [ax.get_title() for ax in over_time((1, 2), torch.ones(2, 3, 2), RATES[:3]).axes]
    ['no decay', 'decay λ = 3.2']
    """
    fig, axes = figure(2, height=3.4, sharey=True)
    for ax, title, by in zip(axes, ("no decay", "decay λ = 3.2"), errors.unbind(2), strict=True):
        for lr, line, (color, dashes) in zip(rates, by.T, ((BLUE, ":"), (GREEN, "--"), (RED, "-")), strict=True):
            ax.plot(steps, line, color=color, linestyle=dashes, label=f"η = {lr:.0e}")
        ax.set(title=title, xscale="log", xlabel="step, log scale", ylim=(0.55, 2.3))
        label_ends(ax)
    axes[0].set_ylabel("error on unseen examples")
    return fig


def over_both(errors: Tensor) -> Figure:
    """The errors of AdamW at three learning rates, cut at 1.2: over the decay, and over its product with the rate.

    The product is the decay of `paper`, which takes the same steps with it.

    Args:
        errors: mean errors ``[13, 7]`` over ``RATES`` and ``GRID``; those without decay are left out.

    >>> [ax.get_xlabel() for ax in over_both(torch.ones(13, 7)).axes]
    ['decay λ, log scale', 'product ηλ, log scale']
    """
    fig, axes = figure(2, height=3.6, sharey=True)
    for index, color, marker in ((4, BLUE, "o"), (7, GREEN, "s"), (10, RED, "D")):
        for ax, factor in zip(axes, (1, RATES[index]), strict=True):
            style = {"color": color, "marker": marker, "markersize": 7, "label": f"η = {RATES[index]:.1g}"}
            ax.plot(factor * GRID[1:], errors[index, 1:], **style)
    axes[0].set(xscale="log", ylim=(0.55, 1.2), xlabel="decay λ, log scale", ylabel="error on unseen examples")
    axes[1].set(xscale="log", xlabel="product ηλ, log scale")
    axes[0].legend()
    return fig
