"""Many nets of one shape, each a number of copies with settings of their own, that learn at once."""

from collections.abc import Sequence

import torch
from torch import Tensor


def copied(nets: Sequence[torch.nn.Module], count: int) -> list[Tensor]:
    """The layers of ``count`` copies of each net: weights ``[nets, count, rows, columns]``, biases with one row.

    >>> [tuple(layer.shape) for layer in copied([torch.nn.Linear(64, 10), torch.nn.Linear(64, 10)], 5)]
    [(2, 5, 10, 64), (2, 5, 1, 10)]
    """
    copies = [[torch.atleast_2d(p.detach()).expand(count, -1, -1) for p in net.parameters()] for net in nets]
    return [torch.stack(same).requires_grad_() for same in zip(*copies, strict=True)]


def losses(layers: Sequence[Tensor], images: Tensor, labels: Tensor) -> Tensor:
    """The mean cross-entropy ``[nets, count]`` of layers with tanh between them.

    Args:
        layers: as `copied` returns them.
        images: ``[nets, images, pixels]``, the same for all copies of a net.
        labels: ``[nets, images]``.

    >>> losses([torch.zeros(2, 5, 10, 64), torch.zeros(2, 5, 1, 10)], torch.rand(2, 3, 64), torch.ones(2, 3).long())[0]
    tensor([2.3026, 2.3026, 2.3026, 2.3026, 2.3026])
    """
    signals = images[:, None]
    for weights, biases in zip(layers[::2], layers[1::2], strict=True):
        signals = (signals.tanh() if weights is not layers[0] else signals) @ weights.mT + biases
    right = labels[:, None, :, None].expand(*signals.shape[:2], -1, 1)
    return -signals.log_softmax(-1).take_along_dim(right, -1).mean((2, 3))
