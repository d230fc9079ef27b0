"""Follow any `torch.optim.Optimizer`: over a problem, from thousands of starts at once, or through training."""

from .curvature import sharpness
from .grid import HELD, Sweep, sweep
from .paths import MakeOptimizer, Trace, descend, race
from .training import Copies, train, train_many

__all__ = [
    "HELD",
    "Copies",
    "MakeOptimizer",
    "Sweep",
    "Trace",
    "descend",
    "race",
    "sharpness",
    "sweep",
    "train",
    "train_many",
]
