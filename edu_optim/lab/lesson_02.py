"""The experiment and the longer pictures of lesson 02, stochastic gradients."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from torch import Tensor
from torch.nn import Module
from torch.nn.functional import cross_entropy

from .. import rules
from ..optimizers import SGD
from ..plot import BLACK, BLUE, GREEN, ORANGE, RED, contour, figure, label_ends, plain_ticks
from ..problems import digits, noisy_quadratic, quadratic, small_net
from ..trace import MakeOptimizer, train, train_many
from .comparison import overlay, rivals
from .controls import rate, slider, switch
from .experiment import Experiment

CURVATURES = torch.tensor([1.0, 4.0], dtype=torch.float64)
TURN = torch.linspace(0, 2 * torch.pi, 101, dtype=torch.float64)  # once around
NOISE = 4.0  # standard deviation of the gradient of one example
STEPS, PATHS = 100, 500
FIRST = {"batch": 4, "lr": 0.2}  # the settings at which the experiment begins
FAR = 12.0  # a path that goes beyond leaves the picture
# Measured once: 27 November 2026, one core of an AMD EPYC in a virtual machine, 1 and 32 MiB of cache, Linux 6.18,
# torch 2.13, float64; seconds of CPU time of one step of torch.optim.SGD for small_net(64, 16, 10) on so many digits,
# the draw and the gradient included, the least of 200 steps.
STEP_SECONDS = {"all 1797": 1.19e-3, "128": 0.33e-3, "16": 0.24e-3}
STEP_RATES = (0.25, 0.35, 0.5, 0.7, 1, 1.4, 2, 2.8)


def play(optimizer: Callable[..., Any] | None = None) -> Experiment:
    """Noisy paths into the predicted ball, for a batch size, a learning rate and a seed.

    ``optimizer`` is your class or rule, drawn beside ours and torch's. The switch injects a mistake: it seeds the
    generator again in every step, so that each step meets the same error.

    >>> print(play().at(batch=16))
    batch size (examples): 16
    radius of the ball, predicted: 0.391
    distance after 20 steps: 0.382
    distance after 100 steps: 0.39
    last step on the left: 0.165
    """
    return Experiment(
        _paths,
        _bowl_and_distance,
        columns=2,
        batch=slider("batch size", "examples", FIRST["batch"], 1, 100),
        lr=rate("learning rate", "", FIRST["lr"], 0.01, 0.49),
        seed=slider("seed", "", 0, 0, 20),
        broken=switch("seed again in every step"),
        optimizer=optimizer,
    )


def _paths(
    axes: Any, *, lr: float, batch: int, seed: int, broken: bool, optimizer: Callable[..., Any] | None = None
) -> dict[str, Any]:
    """Left, a noisy path, from step 21 on in dots, and the ball; right, how far off 500 paths are."""
    runs = _runs(lr, batch, seed, broken, optimizer)
    variance = floor_variance(lr, CURVATURES, NOISE / batch**0.5)
    found = overlay(axes[0], {name: places[:, 0] for name, places in runs.items()})
    _late_as_dots(axes[0])
    places = list(runs.values())[-1]
    first = floor_variance(FIRST["lr"], CURVATURES, NOISE / FIRST["batch"] ** 0.5)
    if not torch.equal(variance, first):
        name = f"ball of batch {FIRST['batch']}, rate {FIRST['lr']}"
        _ellipse(axes[0], first, "--", color="0.25", linewidth=1.5, zorder=8, label=name)
    rim = [withStroke(linewidth=4.5, foreground="w")]
    _ellipse(axes[0], variance, "-", color=RED, linewidth=2.5, zorder=9, label="ball, two deviations", path_effects=rim)
    axes[0].legend()
    reach = (1.05 * places[:, 0].abs().max()).nan_to_num(FAR).clamp(5, FAR).item()
    axes[0].set(xlim=(-reach, reach), ylim=(-reach, reach))
    off = _distances(axes[1], variance, places)
    measured = {f"distance after {step} steps": off[step] for step in (20, STEPS)}
    last = (places[-1, 0] - places[-2, 0]).norm()
    return {"radius of the ball, predicted": variance.sum().sqrt(), **measured, "last step on the left": last, **found}


def _late_as_dots(ax: Axes) -> None:
    """Draw the paths as lines to step 20 alone, and every later place as a dot, once where paths agree."""
    paths = [(line, numpy.asarray(line.get_xydata())) for line in ax.get_lines()]
    paths = [(line, places) for line, places in paths if len(places) > 21]
    for k, (line, places) in enumerate(paths):
        line.set_data(*places[:21].T)
        if not any(numpy.allclose(places, others) for _, others in paths[k + 1 :]):
            name, late = line.get_label(), places[21:].T
            ax.plot(*late, ".", color=line.get_color(), markersize=4, zorder=1.9, label=f"_{name}, late")


def _runs(lr: float, batch: int, seed: int, broken: bool, optimizer: Callable[..., Any] | None) -> dict[str, Tensor]:
    """Places ``[steps + 1, paths, 2]`` of each optimizer, by name; the last one has the mistake, if there is one."""
    mine = optimizer or (rules.gradient_descent if broken else None)
    right, runs = _errors(batch, seed), {}
    for name, (make, options) in rivals(SGD, mine, lr=lr).items():
        errors = _errors(batch, seed, seeded_again=True) if broken and name == "yours" else right
        runs[name] = _noisy_paths(make, errors, **options)
    return runs


def _errors(batch: int, seed: int, seeded_again: bool = False) -> Tensor:
    draws, rows = torch.Generator().manual_seed(seed), []
    for _ in range(STEPS):
        if seeded_again:
            draws.manual_seed(seed)  # the mistake
        rows.append(torch.randn(PATHS, 2, generator=draws, dtype=torch.float64))
    return NOISE / batch**0.5 * torch.stack(rows)


def _noisy_paths(make: MakeOptimizer, errors: Tensor, **options: Any) -> Tensor:
    p = torch.tensor([-4.0, 4.0], dtype=torch.float64).repeat(PATHS, 1).requires_grad_()
    runner, places = make([p], **options), [p.detach().clone()]
    for error in errors:
        p.grad = CURVATURES * p.detach() + error
        runner.step()
        places.append(p.detach().clone())
    return torch.stack(places)


def _bowl_and_distance(axes: Any) -> None:
    contour(axes[0], quadratic(condition=4), points=101)
    axes[0].set_title("")
    axes[1].set(xlim=(0, STEPS), ylim=(0.02, 20), yscale="log", xlabel="step")
    axes[1].set(ylabel="distance, log scale")


def _distances(ax: Axes, variance: Tensor, places: Tensor) -> Tensor:
    """Draw how far the paths are from the minimum, and return the root of the mean square, ``[steps + 1]``."""
    off = (places**2).sum(-1).mean(-1).sqrt()
    ax.plot(places[:, 0].norm(dim=-1), color="0.5", linewidth=1, label="path at left")
    ax.plot(off, color=BLUE, linewidth=2.5, label=f"{PATHS} paths")
    ax.axhline(variance.sum().sqrt().item(), color=RED, linestyle="--", label="predicted")
    ax.legend()
    return off


def floor_variance(lr: Any, curvature: Any, noise: Any = 1.0) -> Any:
    """The noise floor: the variance of the place once a path at a constant rate has settled around a minimum.

    >>> floor_variance(lr=0.5, curvature=2.0)
    0.25
    """
    return lr * noise**2 / (curvature * (2 - lr * curvature))


def least_squares(rule: Callable[..., Any], lr: float) -> tuple[Tensor, Tensor]:
    """Where 400 paths of a least-squares fit end, ``[400, 2]``, and the variances that the noise floor predicts.

    The inputs scatter by 1 and by 5, so that the curvatures are 1 and 25, and the labels so much that a gradient of
    a batch of 8 errs at the minimum with variance 1 and 25.

    >>> from edu_optim.rules import gradient_descent
    >>> places, variances = least_squares(gradient_descent, lr=0.05)
    >>> places.shape, f"{variances[1] / variances[0]:.1f}"
    (torch.Size([400, 2]), '2.6')
    """
    scales, draws = torch.tensor([1.0, 5.0], dtype=torch.float64), torch.Generator().manual_seed(0)
    p = torch.zeros(400, 2, dtype=torch.float64)
    for _ in range(round(4 / lr)):
        inputs = scales * torch.randn(400, 8, 2, generator=draws, dtype=p.dtype)
        noise = 8**0.5 * torch.randn(400, 8, generator=draws, dtype=p.dtype)
        misses = (inputs * p[:, None]).sum(-1) - noise
        (p,) = rule(p, (misses[..., None] * inputs).mean(1), lr=lr)
    return p, floor_variance(lr, scales**2, scales)


def clouds(panels: Mapping[str, tuple[Tensor, Tensor]]) -> Figure:
    """A panel for each key: a cloud of points ``[n, 2]`` and, of these variances, the ellipse of two deviations.

    >>> fig = clouds({"a point": (torch.zeros(1, 2), torch.tensor([0.01, 0.01]))})
    >>> fig.axes[0].get_title()
    'a point'
    """
    fig, axes = figure(len(panels), width=10, height=3.6, squeeze=False, sharey=True, subplot_kw={"aspect": 1})
    for ax, (title, (cloud, variance)) in zip(axes[0], panels.items(), strict=True):
        contour(ax, noisy_quadratic(condition=25), points=801)
        ax.plot(*cloud.T, "o", color=BLUE, markersize=2, alpha=0.6, zorder=5)
        _ellipse(ax, variance, "-", color=RED, linewidth=2, zorder=6, label="two deviations")
        ax.set(xlim=(-0.75, 0.75), ylim=(-0.75, 0.75), xticks=(-0.5, 0, 0.5), title=title)
    return fig


def floors(rates: Tensor, measured: Tensor) -> Figure:
    """Variances ``[n, 2]`` measured at ``n`` rates on the ravine of curvatures 1 and 25, over the predicted lines.

    >>> len(floors(torch.tensor([0.01]), torch.tensor([[0.005, 0.0002]])).axes[0].get_lines())
    5
    """
    fig, ax = figure(width=7.5, height=4.4)
    lr = numpy.logspace(-3, -1.098, 300)
    looks = (
        (1, GREEN, "-", "o", "along the ravine", (0.0045, 4e-3)),
        (25, RED, "--", "s", "across the ravine", (0.013, 8e-5)),
    )
    for axis, (curvature, color, dash, mark, name, place) in enumerate(looks):
        ax.plot(lr, floor_variance(lr, curvature), color=color, linestyle=dash, label=f"{name}, predicted")
        ax.plot(rates, measured[:, axis], mark, color=color, label=f"{name}, measured")
        ax.annotate(name, place, color=color, ha="right" if axis == 0 else "left")
    ax.axvline(2 / 25, color="0.4", linestyle=":", label="_2/L")
    ax.annotate("2/L", (0.078, 3e-5), ha="right", color="0.3")
    ax.annotate("lines: predicted, marks: measured", (0.02, 0.93), xycoords="axes fraction")
    ax.set(xscale="log", yscale="log", xlim=(9e-4, 0.1), ylim=(1.5e-5, 0.4))
    ax.set(xlabel="learning rate, log scale", ylabel="variance of the place, log scale")
    return fig


def _ellipse(ax: Axes, variance: Tensor, dash: str, **style: Any) -> None:
    wide, high = 2 * variance.sqrt()
    ax.plot(wide * TURN.cos(), high * TURN.sin(), dash, **style)


def ten_stretches(
    batch: int | None, steps: int, rates: Sequence[float] = (0.5, 1, 2, 4)
) -> tuple[float, list[float], list[float]]:
    """The best of some learning rates on the digits, and the loss on them before and after each of ten stretches.

    The rate is that of the run that ends lowest. Last come the lowest ends of three other networks, to three decimals.

    Args:
        batch: how many images are drawn for a step; all of them if None.
        steps: how many to take in a stretch.
        rates: to choose from.

    >>> lr, losses, others = ten_stretches(None, steps=1, rates=[0.5, 1])
    >>> lr, len(losses), others
    (1, 11, [1.303, 1.373, 1.381])
    """
    images, labels = digits()
    tried = {}
    for lr in rates:
        model = small_net(64, 16, 10)
        tried[lr] = [cross_entropy(model(images), labels).item()]
        for seed in range(10):
            train(model, SGD, images, labels, steps, batch=batch, seed=seed, lr=lr)
            tried[lr].append(cross_entropy(model(images), labels).item())
    best = min(tried, key=lambda lr: tried[lr][-1])
    others = [small_net(64, 16, 10, seed=seed) for seed in (1, 2, 3) for _ in rates]
    lrs = torch.tensor(rates, dtype=torch.float64).repeat(3)
    copies = train_many(others, SGD, images, labels, 10 * steps, batch=batch, seed=1, lr=lrs)
    ends = torch.stack([cross_entropy(scores, labels) for scores in copies.scores(images)])
    lowest = ends.view(3, -1).nan_to_num(torch.inf).min(1).values
    return best, tried[best], [round(loss, 3) for loss in lowest.tolist()]


def steps_to(
    loss: float, batch: int, seed: int = 0, rates: Iterable[float] = STEP_RATES, most: int = 1000
) -> tuple[float, int]:
    """The learning rate that brings the loss on all digits down to ``loss`` first, and after how many steps.

    The loss on all is asked for at every second step, from step 60 on at steps that lie a twentieth apart.

    Args:
        loss: to reach.
        batch: how many images are drawn for a step; 1797 stands for all, once each.
        seed: of the network and the draws.
        rates: to choose from.
        most: the steps after which the search ends.

    Errors: ValueError if no rate gets there.

    >>> steps_to(2.2, batch=1797, rates=[0.5, 1])
    (1, 2)
    """
    images, labels = digits()
    net, lrs = small_net(64, 16, 10, seed=seed), torch.tensor(list(rates), dtype=torch.float64)
    parameters, _ = torch.func.stack_module_state([net] * len(lrs))
    draws = torch.Generator().manual_seed(seed)

    def losses(parameters: dict[str, Tensor], rows: Tensor | slice) -> Tensor:
        def one(copy: dict[str, Tensor]) -> Tensor:
            return cross_entropy(torch.func.functional_call(net, copy, images[rows]), labels[rows])

        return torch.vmap(one)(parameters)

    gradient = torch.func.grad(lambda parameters, rows: losses(parameters, rows).sum())
    for step in range(1, most + 1):
        rows = slice(None) if batch == len(images) else torch.randint(len(images), (batch,), generator=draws)
        slopes = gradient(parameters, rows)
        parameters = {name: p - lrs.view(-1, *[1] * (p.dim() - 1)) * slopes[name] for name, p in parameters.items()}
        if step % max(2, step // 20) == 0:
            found = losses(parameters, slice(None)).nan_to_num(torch.inf)
            if found.min() < loss:
                return list(rates)[int(found.argmin())], step
    raise ValueError(f"no rate of {list(rates)} gets below {loss} in {most} steps of {batch}")


def draw_steps(found: Mapping[int, Sequence[tuple[float, int]]]) -> Figure:
    """Steps to a loss against the batch, a dot for each run, with the learning rates written above.

    A line goes through the middle runs; on another every batch would need as many images as the smallest.

    >>> fig = draw_steps({4: [(0.5, 100), (1, 130), (0.5, 90)], 16: [(1, 40), (1, 50), (1, 60)]})
    >>> [text.get_text() for text in fig.axes[0].texts]
    ['lr 0.5–1', 'lr 1', 'if twice the images\\nhalved the steps', 'needed']
    """
    fig, ax = figure(width=7.5, height=4)
    sizes, needed = numpy.array(list(found)), numpy.array([sorted(n for _, n in runs) for runs in found.values()])
    middle = needed[:, needed.shape[1] // 2]
    ax.plot(sizes, middle, color=BLUE, label="needed")
    ax.plot(sizes, needed, "o", color=BLUE, markersize=5, label="_runs")
    ax.plot(sizes, middle[0] * sizes[0] / sizes, "--", color="0.4")
    for size, most, runs in zip(sizes, needed[:, -1], found.values(), strict=True):
        rates = sorted({lr for lr, _ in runs})
        text = f"lr {rates[0]}" + (f"–{rates[-1]}" if len(rates) > 1 else "")
        ax.annotate(text, (size, most), (0, 9), textcoords="offset points", ha="center")
    beside = (0.85 * sizes[1], middle[0] * sizes[0] / sizes[1])
    ax.text(*beside, "if twice the images\nhalved the steps", color="0.4", ha="right", va="top")
    ax.set(xscale="log", yscale="log", xlabel="images a step, log scale", ylabel="steps to the loss, log scale")
    ax.set(xlim=(0.5 * sizes[0], 1.4 * sizes[-1]), ylim=(0.7 * needed.min(), 1.3 * needed.max()))
    ax.set_xticks(sizes, [str(size) for size in sizes])
    plain_ticks(ax.yaxis)
    ax.minorticks_off()
    label_ends(ax)
    return fig


def gradient_error(model: Module, inputs: Tensor, labels: Tensor, batches: Tensor) -> tuple[float, float]:
    """How far the gradient of a minibatch is from the full one, root mean square, and how long the full one is.

    ``batches`` are row numbers, ``[n, B]``; the gradients of all parameters of ``model`` form one long vector.

    >>> from edu_optim.problems import digits, small_net
    >>> error, length = gradient_error(small_net(64, 10), *digits(), torch.arange(1797)[:, None])
    >>> f"{error / length:.2f}"
    '7.72'
    """

    parameters = {name: p.detach() for name, p in model.named_parameters()}

    def loss(parameters: dict[str, Tensor], rows: Tensor) -> Tensor:
        return cross_entropy(torch.func.functional_call(model, parameters, inputs[rows]), labels[rows])

    gradient = torch.func.grad(loss)
    full = gradient(parameters, torch.arange(len(inputs)))
    drawn = torch.vmap(gradient, in_dims=(None, 0), chunk_size=300)(parameters, batches)
    squares = sum(((drawn[name] - full[name]) ** 2).sum() for name in full) / len(batches)
    length = torch.cat([g.flatten() for g in full.values()]).norm()
    return (squares**0.5).item(), length.item()


def miss(model: Module, inputs: Tensor, labels: Tensor, batches: Tensor, lr: float) -> float:
    """How far steps on minibatches end from one step with the full gradient, r.m.s., in lengths of that step.

    Args:
        model: where all steps start; it stays as it is.
        inputs: of all examples.
        labels: theirs.
        batches: row numbers, ``[n, steps, B]``, of n runs.
        lr: of the full step; each of the others has its share of it.

    >>> from edu_optim.problems import digits, small_net
    >>> every = torch.arange(1797).repeat(1, 2, 1)
    >>> f"{miss(small_net(64, 10), *digits(), every, lr=0.1):.2f}"
    '0.01'
    """
    start = {name: p.detach() for name, p in model.named_parameters()}

    def loss(parameters: dict[str, Tensor], rows: Tensor) -> Tensor:
        return cross_entropy(torch.func.functional_call(model, parameters, inputs[rows]), labels[rows])

    def step(parameters: dict[str, Tensor], rows: Tensor, lr: float) -> dict[str, Tensor]:
        slopes = torch.func.grad(loss)(parameters, rows)
        return {name: p - lr * slopes[name] for name, p in parameters.items()}

    full, ends = step(start, torch.arange(len(inputs)), lr), start
    for k in range(batches.shape[1]):
        move = torch.vmap(lambda p, rows: step(p, rows, lr / batches.shape[1]), in_dims=(0 if k else None, 0))
        ends = move(ends, batches[:, k])
    missed = sum(((ends[name] - full[name]) ** 2).sum() for name in full) / len(batches)
    return (missed**0.5 / sum(((full[name] - start[name]) ** 2).sum() for name in full) ** 0.5).item()


def after_a_step(model: Module, inputs: Tensor, labels: Tensor, batches: Tensor, lr: float) -> Tensor:
    """By how much one step of gradient descent changes the loss on all inputs, ``[n]``, for each of n minibatches.

    ``batches`` are row numbers, ``[n, B]``; ``model`` itself stays as it is.

    >>> from edu_optim.problems import digits, small_net
    >>> every, none = torch.arange(1797)[None], torch.tensor([[0]])
    >>> [f"{after_a_step(small_net(64, 10), *digits(), rows, lr=1).item():.1f}" for rows in (every, none)]
    ['-0.2', '6.6']
    """
    parameters = {name: p.detach() for name, p in model.named_parameters()}

    def loss(parameters: dict[str, Tensor], rows: Tensor | slice) -> Tensor:
        return cross_entropy(torch.func.functional_call(model, parameters, inputs[rows]), labels[rows])

    def after(rows: Tensor) -> Tensor:
        steps = torch.func.grad(loss)(parameters, rows)
        return loss({name: p - lr * steps[name] for name, p in parameters.items()}, slice(None))

    return torch.vmap(after, chunk_size=25)(batches) - loss(parameters, slice(None))


def long_paths(rule: Callable[..., Any], rate: Callable[[int], float], steps: int = 4000) -> Tensor:
    """The mean loss of 200 noisy paths down the ravine of curvatures 1 and 25, and of their averages, ``[3, steps]``.

    The rows are those of the last place, of the average of the places after step 200 (until then the last place), and
    of the average of all places.

    Args:
        rule: gradient descent.
        rate: the learning rate of step 1, 2, ...
        steps: how many steps to take.

    >>> from edu_optim.rules import gradient_descent
    >>> [f"{loss:.3f}" for loss in long_paths(gradient_descent, lambda t: 1 / 25, steps=400)[:, -1]]
    ['0.029', '0.002', '0.029']
    """
    ravine, draws = quadratic(condition=25), torch.Generator().manual_seed(0)
    curvatures = torch.tensor([1.0, 25.0], dtype=torch.float64)
    p = torch.tensor([-4.0, 1.0], dtype=torch.float64).repeat(200, 1)
    late, average, losses = p, p, []
    for t in range(1, steps + 1):
        g = curvatures * p + torch.randn(p.shape, generator=draws, dtype=p.dtype)
        (p,) = rule(p, g, lr=rate(t))
        (late,) = rule(late, late - p, lr=1 / max(1, t - 200))
        (average,) = rule(average, average - p, lr=1 / t)
        losses.append(torch.stack([p, late, average]))
    return ravine(torch.stack(losses)).mean(-1).T


def draw_cures(losses: Mapping[str, Tensor]) -> Figure:
    """Losses of long paths, ``[steps]`` each, at most five, against the step; an average is drawn from step 201 on.

    >>> fig = draw_cures({"constant": torch.ones(300), "average": torch.rand(300)})
    >>> [text.get_text() for text in fig.axes[0].texts]
    ['average', 'constant']
    """
    fig, ax = figure(width=7.5, height=4)
    looks = ((RED, "-"), (BLUE, "--"), (GREEN, "-."), (ORANGE, ":"), (BLACK, "-"))
    for (name, loss), (color, dash) in zip(losses.items(), looks, strict=False):
        first = 200 if name == "average" else 0
        ax.plot(range(first + 1, len(loss) + 1), loss[first:], dash, color=color, label=name)
    ax.set(xscale="log", yscale="log", xlabel="step, log scale", ylabel="mean loss of 200 paths, log scale")
    label_ends(ax)
    return fig
