"""Whether a campaign has done enough, by what its log says."""

from __future__ import annotations

from search.campaign.config import CampaignConfig
from search.campaign.warm_start import FROM
from search.runlog import History
from search.stopping import Plateau, Progress, StopRules

#: Stages of a candidate that devices spend their time on.
_ON_DEVICES = ("measurement", "faults")


def stop_reason(config: CampaignConfig, history: History) -> str | None:
    """Why to ask for no more; None while there is no reason.

    What a warm start brought cost this campaign nothing.
    """
    stop = config.stop
    own = [evaluation for evaluation in history.evaluations if FROM not in evaluation.provenance]
    plateau = None
    if stop.plateau is not None and len(own) >= stop.plateau.queries:
        plateau = Plateau(stop.plateau.queries, stop.plateau.gain)
    progress = Progress(
        history.evaluations,
        config.parsed_objectives(),
        config.parsed_constraints(),
        device_s=sum(e.stage_s.get(stage, 0.0) for e in own for stage in _ON_DEVICES),
        energy_j=sum(evaluation.spent_j or 0.0 for evaluation in own),
    )
    return StopRules(device_s=stop.device_s, energy_j=stop.energy_j, plateau=plateau).check(progress)
