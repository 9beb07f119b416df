"""Figures that turn out suspect after a candidate was told: those of a second measurement take their place.

A device's fitness check comes after the jobs that it judges, so that a result may be marked when the campaign has gone
on long since. Before winners are chosen the campaign looks once more, waits for what is measured again, and appends a
correction to its log; what could not be measured better stays, and is marked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from protos.gauntlet.v1 import job_pb2
from search.campaign.measurements import Findings, Task, is_candidate
from search.campaign.targets import Target
from search.evaluations import Evaluation
from search.fleet import Fleet
from search.objectives import Quantity, derived
from search.runlog import RunLog

#: Jobs of a campaign that are looked through.
_MOST_JOBS = 1_000_000


async def correct(
    client: Fleet,
    log: RunLog,
    campaign_id: str,
    targets: Sequence[Target],
    aggregates: Sequence[Quantity] = (),
) -> int:
    """Look at all results of the campaign once more, and correct the candidates whose figures were suspect.

    Args:
        client: of the lab.
        log: of the run; corrections are appended.
        campaign_id: its id.
        targets: its devices, the first one first.
        aggregates: that are put together from the figures.

    Returns:
        How many corrections were made; 0 when nothing new is suspect.

    Raises:
        ClientError: the lab is gone.
    """
    rows = await client.jobs([job_pb2.JOB_STATE_SUCCEEDED], campaign_id, limit=_MOST_JOBS)
    suspect = [await client.job(row.job_id) for row in rows if row.suspect_because]
    # A second measurement that is suspect itself comes with the first one.
    first = [job for job in suspect if not job.spec.repeats_job_id]
    corrections = 0
    for job in await client.settled(first):
        told = {evaluation.model_digest: evaluation for evaluation in log.history.told.values()}
        model = job.spec.measurement.model
        evaluation, task = told.get(model.digest) if is_candidate(model) else None, _task(job, targets)
        if evaluation is None or task is None:
            continue  # a winner's measurement, or of a device that the campaign no longer names
        corrected = corrected_by(evaluation, task, job, targets[0])
        corrected = replace(corrected, figures={**corrected.figures, **derived(corrected.figures, aggregates)})
        if corrected != evaluation:
            log.corrected(corrected)
            corrections += 1
    return corrections


def corrected_by(evaluation: Evaluation, task: Task, job: job_pb2.Job, first: Target) -> Evaluation:
    """The evaluation with what `job`, the last word on `task`, found; the same one when it has that already."""
    findings = Findings(
        dict(evaluation.figures),
        list(evaluation.faults),
        dict(evaluation.stage_s),
        dict(evaluation.provenance),
        evaluation.failure,
    )
    if job.spec.repeats_job_id and not findings.has(task, job):
        findings.faults = [f for f in findings.faults if (f.condition, f.device) != (task.condition, task.target.name)]
        findings.add(task, job, first)
    else:
        findings.note_fitness(task, job)
    return replace(
        evaluation,
        figures=findings.figures,
        faults=tuple(findings.faults),
        stage_s=findings.stage_s,
        provenance=findings.provenance,
        failure=findings.failure,
    )


def suspicions(evaluations: Sequence[Evaluation]) -> list[str]:
    """What is still suspect, one line each, for the report."""
    return [
        f"Candidate {evaluation.number}, {step.removeprefix(Findings.SUSPECT)}: the figures are suspect ({reason})."
        for evaluation in evaluations
        for step, reason in evaluation.provenance.items()
        if step.startswith(Findings.SUSPECT)
    ]


def _task(job: job_pb2.Job, targets: Sequence[Target]) -> Task | None:
    wanted = (job.spec.device.device_id, job.spec.device.device_class)
    target = next((t for t in targets if (t.device_id, t.device_class) == wanted), None)
    return None if target is None else Task(target, job.spec.measurement.fault_plan.fault_model, job.spec)
