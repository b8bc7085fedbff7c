"""Two tests that an experiment is watched by, in plain arithmetic.

The sequential test is the mixture sequential probability ratio test (mSPRT) of Johari, Koomen, Pekelis and Walsh,
"Always Valid Inference: Continuous Monitoring of A/B Tests", Operations Research 70(3), 2022 (arXiv:1512.04922), with a
normal mixture around the null: it may be looked at after every sample, and still errs at most with probability alpha.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

# Below so many expected in a cell, chi-squared does not follow its distribution (Cochran's rule).
FEWEST_EXPECTED = 5
# Below so many samples of a side the normal approximation is not trusted.
FEWEST = 100


class Totals(NamedTuple):
    """What was measured of one variant: how many, their sum, the sum of their squares. Of a rate the last two agree."""

    samples: int
    total: float
    squares: float

    @property
    def mean(self) -> float:
        return self.total / self.samples if self.samples else 0.0

    @property
    def variance_of_mean(self) -> float:
        """With one success and one failure added for a rate, so that none at all is not taken for certainty."""
        if self.samples < 2:  # noqa: PLR2004  # one value has no variance
            return math.inf
        if self.total == self.squares and 0 <= self.total <= self.samples:
            share = (self.total + 1) / (self.samples + 2)
            return share * (1 - share) / self.samples
        spread = max(self.squares - self.total * self.mean, 0.0) / (self.samples - 1)
        return spread / self.samples


def likelihood_ratio(difference: float, variance: float, tau: float) -> float:
    """The log of Λ for an estimated difference from the null with this variance (equation 9 of the paper, n/σ² = 1/V):

    Λ = √(V / (V + τ²)) · exp(τ² d² / (2 V (V + τ²))).
    """
    if not (0 < variance < math.inf):
        return 0.0
    wider = variance + tau * tau
    # Never squares and quotients of extremes, which are beyond what a float holds.
    weight = tau / math.sqrt(wider)
    deviations = difference / math.sqrt(variance)
    return 0.5 * (math.log(variance) - math.log(wider)) + 0.5 * (weight * deviations) * (weight * deviations)


def always_valid_p(harm: float, variance: float, tau: float) -> float:
    """1/Λ, at most 1; 1 where the difference is no harm, 0 where no value differs from a mean that is harm.

    The caller keeps the least one seen.
    """
    if harm <= 0:
        return 1.0
    if variance == 0:
        return 0.0
    return math.exp(-max(likelihood_ratio(harm, variance, tau), 0.0))


def chi_squared(observed: Mapping[str, int], shares: Mapping[str, int]) -> tuple[float, int]:
    """Pearson's statistic of counts against shares, and its degrees of freedom.

    Variants of which fewer than five are expected count as one; with what is the least of the others, where they are
    still too few together.
    """
    names = [name for name, share in shares.items() if share > 0]
    count, total = sum(observed.get(name, 0) for name in names), sum(shares[name] for name in names)
    if len(names) < 2 or not count:  # noqa: PLR2004  # one alone can't be out of proportion
        return 0.0, 0
    cells = _merged([(count * shares[name] / total, observed.get(name, 0)) for name in names])
    return sum((seen - expected) ** 2 / expected for expected, seen in cells), len(cells) - 1


def _merged(cells: Iterable[tuple[float, int]]) -> list[tuple[float, int]]:
    """Cells of expected and seen, the smallest added up until each expects enough; one is left at least."""
    rest = sorted(cells)
    while len(rest) > 1 and rest[0][0] < FEWEST_EXPECTED:
        (first, one), (second, other), *more = rest
        rest = sorted([(first + second, one + other), *more])
    return rest


def chi_squared_p(statistic: float, freedom: int) -> float:
    """The chance of such a statistic or a larger one: Q(k/2, x/2), by its recurrence in k (Abramowitz, Stegun 26.4)."""
    if freedom < 1 or statistic <= 0:
        return 1.0
    half = statistic / 2
    a = 0.5 if freedom % 2 else 1.0
    found = math.erfc(math.sqrt(half)) if freedom % 2 else math.exp(-half)
    while a < freedom / 2:
        found += math.exp(a * math.log(half) - half - math.lgamma(a + 1))
        a += 1
    return min(found, 1.0)
