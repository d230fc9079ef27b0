"""Lesson 09: weight decay in a network that is told some wrong labels."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..optimizers import AdamW
from ..problems import digits, small_net
from ..trace import train_many


def mislabeled(
    lrs: Sequence[float],
    decays: Sequence[float],
    *,
    hidden: int = 32,
    steps: int = 600,
    starts: Sequence[int] = (0, 1),
    seed: int = 0,
) -> Tensor:
    """The share of 800 unseen digits that a network trained by AdamW gets right, ``[lrs, decays]``.

    It learns from 200 digits in batches of 32. A fifth of them get a label at random. The share is averaged over
    ``starts``; ``seed`` draws the digits and the labels.

    >>> mislabeled([0.01], [0, 1], steps=5).shape
    torch.Size([1, 2])
    """
    images, labels = digits()
    draw = torch.Generator().manual_seed(seed)
    seen, unseen = torch.randperm(len(images), generator=draw)[:1000].split([200, 800])
    told = labels[seen]
    told[:40] = torch.randint(10, (40,), generator=draw)
    axes = [torch.tensor(each, dtype=torch.float32) for each in (lrs, decays)]
    lr, decay = (each.flatten() for each in torch.meshgrid(axes, indexing="ij"))
    nets = [small_net(64, hidden, 10, seed=start) for _ in lr for start in starts]
    options: dict[str, Any] = {
        "lr": lr.repeat_interleave(len(starts)),
        "weight_decay": decay.repeat_interleave(len(starts)),
    }
    copies = train_many(nets, AdamW, images[seen], told, steps, batch=32, **options)
    return copies.accuracy(images[unseen], labels[unseen]).reshape(len(lrs), len(decays), -1).mean(-1)
