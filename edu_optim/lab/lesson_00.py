"""The experiment of lesson 00: one learning rate, and a loop that may forget ``zero_grad``."""

from collections.abc import Callable
from typing import Any

import torch
from matplotlib.axes import Axes
from torch import Tensor
from torch.optim import Optimizer

from ..optimizers import Adam
from ..plot import BLUE, RED
from ..problems import line_model, line_points
from .comparison import against_step, overlay, rivals
from .controls import rate, switch
from .experiment import Experiment

EPOCHS = 50
X, Y = (column.double() for column in line_points())
FLAT, HIGH = 1e-12, 1e12  # the loss is drawn between these
TIGHT = {"handlelength": 1.2, "columnspacing": 0.8, "handletextpad": 0.4, "fontsize": 10}


def play(optimizer: Callable[..., Any] | None = None) -> Experiment:
    """Fifty epochs of Adam on four points, with a switch on line (3) of the training loop.

    It calculates in double precision, so that two curves can be compared closely.

    Args:
        optimizer: your class or rule, drawn over ours and torch's.

    >>> print(play().at(lr=0.3))
    learning rate: 0.3
    prediction for x = 5: 9.86
    loss after 50 epochs: 0.0031
    highest loss on the way: 11.1
    """
    return Experiment(
        learning,
        _empty_picture,
        columns=2,
        lr=rate("learning rate", "", 0.01, 0.001, 3),
        broken=switch("forget zero_grad"),
        optimizer=optimizer,
    )


def learning(axes: Any, *, lr: float, broken: bool, optimizer: Callable[..., Any] | None = None) -> dict[str, Any]:
    """Left, the loss as it falls or swings; right, the model's line before and after.

    >>> from edu_optim.plot import figure
    >>> round(learning(figure(2)[1], lr=0.3, broken=False)["prediction for x = 5"], 2)
    9.86
    """
    curves, model, losses = {}, line_model().double(), torch.zeros(0)
    for name, (make, options) in rivals(Adam, optimizer, lr=lr).items():
        model = line_model().double()
        losses = _practice(model, make(model.parameters(), **options), forget=broken and name in ("yours", "Adam"))
        curves[name] = against_step(losses)
    _draw_line(axes[1], model, "after 50 epochs", color=BLUE)
    axes[1].legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, **TIGHT)
    found = overlay(axes[0], curves)
    if optimizer is not None:
        axes[0].legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, **TIGHT)
    seen = torch.cat([curve[:, 1] for curve in curves.values()]).nan_to_num(HIGH).clamp(FLAT, HIGH)
    axes[0].set_ylim(seen.min().item() / 2, seen.max().item() * 2)
    return {
        "prediction for x = 5": model(torch.tensor([[5.0]], dtype=torch.float64)).item(),
        "loss after 50 epochs": losses[-1].item(),
        "highest loss on the way": losses.max().item(),
        **found,
    }


def _practice(model: torch.nn.Linear, optimizer: Optimizer, forget: bool) -> Tensor:
    """The loss before the first epoch and after each."""
    losses = [_how_wrong(model)]
    for _ in range(EPOCHS):
        if not forget:
            optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
        losses.append(_how_wrong(model))
    return torch.stack(losses).detach()


def _how_wrong(model: torch.nn.Linear) -> Tensor:
    return ((model(X) - Y) ** 2).mean()


def _empty_picture(axes: Any) -> None:
    axes[0].set(xlabel="epochs done", ylabel="loss, log scale", yscale="log", xlim=(-1, EPOCHS + 1))
    axes[1].plot(X, Y, "ko", label="measurements")
    _draw_line(axes[1], line_model().double(), "before", color=RED, linestyle="--")


def _draw_line(ax: Axes, model: torch.nn.Linear, label: str, **look: Any) -> None:
    ends = torch.tensor([[0.0], [5.2]], dtype=torch.float64)
    ax.plot(ends, model(ends).detach(), label=label, **look)
    ax.set(xlabel="x", ylabel="y", xlim=(0, 5.2), ylim=(0, 11))
