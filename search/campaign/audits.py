"""Audits of a run's supernet: the campaign's own, and others on request.

Each training alone is noted in the run's log as it ends, so that an audit that is broken off goes on where it was, and
a larger one begins with what a smaller one has found.
"""

from __future__ import annotations

from collections import UserDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from search.campaign.config import CampaignConfig, parse
from search.campaign.makers import SupernetMaker, maker_for
from search.campaign.problem import Problem, audit_training, fault_seed
from search.data import DataError
from search.errors import SearchError
from search.report import audit_document
from search.runlog import RunLog
from search.supernet import load_weights
from search.supernet.audit import audit
from search.supernet.audit_plan import AuditPlan
from search.supernet.standalone import DataSource

#: Notes of the log: an audit's document; and what came of one training alone, by its key.
AUDIT, AUDITED = "audit", "audited"

Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Wishes:
    """An audit on request.

    Attributes:
        subnets: networks to train alone.
        seeds: trainings of each.
        epochs: of each training; None: the campaign's.
        conditions: fault conditions to judge under; None: all of the campaign, and the one it was trained under.
        patterns: of faults under each.
        budget_s: processor seconds of training after which no further network is begun.
        workers: processes that train; 0: this one.
    """

    subnets: int = 30
    seeds: int = 2
    epochs: int | None = None
    conditions: Sequence[str] | None = None
    patterns: int = 30
    budget_s: float | None = None
    workers: int = 1


def audit_run(folder: Path, wishes: Wishes, progress: Report | None = None) -> Mapping[str, Any]:
    """Train a sample of the run's networks alone, compare with what they inherit, and keep what was found.

    Args:
        folder: of the run, which nobody else may be writing to.
        wishes: what to compare.
        progress: see :func:`search.supernet.audit.audit`.

    Returns:
        The document, as reports show it.

    Raises:
        SearchError: no run, no trained supernet in it, or what is wished for cannot be.
        SupernetError: the checkpoint cannot be read.
    """
    with RunLog.open(folder) as log:
        config = parse(dict(log.history.about["config"]), str(folder))
        checkpoint = folder / "supernet.pt"
        maker = maker_for(Problem.of(config), checkpoint) if config.has_supernet else None
        if not isinstance(maker, SupernetMaker):
            raise SearchError(f"{folder} holds no supernet", "audit a run whose candidates share weights")
        if not checkpoint.exists():
            raise SearchError(f"{folder} holds no supernet yet", f"train it: gauntlet search --resume {folder}")
        load_weights(checkpoint, maker.supernet)
        conditions = [*config.fault_conditions(), *trained_under(config)]
        if wishes.conditions is not None:
            conditions = [_canonical(config, condition) for condition in wishes.conditions]
        try:
            plan = replace(
                campaign_plan(config, wishes.epochs),
                subnets=wishes.subnets,
                seeds=wishes.seeds,
                conditions=tuple(dict.fromkeys(conditions)),
                patterns=wishes.patterns,
                budget_s=wishes.budget_s,
            )
        except ValueError as error:
            raise SearchError(f"audit: {error}", "see gauntlet supernet audit --help") from error
        return carry_out_audit(log, config, maker, plan, wishes.workers, progress)


def carry_out_audit(
    log: RunLog,
    config: CampaignConfig,
    maker: SupernetMaker,
    plan: AuditPlan,
    workers: int = 0,
    progress: Report | None = None,
) -> Mapping[str, Any]:
    """Audit a trained supernet and note what was found.

    Args:
        log: of the run.
        config: of the campaign.
        maker: holds the supernet.
        plan: what to compare.
        workers: processes that train; 0: this one.
        progress: see :func:`search.supernet.audit.audit`; may raise to break off.
    """
    source = DataSource(config.data.path, config.seed, config.data.pool, config.data.limit)
    try:
        found = audit(maker.space, maker.inherit, source, plan, workers=workers, memory=_Memory(log), progress=progress)
    except DataError as error:
        raise SearchError(f"data: {error}", "see docs/search.md for what a data set must hold") from error
    trained = [note["seconds"] for note in log.history.notes("stage") if note["stage"] == "training"]
    supernet = {"epochs": config.supernet.epochs, **({"seconds": sum(trained)} if trained else {})}
    document = audit_document(found, supernet)
    log.note(AUDIT, document)
    return document


def campaign_plan(config: CampaignConfig, epochs: int | None = None) -> AuditPlan:
    """What a campaign audits by itself: clean accuracy, and that under the faults by which it chooses or trained.

    Args:
        config: of the campaign.
        epochs: of each training alone; None: what the campaign says.
    """
    named = [quantity.fault for quantity in config.quantities() if quantity.fault]
    return AuditPlan(
        subnets=max(1, config.audit.subnets),
        seeds=config.audit.seeds,
        settings=audit_training(config, epochs),
        seed=config.seed,
        conditions=tuple(dict.fromkeys([*named, *trained_under(config)])),
        patterns=config.audit.patterns,
        images=config.faults.images,
        fault_seed=fault_seed(config),
    )


def trained_under(config: CampaignConfig) -> list[str]:
    """The faults that the supernet was trained under, as a condition."""
    return [] if config.supernet.faults is None else [config.supernet.faults.settings().model]


def _canonical(config: CampaignConfig, condition: str) -> str:
    try:
        return config.canonical(condition)
    except ValueError as error:
        raise SearchError(
            f"{condition!r} is no fault condition: {error}", "write adSAF(p=0.08), for example"
        ) from error


class _Memory(UserDict[str, Any]):
    """What came of trainings alone, by key; whatever is added is noted in the log."""

    def __init__(self, log: RunLog) -> None:
        super().__init__()
        self.data = {note["key"]: note["found"] for note in log.history.notes(AUDITED)}
        self._log = log

    def __setitem__(self, key: str, found: Any) -> None:
        self._log.note(AUDITED, {"key": key, "found": found})
        self.data[key] = found
