"""Measure, minimise and explain binary cross-entropy.

Every public name is here, and loaded when it is first used: ``import logloss`` needs
numpy alone.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from logloss import errors

if TYPE_CHECKING:
    from logloss.bernoulli import entropy, kl_divergence, logit, sigmoid
    from logloss.fitting import fit
    from logloss.logistic.estimator import LogisticRegression
    from logloss.losses import (
        binary_cross_entropy,
        binary_cross_entropy_with_logits,
        loss_gradient,
        loss_gradient_hessian,
    )
    from logloss.metric import LogLoss
    from logloss.models import Model, load
    from logloss.network.estimator import NetworkClassifier
    from logloss.plot import (
        ReliabilityDisplay,
        plot_decision_surface,
        plot_loss,
        plot_sigmoid,
        plot_training,
    )
    from logloss.recalibration import PriorCorrection
    from logloss.rows.local import LocalEngine
    from logloss.scoring.score import Score, score

#: Public name → (module, extra that brings what the module needs).
_HOMES = {
    "binary_cross_entropy": ("losses", None),
    "binary_cross_entropy_with_logits": ("losses", None),
    "loss_gradient": ("losses", None),
    "loss_gradient_hessian": ("losses", None),
    "sigmoid": ("bernoulli", None),
    "logit": ("bernoulli", None),
    "entropy": ("bernoulli", None),
    "kl_divergence": ("bernoulli", None),
    "LogLoss": ("metric", None),
    "LogisticRegression": ("logistic.estimator", "tables"),
    "NetworkClassifier": ("network.estimator", "torch"),
    "PriorCorrection": ("recalibration", None),
    "fit": ("fitting", "tables"),
    "LocalEngine": ("rows.local", "tables"),
    "Model": ("models", "tables"),
    "load": ("models", "tables"),
    "score": ("scoring.score", "tables"),
    "Score": ("scoring.score", "tables"),
    "plot_sigmoid": ("plot", "plot"),
    "plot_loss": ("plot", "plot"),
    "plot_training": ("plot", "plot"),
    "plot_decision_surface": ("plot", "plot"),
    "ReliabilityDisplay": ("plot", "plot"),
}

#: Looked up when it is first asked for, as all public names are.
__version__: str
__all__ = [
    "LocalEngine",
    "LogLoss",
    "LogisticRegression",
    "Model",
    "NetworkClassifier",
    "PriorCorrection",
    "ReliabilityDisplay",
    "Score",
    "__version__",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "entropy",
    "errors",
    "fit",
    "kl_divergence",
    "load",
    "logit",
    "loss_gradient",
    "loss_gradient_hessian",
    "plot_decision_surface",
    "plot_loss",
    "plot_sigmoid",
    "plot_training",
    "score",
    "sigmoid",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        # importlib.metadata takes longer to load than all else that is loaded here
        value = importlib.import_module("importlib.metadata").version(__name__)
        globals()[name] = value
        return value
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, extra = _HOMES[name]
    try:
        value = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    except ModuleNotFoundError as error:
        if extra is None or (error.name or "").startswith(__name__):
            raise
        raise errors.MissingExtraError(
            f"logloss.{name} needs {error.name}, which is not installed. "
            f"Install the extra {extra!r}: pip install '.[{extra}]' in a clone of logloss.",
            name=error.name,
        ) from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
