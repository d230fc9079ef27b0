"""The sharpness of a loss: the largest eigenvalue of its Hessian, without ever writing the Hessian down."""

from collections.abc import Iterable

import torch
from torch import Tensor


def sharpness(
    loss: Tensor, parameters: Iterable[Tensor], rounds: int = 30, direction: Tensor | None = None
) -> tuple[float, Tensor]:
    """The largest curvature of ``loss`` in any direction, by power iteration, and the direction, ``[weights]``.

    A product of the Hessian H with a vector v is the gradient of the number g · v, where g is the gradient of the
    loss: one more backward pass. Each round replaces v by H v, made one long, which turns it towards the eigenvector
    with the eigenvalue of the largest size. That is a negative one, if the loss is curved more downwards than upwards.

    Args:
        loss: a number that autograd can follow back to ``parameters``.
        parameters: of the model, all together ``weights`` numbers.
        rounds: of power iteration; a few are enough from the direction of a step before.
        direction: where to begin; drawn with a fixed seed if None.

    Source: B. Pearlmutter 1994, Fast exact multiplication by the Hessian.

    >>> p = torch.tensor([1.0, 1.0], dtype=torch.float64, requires_grad=True)
    >>> found, direction = sharpness((25 * p[0] ** 2 + p[1] ** 2) / 2, [p])
    >>> f"{found:.3f}", f"{direction[0].abs():.3f}"
    ('25.000', '1.000')
    """
    parameters = list(parameters)
    gradients = _flat(torch.autograd.grad(loss, parameters, create_graph=True))
    if direction is None:
        direction = torch.randn(gradients.shape, generator=torch.Generator().manual_seed(0), dtype=gradients.dtype)
    direction, largest = direction / direction.norm(), torch.zeros(())
    for _ in range(rounds):
        product = _flat(torch.autograd.grad(gradients @ direction, parameters, retain_graph=True))
        largest = direction @ product
        direction = product / product.norm()
    return largest.item(), direction


def _flat(tensors: Iterable[Tensor]) -> Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in tensors])
