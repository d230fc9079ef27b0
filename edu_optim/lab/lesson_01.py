"""The experiment of lesson 01, a ravine and the two factors that decide, and the curvature of a network."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import Module
from torch.nn.functional import cross_entropy

from ..optimizers import SGD
from ..plot import BLUE, GREEN, RED, contour, figure, label_ends
from ..problems import digits, line_model, line_points, quadratic, small_net
from ..trace import race, train
from .comparison import overlay, rivals
from .controls import rate, slider, switch
from .experiment import Experiment

STEPS = 30
FAR = 1e3  # where a path leaves the picture for good
LOWEST = -1.55  # factors below are drawn here, as a triangle that points down


def play(optimizer: Callable[..., Any] | None = None) -> Experiment:
    """Thirty steps of gradient descent down a ravine, and what each direction is multiplied by.

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
        _bowl_and_factors,
        columns=2,
        lr=rate("learning rate", "", 2 / 26, 0.005, 0.5),
        condition=slider("condition number", "L/m", 25, 1, 100),
        broken=switch("only rebind the name p"),
        optimizer=optimizer,
    )


def descent(
    axes: Any, *, lr: float, condition: float, broken: bool, optimizer: Callable[..., Any] | None = None
) -> dict[str, Any]:
    """Left, the steps down a bowl; right, what each direction is multiplied by.

    >>> from edu_optim.plot import figure
    >>> descent(figure(2)[1], lr=0.05, condition=20, broken=False)["factor of the wall, 1 - lr*L"]
    0.0
    """
    entrants = rivals(SGD, only_rebinds if broken else optimizer, lr=lr)
    runs = race(quadratic(condition), entrants, steps=STEPS)
    found = overlay(axes[0], {run.name: run.points.clamp(-FAR, FAR) for run in runs})
    floor, wall = 1 - lr * 1, 1 - lr * condition
    axes[1].plot(lr, floor, "o", color=GREEN, markersize=11, clip_on=False)
    axes[1].plot(lr, max(wall, LOWEST), "s" if wall > LOWEST else "v", color=RED, markersize=11, clip_on=False)
    losses = runs[-1].losses
    return {
        "factor of the floor, 1 - lr*m": floor,
        "factor of the wall, 1 - lr*L": wall,
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


def _bowl_and_factors(axes: Any, condition: float) -> None:
    contour(axes[0], quadratic(condition), points=101)
    axes[0].set_title(f"30 steps at condition number {condition}")
    lr = torch.logspace(-2.3, -0.3, 101, dtype=torch.float64)
    axes[1].plot(lr, 1 - lr, color=GREEN, label="floor")
    axes[1].plot(lr, 1 - lr * condition, "--", color=RED, label="wall")
    axes[1].axhspan(-1.6, -1, color="0.9", label="ends farther away")
    axes[1].set(xscale="log", xlim=(0.005, 0.5), ylim=(-1.6, 1.2))
    axes[1].set(xlabel="learning rate, log scale", ylabel="factor of one step")
    axes[1].legend()


def shares(losses: Mapping[str, Tensor]) -> Figure:
    """The loss on a ravine against the step, and the parts of it that the floor and the wall have.

    Args:
        losses: "both", "floor" and "wall" -> losses ``[steps + 1]``.

    >>> losses = {name: torch.ones(6) for name in ("both", "floor", "wall")}
    >>> [text.get_text() for text in shares(losses).axes[0].texts]
    ['both', 'floor', 'wall']
    """
    fig, ax = figure(width=7)
    ax.plot(losses["both"], color="0.6", linewidth=7, label="both")
    ax.plot(losses["floor"], color=GREEN, label="floor")
    ax.set(xlabel="step", ylabel="loss, log scale", yscale="log", ylim=(1e-2, 300), xticks=range(0, 21, 5))
    label_ends(ax)
    ax.plot(losses["wall"], "--", color=RED, label="wall")
    ax.annotate("wall", (5, losses["wall"][5]), (8, 4), textcoords="offset points", color=RED)
    return fig


def ravine_of_the_line(hessian: Tensor, lr: float, steps: int = 50) -> Figure:
    """The loss of lesson 00's line over weight and bias, its two directions, and gradient descent's path.

    >>> fig = ravine_of_the_line(torch.tensor([[15.0, 5.0], [5.0, 2.0]], dtype=torch.float64), lr=0.06, steps=2)
    >>> [text.get_text() for text in fig.axes[0].texts if text.get_text().isalpha()]
    ['wall', 'floor', 'start']
    """
    (x, y), first = (column[:, 0].double() for column in line_points()), line_model().double()
    path = [torch.stack([first.weight[0, 0], first.bias[0]]).detach()]
    minimum = torch.tensor([2.0, 0.0], dtype=torch.float64)
    for _ in range(steps):
        path.append(path[-1] - lr * hessian @ (path[-1] - minimum))
    weights, biases = (torch.linspace(*ends, 121, dtype=torch.float64) for ends in ((0.4, 2.6), (-0.6, 1.6)))
    losses = ((weights[:, None] * x + biases[:, None, None] - y) ** 2).mean(-1)
    fig, ax = figure(width=6.5, height=4.6)
    levels = [0.01, 0.03, 0.1, 0.3, 1, 3, 10]
    ax.clabel(ax.contour(weights, biases, losses, levels, colors="0.7", linewidths=0.8), fontsize=8)
    floor, wall = torch.linalg.eigh(hessian)[1].T
    for direction, name, color in ((wall, "wall", RED), (floor, "floor", GREEN)):
        tip = minimum + 0.5 * direction * direction[0].sign()
        ax.annotate("", tip, minimum, arrowprops={"arrowstyle": "->", "color": color, "linewidth": 2})
        ax.annotate(name, tip, (4, 4), textcoords="offset points", color=color)
    ax.plot(*torch.stack(path).T, "o-", color=BLUE, markersize=3, label=f"gradient descent, lr {lr}")
    ax.plot(*minimum, "k+", markersize=10, label="_minimum")
    ax.annotate("start", path[0], (-4, 6), textcoords="offset points", ha="right")
    ax.set(xlabel="weight", ylabel="bias", aspect="equal")
    return fig


def sharpness(model: Module, rounds: int = 15) -> tuple[float, float]:
    """The loss of a network on the digits, and the curvature of that loss, largest in size, where the network stands.

    The curvature is found by power iteration: the product of the matrix of second derivatives with a vector, again
    and again, turns the vector to the direction of the curvature that is largest in size. Where the loss is curved
    more downwards than upwards, that is a negative one. The matrix itself is never built.

    >>> from edu_optim.problems import small_net
    >>> [f"{found:.1f}" for found in sharpness(small_net(64, 16, 10))]
    ['2.3', '0.9']
    """
    images, labels = digits()
    knobs, draws = list(model.parameters()), torch.Generator().manual_seed(0)
    loss = cross_entropy(model(images), labels)
    gradients = torch.autograd.grad(loss, knobs, create_graph=True)
    vector = [torch.randn(p.shape, generator=draws, dtype=p.dtype) for p in knobs]
    curvature = 0.0
    for _ in range(rounds):
        length = torch.cat([v.flatten() for v in vector]).norm()
        vector = [v / length for v in vector]
        product = torch.autograd.grad(gradients, knobs, vector, retain_graph=True)
        curvature = sum((v * w).sum().item() for v, w in zip(vector, product, strict=True))
        vector = list(product)
    return loss.item(), curvature


def training_at(lr: float, steps: int = 120, every: int = 10, seed: int = 0) -> Tensor:
    """The loss and the sharpness of a network after 0, ``every``, ... steps of gradient descent, ``[n, 2]``.

    >>> training_at(0.5, steps=10).shape
    torch.Size([2, 2])
    """
    model = small_net(64, 16, 10, seed=seed)
    found = [sharpness(model)]
    for _ in range(steps // every):
        train(model, SGD, *digits(), steps=every, lr=lr)
        found.append(sharpness(model))
    return torch.tensor(found, dtype=torch.float64)


def edges(runs: Mapping[float, Tensor], every: int = 10) -> Figure:
    """Left the losses, right the largest curvatures of `training_at`, with the edge 2/lr of each rate dotted.

    >>> len(edges({0.5: torch.tensor([[2.0, 1.0], [1.0, 2.0]])}).axes[1].get_lines())
    2
    """
    fig, (left, right) = figure(2)
    for (lr, found), color, mark in zip(runs.items(), (BLUE, RED), "os", strict=False):
        steps = range(0, every * len(found), every)
        left.plot(steps, found[:, 0], color=color, marker=mark, markersize=4, label=f"lr {lr:g}")
        right.plot(steps, found[:, 1], color=color, marker=mark, markersize=4, label=f"lr {lr:g}")
        right.axhline(2 / lr, color=color, linestyle=":", label=f"edge {2 / lr:g}")
    left.set(xlabel="step", ylabel="loss, log scale", yscale="log")
    right.set(xlabel="step", ylabel="largest curvature", ylim=(0, 4.2))
    label_ends(left)
    label_ends(right)
    return fig
