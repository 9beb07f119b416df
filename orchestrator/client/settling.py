"""Which job's figures count, when a device turned out to be unfit and measured again."""

from __future__ import annotations

from collections.abc import Sequence

from protos.gauntlet.v1 import job_pb2

FINAL = (job_pb2.JOB_STATE_SUCCEEDED, job_pb2.JOB_STATE_FAILED, job_pb2.JOB_STATE_CANCELLED)


class Ended:
    """For each job that was asked for, the ended job that stands for it: itself, or the one that measured it again.

    A successor without a result does not stand in: the suspect result stays, and says that it is suspect.

    Args:
        job_ids: those asked for, in order.
    """

    def __init__(self, job_ids: Sequence[str]) -> None:
        self._job_ids = dict.fromkeys(job_ids)
        self._jobs: dict[str, job_pb2.Job] = {}

    def __len__(self) -> int:
        return len(self._jobs)

    def take(self, job: job_pb2.Job) -> bool:
        """Hear of a job; True if it has ended and stands for one that was asked for."""
        asked = job.job_id if job.job_id in self._job_ids else job.spec.repeats_job_id
        stands = job.state in FINAL and (asked == job.job_id or job.HasField("result"))
        if stands:
            self._jobs[asked] = job
        return stands

    def get(self, job_id: str) -> job_pb2.Job | None:
        """The job that stands for this one, once it has ended."""
        return self._jobs.get(job_id)

    def jobs(self) -> list[job_pb2.Job]:
        """All, in the order of asking.

        Raises:
            KeyError: one has not ended.
        """
        return [self._jobs[job_id] for job_id in self._job_ids]
