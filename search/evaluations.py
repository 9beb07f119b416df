"""All that is known of one candidate, joined from its measurements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from search.values import Origin, Value


@dataclass(frozen=True)
class Failure:
    """Why a candidate has no result.

    Attributes:
        kind: in the words of `protos.blame.kind_name`, for example "unsupported operation".
        message: one line, in the words of the part that failed (the runtime's own for a model that it rejects).
        step: where it failed, for example "export" or "latency_s@pi4"; may be empty.
        remedy: what a person can do about it; may be empty.
    """

    kind: str
    message: str
    step: str = ""
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"kind": self.kind, "message": self.message, "step": self.step, "remedy": self.remedy}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Failure:
        """Read what `to_json` wrote."""
        texts = {key: str(document.get(key, "")) for key in ("step", "remedy")}
        return cls(str(document["kind"]), str(document["message"]), **texts)


@dataclass(frozen=True)
class FaultAccuracy:
    """Accuracy under one fault condition.

    Attributes:
        condition: its canonical text, for example "iBF(p=0.001)".
        model: the fault model, for example "iBF": conditions of one model make a curve.
        rate: the condition's place on that curve, 0-1.
        accuracy: mean over fault patterns, with its interval.
        patterns: fault patterns drawn.
        device: where; empty when it does not matter.
    """

    condition: str
    model: str
    rate: float
    accuracy: Value
    patterns: int
    device: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "condition": self.condition,
            "model": self.model,
            "rate": self.rate,
            "accuracy": self.accuracy.to_json(),
            "patterns": self.patterns,
            "device": self.device,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> FaultAccuracy:
        """Read what `to_json` wrote."""
        return cls(
            str(document["condition"]),
            str(document["model"]),
            float(document["rate"]),
            Value.from_json(document["accuracy"]),
            int(document["patterns"]),
            str(document.get("device", "")),
        )


@dataclass(frozen=True)
class Evaluation:
    """One candidate and what was found out about it.

    Attributes:
        number: the candidate's place in the order of asking, from 0.
        architecture: its canonical text.
        macs: multiply-accumulates of one inference; None of a network that could not be built.
        parameters: trainable numbers; None likewise.
        figures: by name: objectives ("latency_s@pi4") and whatever else is worth telling ("inherited_accuracy").
        faults: accuracy under each fault condition that was tried.
        digests: SHA-256 of the file that devices measured, by its precision ("int8", "mixed"); empty if there is none.
        failure: why there is no result; None for a success. What was measured before the failure stays in `figures`.
        stage_s: where the time went, in seconds of wall time, by stage ("export", "timing", "faults").
        spent_j: joules that devices used for it, by their mean power while they measured; None where none has a meter.
        provenance: whatever else must be told with the figures, as text by name.
    """

    number: int
    architecture: str
    macs: int | None
    parameters: int | None
    figures: Mapping[str, Value] = field(default_factory=dict)
    faults: tuple[FaultAccuracy, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)
    failure: Failure | None = None
    stage_s: Mapping[str, float] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)
    spent_j: float | None = None

    @property
    def values(self) -> dict[str, Value]:
        """All figures by name, with those that the architecture alone gives."""
        counted = {"macs": self.macs, "parameters": self.parameters}
        static = {
            name: Value(float(count), origin=Origin.ESTIMATED) for name, count in counted.items() if count is not None
        }
        return {**static, **self.figures}

    @property
    def precision(self) -> str | None:
        """Of the file that devices measured; None if there is none."""
        return next(iter(self.digests), None)

    @property
    def model_digest(self) -> str | None:
        """SHA-256 of the file that devices measured; None if there is none."""
        return next(iter(self.digests.values()), None)

    def value(self, name: str) -> Value:
        """The figure of that name; a missing one says that nobody measured it."""
        if self.failure is not None and name not in self.values:
            return Value.missing(f"{self.failure.kind}: {self.failure.message}")
        return self.values.get(name) or Value.missing("not measured")

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "number": self.number,
            "architecture": self.architecture,
            "macs": self.macs,
            "parameters": self.parameters,
            "figures": {name: value.to_json() for name, value in self.figures.items()},
            "faults": [point.to_json() for point in self.faults],
            "digests": dict(self.digests),
            "failure": self.failure.to_json() if self.failure else None,
            "stage_s": dict(self.stage_s),
            "spent_j": self.spent_j,
            "provenance": dict(self.provenance),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Evaluation:
        """Read what `to_json` wrote.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: it is something else.
        """
        failure = document["failure"]
        return cls(
            number=int(document["number"]),
            architecture=str(document["architecture"]),
            macs=_count(document["macs"]),
            parameters=_count(document["parameters"]),
            figures={str(name): Value.from_json(value) for name, value in document["figures"].items()},
            faults=tuple(FaultAccuracy.from_json(point) for point in document["faults"]),
            digests={str(kind): str(digest) for kind, digest in document["digests"].items()},
            failure=None if failure is None else Failure.from_json(failure),
            stage_s={str(stage): float(seconds) for stage, seconds in document["stage_s"].items()},
            spent_j=None if document.get("spent_j") is None else float(document["spent_j"]),
            provenance={str(name): str(text) for name, text in document["provenance"].items()},
        )


def _count(number: Any) -> int | None:
    return None if number is None else int(number)
