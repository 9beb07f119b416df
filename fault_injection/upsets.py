"""From the harm of one flipped bit to the time between wrong answers in the field.

A campaign at p = 1e-4 for each bit says nothing about the field, where upsets are years apart and each strikes alone;
what counts is what one of them does, how many come, and how long it stays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Sequence

from fault_injection.statistics import Estimate, Interval, Shares, weighted_sum

#: Mega is the SI's 10^6 (IEC 80000-13; 2^20 would be a Mibit). Memory vendors often mean 2^20, which is 4.9 % more
#: bits: less than any quoted rate is known by.
BITS_PER_MBIT = 1e6
#: 1 FIT is one event in 10^9 device hours (JEDEC JESD89B).
SECONDS_PER_FIT = 1e9 * 3600


@dataclass(frozen=True)
class ExposedBits:
    """Bits that upsets strike alike, such as bit 7 of one layer's weights.

    Attributes:
        bits: how many.
        fit_per_mbit: raw upset rate of their memory, FIT per 10^6 bits, at the place of use; the rates of layers that
            lie in different memories weigh them.
        critical: which of the upsets tried were critical, that is, made some answers wrong; its mean is
            P(critical | upset).
        wrong_share: share of answers that a critical upset makes wrong while it stays, above 0, at most 1.
        residency: share of time in which the content of the bit is still to be read, 0-1; an upset at any other time is
            overwritten unseen.
    """

    bits: float
    fit_per_mbit: float
    critical: Shares
    wrong_share: float = 1.0
    residency: float = 1.0

    @property
    def upsets_per_s(self) -> float:
        """Raw rate of upsets, seen or unseen."""
        return self.bits / BITS_PER_MBIT * self.fit_per_mbit / SECONDS_PER_FIT


@dataclass(frozen=True)
class WrongAnswers:
    """How often upsets make a network answer wrongly. Intervals hold the uncertainty of `critical` alone.

    Attributes:
        upsets_per_s: raw, of all bits.
        harmful_upsets_per_s: those that cause one wrong answer or more.
        wrong_answers_per_s: they come in bursts, until the scrub that ends an upset.
        time_to_first_s: mean time to the first wrong answer, infinite without harmful upsets.
        time_between_s: mean time between wrong answers over the long run, those within a burst included.
    """

    upsets_per_s: float
    harmful_upsets_per_s: Estimate
    wrong_answers_per_s: Estimate
    time_to_first_s: Estimate
    time_between_s: Estimate


def mean_time_between_wrong_answers(
    exposed: Sequence[ExposedBits], inferences_per_s: float, scrub_s: float, confidence: float
) -> WrongAnswers:
    """Wrong answers that follow from single upsets.

    Upsets of stratum k are a Poisson process of rate λ = bits·FIT/Mbit. Thinned by residency r and P(critical) c, those
    that matter have rate λrc. Each stays from its time, uniform within a scrubbing interval T, to the interval's end:
    D ~ U(0, T). Inferences are a Poisson stream of rate ν, and a share w of those meanwhile goes wrong, so that, given
    D, wrong answers are Poisson with mean νwD, and

        E[wrong answers]      = νwT/2                            rate Σ λrc·νwT/2
        P(at least one)       = 1 - (1 - e^(-νwT))/(νwT)         rate Σ λrc·P(at least one)

    The times at which upsets first show are a Poisson process again (thinning and displacement), whose rate has the
    period T; the mean time to its first event is the reciprocal of the mean rate, up to at most one T more.

    Assumed besides: upsets strike alone, one bit each (their rate times T is far below 1); a scrub or reload ends each;
    critical upsets of a stratum make the same share of answers wrong (unequal shares of equal mean show later, by
    concavity, when νwT is not large). The regular stream of a camera differs from the Poisson one by less than one
    inference for each upset.

    Args:
        exposed: strata, at least one, sampled independently of each other.
        inferences_per_s: ν, above 0.
        scrub_s: T, time between scrubs or reloads of what is struck, above 0 and finite; without any, the mission time.
        confidence: of the intervals, 0-1, exclusive.
    """
    if not (0 < inferences_per_s < math.inf and 0 < scrub_s < math.inf):
        raise ValueError(f"need rates above 0: {inferences_per_s} inferences a second, scrubbed every {scrub_s} s")
    live = [bits.upsets_per_s * bits.residency for bits in exposed]
    answers = [inferences_per_s * bits.wrong_share * scrub_s for bits in exposed]
    critical = [bits.critical for bits in exposed]
    # expm1 keeps the difference for a T of microseconds, where the probability is νwT/2.
    shown = [1 + math.expm1(-mean) / mean if mean > 1e-4 else mean / 2 for mean in answers]
    harmful = weighted_sum(critical, [rate * probability for rate, probability in zip(live, shown)], confidence)
    wrong = weighted_sum(critical, [rate * mean / 2 for rate, mean in zip(live, answers)], confidence)
    upsets_per_s = math.fsum(bits.upsets_per_s for bits in exposed)
    return WrongAnswers(upsets_per_s, harmful, wrong, _reciprocal(harmful), _reciprocal(wrong))


def _reciprocal(rate: Estimate) -> Estimate:
    inside = rate.interval
    if inside is not None:
        inside = Interval(_invert(inside.high), _invert(inside.low), inside.confidence, inside.method)
    return Estimate(_invert(rate.value), inside)


def _invert(rate: float) -> float:
    return 1 / rate if rate > 0 else math.inf
