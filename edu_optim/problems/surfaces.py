"""Surfaces to descend: each with its minima, a window worth looking at and a start.

A problem is a function of points of shape ``[..., 2]`` that returns losses of shape ``[...]``: as many points as
you like at once, on any device, in any floating dtype.

Sources of the surfaces: H. Rosenbrock 1960, An automatic method for finding the greatest or least value of a
function, Comput. J. 3, 175-184; D. Himmelblau 1972, Applied Nonlinear Programming; and M. Jamil & X.-S. Yang 2013,
A literature survey of benchmark functions for global optimization problems, arXiv 1308.4008.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy
import torch
from torch import Generator, Tensor

Pair = tuple[float, float]
Slope = Callable[[float, float], Pair]
Loss = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Problem:
    """A loss over the plane.

    Args:
        name: as it is written in a sentence.
        loss: points ``[..., 2]`` -> losses ``[...]``.
        minima: every global minimum, as pairs.
        window: ``((x0, x1), (y0, y1))``, the part of the plane worth a picture.
        start: where a descent begins unless told otherwise.
        noisy: ``(points, generator) -> losses`` with an error whose gradient has mean zero; None if there is none.
        slope: ``(x, y) -> (d/dx, d/dy)``, the gradient at one point in plain arithmetic; None where autograd must do.

    >>> booth(torch.tensor([[1.0, 3.0], [0.0, 0.0]]))
    tensor([ 0., 74.])
    """

    name: str
    loss: Loss
    minima: tuple[Pair, ...]
    window: tuple[Pair, Pair]
    start: Pair
    noisy: Callable[[Tensor, Generator], Tensor] | None = None
    slope: Slope | None = None

    def __call__(self, points: Tensor) -> Tensor:
        """The exact loss at ``points``."""
        return self.loss(_pairs(points))

    def grid(self, columns: int, rows: int) -> Tensor:
        """Points at equal distances over the window, ``[rows, columns, 2]``, from its lower left corner.

        >>> saddle.grid(3, 2)[1]
        tensor([[-2.,  2.],
                [ 0.,  2.],
                [ 2.,  2.]], dtype=torch.float64)
        """
        across, up = self.window
        x, y = torch.linspace(*across, columns, dtype=torch.float64), torch.linspace(*up, rows, dtype=torch.float64)
        return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)

    def sample(self, points: Tensor, generator: Generator) -> Tensor:
        """One noisy measurement of the loss at ``points``; the exact loss where there is no noise."""
        return self.noisy(_pairs(points), generator) if self.noisy else self(points)


def quadratic(condition: float = 100.0, angle: float = 0.0) -> Problem:
    """A bowl with curvature 1 along one axis and ``condition`` along the other, turned by ``angle`` degrees.

    Errors: ValueError if ``condition`` is below 1.

    >>> quadratic(condition=10)(torch.tensor([1.0, 1.0]))
    tensor(5.5000)
    """
    _check("condition", condition, condition >= 1, "a number >= 1")
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))

    def loss(points: Tensor) -> Tensor:
        x, y = points.unbind(-1)
        along, across = cos * x + sin * y, cos * y - sin * x
        return (along**2 + condition * across**2) / 2

    def slope(x: float, y: float) -> Pair:
        along, across = cos * x + sin * y, condition * (cos * y - sin * x)
        return cos * along - sin * across, sin * along + cos * across

    start = (-4 * cos - sin, cos - 4 * sin)
    name = f"a bowl of condition number {condition:g}"
    return Problem(name, loss, ((0, 0),), ((-5, 5), (-5, 5)), start, slope=slope)


def noisy_quadratic(condition: float = 10.0, noise: float = 1.0) -> Problem:
    """A bowl whose gradient is measured with a normal error of standard deviation ``noise`` in each coordinate.

    Errors: ValueError if ``noise`` is negative or ``condition`` below 1.

    >>> noisy_quadratic(noise=2.0).sample(torch.tensor([0.0, 0.0]), torch.Generator())
    tensor(0.)
    """
    _check("noise", noise, noise >= 0, "a number >= 0")
    bowl = quadratic(condition)

    def noisy(points: Tensor, generator: Generator) -> Tensor:
        error = torch.randn(points.shape, generator=generator, dtype=points.dtype, device=points.device)
        return bowl(points) + noise * (error * points).sum(-1)

    return Problem(f"{bowl.name}, measured with noise", bowl.loss, bowl.minima, bowl.window, bowl.start, noisy)


def sparse_features(rate: float = 0.1) -> Problem:
    """Least squares with two features: the first is in every sample, the second in a fraction ``rate`` of them.

    Most sampled gradients of the second coordinate are therefore exactly zero.

    Errors: ValueError if ``rate`` is not in (0, 1].

    >>> sparse_features(rate=0.1)(torch.tensor([0.0, 0.0]))
    tensor(0.5500)
    """
    _check("rate", rate, 0 < rate <= 1, "a number in (0, 1]")

    def loss(points: Tensor) -> Tensor:
        x, y = ((points - 1) ** 2 / 2).unbind(-1)
        return x + rate * y

    def noisy(points: Tensor, generator: Generator) -> Tensor:
        x, y = ((points - 1) ** 2 / 2).unbind(-1)
        drawn = torch.rand(y.shape, generator=generator, dtype=y.dtype, device=y.device)
        return x + (drawn < rate) * y

    return Problem("a sparse feature beside a dense one", loss, ((1, 1),), ((-1, 2), (-1, 2)), (-0.5, -0.5), noisy)


def surface(
    name: str, minima: tuple[Pair, ...], window: tuple[Pair, Pair], start: Pair, slope: Slope | None = None
) -> Callable[[Callable[[Tensor, Tensor], Tensor]], Problem]:
    """Turn a function of the coordinates x and y into a `Problem`.

    >>> @surface("a cup", minima=((0, 0),), window=((-1, 1), (-1, 1)), start=(1.0, 0.5))
    ... def cup(x, y):
    ...     return x**2 + y**2
    >>> cup(torch.tensor([[0.0, 0.0], [1.0, 2.0]]))
    tensor([0., 5.])
    """

    def make(function: Callable[[Tensor, Tensor], Tensor]) -> Problem:
        return Problem(name, lambda points: function(*points.unbind(-1)), minima, window, start, slope=slope)

    return make


def _rosenbrock_slope(x: float, y: float) -> Pair:
    across = y - x**2
    return -2 * (1 - x) - 400 * x * across, 200 * across


@surface("Rosenbrock's valley", minima=((1, 1),), window=((-2, 2), (-1, 3)), start=(-1.2, 1.0), slope=_rosenbrock_slope)
def rosenbrock(x: Tensor, y: Tensor) -> Tensor:
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def _beale_slope(x: float, y: float) -> Pair:
    first, second, third = 1.5 - x + x * y, 2.25 - x + x * y**2, 2.625 - x + x * y**3
    by_x = first * (y - 1) + second * (y**2 - 1) + third * (y**3 - 1)
    return 2 * by_x, 2 * x * (first + 2 * second * y + 3 * third * y**2)


@surface("Beale's function", minima=((3, 0.5),), window=((-1, 4), (-2, 2)), start=(-0.5, -1.5), slope=_beale_slope)
def beale(x: Tensor, y: Tensor) -> Tensor:
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2


def _booth_slope(x: float, y: float) -> Pair:
    first, second = x + 2 * y - 7, 2 * x + y - 5
    return 2 * first + 4 * second, 4 * first + 2 * second


@surface("Booth's function", minima=((1, 3),), window=((-5, 7), (-3, 9)), start=(-4.0, -2.0), slope=_booth_slope)
def booth(x: Tensor, y: Tensor) -> Tensor:
    return (x + 2 * y - 7) ** 2 + (2 * x + y - 5) ** 2


def _himmelblau_slope(x: float, y: float) -> Pair:
    first, second = x**2 + y - 11, x + y**2 - 7
    return 4 * x * first + 2 * second, 2 * first + 4 * y * second


@surface(
    "Himmelblau's function",
    minima=(
        (3.0, 2.0),
        (-2.805118086952745, 3.131312518250573),
        (-3.779310253377747, -3.283185991286170),
        (3.584428340330492, -1.848126526964404),
    ),
    window=((-5, 5), (-5, 5)),
    start=(-0.5, -1.0),
    slope=_himmelblau_slope,
)
def himmelblau(x: Tensor, y: Tensor) -> Tensor:
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2


def _six_hump_camel_slope(x: float, y: float) -> Pair:
    return 8 * x - 8.4 * x**3 + 2 * x**5 + y, x - 8 * y + 16 * y**3


@surface(
    "the six-hump camel",
    minima=((0.08984201310031806, -0.7126564030207396), (-0.08984201310031806, 0.7126564030207396)),
    window=((-2, 2), (-1, 1)),
    start=(1.5, 0.8),
    slope=_six_hump_camel_slope,
)
def six_hump_camel(x: Tensor, y: Tensor) -> Tensor:
    return (4 - 2.1 * x**2 + x**4 / 3) * x**2 + x * y + (4 * y**2 - 4) * y**2


def _saddle_slope(x: float, y: float) -> Pair:
    return x, y**3 - y


@surface(
    "a saddle between two minima",
    minima=((0, -1), (0, 1)),
    window=((-2, 2), (-2, 2)),
    start=(1.5, 0.001),
    slope=_saddle_slope,
)
def saddle(x: Tensor, y: Tensor) -> Tensor:
    return x**2 / 2 - y**2 / 2 + y**4 / 4


def _rastrigin_slope(x: float, y: float) -> Pair:
    turns = 2 * math.pi
    return 2 * x + 10 * turns * numpy.sin(turns * x), 2 * y + 10 * turns * numpy.sin(turns * y)


@surface("Rastrigin's function", minima=((0, 0),), window=((-5, 5), (-5, 5)), start=(3.3, -2.6), slope=_rastrigin_slope)
def rastrigin(x: Tensor, y: Tensor) -> Tensor:
    wave = torch.cos(2 * math.pi * x) + torch.cos(2 * math.pi * y)
    return 20 + x**2 + y**2 - 10 * wave


def _plateau_slope(x: float, y: float) -> Pair:
    height = numpy.exp(-(x**2 + y**2) / 2)
    return x * height, y * height


@surface("a hole in a plateau", minima=((0, 0),), window=((-4, 4), (-4, 4)), start=(-2.5, 2.0), slope=_plateau_slope)
def plateau(x: Tensor, y: Tensor) -> Tensor:
    return 1 - torch.exp(-(x**2 + y**2) / 2)


def _pairs(points: Tensor) -> Tensor:
    if not isinstance(points, torch.Tensor) or not points.shape or points.shape[-1] != 2:
        seen = f"shape {tuple(points.shape)}" if isinstance(points, torch.Tensor) else repr(points)
        raise ValueError(f"points must be a tensor of shape [..., 2], got {seen}")
    return points


def _check(name: str, value: object, holds: bool, allowed: str) -> None:
    if not holds:
        raise ValueError(f"{name} must be {allowed}, got {value!r}")
