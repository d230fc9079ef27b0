"""Data to learn from, and small networks that learn it."""

import functools
import itertools

import torch
from torch import Tensor


def digits() -> tuple[Tensor, Tensor]:
    """Handwritten digits: images ``[1797, 64]`` with values in [0, 1], float64, and labels ``[1797]``.

    The test set of E. Alpaydin & C. Kaynak 1998, Optical recognition of handwritten digits, UCI Machine Learning
    Repository, as it comes with scikit-learn.

    >>> images, labels = digits()
    >>> images.shape, labels[:5]
    (torch.Size([1797, 64]), tensor([0, 1, 2, 3, 4]))
    """
    images, labels = _stored_digits()
    return images / 16, labels.clone()


@functools.cache
def _stored_digits() -> tuple[Tensor, Tensor]:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return torch.from_numpy(images), torch.from_numpy(labels)


def line_model() -> torch.nn.Linear:
    """The line of lesson 00 where its training starts, in float32.

    >>> line_model().bias.item()
    0.346...
    """
    model = torch.nn.Linear(1, 1)
    torch.nn.init.constant_(model.weight, 0.67037853)
    torch.nn.init.constant_(model.bias, 0.34645085)
    return model.float()


def line_points() -> tuple[Tensor, Tensor]:
    """The four examples of lesson 00, x and y = 2x, each ``[4, 1]``, in float32.

    >>> line_points()[1].flatten()
    tensor([2., 4., 6., 8.])
    """
    x = torch.tensor([[1.0], [2.0], [3.0], [4.0]], dtype=torch.float32)
    return x, 2 * x


def small_net(*sizes: int, seed: int = 0) -> torch.nn.Sequential:
    """A multilayer perceptron in float64 with tanh between its layers, the same one for the same ``seed``.

    >>> sum(p.numel() for p in small_net(64, 16, 10).parameters())
    1210
    """
    generator = torch.Generator().manual_seed(seed)
    layers = []
    for inputs, outputs in itertools.pairwise(sizes):
        layer = torch.nn.utils.skip_init(torch.nn.Linear, inputs, outputs, dtype=torch.float64)
        bound = inputs**-0.5
        for parameter in layer.parameters():
            torch.nn.init.uniform_(parameter, -bound, bound, generator=generator)
        layers += [layer, torch.nn.Tanh()]
    return torch.nn.Sequential(*layers[:-1])
