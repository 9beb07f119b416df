"""Figures of networks that nobody measured, from those that somebody did, and how far to trust them.

Costs (latency, energy, memory, size) are learned by the cost model, accuracies by GBDT-NAS's trees. What is told of a
model's error is measured on figures that it was not shown: five times a fifth of them is held out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from search.errors import SearchError
from search.evaluations import Evaluation
from search.objectives import Quantity
from search.predictors.costs import CostModel
from search.predictors.design import Design
from search.predictors.gbdt import Gbdt
from search.replay.schema import figure_name
from search.replay.table import Table
from search.runlog import read_history
from search.spaces.base import Architecture, Space, SpaceError
from search.values import Origin, Value

#: Fewer measurements say nothing about a model's error.
LEAST = 10
#: More hardly help (of the cost model, 500 and 6,000 examples have the same error), and take their time.
MOST = 1000
CONFIDENCE = 0.95
METHOD = "conformal, cross-validated"
_FOLDS = 5

Array = NDArray[np.float64]


class PredictionError(SearchError):
    """Nothing to predict, or not enough to predict it from."""


@dataclass(frozen=True)
class Trust:
    """How well a model predicted figures that it was not shown.

    Attributes:
        measurements: figures that it rests on.
        median_error: |predicted − measured| over measured, the median; None where zeros were measured.
        tau: Kendall's rank correlation, -1 to 1; None if all figures are equal.
        covered: how many of the measured figures were in their intervals; None with too few for an interval.
    """

    measurements: int
    median_error: float | None
    tau: float | None
    covered: int | None


@dataclass(frozen=True)
class Forecast:
    """One figure of several architectures.

    Attributes:
        name: of the figure.
        trust: in the predicted ones.
        values: in the order of the architectures: what was measured where it was, else predicted.
    """

    name: str
    trust: Trust
    values: tuple[Value, ...]


@dataclass(frozen=True, eq=False)
class Known:
    """What is predicted from.

    Attributes:
        title: for people.
        space: of the architectures.
        evaluations: by the architecture's canonical text.
    """

    title: str
    space: Space
    evaluations: Mapping[str, Evaluation]

    @classmethod
    def read(cls, path: Path) -> Known:
        """What a run, under way or not, or a recorded table holds.

        Args:
            path: of the run's folder or of the table.

        Raises:
            SearchError: neither, or one that cannot be read.
        """
        if not path.is_dir():
            table = Table.read(path)
            texts = enumerate(map(Architecture, table.rows))
            return cls(table.about.title, table.space, {a.text: table.evaluation(n, a) for n, a in texts})
        from search.campaign.config import parse  # brings torch along, which a table does without
        from search.campaign.problem import Problem

        history = read_history(path)
        config = parse(dict(history.about["config"]), str(path))
        told = {evaluation.architecture: evaluation for evaluation in history.evaluations}
        return cls(config.title, Problem.of(config).space, told)

    def counts(self) -> dict[str, int]:
        """How often each figure was measured."""
        names = dict.fromkeys(name for evaluation in self.evaluations.values() for name in evaluation.figures)
        return {name: len(self.measured(name)) for name in names}

    def measured(self, name: str) -> dict[Architecture, float]:
        """A figure by architecture, where there is one."""
        found = {text: evaluation.figures.get(name) for text, evaluation in self.evaluations.items()}
        return {Architecture(text): v.value for text, v in found.items() if v is not None and v.value is not None}

    def architecture(self, text: str) -> Architecture:
        """Read an architecture in any spelling.

        Raises:
            PredictionError: it names none of the space.
        """
        try:
            return self.space.parse(text)
        except SpaceError as error:
            some = next(iter(self.evaluations), "")
            raise PredictionError(
                f"{text!r} is no network of the space {self.space.name}: {error}", f"write it like {some}" * bool(some)
            ) from error

    def unknown(self, count: int, seed: int = 0) -> list[Architecture]:
        """Random architectures that nobody measured; fewer at the end of the space.

        Args:
            count: how many.
            seed: of the draw.
        """
        rng = np.random.default_rng(seed)
        drawn: dict[Architecture, None] = {}
        for _ in range(100 * count):
            architecture = self.space.sample(rng)
            if architecture.text not in self.evaluations:
                drawn[architecture] = None
            if len(drawn) == count:
                break
        return list(drawn)

    def names(self, wanted: Sequence[str] = ()) -> list[str]:
        """The figures to predict, canonical.

        Args:
            wanted: in any spelling; none: the costs of all devices that were measured often enough.

        Raises:
            PredictionError: one that was measured less than `LEAST` times, or none that was measured so often.
            ObjectiveError: one of a wrong form.
        """
        counts = self.counts()
        names = [str(figure_name(text)) for text in wanted] or [n for n in counts if _is_cost(n) and counts[n] >= LEAST]
        lacking = next((name for name in names if counts.get(name, 0) < LEAST), None)
        if names and lacking is None:
            return list(dict.fromkeys(names))
        what = f"{counts.get(lacking, 0)} measurements of {lacking}" if lacking else "too few measurements of any cost"
        enough = ", ".join(f"{name} ({count:,})" for name, count in counts.items() if count >= LEAST)
        raise PredictionError(
            f"{self.title!r} has {what}, a prediction wants {LEAST}",
            f"measured often enough: {enough}" if enough else "measure more",
        )


def forecasts(known: Known, names: Sequence[str], architectures: Sequence[Architecture]) -> list[Forecast]:
    """Figures of architectures.

    Args:
        known: what to predict from.
        names: as `Known.names` gives them.
        architectures: canonical.

    Raises:
        PredictorError: figures that no model learns from, such as a latency of zero.
    """
    design = Design(known.space)
    return [_forecast(known, name, architectures, design) for name in names]


def _forecast(known: Known, name: str, architectures: Sequence[Architecture], design: Design) -> Forecast:
    measured = known.measured(name)
    examples = sorted(measured)
    if len(examples) > MOST:
        chosen = np.random.default_rng(0).choice(len(examples), MOST, replace=False)
        examples = [examples[index] for index in sorted(chosen)]
    values = np.array([measured[example] for example in examples])
    learn = _costs if _grows(name) else _shares
    bounds, held_out = learn(design, examples, values, architectures)
    predicted = [_value(*three, len(examples)) for three in zip(*bounds, strict=True)]
    told = [
        _told(known.evaluations.get(architecture.text), name, value)
        for architecture, value in zip(architectures, predicted, strict=True)
    ]
    return Forecast(name, _trust(values, *held_out), tuple(told))


def _told(evaluation: Evaluation | None, name: str, predicted: Value) -> Value:
    """What was found out where it was; what cannot run is not said to take so and so long."""
    if evaluation is None:
        return predicted
    figure = evaluation.value(name)
    failed = evaluation.failure and figure.unavailable == f"{evaluation.failure.kind}: {evaluation.failure.message}"
    return figure if figure.value is not None or failed else predicted


def _value(mean: float, low: float, high: float, measurements: int) -> Value:
    if not math.isfinite(high):
        return Value(mean, samples=measurements, origin=Origin.PREDICTED)
    return Value(mean, low, high, CONFIDENCE, METHOD, measurements, Origin.PREDICTED)


def _is_cost(name: str) -> bool:
    try:
        quantity = figure_name(name)
    except SearchError:  # an aggregate: its parts are there
        return False
    return isinstance(quantity, Quantity) and quantity.is_device_cost


def _grows(name: str) -> bool:
    """Does it grow with the network, as costs and sizes do? Shares stay between 0 and 1."""
    return _is_cost(name) or name == "model_bytes"


#: (N,) predicted, with the lower and the upper ends of intervals; infinite where there are too few examples.
Bounds = tuple[Array, Array, Array]


def _costs(
    design: Design, examples: Sequence[Architecture], values: Array, architectures: Sequence[Architecture]
) -> tuple[Bounds, Bounds]:
    """Of the architectures, and of each example by a model that was not shown it."""

    def learned(examples: Sequence[Architecture], values: Array, others: Sequence[Architecture]) -> Bounds:
        model = CostModel(design.space, design=design)
        model.fit(examples, values)
        interval = model.interval(others, CONFIDENCE)
        return model.predict(others).mean, interval.low, interval.high

    mean, low, high = np.empty((3, len(values)))
    for held in _folds(len(values)):
        mean[held], low[held], high[held] = learned(_of(examples, ~held), values[~held], _of(examples, held))
    return learned(examples, values, architectures), (mean, low, high)


def _shares(
    design: Design, examples: Sequence[Architecture], values: Array, architectures: Sequence[Architecture]
) -> tuple[Bounds, Bounds]:
    """As `_costs`. Intervals come from the deviations of the folds; of an example, from those of the other folds."""

    def learned(examples: Sequence[Architecture], values: Array, others: Sequence[Architecture]) -> Array:
        model = Gbdt(design.space, design=design)
        model.fit(examples, values)
        return np.clip(model.predict(others).mean, 0.0, 1.0)

    mean, reach = np.empty((2, len(values)))
    for held in _folds(len(values)):
        mean[held] = learned(_of(examples, ~held), values[~held], _of(examples, held))
    deviations = np.abs(mean - values)
    for held in _folds(len(values)):
        reach[held] = _reach(deviations[~held])
    found = learned(examples, values, architectures)
    return _within(found, np.full(len(found), _reach(deviations))), _within(mean, reach)


def _reach(deviations: Array) -> float:
    """How far off a figure may be: the split-conformal rank among the deviations, infinite among too few."""
    rank = math.ceil((len(deviations) + 1) * CONFIDENCE)
    return float(np.sort(deviations)[rank - 1]) if rank <= len(deviations) else math.inf


def _within(mean: Array, reach: Array) -> Bounds:
    """Cut to 0 to 1 where they are finite."""
    return mean, np.maximum(mean - reach, 0.0), np.where(np.isinf(reach), math.inf, np.minimum(mean + reach, 1.0))


def _trust(values: Array, mean: Array, low: Array, high: Array) -> Trust:
    from scipy.stats import kendalltau

    tau = float(kendalltau(mean, values).statistic)
    return Trust(
        len(values),
        float(np.median(np.abs(mean - values) / values)) if values.min() > 0 else None,
        None if math.isnan(tau) else tau,
        int(((low <= values) & (values <= high)).sum()) if np.isfinite(high).all() else None,
    )


def _folds(count: int) -> list[NDArray[np.bool_]]:
    """What is held out in each."""
    fold = np.random.default_rng(count).permutation(count) % _FOLDS
    return [fold == number for number in range(_FOLDS)]


def _of(examples: Sequence[Architecture], chosen: NDArray[np.bool_]) -> list[Architecture]:
    return [example for example, is_chosen in zip(examples, chosen, strict=True) if is_chosen]
