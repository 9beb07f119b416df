"""What the orchestrator may show of a campaign: generic records, which it does not interpret."""

from __future__ import annotations

from collections.abc import Sequence

from protos.gauntlet.v1 import campaign_pb2
from search.campaign.config import CampaignConfig
from search.campaign.problem import front_of
from search.evaluations import Evaluation
from search.fleet import Fleet
from search.objectives import Direction
from search.pareto import hypervolume_series
from search.runlog import History

_DIRECTIONS = {
    Direction.MINIMIZE: campaign_pb2.DIRECTION_MINIMIZE,
    Direction.MAXIMIZE: campaign_pb2.DIRECTION_MAXIMIZE,
}
_BATCH = 200


async def begin(client: Fleet, campaign_id: str, config: CampaignConfig) -> None:
    """The campaign runs."""
    await client.publish_campaign(_campaign(campaign_id, config, campaign_pb2.CAMPAIGN_STATE_RUNNING))


async def evaluated(
    client: Fleet, campaign_id: str, evaluations: Sequence[Evaluation], config: CampaignConfig, history: History
) -> None:
    """Candidates are done."""
    front = front_of(history, config)
    records = [_record(evaluation, front) for evaluation in evaluations]
    await client.publish_records(campaign_id, [*records, _hypervolume(config, history)])


async def finish(client: Fleet, campaign_id: str, config: CampaignConfig, history: History) -> None:
    """The campaign is complete: the front is what it is now."""
    front = front_of(history, config)
    records = [_record(evaluation, front) for evaluation in history.evaluations] + [_hypervolume(config, history)]
    for start in range(0, len(records), _BATCH):
        await client.publish_records(campaign_id, records[start : start + _BATCH])
    await client.publish_campaign(_campaign(campaign_id, config, campaign_pb2.CAMPAIGN_STATE_FINISHED))


def _campaign(campaign_id: str, config: CampaignConfig, state: campaign_pb2.CampaignState) -> campaign_pb2.Campaign:
    objectives = [
        campaign_pb2.Objective(name=o.name, direction=_DIRECTIONS[o.direction], unit=o.unit)
        for o in config.parsed_objectives()
    ]
    return campaign_pb2.Campaign(campaign_id=campaign_id, title=config.title, state=state, objectives=objectives)


def _record(evaluation: Evaluation, front: list[Evaluation]) -> campaign_pb2.CampaignRecord:
    return campaign_pb2.CampaignRecord(
        key=str(evaluation.number),
        evaluation=campaign_pb2.EvaluationRecord(
            architecture=evaluation.architecture,
            figures={name: value.to_figure() for name, value in evaluation.values.items()},
            digests=dict(evaluation.digests),
            on_front=any(member.number == evaluation.number for member in front),
        ),
    )


def _hypervolume(config: CampaignConfig, history: History) -> campaign_pb2.CampaignRecord:
    series = hypervolume_series(history.evaluations, config.parsed_objectives(), config.parsed_constraints())
    return campaign_pb2.CampaignRecord(
        key="hypervolume",
        series=campaign_pb2.SeriesRecord(
            x=[float(n) for n in range(1, len(series) + 1)], y=series, x_label="queries", y_label="hypervolume"
        ),
    )
