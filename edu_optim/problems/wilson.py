"""Examples that gradient descent and the adaptive methods both learn by heart, and of which only one learns more."""

import torch
from torch import Tensor


def wilson_example(positive: int = 4, negative: int = 2, own: int = 1, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """Examples X ``[n, features]`` and their labels y ``[n]``, +1 or -1, in float64.

    The first feature is y, the next two are 1, and each example has features that no other one has, also 1: ``own`` of
    them where y is +1, and four more where it is -1. All of X is multiplied by ``scale``.

    Source: A. C. Wilson et al. 2017, The marginal value of adaptive gradient methods in machine learning, section 3.3,
    arXiv 1705.08292.

    >>> X, y = wilson_example()
    >>> X.shape, y.tolist(), X[0].nonzero().flatten().tolist()
    (torch.Size([6, 33]), [1.0, 1.0, 1.0, 1.0, -1.0, -1.0], [0, 1, 2, 3])
    """
    y = torch.tensor([1.0] * positive + [-1.0] * negative, dtype=torch.float64)
    X = torch.zeros(len(y), 3 + len(y) * (own + 4), dtype=torch.float64)
    X[:, 0], X[:, 1:3] = y, 1
    for row, label in enumerate(y):
        first = 3 + row * (own + 4)
        X[row, first : first + (own if label > 0 else own + 4)] = 1
    return scale * X, y
