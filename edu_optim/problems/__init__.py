"""What there is to descend: surfaces with known minima, a data set and small networks."""

from .data import digits, line_model, line_points, small_net
from .networks import Speller, descriptions, small_cnn, speller, windows
from .surfaces import (
    Loss,
    Pair,
    Problem,
    Slope,
    beale,
    booth,
    himmelblau,
    noisy_quadratic,
    plateau,
    quadratic,
    rastrigin,
    rosenbrock,
    saddle,
    six_hump_camel,
    sparse_features,
    surface,
)
from .wilson import wilson_example

__all__ = [
    "Loss",
    "Pair",
    "Problem",
    "Slope",
    "Speller",
    "beale",
    "booth",
    "descriptions",
    "digits",
    "himmelblau",
    "line_model",
    "line_points",
    "noisy_quadratic",
    "plateau",
    "quadratic",
    "rastrigin",
    "rosenbrock",
    "saddle",
    "six_hump_camel",
    "small_cnn",
    "small_net",
    "sparse_features",
    "speller",
    "surface",
    "wilson_example",
    "windows",
]
