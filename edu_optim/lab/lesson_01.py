"""The experiment of lesson 01, a ravine and the two factors that decide, and the curvature of a network."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import cross_entropy

from ..optimizers import SGD
from ..plot import BLUE, GREEN, RED, contour, figure, label_ends
from ..problems import digits, line_model, line_points, quadratic, small_net
from ..rules import gradient_descent
from ..trace import race, sharpness, train
from .comparison import overlay, rivals
from .controls import rate, slider, switch
from .experiment import Experiment

STEPS = 30
FAR = 1e3  # where a path leaves the picture for good
LOW, HIGH = 1e-2, 1e3  # the loss is drawn between these
BOTH = {"color": "0.6", "linewidth": 7, "label": "both"}
FLOOR = {"color": GREEN, "label": "floor"}
WALL = {"color": RED, "linestyle": "--", "label": "wall"}


def play(optimizer: Callable[..., Any] | None = None) -> Experiment:
    """Thirty steps of gradient descent down a ravine, and the parts of the loss that its floor and its wall have.

    Args:
        optimizer: your class or rule, drawn over ours and torch's.

    >>> print(play().at(lr=0.082))
    learning rate: 0.082
    factor of the floor, 1 - lr*m: 0.918
    factor of the wall, 1 - lr*L: -1.05
    loss at the start: 20.5
    loss after 30 steps: 234
    """
    return Experiment(
        descent,
        _bowl_and_parts,
        columns=2,
        lr=rate("learning rate", "", 2 / 26, 0.005, 0.5),
        condition=slider("condition number", "L/m", 25, 1, 100),
        broken=switch("only rebind the name p"),
        optimizer=optimizer,
    )


def descent(
    axes: Any, *, lr: float, condition: float, broken: bool, optimizer: Callable[..., Any] | None = None
) -> dict[str, Any]:
    """Left, the steps down a bowl; right, the loss and the parts of it that floor and wall have.

    >>> from edu_optim.plot import figure
    >>> descent(figure(2)[1], lr=0.05, condition=20, broken=False)["factor of the wall, 1 - lr*L"]
    0.0
    """
    entrants = rivals(SGD, only_rebinds if broken else optimizer, lr=lr)
    runs = race(quadratic(condition), entrants, steps=STEPS)
    found = overlay(axes[0], {run.name: run.points.clamp(-FAR, FAR) for run in runs})
    (x, y), losses = runs[-1].points.T, runs[-1].losses
    for part, look in ((losses, BOTH), (x**2 / 2, FLOOR), (condition * y**2 / 2, WALL)):
        axes[1].plot(part.clamp(LOW / 10, HIGH * 10), **look)
    axes[1].legend()
    return {
        "factor of the floor, 1 - lr*m": 1 - lr,
        "factor of the wall, 1 - lr*L": 1 - lr * condition,
        "loss at the start": losses[0],
        "loss after 30 steps": losses[-1],
        **found,
    }


def only_rebinds(p: torch.Tensor, g: torch.Tensor, *, lr: float) -> tuple[torch.Tensor]:
    """Gradient descent with a mistake: the new numbers get the name p, and the model goes on with the old ones.

    >>> only_rebinds(torch.tensor(1.0), torch.tensor(2.0), lr=0.1)
    (tensor(1.),)
    """
    of_the_model = p
    p = p - lr * g
    return (of_the_model,)


def _bowl_and_parts(axes: Any, condition: float) -> None:
    contour(axes[0], quadratic(condition), points=201)
    axes[0].set(title=f"30 steps at condition number {condition}", xlim=(-5, 1.5), ylim=(-2, 2))
    axes[1].set(xlabel="step", ylabel="loss, log scale", yscale="log", xlim=(-0.5, STEPS + 0.5), ylim=(LOW, HIGH))


def jumps(rates: list[float], curvature: float) -> Figure:
    """A panel for each rate: five steps of gradient descent from 1 on a parabola.

    >>> [ax.get_title() for ax in jumps([0.1, 0.4], curvature=4).axes]
    ['lr = 0.1, factor 0.6', 'lr = 0.4, factor -0.6']
    """
    across = torch.linspace(-1.6, 1.6, 101, dtype=torch.float64)
    fig, axes = figure(len(rates), squeeze=False, sharey=True, width=10.5)
    for ax, lr in zip(axes[0], rates, strict=True):
        theta = torch.ones(6, dtype=torch.float64)
        for step in range(5):
            (theta[step + 1],) = gradient_descent(theta[step], curvature * theta[step], lr=lr)
        ax.plot(across, curvature * across**2 / 2, color="0.6")
        ax.plot(theta, curvature * theta**2 / 2, "o-", color=BLUE)
        ax.annotate("start", (1, curvature / 2), (8, -4), textcoords="offset points")
        ax.set(title=f"lr = {lr:g}, factor {1 - lr * curvature:.3g}", xlabel="theta", ylabel="loss")
        ax.label_outer()
    return fig


def crossing(lrs: Tensor, floor: Tensor, wall: Tensor) -> Figure:
    """The sizes of the two factors of the ravine of condition number 25 against the rate, and 2/(m+L) and 2/L.

    >>> lrs = torch.linspace(0, 0.09, 4)
    >>> [text.get_text() for text in crossing(lrs, (1 - lrs).abs(), (1 - 25 * lrs).abs()).axes[0].texts[:2]]
    ['2/(m+L)', '2/L']
    """
    fig, ax = figure()
    ax.plot(lrs, floor, color=GREEN, label="floor")
    ax.plot(lrs, wall, color=RED, linestyle="--", label="wall")
    ax.fill_between(lrs, torch.maximum(floor, wall), 1.25, color="0.92")
    ax.axhline(1, color="0.4", linewidth=0.8, label="no progress")
    arrow = {"arrowstyle": "->", "color": "0.3"}
    ax.annotate("2/(m+L)", (2 / 26, 24 / 26), (0.033, 0.7), arrowprops=arrow)
    ax.annotate("2/L", (2 / 25, 1), (0.06, 1.1), arrowprops=arrow)
    ax.set(xlabel="learning rate", ylabel="size of the factor", ylim=(0, 1.25))
    label_ends(ax)
    return fig


def ravine_of_the_line(hessian: Tensor, rates: list[float], steps: int = 20) -> Figure:
    """A panel for each rate: the loss of lesson 00's line over weight and bias, and gradient descent's path.

    >>> fig = ravine_of_the_line(torch.tensor([[15.0, 5.0], [5.0, 2.0]], dtype=torch.float64), [0.01, 0.06])
    >>> [text.get_text() for text in fig.axes[0].texts if text.get_text()]
    ['start', 'wall', 'floor']
    """
    x, y = (column[:, 0].double() for column in line_points())
    minimum = torch.tensor([2.0, 0.0], dtype=torch.float64)
    weights, biases = (torch.linspace(*ends, 121, dtype=torch.float64) for ends in ((0.4, 3.4), (-0.9, 1.5)))
    levels, height = [0.03, 0.3, 3, 10], ((weights[:, None] * x + biases[:, None, None] - y) ** 2).mean(-1)
    fig, axes = figure(len(rates), width=11.5, height=3.6, sharey=True)
    for ax, lr in zip(axes, rates, strict=True):
        first = line_model().double()
        path = [torch.stack([first.weight[0, 0], first.bias[0]]).detach()]
        for _ in range(steps):
            path.append(path[-1] - lr * hessian @ (path[-1] - minimum))
        loss = (path[-1] - minimum) @ hessian @ (path[-1] - minimum) / 2
        ax.contour(weights, biases, height, levels, colors="0.7", linewidths=0.8)
        ax.plot(*torch.stack(path).T, "o-", color=BLUE, linewidth=1, markersize=3)
        ax.plot(*path[-1], "*", color="black", markersize=11)
        ax.plot(*minimum, "k+", markersize=10)
        ax.annotate("start", path[0], (0, 6), textcoords="offset points", ha="center")
        ax.set(title=f"lr {lr}: loss {loss:.2f} after {steps}", xlabel="weight", ylabel="bias", aspect="equal")
        ax.label_outer()
    floor, wall = torch.linalg.eigh(hessian)[1].T
    for arrow, name, color in ((wall * wall[0].sign(), "wall", RED), (floor * floor[0].sign(), "floor", GREEN)):
        tip = minimum + 0.55 * arrow
        axes[0].annotate("", tip, minimum, arrowprops={"arrowstyle": "->", "color": color, "linewidth": 2})
        axes[0].annotate(name, tip, (4, 0), textcoords="offset points", color=color)
    return fig


def touching_bowl(start: float, lr: float) -> Figure:
    """The loss log cosh, the bowl of curvature 1 that touches it at the start, and one step on both.

    >>> [text.get_text() for text in touching_bowl(2, lr=1).axes[0].texts]
    ['start', 'step']
    """
    across = torch.linspace(-1.5, 3.5, 201, dtype=torch.float64)
    p = torch.tensor(start, dtype=torch.float64)
    (after,) = gradient_descent(p, p.tanh(), lr=lr)

    def loss(place: Tensor) -> Tensor:
        return place.cosh().log()

    def bowl(place: Tensor) -> Tensor:
        return loss(p) + p.tanh() * (place - p) + (place - p) ** 2 / 2

    fig, ax = figure(width=6.5)
    ax.plot(across, loss(across), color=BLUE, label="the loss, log cosh")
    ax.plot(across, bowl(across), "--", color=RED, label="bowl of curvature 1")
    ax.axvline(after, color="0.6", linestyle=":")
    ax.plot(p, loss(p), "ko")
    ax.plot(after, bowl(after), "o", color=RED)
    ax.plot(after, loss(after), "o", color=BLUE)
    ax.annotate("start", (p, loss(p)), (8, -10), textcoords="offset points")
    ax.annotate("step", (after, 0), (4, 4), textcoords="offset points")
    ax.set(xlabel="theta", ylabel="loss", ylim=(0, 3))
    ax.legend()
    return fig


def training_at(lr: float, reach: float = 80, every: float = 2, rounds: int = 12, seed: int = 2) -> Tensor:
    """lr * steps, loss, largest curvature and curvature along the gradient of a network in training, ``[n, 4]``.

    It has 16 hidden units and learns by gradient descent on all 1797 digits. The largest curvature comes from
    `edu_optim.trace.sharpness`, which begins at each place with the direction found at the place before.

    Args:
        lr: of gradient descent.
        reach, every: measured where lr * steps is 0, ``every``, ... ``reach``.
        rounds: of power iteration at each place; 60 at the first.
        seed: of the first weights.

    >>> training_at(0.5, reach=4).shape
    torch.Size([3, 4])
    """
    model = small_net(64, 16, 10, seed=seed)
    images, labels = digits()
    knobs, direction, found = list(model.parameters()), None, []
    for place in range(round(reach / every) + 1):
        if place:
            train(model, SGD, images, labels, steps=round(every / lr), lr=lr)
        loss = cross_entropy(model(images), labels)
        gradient = torch.cat([g.flatten() for g in torch.autograd.grad(loss, knobs, retain_graph=True)])
        largest, direction = sharpness(loss, knobs, rounds if place else 60, direction)
        along, _ = sharpness(cross_entropy(model(images), labels), knobs, rounds=1, direction=gradient)
        found.append((place * every, loss.item(), largest, along))
    return torch.tensor(found, dtype=torch.float64)


def edges(runs: Mapping[int, Tensor]) -> Figure:
    """A column for each run of `training_at` at a rate of 1: its loss over its curvatures and the edge of 2.

    Steps at whose start the curvature along the gradient, dotted, is above the edge are gray.

    Args:
        runs: seed -> what `training_at` found, measured at every step.

    >>> found = torch.tensor([[0.0, 2.0, 1.0, 0.1], [1.0, 1.0, 2.0, 0.2]])
    >>> [ax.get_title() for ax in edges({0: found, 2: found}).axes]
    ['seed 0', 'seed 2', '', '']
    """
    fig, axes = figure(len(runs), 2, width=10.5, height=2.4, sharex=True, sharey="row")
    for (top, bottom), (seed, found) in zip(axes.T, runs.items(), strict=True):
        steps, losses, largest, along = found.T
        top.plot(steps, losses, color=BLUE, label="loss")
        bottom.plot(steps, largest, color=BLUE, label="largest")
        bottom.axhline(2, color="0.3", linestyle="--", linewidth=0.8, label="_edge")
        bottom.plot(steps, along, color=RED, linestyle=":", linewidth=2, label="along the gradient")
        for step in steps[along > 2].tolist():
            for ax in (top, bottom):
                ax.axvspan(step, step + 1, color="0.88", linewidth=0)
        top.set(title=f"seed {seed}")
        bottom.set(xlabel="step")
    axes[0, 0].set(ylabel="loss")
    axes[1, 0].set(ylabel="curvature")
    axes[1, 0].annotate("edge 2", (15, 2), (0, -12), textcoords="offset points")
    label_ends(axes[1, -1])
    return fig
