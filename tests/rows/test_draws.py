from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from logloss.rows.draws import bits, mix, uniform

rows = st.lists(st.integers(0, 2**63 - 1), max_size=50)


@given(st.integers(), rows, st.data())
def test_a_draw_belongs_to_its_row(seed: int, numbers: list[int], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(numbers))))
    permuted = uniform(seed, [numbers[i] for i in order])
    assert permuted.tolist() == [uniform(seed, numbers)[i] for i in order]


def test_draws_are_what_they_were_in_the_first_release() -> None:
    assert bits(0, [0, 1]).tolist() == bits(2**64, [0, 1]).tolist()
    assert uniform(1, [0, 1, 10**12]).tolist() == RECORDED


def test_draws_are_uniform() -> None:
    draws = uniform(3, np.arange(1_000_000))
    assert draws.min() >= 0
    assert draws.max() < 1
    counts = np.histogram(draws, 256, (0, 1))[0]
    chi2 = float(((counts - 1e6 / 256) ** 2 / (1e6 / 256)).sum())
    assert 160 < chi2 < 370  # 255 degrees of freedom: 1e-5 on either side


def test_seeds_give_unrelated_draws() -> None:
    first, second = uniform(0, np.arange(100_000)), uniform(1, np.arange(100_000))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.02
    assert abs(np.corrcoef(first[:-1], second[1:])[0, 1]) < 0.02


def test_mix_is_a_bijection_of_neighbours() -> None:
    words = mix(np.arange(100_000, dtype=np.uint64))
    assert len(np.unique(words)) == 100_000
    flips = np.unpackbits((words[1:] ^ words[:-1]).view(np.uint8)).mean()
    assert abs(flips - 0.5) < 0.01


RECORDED = [0.039922651441566814, 0.4327449275927212, 0.39970809730118295]
