"""`fit`: from a table to a model, in passes: the target, the design, the encoded rows, the fit."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from logloss.design.block import Block, Layout
from logloss.design.design import learn_design
from logloss.design.encoding import DigestPass, Plan, plan_encoding
from logloss.design.formula import Formula
from logloss.design.formula_text import parse_formula
from logloss.design.shuffled import shuffled
from logloss.design.target import learn_target
from logloss.errors import ArgumentError
from logloss.logistic.covariance import Inference
from logloss.logistic.fit import MAX_SCANS, fit_logistic
from logloss.models import Model, NetworkModel
from logloss.rows.budget import bytes_of, threads_within
from logloss.rows.journal import Checkpoint, JournalEngine
from logloss.rows.local import LocalEngine
from logloss.rows.protocols import Batch, Engine, Progress
from logloss.rows.source import Source, open_source
from logloss.rows.tables import reading_bytes


def fit(
    source: Any,
    target: str | None = None,
    *,
    formula: str | None = None,
    model: str = "logistic",
    quality: str = "default",
    hidden: Sequence[int] = (64, 64),
    epochs: int | None = None,
    random_state: int = 0,
    prior: str | None = "auto",
    alpha: float = 0.0,
    features: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    weight: str | None = None,
    offset: str | None = None,
    positive: Any = None,
    method: str = "mle",
    covariance: str = "model",
    cluster: str | Sequence[str] = (),
    weighting: str = "frequency",
    intervals: str = "wald",
    base_rate: float | None = None,
    tol: float = 1e-3,
    max_scans: int = MAX_SCANS,
    engine: Engine | None = None,
    memory: int | str | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    watch: Callable[..., None] | None = None,
    progress: Progress | None = None,
) -> Model:
    """Fit a logistic regression to a table, straight from where it lies.

    Parameters
    ----------
    source : path, table or stream
        A Parquet, CSV, Arrow IPC or Feather file, a folder or Hive tree of them, a glob,
        ``"-"`` for standard input, or anything with ``__arrow_c_stream__`` (pandas,
        polars, DuckDB, pyarrow).
    target : str, optional
        The column to predict: two values of any type, or proportions in [0, 1]. It may
        stand on the left of `formula` instead.
    formula : str, optional
        What to use of the columns, such as ``"late ~ hour + C(carrier) + log(distance)"``,
        in place of `features`; ``.`` stands for all columns that are not named otherwise.
        A closed set of operations is compiled, streamed, and kept in the model.
    model : {"logistic", "network"}, default="logistic"
        A logistic regression, or a network (extra `torch`), which knows of the options only
        `features`, `drop`, `weight`, `positive`, `base_rate`, `memory`, `checkpoint` and those
        that follow.
    quality : {"fast", "default", "best"}, default="default"
        How much work a network may be; see `NetworkClassifier`.
    hidden : sequence of int, default=(64, 64)
        Units of each hidden layer of a network.
    epochs : int, optional
        Most passes of a network over the rows, where it is not left to `quality`.  A table of
        millions of rows needs few.
    random_state : int, default=0
        Seed of a network.
    prior : {"auto", "weak", None}, default="auto"
        "weak" is a weakly informative normal prior, under which real tables have an
        optimum even where columns separate the classes; None is maximum likelihood. "auto"
        is "weak", and None under ``method="firth"``.
    alpha : float, default=0
        Strength of an additional L2 penalty, ½·alpha·β², on the mean loss.
    features : sequence of str, optional
        Columns to use; by default all but `target`, `weight`, `offset`, `cluster` and `drop`.
    drop : sequence of str, default=()
        Columns to leave out.
    weight, offset : str, optional
        Columns of sample weights, and of fixed additions to the logit.
    positive : object, optional
        Which of the target's two values counts as 1; required for text.
    method : {"mle", "firth"}, default="mle"
        "firth" maximises the likelihood times √|I|, with I the information: estimates have
        less bias among few rows, and are finite where columns separate the classes.
    covariance : {"model", "HC0", "HC1"}, default="model"
        Where standard errors come from: the inverse of the observed information, or a
        sandwich that holds where the model does not.
    cluster : str or sequence of str, default=()
        Columns whose values together name rows that depend on each other; standard errors
        are then robust to that.
    weighting : {"frequency", "sampling"}, default="frequency"
        What `weight` means: how many rows a row stands for, or one over the chance that it
        was drawn. Coefficients are the same, robust standard errors are not.
    intervals : {"wald", "profile"}, default="wald"
        "profile" follows the likelihood, Firth's or the plain one, to where it is ½·3.84
        below its maximum, and makes p-values of likelihood ratios.
    base_rate : float, optional
        Share of positives in the population, where rows were chosen or weighted by their
        class: cases and controls, undersampled negatives. Forecasts are corrected for it.
    tol : float, default=1e-3
        Certified distance to the optimum at which to stop, in standard errors.
    max_scans : int, default=100
        Passes over the rows after which to give up, with a `ConvergenceWarning`.
    engine : Engine, optional
        What runs the passes; threads of this process by default, as many as `memory` allows.
    memory : int or str, optional
        Memory to keep to, as bytes or as text such as ``"2GB"``; by default a quarter of
        the machine's.  Rows that take more once they are numbers go to a temporary file,
        which is read piece by piece.
    checkpoint : path, optional
        A file that keeps what every scan found, or how far the training of a network has
        come.  Where a fit was killed, the same call goes on from there and ends with the same
        bits; the file is removed at the end.
    watch : callable, optional
        Called after every step with scans, objective, bound and step; of a network, after
        every epoch with its losses, and the most epochs there will be.
    progress : callable, optional
        Called while the table is read, in a few passes, with the number of rows just
        finished and the number in the pass; an `engine` of your own has its own.

    Returns
    -------
    Model

    Raises
    ------
    SourceError, ColumnError, TargetError, WeightError, ArgumentError
        If the data or an option cannot be used; the message says where and what to do.
    CheckpointError
        If `checkpoint` is damaged, or of other rows or options.
    OutputError
        If `checkpoint` cannot be written, or rows that do not fit in memory do not fit in
        the folder for temporary files.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from logloss import fit
    >>> table = pa.table({"hours": [1.0, 2, 3, 4, 5, 6], "passed": [0, 0, 1, 0, 1, 1]})
    >>> model = fit(table, "passed")
    >>> model.predict(table)["probability"][0].as_py() < 0.5
    True
    """
    if model not in ("logistic", "network"):
        raise ArgumentError(f"model must be 'logistic' or 'network'; got {model!r}")
    if model == "network":
        _only_for_lines(
            prior=prior != "auto",
            alpha=alpha != 0,
            offset=offset is not None,
            method=method != "mle",
            covariance=covariance != "model",
            cluster=bool(cluster),
            intervals=intervals != "wald",
        )
    if prior == "auto":
        prior = None if method == "firth" else "weak"
    budget = bytes_of(memory)
    line = model == "logistic"  # a network keeps files of its own kind
    kept = Checkpoint.read(checkpoint) if line and checkpoint is not None else None
    rows = open_source(source)
    cluster = (cluster,) if isinstance(cluster, str) else tuple(cluster)
    parsed = None
    if formula is not None:
        others = (weight, offset, target, *cluster, *drop)
        parsed = _parsed(formula, rows, features, [name for name in others if name is not None])
    target = _one_target(target, parsed)
    reader = engine or LocalEngine(threads_within(budget, reading_bytes(rows.schema)), progress)
    learned_target = learn_target(rows, target, positive=positive, engine=reader)
    design = learn_design(
        rows,
        target=target,
        features=features,
        drop=tuple(drop),
        weight=weight,
        offset=offset,
        cluster=cluster,
        formula=parsed,
        engine=reader,
        memory=budget,
    )
    plan = plan_encoding(rows, design, learned_target, budget)
    if model == "network":
        return _network(
            plan,
            engine,
            progress,
            hidden=hidden,
            quality=quality,
            epochs=epochs,
            seed=random_state,
            base_rate=base_rate,
            watch=watch,
            checkpoint=checkpoint,
        )
    with plan.encoded(engine, progress) as encoded:
        scanner = engine or plan.engine()
        if kept is not None:
            options = {"prior": prior, "alpha": alpha, "tol": tol, "max_scans": max_scans}
            scanner = _journal(scanner, kept, encoded, design.layout, options | {"method": method})
        fitted = fit_logistic(
            encoded,
            design.layout,
            scanner,
            alpha=alpha,
            prior=prior,
            fit_intercept=parsed is None or parsed.intercept,
            tol=tol,
            max_scans=max_scans,
            watch=watch,
            method=method,
            inference=Inference(covariance, weighting, bool(design.cluster), intervals),
            base_rate=base_rate,
        )
    if kept is not None:
        kept.remove()
    return Model(
        target=learned_target,
        design=design,
        predictor=fitted.predictor,
        fit_summary=fitted.summary,
        recalibration=fitted.recalibration,
    )


def _network(
    plan: Plan, engine: Engine | None, progress: Progress | None, *, seed: int, **options: Any
) -> NetworkModel:
    """Train a network on a table, as it is planned to be encoded."""
    from logloss.network.table import fit_encoded

    with shuffled(plan, seed, engine, progress) as (parts, room):
        found = fit_encoded(
            parts,
            plan.design.layout,
            room=room,
            seed=seed,
            engine=engine or plan.engine(),
            **options,
        )
    return NetworkModel(
        plan.target, plan.design, found.predictor, found.summary, found.recalibration
    )


def _only_for_lines(**given: bool) -> None:
    """Refuse options of a logistic regression where a network is asked for."""
    named = [name for name, differs in given.items() if differs]
    if named:
        raise ArgumentError(f"{', '.join(named)}: for logistic regressions, not for networks.")


def _parsed(
    formula: str, rows: Source[Batch], features: Sequence[str] | None, others: Sequence[str]
) -> Formula:
    """Compile the formula for this table."""
    if features is not None:
        raise ArgumentError("formula says which columns to use, and so does features: drop one.")
    assert rows.schema is not None, "a table has a schema"
    return parse_formula(formula, rows.schema, others)


def _one_target(target: str | None, formula: Formula | None) -> str:
    """Return the target, which is named once, or twice alike."""
    left = None if formula is None else formula.target
    named = target if left is None else left
    if named is None:
        raise ArgumentError(
            "target must be named: as target='late', or on the left of a formula, 'late ~ hour'."
        )
    if target not in (None, named):
        raise ArgumentError(f"target is {target!r}, but the formula predicts {left!r}: drop one.")
    return named


def _journal(
    engine: Engine,
    checkpoint: Checkpoint,
    encoded: Source[Block],
    layout: Layout,
    options: Mapping[str, object],
) -> Engine:
    """Return an engine that keeps what its scans of the encoded rows find."""
    identity = {
        "rows": str(engine.reduce(DigestPass(), encoded)),
        "columns": blake2b(repr(layout).encode(), digest_size=16).hexdigest(),
    } | {name: repr(value) for name, value in options.items()}
    return JournalEngine(engine, checkpoint, identity, encoded.n_rows)
