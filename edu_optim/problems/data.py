"""Data to learn from, and small networks that learn it."""

import functools
import importlib.util
import itertools
from pathlib import Path

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
    rows = _rows_of_digits()
    return rows[:, :-1] / 16, rows[:, -1].long()


@functools.cache
def _rows_of_digits() -> Tensor:
    import numpy

    return torch.from_numpy(numpy.loadtxt(of_scikit_learn("datasets", "data", "digits.csv.gz"), delimiter=","))


def of_scikit_learn(*parts: str) -> Path:
    """The path of a file that comes with scikit-learn, found without the second that importing it would take.

    Errors: ModuleNotFoundError if scikit-learn is not installed.

    >>> of_scikit_learn("datasets", "descr", "iris.rst").name
    'iris.rst'
    """
    found = importlib.util.find_spec("sklearn")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("scikit-learn, which brings these data, is not installed", name="sklearn")
    return Path(found.origin).parent.joinpath(*parts)


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
