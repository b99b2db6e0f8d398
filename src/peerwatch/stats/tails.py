"""Tail probabilities: how unlikely a count is under what is normal."""

from __future__ import annotations

from math import exp, lgamma, log, log1p

_TINY = 1e-300
_EPSILON = 1e-14
_STEPS = 10_000


def binomial(k: int, n: int, p: float) -> float:
    """Probability of at least `k` of `n`, each with probability `p`.

    >>> f"{binomial(3, 100, 0.001):.1e}"
    '1.5e-04'
    """
    if k <= 0:
        return 1.0
    if k > n:
        return 0.0
    return incomplete_beta(k, n - k + 1, p)


def negative_binomial(k: int, mean: float, size: float) -> float:
    """Probability of a count of at least `k` when counts have this mean and the variance mean + mean² / size.

    >>> f"{negative_binomial(80, 15, 5):.1e}"
    '8.9e-07'
    """
    if k <= 0:
        return 1.0
    if mean <= 0:
        return 0.0
    return incomplete_beta(k, size, mean / (mean + size))


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularized incomplete beta function I_x(a, b), by its continued fraction (modified Lentz; DLMF 8.17.22)."""
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x))
    if x > (a + 1) / (a + b + 2):
        return 1.0 - front * _fraction(b, a, 1 - x) / b
    return front * _fraction(a, b, x) / a


def _fraction(a: float, b: float, x: float) -> float:
    c = 1.0
    d = 1.0 / _apart(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _STEPS):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 / _apart(1 + numerator * d)
            c = _apart(1 + numerator / c)
            value *= c * d
        if abs(c * d - 1) < _EPSILON:
            break
    return value


def _apart(value: float) -> float:
    """`value`, kept apart from 0."""
    return value if abs(value) > _TINY else _TINY
