"""Follow any `torch.optim.Optimizer`: over a problem, from thousands of starts at once, or through training."""

from .checkpoint import load as load_checkpoint
from .checkpoint import save as save_checkpoint
from .curvature import sharpness
from .fitting import History, fit
from .grid import HELD, Sweep, sweep
from .paths import MakeOptimizer, Trace, descend, race
from .training import Copies, train, train_many

__all__ = [
    "HELD",
    "Copies",
    "History",
    "MakeOptimizer",
    "Sweep",
    "Trace",
    "descend",
    "fit",
    "load_checkpoint",
    "race",
    "save_checkpoint",
    "sharpness",
    "sweep",
    "train",
    "train_many",
]
