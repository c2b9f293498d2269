"""Pictures: the sigmoid, the loss, reliability, a fit's path, decision surfaces.

matplotlib is imported by the functions that draw, and no global setting of it is
touched: every picture is made within one style.
"""

from logloss.plot.curves import plot_loss, plot_sigmoid
from logloss.plot.fits import plot_decision_surface, plot_training
from logloss.plot.reliability import ReliabilityDisplay

__all__ = [
    "ReliabilityDisplay",
    "plot_decision_surface",
    "plot_loss",
    "plot_sigmoid",
    "plot_training",
]
