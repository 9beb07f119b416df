"""The vulnerability map: one flipped bit at a time, in each tensor and bit position."""

from __future__ import annotations

import glob
from collections.abc import Callable, Sequence
from pathlib import Path

from fault_injection.campaign import Outcomes
from fault_injection.models import Place, SingleUpset
from fault_injection.plan import FaultPlan, Position
from fault_injection.statistics import sample_size
from fault_injection.upsets import WrongAnswers, mean_time_between_wrong_answers
from fault_injection.vulnerability import Outcome, Stratum, StratumResult, VulnerabilityMap
from gauntlet.errors import UsageError
from gauntlet.faults.records import sites_of
from gauntlet.faults.result import DeviceResult
from gauntlet.faults.runner import Runner, Target
from gauntlet.faults.settings import Condition, MapSettings, ServiceSettings
from protos.dataset import DataSet, load, save

#: Added to the campaign's seed, so that a map and the accuracy that it explains share no fault.
MAP_SEED = 1_000_003
_BITS = 8


def strata(model: bytes, place: Place) -> list[Stratum]:
    """Every bit position of every 8-bit tensor.

    Raises:
        FaultError: the model has none.
    """
    chosen = FaultPlan(SingleUpset()).select(sites_of(model, place))
    return [Stratum(site.name, bit, site.size) for site in chosen for bit in range(_BITS)]


def injections(stratum: Stratum, margin: float, confidence: float) -> int:
    """How many upsets tell P(critical) of a stratum to ±`margin`, by the rule for finite populations."""
    return sample_size(stratum.population, margin, confidence)


def first_samples(data: Path, count: int, target: Path) -> Path:
    """A data set of the first samples of another; the other itself if it has no more."""
    whole = load(data)
    if not count or len(whole) <= count:
        return data
    labels = whole.labels
    assert labels is not None
    save(target, DataSet({name: array[:count] for name, array in whole.inputs.items()}, labels[:count]))
    return target


def count_samples(data: Path) -> int:
    """Samples in a data set with labels."""
    return len(load(data))


def draw_map(
    runner: Runner,
    target: Target,
    device: DeviceResult,
    wanted: Sequence[Stratum],
    place: Place,
    settings: MapSettings,
    confidence: float,
    seed: int,
    on_stratum: Callable[[int, int], None],
) -> VulnerabilityMap:
    """Flip bits, one at a time.

    In weights each injection is a pattern: one flipped bit that all images see, which are one cluster. In features
    every inference has a flipped bit of its own, so that each image is an injection.

    Args:
        runner: of the campaign.
        target: with the images to try.
        device: where; its number of images is known.
        wanted: see :func:`strata`.
        place: of the upsets.
        settings: how precisely.
        confidence: of the sample size.
        seed: of the campaign.
        on_stratum: told how many are done, of how many.
    """
    position = Position.WEIGHTS if place is Place.WEIGHTS else Position.AFTER_ACTIVATION
    found = []
    for number, stratum in enumerate(wanted):
        on_stratum(number, len(wanted))
        plan = FaultPlan(
            SingleUpset(),
            position,
            targets=(glob.escape(stratum.site),),
            bits=(stratum.bit, stratum.bit),
            seed=seed + MAP_SEED,
        )
        needed = injections(stratum, settings.margin, confidence)
        patterns = needed if place is Place.WEIGHTS else -(-needed // device.map_samples)
        series = runner.patterns(target, device, Condition(plan), patterns)
        found.append(_result(stratum, series.outcomes, place))
    return VulnerabilityMap.gather(found)


def in_the_field(map_: VulnerabilityMap, settings: ServiceSettings, confidence: float) -> WrongAnswers:
    """Expected wrong answers, from the harm of one upset."""
    names = {result.stratum.site for result in map_.results}
    exposed = map_.exposed_bits(
        Outcome.CRITICAL,
        dict.fromkeys(names, settings.fit_per_mbit),
        dict.fromkeys(names, settings.residency),
    )
    try:
        return mean_time_between_wrong_answers(exposed, settings.inferences_per_s, settings.scrub_s, confidence)
    except ValueError as error:
        raise UsageError(str(error), "see gauntlet faults --help for the units") from error


def _result(stratum: Stratum, outcomes: Outcomes, place: Place) -> StratumResult:
    counts = {
        Outcome.SDC1: outcomes.changed,
        Outcome.CRITICAL: outcomes.critical,
        Outcome.SDC5: outcomes.outside_top5 or [0] * len(outcomes),
        Outcome.NON_FINITE: outcomes.non_finite,
    }
    samples = outcomes.samples
    if place is Place.WEIGHTS:
        return StratumResult.of(stratum, {key: [n / samples for n in counts[key]] for key in Outcome})
    # Each image has an upset of its own: spoiled or not.
    total = samples * len(outcomes)
    singles = {key: [1.0] * sum(counts[key]) + [0.0] * (total - sum(counts[key])) for key in Outcome}
    return StratumResult.of(stratum, singles)
