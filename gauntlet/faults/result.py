"""What comes of a fault campaign, for reports and programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fault_injection.campaign import Outcomes, Summary, summarise
from fault_injection.protection import Proposal
from fault_injection.upsets import WrongAnswers
from fault_injection.vulnerability import VulnerabilityMap
from gauntlet.faults.settings import Condition, FaultSettings


@dataclass
class Series:
    """Patterns of one condition on one device.

    Attributes:
        condition: what broke.
        outcomes: of the patterns so far.
        sites: tensors that could be hit.
        stop: why no more were drawn: "precise", "cap", or "" while it is under way.
    """

    condition: Condition
    outcomes: Outcomes
    sites: tuple[str, ...] = ()
    stop: str = ""

    def summary(self, confidence: float) -> Summary:
        """Its figures."""
        return summarise(self.condition.plan, self.outcomes, confidence)


@dataclass
class Trial:
    """A proposal to protect bits, and what it did on patterns that were not used to choose it.

    Attributes:
        budget: extra memory that was allowed, over the memory of all weights.
        proposal: what it protects; None for no protection and for range clipping.
        name: "none", "TMR" and so on, or "range clipping".
        series: accuracy under faults.
    """

    budget: float
    name: str
    series: Series
    proposal: Proposal | None = None


@dataclass
class DeviceResult:
    """All that one device found.

    Attributes:
        device_id: which.
        provenance: runtime, version, delegate, threads, class, in words.
        series: one for each condition, in the order asked.
        map: harm of one flipped bit, by tensor and bit; None if not asked for.
        map_samples: images that each upset was tried on.
        wrong_answers: expected in the field; None if not asked for.
        trials: of protection; empty if not asked for.
    """

    device_id: str
    provenance: dict[str, str] = field(default_factory=dict)
    series: list[Series] = field(default_factory=list)
    map: VulnerabilityMap | None = None
    map_samples: int = 0
    wrong_answers: WrongAnswers | None = None
    trials: list[Trial] = field(default_factory=list)


@dataclass
class FaultCampaign:
    """A campaign, whole or as far as it has come.

    Attributes:
        settings: what was asked.
        model_digest: SHA-256 of the model's file.
        data_digest: of the data set's.
        software_version: ours.
        devices: results, in the order asked.
        sizes: values of each tensor that could be hit, by name.
    """

    settings: FaultSettings
    model_digest: str
    data_digest: str
    software_version: str
    devices: list[DeviceResult] = field(default_factory=list)
    sizes: Mapping[str, int] = field(default_factory=dict)

    @property
    def confidence(self) -> float:
        """Of all intervals."""
        return self.settings.precision.confidence

    def to_dict(self) -> dict[str, Any]:
        """The document of `gauntlet faults --json`."""
        from gauntlet.faults.document import campaign_document

        return campaign_document(self)
