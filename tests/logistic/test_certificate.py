"""The certificate's inequalities, held to problems whose optimum is known."""

import math

import numpy as np
import pytest
from scipy import optimize, special

from logloss.logistic.certificate import after_newton, gap_bound


class Problem:
    """The mean loss of random rows, with a ridge."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.X = rng.normal(size=(40, 4)) * np.exp(rng.normal(size=4))
        self.X[0] *= 5  # a row of high leverage
        self.y = rng.integers(0, 2, 40)
        self.ridge = 10.0 ** rng.uniform(-3, 0)
        self.rng = rng

    def value(self, beta):
        z = self.X @ beta
        return np.mean(np.logaddexp(0, z) - self.y * z) + 0.5 * self.ridge * beta @ beta

    def gradient(self, beta):
        return self.X.T @ (special.expit(self.X @ beta) - self.y) / 40 + self.ridge * beta

    def hessian(self, beta):
        s = special.expit(self.X @ beta)
        return (self.X.T * (s * (1 - s) / 40)) @ self.X + self.ridge * np.eye(4)

    def optimum(self):
        beta = optimize.minimize(self.value, np.zeros(4), jac=self.gradient, tol=1e-12).x
        for _ in range(3):
            beta = beta - np.linalg.solve(self.hessian(beta), self.gradient(beta))
        return beta

    def near(self, distance):
        """Return coefficients at about this λ."""
        beta = self.optimum()
        along = self.rng.normal(size=4)
        along /= math.sqrt(along @ self.hessian(beta) @ along)
        return beta + distance * along

    def measures(self, beta):
        """Return Newton's step, λ and c."""
        inverse, gradient = np.linalg.inv(self.hessian(beta)), self.gradient(beta)
        leverage = np.einsum("ij,jk,ik->i", self.X, inverse, self.X).max()
        return -inverse @ gradient, math.sqrt(gradient @ inverse @ gradient), math.sqrt(leverage)


@pytest.mark.parametrize("distance", [1e-3, 1e-2, 0.05, 0.2])
@pytest.mark.parametrize("seed", range(20))
def test_the_minimum_is_no_further_below_than_the_bound(seed, distance):
    problem = Problem(seed)
    beta = problem.near(distance)
    _, decrement, leverage = problem.measures(beta)
    gap = problem.value(beta) - problem.value(problem.optimum())
    assert 0 < gap <= gap_bound(decrement, leverage) * (1 + 1e-9)


@pytest.mark.parametrize("distance", [1e-3, 1e-2, 0.05, 0.2])
@pytest.mark.parametrize("seed", range(20))
def test_newton_s_step_leads_where_the_bounds_say(seed, distance):
    problem = Problem(seed)
    beta = problem.near(distance)
    step, decrement, leverage = problem.measures(beta)
    _, after, longest = problem.measures(beta + step)
    bound, reach = after_newton(decrement, leverage)
    assert after <= bound
    if math.isfinite(bound):
        assert longest <= reach


def test_the_bounds_after_a_step_are_of_the_second_order():
    assert after_newton(1e-6, 10.0)[0] == pytest.approx(0.5e-11, rel=1e-4)
    assert after_newton(1e-3, 10.0)[0] == pytest.approx(0.5e-5, rel=0.02)


def test_nothing_is_said_of_a_step_that_moves_rows_too_far():
    assert after_newton(0.5, 2.0) == (math.inf, math.inf)
    assert gap_bound(0.5, 2.0) == math.inf
