"""What the orchestrator may show of a campaign: generic records, which it does not interpret.

Candidates and the curve of the hypervolume are for who looks at a campaign; figures by name are for who watches several
of them: the orchestrator exports what they are now to Prometheus.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

from orchestrator.client.errors import ClientError
from protos import figures
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
_TRAINING_TOLD_EVERY_S = 60.0


async def begin(client: Fleet, campaign_id: str, config: CampaignConfig) -> None:
    """The campaign runs."""
    await client.publish_campaign(_campaign(campaign_id, config, campaign_pb2.CAMPAIGN_STATE_RUNNING))


@contextlib.asynccontextmanager
async def training(client: Fleet, campaign_id: str, ratio: Callable[[], float]) -> AsyncIterator[None]:
    """While in here, it is told now and then how much of the training is done, 0-1.

    A sign of life: training takes hours, in which there is no candidate to be shown.
    """

    async def tell() -> None:
        while True:
            # The training needs no lab, and goes on without.
            with contextlib.suppress(ClientError):
                await client.publish_records(campaign_id, [_figure("trained", ratio())])
            await asyncio.sleep(_TRAINING_TOLD_EVERY_S)

    telling = asyncio.ensure_future(tell())
    try:
        yield
    finally:
        telling.cancel()


async def evaluated(
    client: Fleet,
    campaign_id: str,
    evaluations: Sequence[Evaluation],
    config: CampaignConfig,
    history: History,
    planned: int,
) -> None:
    """Candidates are done, of so many that are planned."""
    front = front_of(history, config)
    records = [_record(evaluation, front) for evaluation in evaluations]
    await client.publish_records(
        campaign_id, [*records, *_hypervolume(config, history), *_counts(history, front, planned)]
    )


async def finish(client: Fleet, campaign_id: str, config: CampaignConfig, history: History, planned: int) -> None:
    """The campaign is complete: the front is what it is now."""
    front = front_of(history, config)
    records = [_record(evaluation, front) for evaluation in history.evaluations]
    records += [*_hypervolume(config, history), *_counts(history, front, planned)]
    for start in range(0, len(records), _BATCH):
        await client.publish_records(campaign_id, records[start : start + _BATCH])
    await searched(client, campaign_id, config)


async def searched(client: Fleet, campaign_id: str, config: CampaignConfig) -> None:
    """Nothing more will come of it."""
    await client.publish_campaign(_campaign(campaign_id, config, campaign_pb2.CAMPAIGN_STATE_FINISHED))


async def pause(client: Fleet, campaign_id: str, config: CampaignConfig) -> None:
    """It was stopped, and can be resumed."""
    await client.publish_campaign(_campaign(campaign_id, config, campaign_pb2.CAMPAIGN_STATE_PAUSED))


@contextlib.asynccontextmanager
async def failing(client: Fleet, campaign_id: str, config: CampaignConfig) -> AsyncIterator[None]:
    """What breaks off in here is shown as failed."""
    try:
        yield
    except ClientError:
        raise  # nobody is there who could show it
    except Exception:
        with contextlib.suppress(ClientError):
            await client.publish_campaign(_campaign(campaign_id, config, campaign_pb2.CAMPAIGN_STATE_FAILED))
        raise


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


def _hypervolume(config: CampaignConfig, history: History) -> list[campaign_pb2.CampaignRecord]:
    """Its curve, and what it is now."""
    series = hypervolume_series(history.evaluations, config.parsed_objectives(), config.parsed_constraints())
    curve = campaign_pb2.SeriesRecord(
        x=[float(n) for n in range(1, len(series) + 1)], y=series, x_label="queries", y_label="hypervolume"
    )
    now = [_figure("hypervolume", series[-1])] if series else []
    return [campaign_pb2.CampaignRecord(key="hypervolume", series=curve), *now]


def _counts(history: History, front: Sequence[Evaluation], planned: int) -> list[campaign_pb2.CampaignRecord]:
    """Candidates, by what became of them."""
    done = history.evaluations
    return [
        _figure("planned", planned),
        _figure("evaluated", len(done)),
        _figure("failed", sum(evaluation.failure is not None for evaluation in done)),
        _figure("front", len(front)),
    ]


def _figure(key: str, value: float) -> campaign_pb2.CampaignRecord:
    return campaign_pb2.CampaignRecord(key=key, figure=figures.measured(value))
