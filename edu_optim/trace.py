"""Follow any `torch.optim.Optimizer` over a problem, from one start or from thousands at once."""

import inspect
from dataclasses import dataclass, field

import torch


@dataclass(frozen=True)
class Trace:
    """What a descent left behind.

    Args:
        name: of the optimizer, for legends.
        points: ``[steps + 1, ..., 2]``, the start first.
        losses: ``[steps + 1, ...]``, the exact loss at each point.
        state: key of the optimizer's state -> ``[steps, ...]``, its tensors as they were after each
            step; empty unless asked for.

    >>> from edu_optim import Adam, problems
    >>> trace = descend(problems.beale, Adam, steps=5, lr=0.1, keep_state=True)
    >>> trace.name, trace.points.shape, trace.losses.shape, trace.state["exp_avg"].shape
    ('Adam', torch.Size([6, 2]), torch.Size([6]), torch.Size([5, 2]))
    """

    name: str
    points: torch.Tensor
    losses: torch.Tensor
    state: dict = field(default_factory=dict)


def descend(problem, optimizer, steps=100, start=None, *, name=None, seed=0, keep_state=False, **options):
    """Run ``optimizer`` on ``problem`` and return its `Trace`.

    Args:
        problem: one of `edu_optim.problems`, or any function of points ``[..., 2]`` that returns losses ``[...]``.
        optimizer: a class of torch.optim, of edu_optim or your own; called as ``optimizer([point], **options)``.
        steps: how many steps to take.
        start: a tensor ``[..., 2]``; the problem's own start, in float64, if None. The optimizers of this course
            are elementwise, so a batch of starts is a batch of independent descents.
        name: for legends; the optimizer's own if None.
        seed: of the noise, where the problem has some.
        keep_state: also keep what the optimizer had in ``state`` after each step.

    Errors: ValueError if ``steps`` is negative, or if ``start`` is missing and the problem has none.

    >>> from edu_optim import SGD, problems
    >>> trace = descend(problems.quadratic(condition=10), SGD, steps=2, start=torch.tensor([1.0, 1.0]), lr=0.1)
    >>> trace.points
    tensor([[1.0000, 1.0000],
            [0.9000, 0.0000],
            [0.8100, 0.0000]])
    """
    if not isinstance(steps, int) or steps < 0:
        raise ValueError(f"steps must be a whole number >= 0, got {steps!r}")
    point = _leaf(problem, start)
    optimizer = optimizer([point], **options)
    generator = torch.Generator(point.device).manual_seed(seed)
    sample = getattr(problem, "sample", lambda points, generator: problem(points))

    def closure():
        optimizer.zero_grad()
        loss = sample(point, generator).sum()
        loss.backward()
        return loss

    points, states = [point.detach().clone()], []
    for _ in range(steps):
        _step(optimizer, closure)
        points.append(point.detach().clone())
        if keep_state:
            state = optimizer.state[point]
            states.append({key: value.clone() for key, value in state.items() if torch.is_tensor(value)})
    points = torch.stack(points)
    with torch.no_grad():
        losses = problem(points)
    return Trace(name or type(optimizer).__name__, points, losses, _stacked(states))


def train(model, optimizer, inputs, labels, steps=100, *, batch=None, seed=0, **options):
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
    optimizer = optimizer(model.parameters(), **options)
    generator = torch.Generator().manual_seed(seed)
    losses = []
    for _ in range(steps):
        drawn = slice(None) if batch is None else torch.randint(len(inputs), (batch,), generator=generator)
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(inputs[drawn]), labels[drawn])
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses)


def _leaf(problem, start):
    if start is None:
        start = getattr(problem, "start", None)
        if start is None:
            raise ValueError("start must be a tensor of shape [..., 2]: the problem brings none of its own")
        start = torch.tensor(start, dtype=torch.float64)
    if not isinstance(start, torch.Tensor) or not start.is_floating_point():
        raise TypeError(f"start must be a tensor of shape [..., 2] and a floating dtype, got {start!r}")
    return start.detach().clone().requires_grad_()


def _step(optimizer, closure):
    """Step with the gradient at hand; hand over the closure only where the optimizer cannot do without."""
    argument = inspect.signature(optimizer.step).parameters.get("closure")
    if argument is not None and argument.default is argument.empty:
        optimizer.step(closure)
    else:
        closure()
        optimizer.step()


def _stacked(states):
    if not states:
        return {}
    kept = [key for key in states[0] if all(key in state for state in states)]
    return {key: torch.stack([state[key] for state in states]) for key in kept}
