"""Pictures of descents: one style, one look for each optimizer, and a text for every figure.

Figures are made without pyplot, so that none is left open. Importing this package sets matplotlib's defaults to the
style of the course.
"""

from .curves import chart, contour, label_ends, losses, panels, paths, plain_ticks
from .maps import BASINS, LETTERS, NOWHERE, basins, heat
from .style import (
    BLACK,
    BLUE,
    DENSITY,
    EXPLODED,
    GRAY,
    GREEN,
    LOOKS,
    ORANGE,
    OTHERS,
    PINK,
    RED,
    SKY,
    STYLE,
    YELLOW,
    course_style,
    figure,
    legend_below,
    look,
)
from .text import bundle, describe, show

__all__ = [
    "BASINS",
    "BLACK",
    "BLUE",
    "DENSITY",
    "EXPLODED",
    "GRAY",
    "GREEN",
    "LETTERS",
    "LOOKS",
    "NOWHERE",
    "ORANGE",
    "OTHERS",
    "PINK",
    "RED",
    "SKY",
    "STYLE",
    "YELLOW",
    "basins",
    "bundle",
    "chart",
    "contour",
    "course_style",
    "describe",
    "figure",
    "legend_below",
    "heat",
    "label_ends",
    "look",
    "losses",
    "panels",
    "paths",
    "plain_ticks",
    "show",
]
