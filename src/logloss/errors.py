"""Every error and warning that logloss raises, on one screen.

An error names the argument, the rule, the offending value and where it stands,
and what to do.  All of them pickle, so they survive a trip between processes.

    LoglossError
    ├── InputError (also ValueError)      something that came in is wrong
    │   ├── ArgumentError                 a shape, a dtype, an option
    │   ├── RowError                      one value in one row is wrong
    │   │   ├── LabelError                y_true
    │   │   ├── ProbabilityError          y_prob
    │   │   ├── LogitError                logits
    │   │   └── WeightError               sample_weight, pos_weight
    │   ├── SourceError                   data that cannot be found, opened or read
    │   ├── ColumnError                   a column is missing, clashes, or has a type of no use
    │   ├── TargetError                   the target is not two values or proportions
    │   ├── ModelError                    a model file is damaged, foreign or too new
    │   ├── CheckpointError               a checkpoint is damaged, too new, or of another fit
    │   └── OutputError                   the result cannot be written where it was asked for
    └── MissingExtraError (also ImportError)   an optional dependency is not installed

    LoglossWarning (UserWarning)
    ├── SwappedWarning                    y_true and y_prob look exchanged
    ├── SeparationWarning                 the maximum likelihood estimate does not exist
    ├── ConvergenceWarning                a fit stopped before its certificate held
    ├── RangeWarning                      numbers outside the range seen in training
    └── UnseenWarning                     levels never seen in training
"""

from __future__ import annotations


class LoglossError(Exception):
    """Base of every error that logloss raises on purpose."""


class InputError(LoglossError, ValueError):
    """Something that came in from the caller is wrong."""


class ArgumentError(InputError):
    """An argument has a wrong shape, dtype or value."""


class RowError(InputError):
    """One value of an array or a column breaks its rule.

    Parameters
    ----------
    message : str
        The whole sentence shown to the user.
    index : tuple of int or int, optional
        Where the first offending value stands.
    value : object, optional
        The offending value.
    """

    def __init__(self, message: str, index: object = None, value: object = None) -> None:
        super().__init__(message)
        self.index = index
        self.value = value

    def __reduce__(self) -> tuple[type[RowError], tuple[str, object, object]]:
        return type(self), (str(self), self.index, self.value)


class LabelError(RowError):
    """A label is NaN or outside [0, 1]."""


class ProbabilityError(RowError):
    """A probability is NaN or outside [0, 1]."""


class LogitError(RowError):
    """A logit is NaN."""


class WeightError(RowError):
    """A weight is negative, NaN or infinite, or the weights sum to zero."""


class SourceError(InputError):
    """Data cannot be found, opened or read."""


class ColumnError(InputError):
    """A column is missing, clashes with another, or has a type that cannot be used."""


class TargetError(InputError):
    """The target holds other than two values, or nulls."""


class ModelError(InputError):
    """A model file is damaged, foreign, or newer than this version reads."""


class CheckpointError(InputError):
    """A checkpoint is damaged, newer than this version reads, or of other rows or options."""


class OutputError(InputError):
    """A result cannot be written where it was asked for."""


class MissingExtraError(LoglossError, ImportError):
    """An optional dependency is not installed; the message names the extra."""


class LoglossWarning(UserWarning):
    """Base of every warning that logloss gives."""


class SwappedWarning(LoglossWarning):
    """`y_true` and `y_prob` look exchanged."""


class SeparationWarning(LoglossWarning):
    """The classes are separated: the maximum likelihood estimate does not exist."""


class ConvergenceWarning(LoglossWarning):
    """A fit stopped before its certificate held."""


class RangeWarning(LoglossWarning):
    """Numbers lie outside the range seen in training."""


class UnseenWarning(LoglossWarning):
    """Levels were met that training never saw."""
