"""Teach a network, or many copies of it at once, to classify."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from .axes import axes_among, replaced
from .paths import MakeOptimizer


def train(
    model: Module,
    optimizer: MakeOptimizer,
    inputs: Tensor,
    labels: Tensor,
    steps: int = 100,
    *,
    batch: int | None = None,
    seed: int = 0,
    **options: Any,
) -> Tensor:
    """Teach ``model`` to classify, and return the loss before each step, ``[steps]``.

    Args:
        model: a `torch.nn.Module` that gives a score to each class.
        optimizer: a class, called as ``optimizer(model.parameters(), **options)``.
        inputs, labels: ``[n, ...]`` and ``[n]``.
        steps: how many steps to take.
        batch: how many examples to draw, with replacement, for each step; all n of them, undrawn, if None.
        seed: of the draws.

    >>> from edu_optim import Adam, problems
    >>> images, labels = problems.digits()
    >>> losses = train(problems.small_net(64, 10), Adam, images, labels, steps=50, lr=0.1)
    >>> print(f"{losses[0]:.1f} -> {losses[-1]:.1f}")
    2.4 -> 0.1
    """
    runner = optimizer(model.parameters(), **options)
    generator = torch.Generator().manual_seed(seed)
    losses = []
    for _ in range(steps):
        drawn = slice(None) if batch is None else torch.randint(len(inputs), (batch,), generator=generator)
        runner.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(inputs[drawn]), labels[drawn])
        loss.backward()
        runner.step()
        losses.append(loss.detach())
    return torch.stack(losses)


@dataclass(frozen=True)
class Copies:
    """N copies of a network, trained at once by `train_many`.

    Args:
        losses: ``[steps, N]``, the loss of each copy before each step.
        parameters: name -> ``[N, ...]``, the parameter of each copy after the last step.
        scores: a function of inputs ``[n, ...]`` that returns what each copy makes of them, ``[N, n, classes]``.

    >>> from edu_optim import SGD, problems
    >>> images, labels = problems.digits()
    >>> starts = [problems.small_net(64, 10, seed=seed) for seed in range(3)]
    >>> copies = train_many(starts, SGD, images, labels, steps=5, lr=0.5)
    >>> copies.losses.shape, copies.parameters["0.bias"].shape, copies.scores(images).shape
    (torch.Size([5, 3]), torch.Size([3, 10]), torch.Size([3, 1797, 10]))
    """

    losses: Tensor
    parameters: dict[str, Tensor]
    scores: Callable[[Tensor], Tensor]

    def accuracy(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """The fraction of the ``inputs`` that each copy puts in the class of their ``labels``, ``[N]``.

        >>> from edu_optim import SGD, problems
        >>> images, labels = problems.digits()
        >>> copies = train_many(problems.small_net(64, 10), SGD, images, labels, lr=torch.tensor([0.0, 0.5]))
        >>> [f"{fraction:.2f}" for fraction in copies.accuracy(images, labels)]
        ['0.05', '0.94']
        """
        return (self.scores(inputs).argmax(-1) == labels).double().mean(-1)


def train_many(
    model: Module | Sequence[Module],
    optimizer: MakeOptimizer,
    inputs: Tensor,
    labels: Tensor,
    steps: int = 100,
    *,
    batch: int | None = None,
    seed: int = 0,
    **options: Any,
) -> Copies:
    """Teach N copies of ``model`` at once, each with options of its own, and return the `Copies`.

    Copy i learns what `train` teaches with option i, from the same draws, and no copy feels what another does. Only
    rounding differs, which a copy that leaps about magnifies.

    Args:
        model: a `torch.nn.Module`, from which all copies start, or a list of N of one architecture, one for each
            copy. They are left as they were.
        optimizer: a class of this course, or any that is elementwise; called once, for all copies.
        inputs, labels, steps, batch, seed: as in `train`.
        options: of the optimizer. A number, or one of a pair such as ``betas``, holds for all copies; a tensor
            ``[N]`` has one for each.

    Errors: ValueError if a tensor is empty or not of one dimension, if the tensors and the list are not of one length,
    or if the list mixes architectures.

    >>> from edu_optim import Adam, problems
    >>> images, labels = problems.digits()
    >>> copies = train_many(problems.small_net(64, 10), Adam, images, labels, lr=torch.tensor([0.001, 0.01, 0.1]))
    >>> copies.losses.shape, copies.parameters["0.weight"].shape
    (torch.Size([100, 3]), torch.Size([3, 10, 64]))
    >>> [f"{loss:.1f}" for loss in copies.losses[-1]]
    ['1.7', '0.3', '0.1']
    """
    axes = axes_among(options)
    models = _models(model, axes)
    parameters, buffers = torch.func.stack_module_state(models)
    scores = torch.vmap(lambda state, x: torch.func.functional_call(models[0], state, x), in_dims=(0, None))
    runner = optimizer(_groups(parameters.values(), options, axes), **options)
    generator = torch.Generator().manual_seed(seed)
    losses = []
    for _ in range(steps):
        drawn = slice(None) if batch is None else torch.randint(len(inputs), (batch,), generator=generator)
        runner.zero_grad()
        loss = cross_entropies(scores(parameters | buffers, inputs[drawn]), labels[drawn])
        loss.sum().backward()
        runner.step()
        losses.append(loss.detach())
    parameters = {name: parameter.detach() for name, parameter in parameters.items()}
    return Copies(torch.stack(losses), parameters, lambda inputs: scores(parameters | buffers, inputs))


def cross_entropies(scores: Tensor, labels: Tensor) -> Tensor:
    """The mean cross-entropy of each of N networks, ``[N]``: `torch.nn.functional.cross_entropy` for all at once.

    Args:
        scores: ``[N, n, classes, ...]``.
        labels: ``[n, ...]``, or ``[N, n, ...]`` where each network has its own.

    >>> cross_entropies(torch.zeros(2, 3, 5), torch.tensor([0, 4, 2]))
    tensor([1.6094, 1.6094])
    """
    scores = scores.movedim(2, 1)  # for many rows of few classes torch is faster along this dimension than the last
    each = torch.nn.functional.cross_entropy(scores, labels.expand(scores[:, 0].shape), reduction="none")
    return each.flatten(1).mean(1)


def _models(model: Module | Sequence[Module], axes: Mapping[str, Tensor]) -> list[Module]:
    """One model for each copy, where the axes and the list of models agree on how many there are."""
    lengths = {name: len(axis) for name, axis in axes.items()}
    if not isinstance(model, Module):
        lengths["model"] = len(model)
    if len(set(lengths.values())) > 1 or 0 in lengths.values():
        seen = ", ".join(f"{length} in {name}" for name, length in lengths.items())
        raise ValueError(f"{' and '.join(lengths)} must hold one for each of the N copies, N > 0, got {seen}")
    models = [model] * max(lengths.values(), default=1) if isinstance(model, Module) else list(model)
    for index, other in enumerate(models):
        if repr(other) != repr(models[0]):
            raise ValueError(f"model[{index}] must have the architecture of model[0], {models[0]!r}, got {other!r}")
    return models


def _groups(
    parameters: Iterable[Tensor], options: Mapping[str, Any], axes: Mapping[str, Tensor]
) -> list[dict[str, Any]]:
    """The stacked parameters by their rank, each rank with the axes in a shape that broadcasts against it."""
    groups = {}
    for p in parameters:
        columns = {  # in double precision, as numbers are
            name: axis.to(p.device, torch.float64).reshape(-1, *[1] * (p.ndim - 1)) for name, axis in axes.items()
        }
        own = {name: value for name, value in replaced(options, columns).items() if value is not options[name]}
        groups.setdefault(p.ndim, {"params": [], **own})["params"].append(p)
    return list(groups.values())
