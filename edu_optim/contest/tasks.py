"""What is raced on, and by whom: three tasks, eight optimizers, one grid of learning rates for each of these."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from ..optimizers import SGD, Adadelta, Adagrad, Adam, AdamW, RMSprop
from ..problems import descriptions, digits, small_cnn, small_net, speller, windows
from ..trace import MakeOptimizer
from ..trace.training import cross_entropies

Examples = tuple[Tensor, Tensor]  # inputs [n, ...] and labels [n, ...]


@dataclass(frozen=True)
class Entrant:
    """An optimizer with all options but the learning rate, and the learning rates that are tried.

    >>> ENTRANTS["Adam"].lrs
    (0.000215, 0.000464, 0.001, 0.00215, 0.00464, 0.01, 0.0215, 0.0464, 0.1)
    """

    optimizer: MakeOptimizer
    options: dict[str, Any]
    lrs: tuple[float, ...]


def _nine(first: int) -> tuple[float, ...]:
    """Nine learning rates, three to each power of ten."""
    return tuple(float(f"{10 ** (power / 3):.3g}") for power in range(first, first + 9))


ENTRANTS = {
    "SGD": Entrant(SGD, {}, _nine(-5)),
    "momentum": Entrant(SGD, {"momentum": 0.9}, _nine(-8)),
    "Nesterov": Entrant(SGD, {"momentum": 0.9, "nesterov": True}, _nine(-8)),
    "Adagrad": Entrant(Adagrad, {}, _nine(-8)),
    "RMSprop": Entrant(RMSprop, {}, _nine(-11)),
    "Adadelta": Entrant(Adadelta, {}, _nine(-2)),
    "Adam": Entrant(Adam, {}, _nine(-11)),
    "AdamW": Entrant(AdamW, {}, _nine(-11)),
}


@dataclass(frozen=True)
class Task:
    """A network, its data and how long it learns; what is measured is better the smaller it is.

    Args:
        model: a seed -> the network.
        data: a seed -> the examples to learn from, those to tune with and those that are held out.
        measure: scores ``[N, n, ...]`` and labels -> what is measured for each of N networks, ``[N]``.
        unit: of what is measured.
        steps, batch: how long it learns, and how many examples a step sees.
        level: of the training loss, to which steps are counted.
        tuning: the seeds with which learning rates are tuned.

    >>> TASKS["digits, CNN"].steps
    300
    """

    model: Callable[[int], Module]
    data: Callable[[int], tuple[Examples, Examples, Examples]]
    measure: Callable[[Tensor, Tensor], Tensor]
    unit: str
    steps: int
    batch: int
    level: float
    tuning: range


def mixed_digits(seed: int) -> tuple[Examples, Examples, Examples]:
    """The digits in an order of this seed: 1,077 to learn from, 360 to tune with, 360 held out.

    >>> [len(labels) for _, labels in mixed_digits(0)]
    [1077, 360, 360]
    """
    images, labels = digits()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    learn, tune, held = ((images[part], labels[part]) for part in order.split([1077, 360, 360]))
    return learn, tune, held


def pieces_of_text(seed: int) -> tuple[Examples, Examples, Examples]:
    """All pieces of the first eight tenths of the text, and the next tenth and the last, each cut up into pieces.

    The text is the same whatever the ``seed``.

    >>> [len(pieces) for pieces, _ in pieces_of_text(0)]
    [34412, 134, 134]
    """
    text, _ = descriptions()
    tenth = len(text) // 10
    (learn, follows), *others = map(windows, text.split([len(text) - 2 * tenth, tenth, tenth]))
    tune, held = ((pieces[::32], following[::32]) for pieces, following in others)
    return (learn, follows), tune, held


def share_wrong(scores: Tensor, labels: Tensor) -> Tensor:
    """The share of examples, in %, whose best score is not that of their label, ``[N]``.

    >>> share_wrong(torch.tensor([[[0.0, 1.0], [1.0, 0.0]]]), torch.tensor([1, 1]))
    tensor([50.], dtype=torch.float64)
    """
    return 100 * (scores.argmax(-1) != labels).double().mean(-1)


def loss_of_text(scores: Tensor, labels: Tensor) -> Tensor:
    """The mean cross-entropy of each network, ``[N]``; no more than that of a guess, also where it diverged.

    >>> loss_of_text(torch.zeros(1, 3, 92, 32), torch.zeros(3, 32, dtype=torch.int64))
    tensor([4.5218])
    """
    losses = cross_entropies(scores, labels)
    return losses.nan_to_num(torch.inf).clamp(max=torch.tensor(float(scores.shape[2])).log().item())


DIGITS = {"data": mixed_digits, "measure": share_wrong, "unit": "held-out digits wrong, %", "batch": 32, "level": 0.3}
TASKS = {
    "digits, MLP": Task(lambda seed: small_net(64, 32, 10, seed=seed), **DIGITS, steps=400, tuning=range(6)),
    "digits, CNN": Task(small_cnn, **DIGITS, steps=300, tuning=range(6)),
    "text, transformer": Task(
        lambda seed: speller(92, seed),
        pieces_of_text,
        loss_of_text,
        "held-out loss per letter",
        steps=200,
        batch=16,
        level=2.8,
        tuning=range(2),
    ),
}
RACING = range(100, 110)  # the seeds of the race itself, which no learning rate was tuned with
