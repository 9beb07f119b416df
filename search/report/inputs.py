"""What a report is made from: plain data, so that a run folder is enough to draw it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from search.evaluations import Evaluation
from search.noise import may_belong, membership
from search.objectives import Constraint, Objective, Quantity, total_violation
from search.pareto import front, hypervolume_series
from search.values import Value


@dataclass(frozen=True)
class FinalistNetwork:
    """One candidate and its trainings.

    Attributes:
        number: of the candidate.
        architecture: its canonical text.
        searched: figures with the weights of the search, on images and under faults that no choice has seen.
        trained: the same of each training, one for each seed, by where it began.
        failures: why there are no figures of some trainings.
        files: relative to the report, by the name of the training.
    """

    number: int
    architecture: str
    searched: Mapping[str, Value]
    trained: Mapping[str, Sequence[Mapping[str, Value]]]
    failures: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FinalistInput:
    """Candidates that were trained alone.

    Attributes:
        networks: in the order of choosing.
        quantities: accuracies, without faults and under them.
        shared: were the weights of the search those of a supernet?
        how: how they were trained, in words.
    """

    networks: tuple[FinalistNetwork, ...]
    quantities: tuple[Quantity, ...]
    shared: bool
    how: str


@dataclass(frozen=True)
class ReportInput:
    """A campaign.

    All texts are taken as untrusted and are escaped.

    Attributes:
        title: of the campaign.
        created: when it began, RFC 3339.
        software_version: ours.
        objectives: what was searched for.
        constraints: bounds that must hold.
        evaluations: in the order of telling.
        floors: noise floors of devices' latencies, see `search.noise`.
        settings: strategy, space, data set, seed and the like, as text by name.
        budget: what was allowed and used, for example {"candidates": "48 of 48"}.
        devices: their descriptions, with the keys of `DeviceDescription`.
        audit: from `audit_document`; None without one.
        audit_missing: why there is none.
        finalists: candidates that were trained alone; None without any.
        stage_s: where the time of the whole run went, seconds by stage; overlapping stages are counted in full.
        wall_s: how long the run took; None where it is not known.
        files: winners' files relative to the report, by candidate number and then by what they are.
        unavailable: (what, why) of whatever else was not measured.
        provenance: software, protocols and seeds, as text by name.
        notes: remarks, for example that a run was broken off and resumed.
    """

    title: str
    created: str
    software_version: str
    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    floors: Mapping[str, float] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    budget: Mapping[str, str] = field(default_factory=dict)
    devices: tuple[Mapping[str, Any], ...] = ()
    audit: Mapping[str, Any] | None = None
    audit_missing: str = "the supernet was not audited"
    finalists: FinalistInput | None = None
    stage_s: Mapping[str, float] = field(default_factory=dict)
    wall_s: float | None = None
    files: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    unavailable: tuple[tuple[str, str], ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @cached_property
    def succeeded(self) -> list[Evaluation]:
        """The candidates that did not fail."""
        return [evaluation for evaluation in self.evaluations if evaluation.failure is None]

    @cached_property
    def failed(self) -> list[Evaluation]:
        """Those that did."""
        return [evaluation for evaluation in self.evaluations if evaluation.failure is not None]

    @cached_property
    def feasible(self) -> list[Evaluation]:
        """The candidates that keep all bounds."""
        return [e for e in self.succeeded if total_violation(e.values, self.constraints) == 0]

    @cached_property
    def front(self) -> list[Evaluation]:
        """The front over all objectives at once."""
        return front(self.evaluations, self.objectives, self.constraints)

    @cached_property
    def front_numbers(self) -> frozenset[int]:
        """Numbers of the front's members."""
        return frozenset(evaluation.number for evaluation in self.front)

    @cached_property
    def membership(self) -> dict[int, float]:
        """How probable it is that each complete candidate belongs to the true front, by number."""
        return membership(self.evaluations, self.objectives, self.constraints, self.floors)

    @cached_property
    def may_belong(self) -> list[Evaluation]:
        """Candidates off the front that noise may have kept from it, the most probable first."""
        by_number = {evaluation.number: evaluation for evaluation in self.evaluations}
        return [by_number[number] for number in may_belong(self.membership, self.front_numbers)]

    @cached_property
    def feasible_numbers(self) -> frozenset[int]:
        """Numbers of those that keep all bounds."""
        return frozenset(evaluation.number for evaluation in self.feasible)

    @cached_property
    def hypervolume(self) -> list[float]:
        """After each query."""
        return hypervolume_series(self.evaluations, self.objectives, self.constraints)
