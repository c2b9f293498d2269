"""`NetworkClassifier`: the network with the manners of scikit-learn.

Checks of what comes in, and the names that scikit-learn expects of what goes
out; the arithmetic is in `module`, `training` and `fit`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from logloss import kernel
from logloss.design.block import Block, Layout
from logloss.design.labels import encode_labels
from logloss.design.shuffled import shuffled_arrays
from logloss.errors import ArgumentError
from logloss.network.fit import corrections, fit_network
from logloss.network.online import Online, first_online
from logloss.network.options import checked_options, checked_weight
from logloss.network.predictor import NetworkPredictor
from logloss.network.quality import notes_of
from logloss.network.recipe import Recipe
from logloss.network.training import Epoch, adamw
from logloss.recalibration import Chain
from logloss.rows.budget import bytes_of


class NetworkClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    r"""Binary classifier: a feed-forward network with one logit out, trained on the log loss.

    It models the log-odds of the second class as the mean of a few networks side by side,

    .. math:: z(x) = \frac1M \sum_{m=1}^{M} \bigl(c_m + u_m^\top e(x) + v_m^\top h_m(e(x))\bigr)

    where :math:`e(x)` are the numbers, each by its rank and by how far it has come through
    pieces of its range, and :math:`h_m` the hidden layers.  Each member holds out rows of its
    own, and their log loss under it says when to stop, and what share of the log-odds a logistic
    regression of the same rows is to have.  With its hidden layers it learns what no linear
    predictor can, such as the exclusive or.

    Parameters
    ----------
    hidden : int or sequence of int, default=(64, 64)
        Units of each hidden layer.
    activation : {"relu", "sigmoid", "tanh", "gelu", "silu"} or sequence of them, optional
        The bend of the hidden units: of all layers, or of each.  By default relu, and tanh in
        the last of several layers.
    quality : {"fast", "default", "best"}, default="default"
        How many members there are, and how many epochs, where it is not said: one member,
        eight, or thirty-two.
    members : int, optional
        Networks side by side.
    numbers : {"both", "piecewise", "quantile", "robust"}, default="both"
        How numbers are seen: each as how far it has come through pieces of its range; as
        normal quantiles of their ranks; as both, side by side; or in units of the middle half
        of their column, with far ones drawn in.
    dropout : float, default=0.0
        Share of hidden units that are silent in a step of training, in [0, 1).
    normalization : {"layer", None}, default=None
        Whether the units of a layer are normalised, row by row.
    residual : bool, default=False
        Whether a layer as wide as the one before it adds to it, rather than replaces it.
    linear : bool, default=True
        Whether the logit has a linear term, u, beside the hidden layers.
    learning_rate : float, default=2e-3
        Largest rate of AdamW; it is reached after a warm-up and falls along a cosine.
    weight_decay : float, default=1.5
        Share of a weight that a step of rate 1 takes away; biases are free of it.
    batch_size : int, optional
        Rows of a step; by default a fiftieth of the rows, from 128 to 1,024.
    epochs : int, optional
        Most passes over the rows; small tables are passed more often. By default 100, 60 with
        the fast quality, and fewer for tables of more than 50,000 rows.
    patience : int, default=16
        Passes without a better validation loss after which training ends.
    clip_norm : float, default=1.0
        Longest gradient, for each member.
    validation_fraction : float, default=0.15
        Share of rows that one network holds out; of several, each holds out a fold, and of
        multiples of eight, all that share a fold are judged by their mean.
        0 holds out none, and neither is one where a class has fewer than four rows: training
        then takes all its epochs and keeps the last weights.
    pos_weight : float, default=1.0
        Factor of the loss of positive rows.  Probabilities are corrected for it.
    gamma : float, default=0.0
        Focusing parameter of the focal loss.  Probabilities are corrected for it.
    calibrate : bool, default=True
        Whether a line is mixed in, and logits are divided by a temperature, as the rows held
        out say.  No line is mixed in with `pos_weight` or `gamma`.
    warm_start : bool, default=False
        Whether `fit` goes on from the weights of the last fit.
    checkpoint : path, optional
        A file that keeps the training after every pass, of many rows after every part of one:
        where it was killed, the same `fit` goes on from there and ends with the same bits.  It
        is removed at the end.
    device : str, default="cpu"
        Where to train: "cuda" and "mps" are taken as torch takes them, with products in
        bfloat16, and are untried.
    random_state : int, RandomState or None, default=None
        Seed of first weights, folds and batches.  The same seed gives the same bits on the same
        machine type.  Global generators, torch's among them, are given back as they were.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        The two classes; the second is the positive one.
    network_ : torch.nn.Module
        The trained module: rows in the user's units in, logits out.
    line_ : Line or None
        The logistic regression that is mixed in, and its share of the logit; None where the
        rows held out say that it has none.
    recalibration_ : Chain
        What these logits go through last: corrections, and the temperature.
    history_ : tuple of Epoch
        Losses after every pass; the first entry is the untrained network's.
    training_loss_, validation_loss_ : ndarray of shape (``n_iter_`` + 1,)
        The same as arrays, in nats.  The first is the entropy of the base rate.
    n_iter_ : int
        Number of passes over the rows.
    best_epoch_ : int
        The pass whose weights were kept.
    status_ : str
        ``"early stopping"``, ``"all epochs"``, or ``"diverged"``.
    notes_ : tuple of str
        What was done to the probabilities, in words.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, when `fit` was given a table with text headings.

    Warns
    -----
    ConvergenceWarning
        When the training loss is not finite: it names the batch and the learning rate, and the
        last good weights are kept.

    See Also
    --------
    LogisticRegression : The same loss with a linear predictor.

    Notes
    -----
    Training starts from the best constant: the output weights are zero and the output bias is
    the log-odds of the base rate.  It runs in one thread, so that its bits do not depend on how
    many there are.

    References
    ----------
    .. [1] D. E. Rumelhart, G. E. Hinton, R. J. Williams, "Learning
       representations by back-propagating errors", Nature 323, 533-536 (1986).
       https://doi.org/10.1038/323533a0
    .. [2] I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", ICLR 2019,
       https://arxiv.org/abs/1711.05101

    Examples
    --------
    The exclusive or, which no straight line separates:

    >>> from logloss import NetworkClassifier
    >>> X = [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> network = NetworkClassifier(random_state=0).fit(X, [0, 1, 1, 0])
    >>> network.predict(X)
    array([0, 1, 1, 0])
    """

    def __init__(
        self,
        hidden: int | Sequence[int] = (64, 64),
        *,
        activation: str | Sequence[str] | None = None,
        quality: str = "default",
        members: int | None = None,
        numbers: str = "both",
        dropout: float = 0.0,
        normalization: str | None = None,
        residual: bool = False,
        linear: bool = True,
        learning_rate: float = 2e-3,
        weight_decay: float = 1.5,
        batch_size: int | None = None,
        epochs: int | None = None,
        patience: int = 16,
        clip_norm: float = 1.0,
        validation_fraction: float = 0.15,
        pos_weight: float = 1.0,
        gamma: float = 0.0,
        calibrate: bool = True,
        warm_start: bool = False,
        checkpoint: str | os.PathLike[str] | None = None,
        device: str = "cpu",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.quality = quality
        self.members = members
        self.numbers = numbers
        self.dropout = dropout
        self.normalization = normalization
        self.residual = residual
        self.linear = linear
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.epochs = epochs
        self.patience = patience
        self.clip_norm = clip_norm
        self.validation_fraction = validation_fraction
        self.pos_weight = pos_weight
        self.gamma = gamma
        self.calibrate = calibrate
        self.warm_start = warm_start
        self.checkpoint = checkpoint
        self.device = device
        self.random_state = random_state

    def fit(
        self, X: npt.ArrayLike, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> Self:
        """Train on rows and their classes.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Finite numbers, in any units.
        y : array-like of shape (n,)
            Two values of any type, or proportions: floats in [0, 1].
        sample_weight : array-like of shape (n,), optional
            Finite, not negative; a row of weight 2 counts as two rows.

        Returns
        -------
        self : NetworkClassifier

        Raises
        ------
        ArgumentError
            An option is out of its domain.
        ValueError
            From scikit-learn: `X` or `y` is not numbers, not finite, of the
            wrong shape, or `y` has other than two classes.
        WeightError
            A weight is negative, or all are zero.
        """
        architecture, recipe = checked_options(self)
        start = getattr(self, "network_", None) if self.warm_start else None
        rows, labels = validate_data(self, X, y, dtype=np.float64)
        self.classes_, target = encode_labels(labels)
        if start is not None and start.architecture != architecture:
            raise ArgumentError(
                f"warm_start: the network has {start.architecture}, and the options say "
                f"{architecture}; set warm_start=False to begin anew"
            )
        weight, seed = checked_weight(sample_weight, rows), self._seed()
        found = fit_network(
            shuffled_arrays(rows, target, weight, seed),
            Layout(tuple(map(str, getattr(self, "feature_names_in_", range(rows.shape[1]))))),
            architecture,
            recipe,
            seed=seed,
            room=bytes_of(None),
            validation_fraction=float(self.validation_fraction),
            calibrate=bool(self.calibrate),
            start=start,
            device=self.device,
            checkpoint=self.checkpoint,
        )
        self._take(found.predictor, found.recalibration, found.training.history, recipe)
        self.best_epoch_ = found.training.best_epoch
        self.status_ = found.training.status
        return self

    def partial_fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        classes: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
    ) -> Self:
        """Train on some rows, with one pass over them at the full learning rate.

        The first call learns how numbers are seen, and the base rate, from its rows.  Nothing
        is held out, so that there is no temperature and no line; what corrects for `pos_weight`
        and `gamma` is in place.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.
        classes : array-like of shape (2,), optional
            The two classes; needed in the first call, where `y` does not hold both.

        Returns
        -------
        self : NetworkClassifier

        Raises
        ------
        ArgumentError, ValueError, WeightError
            As in `fit`, and where a label is not among the classes.
        """
        architecture, recipe = checked_options(self)
        first = not hasattr(self, "network_")
        rows, labels = validate_data(self, X, y, dtype=np.float64, reset=first)
        target = self._target(labels, classes, first)
        weight = checked_weight(sample_weight, rows)
        block = replace(_bare(rows), y=target, weight=weight)
        seed = self._seed()
        if first:
            self._online = first_online(block, architecture, recipe, seed)
            self.history_: tuple[Epoch, ...] = ()
        elif getattr(self, "_online", None) is None or self._online.network is not self.network_:
            self._online = Online(self.network_, adamw(self.network_, recipe))
        loss = self._online.learn(block, recipe, seed)
        now = Epoch(
            self.history_[-1].epoch + 1 if self.history_ else 1, loss, np.nan, recipe.learning_rate
        )
        predictor = NetworkPredictor(self._online.network)
        self._take(predictor, corrections(recipe), (*self.history_, now), recipe)
        self.best_epoch_, self.status_ = now.epoch, "partial"
        return self

    def decision_function(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the logits, shape (n,): log-odds of the second class, in nats."""
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float64, reset=False)
        return self.recalibration_(self._predictor.logits(_bare(rows)))

    def predict_proba(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the probabilities of both classes, shape (n, 2), in the order of `classes_`."""
        logits = self.decision_function(X)
        return np.column_stack([kernel.sigmoid(-logits), kernel.sigmoid(logits)])

    def predict_log_proba(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the logarithm of `predict_proba`, right in the tails, shape (n, 2)."""
        logits = self.decision_function(X)
        zeros, ones = np.zeros_like(logits), np.ones_like(logits)
        return np.column_stack(
            [-kernel.losses_from_logits(zeros, logits), -kernel.losses_from_logits(ones, logits)]
        )

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return the more probable class of each row, shape (n,)."""
        positive = (self.decision_function(X) > 0).astype(np.intp)
        labels: npt.NDArray[Any] = self.classes_[positive]
        return labels

    def to_onnx(self, path: str | os.PathLike[str]) -> None:
        """Write the network as an ONNX graph (extra `onnx`).

        Its input is ``numbers`` (n, n_features), float64; its outputs are ``logit`` and
        ``probability`` of the second class, shape (n,), float64.

        Parameters
        ----------
        path : path
            The file; it appears whole or not at all.

        Raises
        ------
        ArgumentError
            If it was trained on the focal loss.
        OutputError
            If the file cannot be written.
        """
        check_is_fitted(self)
        from logloss.network.export import network_graph

        network_graph(self._predictor, self.recalibration_).save(path)

    def _target(
        self, labels: npt.NDArray[Any], classes: npt.ArrayLike | None, first: bool
    ) -> npt.NDArray[np.float64]:
        """Return the target of one part of the rows, and keep the classes of the first."""
        if first:
            self.classes_ = encode_labels(labels if classes is None else np.unique(classes))[0]
        target: npt.NDArray[np.float64] = (labels == self.classes_[1]).astype(np.float64)
        strange = ~np.isin(labels, self.classes_)
        if strange.any():
            at = int(strange.argmax())
            raise ArgumentError(
                f"y: row {at} is {labels[at]}, which is neither of the classes "
                f"{self.classes_.tolist()}; name both in `classes` in the first call"
            )
        return target

    def _take(
        self,
        predictor: NetworkPredictor,
        recalibration: Chain,
        history: tuple[Epoch, ...],
        recipe: Recipe,
    ) -> None:
        """Keep what was found, under scikit-learn's kind of names."""
        self.network_, self.line_ = predictor.network, predictor.line
        self.recalibration_, self.history_ = recalibration, history
        self.training_loss_ = np.array([epoch.training_loss for epoch in history])
        self.validation_loss_ = np.array([epoch.validation_loss for epoch in history])
        self.n_iter_ = history[-1].epoch
        self.notes_ = notes_of(recipe)

    @property
    def _predictor(self) -> NetworkPredictor:
        return NetworkPredictor(self.network_, self.line_)

    def _seed(self) -> int:
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags


def _bare(rows: npt.NDArray[np.float64]) -> Block:
    """Return rows of numbers as a block."""
    return Block(0, rows, np.empty((len(rows), 0), np.int32))
