"""Experiments: controls beside a picture that follows them, driven by your own optimizer."""

from .comparison import OVERLAY, overlay, rivals
from .controls import Player, Rate, Several, choice, rate, slider, switch
from .experiment import Experiment
from .maps import AGAINST, basins, rates, sensitivity
from .paths import FAMILY, descents, playground
from .prediction import predict
from .steps import microscope
from .surfaces import EXACT, RAVINE, SURFACES

__all__ = [
    "AGAINST",
    "EXACT",
    "FAMILY",
    "OVERLAY",
    "RAVINE",
    "SURFACES",
    "Experiment",
    "Player",
    "Rate",
    "Several",
    "basins",
    "choice",
    "descents",
    "microscope",
    "overlay",
    "playground",
    "predict",
    "rate",
    "rates",
    "rivals",
    "sensitivity",
    "slider",
    "switch",
]
