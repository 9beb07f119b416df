"""An independent ledger of a lab: what was asked for, what clients saw, and what is in the database in the end.

It shares no code with the orchestrator's store: it reads the SQLite file with the driver of the standard library, and
knows the rules from the design alone:

- what was acknowledged is there, once, and nothing else is;
- each job has exactly one committed result or one typed failure, and no client ever saw another end;
- attempts are numbered without gaps, no more than allowed; those that are over are closed, all but the last by a
  failure; no two attempts at one job overlap, and no two measurements of one device do;
- what came late is kept beside, under a lease that did not count.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from protos.gauntlet.v1 import failure_pb2, job_pb2, measurement_pb2

_FINAL = {
    job_pb2.JOB_STATE_SUCCEEDED: "succeeded",
    job_pb2.JOB_STATE_FAILED: "failed",
    job_pb2.JOB_STATE_CANCELLED: "cancelled",
}
#: A worker's clock begins a moment before its measurement does: so much of two measurements may seem to overlap.
_START_S = 0.1
_DEFAULT_MAX_ATTEMPTS = 3


@dataclass
class Ledger:
    """What a test did and saw.

    Attributes:
        keys: of all specifications that were submitted, whether the answer came or not.
        acknowledged: job id by key.
        ends: how each job ended, as a client saw it first.
        problems: contradictions found while looking on.
    """

    keys: set[str] = field(default_factory=set)
    acknowledged: dict[str, str] = field(default_factory=dict)
    ends: dict[str, job_pb2.Job] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def submitting(self, specs: Iterable[job_pb2.JobSpec]) -> None:
        """These are about to be submitted."""
        self.keys.update(spec.idempotency_key for spec in specs)

    def submitted(self, spec: job_pb2.JobSpec, job_id: str) -> None:
        """The orchestrator said that it has this one."""
        known = self.acknowledged.setdefault(spec.idempotency_key, job_id)
        if known != job_id:
            self.problems.append(f"key {spec.idempotency_key} was acknowledged as {known} and as {job_id}")

    def saw(self, job: job_pb2.Job) -> None:
        """A client saw this job."""
        before = self.ends.get(job.job_id)
        if before is not None and _end(before) != _end(job):
            self.problems.append(f"job {job.job_id} ended as {_end(before)!r}, later as {_end(job)!r}")
        if job.state in _FINAL:
            self.ends.setdefault(job.job_id, job)

    def check(self, folder: Path, *, wall_clock: bool = True) -> None:
        """Compare with the database of a lab; call it when all jobs have ended.

        Args:
            folder: of the lab.
            wall_clock: times of day can be compared: no clock jumped.

        Raises:
            AssertionError: a rule is broken; names all that are.
        """
        problems = self.problems + audit(folder, self, wall_clock)
        assert not problems, "\n".join(problems)


def audit(folder: Path, ledger: Ledger, wall_clock: bool = True) -> list[str]:
    """The rules that the database breaks, in words."""
    with closing(sqlite3.connect(f"file:{folder / 'lab.sqlite'}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("BEGIN")
        jobs = connection.execute("SELECT * FROM jobs ORDER BY sequence").fetchall()
        outcomes = _by_job(connection.execute("SELECT * FROM outcomes").fetchall())
        attempts = _by_job(connection.execute("SELECT * FROM attempts ORDER BY job_id, number").fetchall())
        late = _by_job(connection.execute("SELECT * FROM superseded").fetchall())
        integrity = connection.execute("PRAGMA integrity_check").fetchone()[0]
    problems = [] if integrity == "ok" else [f"the database is damaged: {integrity}"]
    problems += _submissions(jobs, ledger)
    measured: defaultdict[str, list[tuple[float, float, str]]] = defaultdict(list)
    for job in jobs:
        found = [*_outcome(job, outcomes[job["id"]], ledger), *_attempts(job, attempts[job["id"]], wall_clock)]
        found += _late(job, attempts[job["id"]], late[job["id"]])
        problems += [f"job {job['id']}: {problem}" for problem in found]
        for outcome in outcomes[job["id"]]:
            if outcome["result"] is not None:
                told = measurement_pb2.MeasurementResult.FromString(outcome["result"]).provenance
                if told.started_at:
                    start = datetime.fromisoformat(told.started_at).timestamp()
                    measured[told.device_id].append((start, start + told.worker_s, job["id"]))
    if wall_clock:
        for device, spans in measured.items():
            problems += [f"device {device}: {overlap}" for overlap in _overlaps(spans, _START_S)]
    return problems


def _by_job(rows: Sequence[sqlite3.Row]) -> defaultdict[str, list[sqlite3.Row]]:
    grouped: defaultdict[str, list[sqlite3.Row]] = defaultdict(list)
    for row in rows:
        grouped[row["job_id"]].append(row)
    return grouped


def _submissions(jobs: Sequence[sqlite3.Row], ledger: Ledger) -> list[str]:
    stored = defaultdict(list)
    problems = []
    for job in jobs:
        stored[job["idempotency_key"]].append(job["id"])
        spec = job_pb2.JobSpec.FromString(job["spec"])
        if job["idempotency_key"] not in ledger.keys and not spec.repeats_job_id:
            problems.append(f"job {job['id']} was asked for by nobody")
    for key, job_id in ledger.acknowledged.items():
        if stored[key] != [job_id]:
            problems.append(f"job {job_id} was acknowledged, but stored as {stored[key]}")
    return problems


def _outcome(job: sqlite3.Row, rows: Sequence[sqlite3.Row], ledger: Ledger) -> list[str]:
    if job["state"] not in _FINAL.values():
        return [f"is {job['state']}, {len(rows)} outcomes"]
    if len(rows) != 1:
        return [f"{job['state']} with {len(rows)} outcomes"]
    result, failure = rows[0]["result"], rows[0]["failure"]
    problems = []
    if (job["state"] == "succeeded") != (result is not None) or (result is None) == (failure is None):
        problems.append(f"{job['state']}, result: {result is not None}, failure: {failure is not None}")
    if failure is not None and not failure_pb2.Failure.FromString(failure).kind:
        problems.append("failed without a kind")
    seen = ledger.ends.get(job["id"])
    if seen is not None:
        parsed = measurement_pb2.MeasurementResult.FromString(result or b"")
        if _FINAL[seen.state] != job["state"] or seen.result != parsed:
            problems.append(f"a client saw {_FINAL[seen.state]}, stored is {job['state']}, or another result")
    return problems


def _attempts(job: sqlite3.Row, rows: Sequence[sqlite3.Row], wall_clock: bool) -> list[str]:
    problems = []
    numbers = [row["number"] for row in rows]
    if numbers != list(range(1, len(rows) + 1)) or job["attempts"] != len(rows):
        problems.append(f"attempts {numbers}, counted {job['attempts']}")
    if len(rows) > (job["max_attempts"] or _DEFAULT_MAX_ATTEMPTS):
        problems.append(f"{len(rows)} attempts, {job['max_attempts']} allowed")
    if job["state"] == "succeeded" and not rows:
        problems.append("succeeded without an attempt")
    for row in rows:
        counted = row is rows[-1] and job["state"] == "succeeded"
        if row["ended_at"] is None or (row["failure"] is None) != counted:
            problems.append(f"attempt {row['number']}: ended {row['ended_at']}, failure: {row['failure'] is not None}")
    if wall_clock and not problems:
        problems += _overlaps([(row["started_at"], row["ended_at"], row["lease_id"]) for row in rows], 0.0)
    return problems


def _late(job: sqlite3.Row, attempts: Sequence[sqlite3.Row], rows: Sequence[sqlite3.Row]) -> list[str]:
    known = {row["lease_id"] for row in attempts}
    counted = attempts[-1]["lease_id"] if attempts and job["state"] == "succeeded" else None
    problems = [
        f"a late result of lease {row['lease_id']}, which it never had" for row in rows if row["lease_id"] not in known
    ]
    # A failure may come after the result of the same lease, from an agent that is not in its senses.
    doubled = [row["lease_id"] for row in rows if row["lease_id"] == counted and row["result"] is not None]
    return problems + [f"lease {lease} counts, and is kept as late" for lease in doubled]


def _overlaps(spans: Sequence[tuple[float, float, str]], slack: float) -> list[str]:
    ordered = sorted(spans)
    return [
        f"{first[2]} ends {first[1] - second[0]:.3f} s after {second[2]} begins"
        for first, second in itertools.pairwise(ordered)
        if first[1] > second[0] + slack
    ]


def _end(job: job_pb2.Job) -> Any:
    return _FINAL.get(job.state), job.result.SerializeToString(deterministic=True), job.failure.kind


def tally(folder: Path, ledger: Ledger) -> tuple[int, int]:
    """Of the acknowledged jobs: how many have no end in the database, how many more than one."""
    with closing(sqlite3.connect(f"file:{folder / 'lab.sqlite'}?mode=ro", uri=True)) as connection:
        query = "SELECT idempotency_key FROM jobs JOIN outcomes ON outcomes.job_id = jobs.id"
        ends = Counter(key for (key,) in connection.execute(query))
    counts = [ends[key] for key in ledger.acknowledged]
    return sum(count == 0 for count in counts), sum(count > 1 for count in counts)
