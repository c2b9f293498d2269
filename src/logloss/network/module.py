"""The network as a PyTorch module: a table's numbers and codes in, a logit out.

Here are the architecture and its first weights.  Nothing here knows a loss or an optimiser.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor, nn

from logloss.errors import ArgumentError, ModelError
from logloss.network.numbers import NUMBERS, Numbers

#: Names of the activations.
ACTIVATIONS: dict[str, type[nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}

#: Spread of the first embeddings: levels differ from the start, and less than numbers do.
_FIRST_EMBEDDING = 0.2


@dataclass(frozen=True)
class Architecture:
    """What a network is made of, without its weights.

    Attributes
    ----------
    levels : tuple of int
        For each code column, its number of levels.
    hidden : tuple of int
        Units of each hidden layer.
    activation : {"sigmoid", "tanh", "relu", "gelu", "silu"}, sequence of them, or None
        The bend of the hidden units: of all layers, or of each; kept as one for each.  None is
        relu, and tanh in the last of several layers: it bends where the first ones have folded,
        and bounds what a row far away can say.
    dropout : float
        Share of hidden units that are silent in a step of training, in [0, 1).
    normalization : {"layer", None}
        "layer" brings the units of a layer to mean 0 and standard deviation 1, row by row.
    residual : bool
        Whether a layer as wide as the one before it adds to it, rather than replaces it.
    linear : bool
        Whether the logit also has a term that is linear in the encoded columns.
    embedding : int
        Numbers that stand for a level.
    members : int
        Networks side by side whose logits are averaged.
    numbers : {"both", "piecewise", "quantile", "robust"}
        How numbers are seen.

    Raises
    ------
    ArgumentError
        If one is out of its domain.
    """

    levels: tuple[int, ...] = ()
    hidden: tuple[int, ...] = (64, 64)
    activation: str | Sequence[str] | None = None
    dropout: float = 0.0
    normalization: str | None = None
    residual: bool = False
    linear: bool = True
    embedding: int = 8
    members: int = 1
    numbers: str = "both"

    def __post_init__(self) -> None:
        object.__setattr__(self, "activation", _for_each(self.activation, len(self.hidden)))
        for name, known, values in (
            ("activation", tuple(ACTIVATIONS), self.activations),
            ("normalization", ("layer", None), (self.normalization,)),
            ("numbers", tuple(NUMBERS), (self.numbers,)),
        ):
            for value in values:
                if value not in known:
                    listed = ", ".join(map(repr, known))
                    raise ArgumentError(f"{name} must be one of {listed}; got {value!r}")
        for name in ("embedding", "members"):
            if getattr(self, name) < 1:
                raise ArgumentError(f"{name} must be at least 1; got {getattr(self, name)!r}")
        if any(width < 1 for width in self.hidden):
            raise ArgumentError(f"hidden must hold numbers of at least 1; got {self.hidden!r}")
        if not 0 <= self.dropout < 1:
            raise ArgumentError(f"dropout must be in [0, 1); got {self.dropout!r}")

    @property
    def activations(self) -> tuple[str, ...]:
        """The bend of each hidden layer."""
        assert isinstance(self.activation, tuple), "it was resolved when this was made"
        return self.activation

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and names."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Rebuild it; ModelError if the record does not hold one."""
        try:
            values = dict(record)
            for name in ("levels", "hidden"):
                values[name] = tuple(map(int, values[name]))
            return cls(**values)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"the network's architecture cannot be read: {error!r}") from error


def _for_each(activation: str | Sequence[str] | None, n_layers: int) -> tuple[str, ...]:
    """Return an activation for each hidden layer."""
    if activation is None and n_layers > 1:
        return ("relu",) * (n_layers - 1) + ("tanh",)
    if activation is None or isinstance(activation, str):
        return (activation or "relu",) * n_layers
    if not isinstance(activation, Sequence) or len(activation) != n_layers:
        raise ArgumentError(
            f"activation must be one name, or one for each of {n_layers} hidden layers; "
            f"got {activation!r}"
        )
    return tuple(activation)


