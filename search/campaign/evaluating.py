"""From an architecture to its evaluation: the host makes a file, devices measure it, and what they found is joined."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path

from protos.gauntlet.v1 import artifact_pb2
from search.campaign import uploads
from search.campaign.candidates import TFLITE, Candidate, CandidateError
from search.campaign.makers import Maker
from search.campaign.measurements import DataSets, Findings, candidate_name, tasks
from search.campaign.problem import Problem, fault_seed, final_fault_seed
from search.campaign.targets import Target
from search.errors import SearchError
from search.evaluations import Evaluation, Failure
from search.fleet import Fleet
from search.objectives import derived
from search.spaces.base import Architecture
from search.values import Value


@dataclass(frozen=True)
class Evaluator:
    """Evaluates the candidates of one campaign.

    Attributes:
        problem: of the campaign.
        maker: of its candidates.
        client: of the fleet.
        targets: devices; the first one measures what belongs to no device in particular.
        models: folder of the candidates' files.
        jobs_id: id under which jobs are submitted.
    """

    problem: Problem
    maker: Maker
    client: Fleet
    targets: Sequence[Target]
    models: Path
    jobs_id: str

    async def evaluate(self, host: Executor, data: DataSets, number: int, architecture: Architecture) -> Evaluation:
        """All of a candidate: a failure is an evaluation, too.

        Args:
            host: makes the file.
            data: what it is measured with.
            number: the candidate's.
            architecture: which.
        """
        try:
            candidate = await asyncio.get_running_loop().run_in_executor(host, self.maker.make, architecture)
        except CandidateError as error:
            failure = Failure(error.kind, str(error), error.step, error.remedy)
            return Evaluation(number, architecture.text, *self._counts(architecture), failure=failure)
        digests = self.kept(candidate)
        name = candidate_name(candidate.digest)
        model = await self.client.put_bytes(candidate.content, candidate.media_type, name)
        reference = await uploads.reference(self.client, self.problem.data, candidate)
        findings = Findings(dict(candidate.figures), [], dict(candidate.stage_s), {})
        await self._measure(findings, data, model, reference, fault_seed(self.problem.config))
        return Evaluation(
            number,
            architecture.text,
            *self._counts(architecture),
            figures=self._with_aggregates(findings.figures),
            faults=tuple(findings.faults),
            digests=digests,
            failure=findings.failure,
            stage_s=findings.stage_s,
            spent_j=findings.spent_j,
            provenance=findings.provenance,
        )

    async def confirm(self, data: DataSets, digest: str) -> Mapping[str, Value]:
        """A file's figures on data and under fault patterns that no choice has seen.

        Args:
            data: test images.
            digest: of the file, which lies among the models: see `kept`, and `with_model` of a winner.
        """
        content = (self.models / f"{digest}.tflite").read_bytes()
        model = await self.client.put_bytes(content, TFLITE, f"winner-{digest[:16]}.tflite")
        findings = Findings({}, [], {}, {})
        await self._measure(findings, data, model, None, final_fault_seed(self.problem.config))
        return self._with_aggregates(findings.figures)

    def with_model(self, evaluation: Evaluation) -> Evaluation:
        """The evaluation with its file, which is made anew if an earlier campaign measured it.

        Raises:
            CandidateError: it cannot be made.
        """
        if evaluation.digests:
            return evaluation
        candidate = self.maker.make(self.problem.space.parse(evaluation.architecture))
        return replace(evaluation, digests=self.kept(candidate))

    async def _measure(
        self,
        findings: Findings,
        data: DataSets,
        model: artifact_pb2.ArtifactRef,
        reference: artifact_pb2.ArtifactRef | None,
        seed: int,
    ) -> None:
        wanted = tasks(self.problem.config, self.jobs_id, self.targets, data, model, reference, seed)
        ended = await self.client.settled(await self.client.run([task.spec for task in wanted]))
        for task, job in zip(wanted, ended, strict=True):
            findings.add(task, job, self.targets[0])

    def kept(self, candidate: Candidate) -> dict[str, str]:
        """Digests of the files that are worth keeping, and are on the disk now."""
        if candidate.model is None:
            return {}
        self.models.mkdir(exist_ok=True)
        candidate.model.save(self.models / f"{candidate.model.digest}.tflite")
        return {candidate.model.precision: candidate.model.digest}

    def _with_aggregates(self, figures: Mapping[str, Value]) -> dict[str, Value]:
        return {**figures, **derived(figures, self.problem.config.aggregates())}

    def _counts(self, architecture: Architecture) -> tuple[int | None, int | None]:
        """MACs and parameters; none of a network that its user's builder cannot make."""
        try:
            return self.problem.space.macs(architecture), self.problem.space.parameters(architecture)
        except SearchError:
            return None, None
