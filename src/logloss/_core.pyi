from typing import Any, Final, final

import numpy as np
import numpy.typing as npt

_Array = npt.NDArray[Any]

compiler: Final[str]

@final
class ExactSum:
    def __init__(self) -> None: ...
    def add(self, values: _Array) -> None: ...
    def merge(self, other: ExactSum) -> None: ...
    @property
    def value(self) -> float: ...
    def __getstate__(self) -> bytes: ...
    def __setstate__(self, state: bytes, /) -> None: ...

@final
class Kernels:
    @property
    def level(self) -> str: ...
    def losses_from_logits(
        self,
        label: _Array,
        score: _Array,
        weight: _Array | None,
        positive_weight: _Array | None,
        smoothing: float,
        loss: _Array | None,
        gradient: _Array | None,
        hessian: _Array | None,
        sum: ExactSum | None,
        gamma: float,
    ) -> tuple[int, int, int]: ...
    def losses_from_probabilities(
        self,
        label: _Array,
        score: _Array,
        weight: _Array | None,
        positive_weight: _Array | None,
        smoothing: float,
        loss: _Array | None,
        gradient: _Array | None,
        sum: ExactSum | None,
        clip: tuple[float, float, float],
    ) -> tuple[int, int, int]: ...
    def quick_mean_from_logits(self, label: Any, score: Any, /) -> float | None: ...
    def quick_mean_from_probabilities(self, label: Any, score: Any, /) -> float | None: ...
    def quick_mean_at(
        self,
        label: int,
        label_type: str,
        logit: int,
        logit_type: str,
        gradient: int,
        n: int,
        /,
    ) -> float | None: ...
    def sigmoid(self, values: _Array, out: _Array) -> None: ...
    def logit(self, values: _Array, out: _Array) -> None: ...
    def linear_scan(
        self,
        numbers: _Array,
        codes: _Array,
        center: _Array,
        starts: _Array,
        beta: _Array,
        label: _Array | None,
        weight: _Array | None,
        offset: _Array | None,
        loss: ExactSum,
        grid: _Array | None,
        high: _Array | None,
        low: _Array | None,
        gram: _Array | None,
        inverse_scale: _Array | None,
    ) -> tuple[float, float]: ...
    def linear_trials(
        self,
        numbers: _Array,
        codes: _Array,
        center: _Array,
        starts: _Array,
        beta: _Array,
        direction: _Array,
        steps: _Array,
        label: _Array | None,
        weight: _Array | None,
        offset: _Array | None,
        sums: list[ExactSum],
    ) -> None: ...
    def linear_products(
        self,
        numbers: _Array,
        codes: _Array,
        center: _Array,
        starts: _Array,
        beta: _Array,
        out: _Array,
    ) -> None: ...
    def moments(
        self,
        numbers: _Array,
        shift: _Array,
        weight: _Array | None,
        first: _Array,
        second: _Array,
        low: _Array,
        high: _Array,
        two_valued: _Array,
    ) -> None: ...

def best_kernels() -> Kernels: ...
def kernels_at(level: str) -> Kernels | None: ...
def sum_rows(values: _Array, out: npt.NDArray[np.float64]) -> None: ...

@final
class DenseLayers:
    def __init__(
        self,
        kernels: Kernels,
        activations: list[int],
        weights: list[_Array],
        biases: list[_Array],
        of_weights: list[_Array],
        of_biases: list[_Array],
    ) -> None: ...
    def pass_rows(
        self,
        x: _Array,
        label: _Array,
        weights: _Array,
        positive_weight: float,
        gamma: float,
        scale: float,
        logits: _Array,
        residual: _Array,
        of_x: _Array | None,
    ) -> float: ...
    def train(
        self,
        adamw: AdamW,
        x: _Array,
        picked: npt.NDArray[np.int64],
        label: _Array,
        weights: _Array,
        sizes: npt.NDArray[np.int64],
        trained: npt.NDArray[np.int64],
        rates: npt.NDArray[np.float64],
        positive_weight: float,
        gamma: float,
        longest: float,
    ) -> list[float]: ...

@final
class AdamW:
    def __init__(
        self,
        kernels: Kernels,
        values: list[_Array],
        gradients: list[_Array],
        means: list[_Array],
        squares: list[_Array],
        decays: list[float],
        steps: _Array,
        beta_mean: float,
        beta_square: float,
        epsilon: float,
    ) -> None: ...
    def step(self, rate: float, longest: float) -> None: ...
