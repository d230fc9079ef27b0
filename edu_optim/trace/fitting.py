"""One loop that trains any model with any optimizer, scheduler, clipping and accumulation, on any device."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from tqdm import tqdm

from .checkpoint import load, save


@dataclass(repr=False)
class History:
    """What `fit` saw: an entry for each step that was taken.

    Args:
        losses: the loss of the batch, before the step.
        rates: the learning rate of the step, that of the first group.
        norms: the length of the gradient, before it was clipped.
        stopped: why the training ended early, in words; empty if it did not.

    >>> History([2.0, 0.5], [0.1, 0.1], [3.0, 1.0])
    2 steps, loss 2 -> 0.5
    """

    losses: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    stopped: str = ""

    def __repr__(self) -> str:
        seen = f", loss {self.losses[0]:.4g} -> {self.losses[-1]:.4g}" if self.losses else ""
        return f"{len(self.losses)} steps{seen}" + (f"; {self.stopped}" if self.stopped else "")

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what a checkpoint has kept."""
        self.__init__(**state)


def fit(
    model: Module,
    optimizer: Optimizer,
    inputs: Tensor,
    labels: Tensor,
    steps: int = 100,
    *,
    loss: Callable[[Tensor, Tensor], Tensor] = torch.nn.functional.cross_entropy,
    batch: int | None = None,
    accumulate: int = 1,
    scheduler: LRScheduler | None = None,
    clip: float = math.inf,
    autocast: torch.dtype | None = None,
    scaler: torch.amp.GradScaler | None = None,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    every: int = 100,
) -> History:
    """Train ``model``, and return the `History`.

    Args:
        model: a `torch.nn.Module`, on any device; ``inputs`` and ``labels`` are brought there, a batch at a time.
        optimizer: one of its parameters, already made.
        inputs, labels: ``[n, ...]`` each.
        steps: how many there shall be in all, those of the checkpoint included.
        loss: of the model's output and the labels, a mean over the examples.
        batch: how many examples to draw, with replacement, for each step; all n, undrawn, if None.
        accumulate: in how many micro-batches each batch is cut, whose gradients add up to that of the batch.
        scheduler: of the optimizer, moved after each step that was taken; it counts steps, not epochs.
        clip: the largest length of the gradient of all parameters together; a longer one is shortened to it.
        autocast: the dtype of the forward pass, such as ``torch.bfloat16``; that of the model if None.
        scaler: for ``autocast=torch.float16``, a ``torch.amp.GradScaler`` of the model's device.
        seed: of the draws.
        checkpoint: a file that is written after each ``every`` steps and after the last. If it is there already, the
            training goes on from it as if it had never stopped: model, optimizer, scheduler, scaler, draws, history.

    If the loss is infinite or not a number, or the gradient is and no scaler can skip it, the training ends before that
    step is taken, and ``stopped`` says so. Work that takes longer than five seconds shows how far it is.

    Errors: ValueError if ``steps`` is negative, if ``accumulate``, ``every`` or ``clip`` is not positive, or if
    ``checkpoint`` is damaged or belongs to another model or optimizer; see `edu_optim.trace.load_checkpoint`.

    >>> from edu_optim import SGD, problems
    >>> images, labels = problems.digits()
    >>> net = problems.small_net(64, 10)
    >>> optimizer = SGD(net.parameters(), lr=1.0)
    >>> schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 50)
    >>> history = fit(net, optimizer, images, labels, 50, batch=64, scheduler=schedule, clip=1.0)
    >>> print(f"{history.losses[0]:.1f} -> {history.losses[-1]:.1f}, at a rate of {history.rates[-1]:.4f}")
    2.4 -> 0.6, at a rate of 0.0010
    """
    for name, value, least in (("steps", steps, 0), ("accumulate", accumulate, 1), ("every", every, 1)):
        if not isinstance(value, int) or value < least:
            raise ValueError(f"{name} must be a whole number >= {least}, got {value!r}")
    if not clip > 0:
        raise ValueError(f"clip must be a length > 0, got {clip!r}")
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    device = parameters[0].device
    scaler = scaler or torch.amp.GradScaler(device.type, enabled=False)
    generator = torch.Generator().manual_seed(seed)
    history = History()
    parts = {"model": model, "optimizer": optimizer, "scaler": scaler, "generator": generator, "history": history}
    if scheduler is not None:
        parts["scheduler"] = scheduler
    if checkpoint is not None and Path(checkpoint).exists():
        load(checkpoint, **parts)
    for step in tqdm(range(len(history.losses) + 1, steps + 1), unit="step", delay=5, leave=False):
        drawn = _drawn(len(inputs), batch, generator)
        rate = float(optimizer.param_groups[0]["lr"])
        optimizer.zero_grad()
        seen = 0.0
        for part in drawn.chunk(accumulate):
            with torch.autocast(device.type, autocast, enabled=autocast is not None):
                mean = loss(model(inputs[part].to(device)), labels[part].to(device))
            share = mean * (len(part) / len(drawn))  # the mean of all, also where the last micro-batch is smaller
            scaler.scale(share).backward()
            seen += share.item()
        scaler.unscale_(optimizer)  # before clipping: the scaled gradient has another length
        norm = torch.nn.utils.clip_grad_norm_(parameters, clip).item()
        if not math.isfinite(seen) or not (math.isfinite(norm) or scaler.is_enabled()):
            history.stopped = _advice(step, seen, norm, rate)
            break
        scale = scaler.get_scale()
        scaler.step(optimizer)
        scaler.update()
        if scheduler is not None and scaler.get_scale() >= scale:  # a smaller scale: the step was skipped
            _advance(scheduler, seen)
        history.losses.append(seen)
        history.rates.append(rate)
        history.norms.append(norm)
        if checkpoint is not None and (step % every == 0 or step == steps):
            save(checkpoint, **parts)
    return history


def _drawn(count: int, batch: int | None, generator: torch.Generator) -> Tensor:
    return torch.arange(count) if batch is None else torch.randint(count, (batch,), generator=generator)


def _advance(scheduler: LRScheduler, loss: float) -> None:
    if isinstance(scheduler, ReduceLROnPlateau):
        scheduler.step(loss)
    else:
        scheduler.step()


def _advice(step: int, loss: float, norm: float, rate: float) -> str:
    what = f"the loss is {loss}" if not math.isfinite(loss) else f"the gradient's length is {norm}"
    return (
        f"stopped at step {step}, before it was taken: {what} at learning rate {rate:.3g}. Try a tenth of the rate, "
        "a warmup, or clip=1; if that does not help, look for a division by zero or a bad example in the batch."
    )