class MemberLinear(nn.Module):  # type: ignore[misc]
    """One linear layer for each member: (members, n, n_in) → (members, n, n_out)."""

    def __init__(self, members: int, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(members, n_in, n_out))
        self.bias = nn.Parameter(torch.empty(members, 1, n_out))
        # as torch's own linear layer begins
        reach = 1 / math.sqrt(max(1, n_in))
        nn.init.uniform_(self.weight, -reach, reach)
        nn.init.uniform_(self.bias, -reach, reach)

    def forward(self, x: Tensor) -> Tensor:
        """Return the members' products."""
        return torch.baddbmm(self.bias, x, self.weight)


class MemberNorm(nn.Module):  # type: ignore[misc]
    """Layer normalisation with a gain and a shift for each member."""

    def __init__(self, members: int, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(members, 1, width))
        self.shift = nn.Parameter(torch.zeros(members, 1, width))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis."""
        return nn.functional.layer_norm(x, x.shape[-1:]) * self.gain + self.shift


class HiddenLayer(nn.Module):  # type: ignore[misc]
    """Linear, normalised, bent, with dropout; added to its input where it is residual."""

    def __init__(self, architecture: Architecture, n_in: int, width: int, activation: str) -> None:
        super().__init__()
        members = architecture.members
        self.linear = MemberLinear(members, n_in, width)
        self.norm = (
            MemberNorm(members, width) if architecture.normalization == "layer" else nn.Identity()
        )
        self.activation = ACTIVATIONS[activation]()
        self.dropout = nn.Dropout(architecture.dropout) if architecture.dropout else nn.Identity()
        self.residual = architecture.residual and n_in == width

    def forward(self, x: Tensor) -> Tensor:
        """Return the units, (members, n, width)."""
        units = self.dropout(self.activation(self.norm(self.linear(x))))
        return x + units if self.residual else units


class TableNetwork(nn.Module):  # type: ignore[misc]
    r"""A feed-forward network from a table's numbers and codes to one logit.

    .. math:: z(x) = \frac1M \sum_{m=1}^{M} \bigl(c_m + u_m^\top e_m(x) + v_m^\top h_m(e_m(x))\bigr)

    where :math:`e_m` are the encoded numbers and the embeddings of the codes, and :math:`h_m`
    the hidden layers of member m.  The output has no sigmoid of its own: the loss takes the
    logit, where nothing is lost to rounding.

    It is an ordinary module.  Its weights are drawn from torch's global generator; those of the
    output are zero and its bias is `base_logit`, so that the first loss is the entropy of the
    base rate.

    Parameters
    ----------
    architecture : Architecture
        What it is made of; its `numbers` are told from the next argument.
    numbers : Both, Piecewise, Quantile or Robust
        How it sees numbers, as learned from rows.
    base_logit : float, default=0.0
        What it says of every row at first: the log-odds of the base rate.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from logloss.network import Architecture, Robust, TableNetwork
    >>> X = np.array([[1.0], [2.0], [4.0], [8.0]])
    >>> numbers = Robust.learn(X, np.ones(4))
    >>> network = TableNetwork(Architecture(hidden=(8,)), numbers, base_logit=-1.0)
    >>> network(torch.from_numpy(X)).tolist()
    [-1.0, -1.0, -1.0, -1.0]
    """

    def __init__(
        self,
        architecture: Architecture,
        numbers: Numbers,
        base_logit: float = 0.0,
    ) -> None:
        super().__init__()
        kinds = {kind: name for name, kind in NUMBERS.items()}
        self.architecture = replace(architecture, numbers=kinds[type(numbers)])
        self.numbers = numbers
        members, levels = architecture.members, architecture.levels
        width = numbers.n_encoded + architecture.embedding * len(levels)
        self.n_encoded = width
        if levels:
            # one more than there are levels: the last is for those never seen
            starts = [0]
            for n_levels in levels:
                starts.append(starts[-1] + n_levels + 1)
            self.register_buffer("starts", torch.tensor(starts[:-1]), persistent=False)
            self.embeddings = nn.Parameter(
                _FIRST_EMBEDDING * torch.randn(members, starts[-1], architecture.embedding)
            )
            self.level_effects = nn.Parameter(
                torch.zeros(members, starts[-1], 1), requires_grad=architecture.linear
            )
        layers = []
        for units, activation in zip(architecture.hidden, architecture.activations, strict=True):
            layers.append(HiddenLayer(architecture, width, units, activation))
            width = units
        self.hidden = nn.Sequential(*layers)
        self.output = MemberLinear(members, width, 1)
        nn.init.zeros_(self.output.weight)
        nn.init.constant_(self.output.bias, base_logit)
        if architecture.linear:
            self.linear = nn.Parameter(torch.zeros(members, self.n_encoded, 1))

    def encode(self, numbers: Tensor) -> Tensor:
        """Return the encoded numbers, shape (..., n_encoded), in the dtype of the weights."""
        return self.numbers(numbers.to(self.numbers_dtype)).to(self.output.weight.dtype)

    @property
    def numbers_dtype(self) -> torch.dtype:
        """Dtype of the numbers' map: float64, unless the module was cast."""
        return next(self.numbers.buffers()).dtype

    def cast(self, dtype: torch.dtype) -> Self:
        """Change the dtype of the weights; how numbers are seen keeps its digits."""
        for parameter in self.parameters():
            parameter.data = parameter.data.to(dtype)
        return self

    def member_logits(self, encoded: Tensor, codes: Tensor | None = None) -> Tensor:
        """Return each member's logits, shape (members, n).

        Parameters
        ----------
        encoded : Tensor of shape (n, n_encoded) or (members, n, n_encoded)
            From `encode`; the same rows for all members, or rows of their own.
        codes : Tensor of shape (n, k) or (members, n, k), int64
            Index of each level; -1 for one never seen.  Needed where there are code columns.
        """
        members = self.architecture.members
        x = encoded if encoded.ndim == 3 else encoded.expand(members, *encoded.shape)
        level_terms = None
        if self.architecture.levels:
            assert codes is not None, "the network has code columns"
            found = self.slots(codes)
            x = torch.cat([x, _rows_of(self.embeddings, found).flatten(-2)], -1)
            level_terms = _rows_of(self.level_effects, found).sum((-2, -1))
        logits = self.output(self.hidden(x)).squeeze(-1)
        if self.architecture.linear:
            logits = logits + torch.bmm(x, self.linear).squeeze(-1)
            logits = logits if level_terms is None else logits + level_terms
        return logits

    def forward(self, numbers: Tensor, codes: Tensor | None = None) -> Tensor:
        """Return the logits, shape (n,), of rows in the user's units.

        Parameters
        ----------
        numbers : Tensor of shape (n, p)
            Without missing values.
        codes : Tensor of shape (n, k), int64, optional
            Index of each level; -1 for one never seen.
        """
        return self.member_logits(self.encode(numbers), codes).mean(0)

    def slots(self, codes: Tensor) -> Tensor:
        """Return the rows of the embedding table, that of unseen levels for -1."""
        last = torch.tensor(self.architecture.levels, device=codes.device)
        return torch.where(codes < 0, last, codes) + self.starts

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def settle_unseen(self, shares: Tensor) -> None:
        """Let a level never seen be the average level of its column.

        Parameters
        ----------
        shares : Tensor of shape (sum(levels),)
            Weight of each level in training, column after column.
        """
        slot = at = 0
        for n_levels in self.architecture.levels:
            share = shares[at : at + n_levels] / shares[at : at + n_levels].sum()
            for table in (self.embeddings, self.level_effects):
                known = table[:, slot : slot + n_levels]
                table[:, slot + n_levels] = (share.to(table.dtype)[:, None] * known).sum(1)
            slot, at = slot + n_levels + 1, at + n_levels


def _rows_of(table: Tensor, found: Tensor) -> Tensor:
    """Return rows of each member's table, (members, n, k, width)."""
    members, _, width = table.shape
    if found.ndim == 2:
        rows = table.index_select(1, found.flatten())
        return rows.view(members, *found.shape, width)
    flat = found.flatten(1).unsqueeze(-1).expand(-1, -1, width)
    return table.gather(1, flat).view(*found.shape, width)
