"""Measure models from Python. The command line is a thin shell over this.

with gauntlet.Lab() as lab:
    result = lab.bench("model.tflite", threads=1)
print(result.latency_s)
"""

from __future__ import annotations

import array
import contextlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Unpack

from gauntlet import comparing
from gauntlet import options as bench_options
from gauntlet.comparing import CompareOptions, Comparison
from gauntlet.embedded import EmbeddedLab
from gauntlet.errors import LabError, MeasurementFailed
from gauntlet.folder import default_folder
from gauntlet.options import BenchOptions

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]

    from gauntlet.faults.result import FaultCampaign
    from orchestrator.client import SyncClient
    from protos.gauntlet.v1 import figure_pb2, fleet_pb2, job_pb2, measurement_pb2

_START_TIMEOUT_S = 30.0
_CONNECT_TIMEOUT_S = 5.0
#: A child that ends for good is noticed within this time while waiting for the lab.
_CHECK_EVERY_S = 0.5


@dataclass(frozen=True)
class BenchResult:
    """A finished measurement.

    Attributes:
        job: the job as the lab keeps it: what was asked, attempts, result.
        device: the device that measured it, as it describes itself; None if it has left the lab.
    """

    job: job_pb2.Job
    device: fleet_pb2.Device | None = None

    @property
    def result(self) -> measurement_pb2.MeasurementResult:
        """All figures, with intervals, reasons for what is missing, and provenance."""
        return self.job.result

    @property
    def latency_s(self) -> float | None:
        """Median of the steady state."""
        return _value(self.result.latency.median_s)

    @property
    def peak_memory_bytes(self) -> float | None:
        """Peak resident memory of a fresh process."""
        return _value(self.result.memory.peak_bytes)

    @property
    def accuracy(self) -> float | None:
        """Share of samples classified right, 0-1, when a data set was given."""
        return _value(self.result.accuracy.top1)

    @property
    def energy_j(self) -> float | None:
        """Energy of one inference, where the device can sense it."""
        return _value(self.result.energy.energy_j)

    def to_dict(self) -> dict[str, Any]:
        """The same as an entry of `gauntlet bench --json`."""
        from gauntlet.results_json import job_document

        return job_document(self.job, self.device)


class Lab:
    """A connection to a lab: to the orchestrator at `address`, or to an embedded lab that starts when none runs.

    Args:
        address: `HOST:PORT` or `unix:/path`; `$GAUNTLET_LAB` if left out; without either, an embedded lab.
        folder: of the embedded lab; `$GAUNTLET_LAB_DIR` or the user's state folder if left out.
        measures: whether devices are wanted; False to read the books only.
        start_timeout_s: how long the embedded lab may take to start.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        folder: str | Path | None = None,
        measures: bool = True,
        start_timeout_s: float = _START_TIMEOUT_S,
    ) -> None:
        self._address = address or os.environ.get("GAUNTLET_LAB") or ""
        self._folder = Path(folder) if folder else default_folder()
        self._measures = measures
        self._start_timeout_s = start_timeout_s
        self._embedded: EmbeddedLab | None = None
        self._client: SyncClient | None = None
        self._opened_at = datetime.now(UTC)

    def open(self) -> Lab:
        """Connect, starting the embedded lab if that is what is needed; returns when it is ready.

        Raises:
            UsageError: the lab folder cannot be used.
            LabError: the embedded lab did not start.
            ClientError: no orchestrator answers at the address.
        """
        try:
            if self._address:
                self._client = self._connect(self._address)
                self._client.wait_ready(_CONNECT_TIMEOUT_S)
                return self
            self._opened_at = datetime.now(UTC)
            while not self._open_embedded():
                self.close()
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Disconnect, and end the embedded lab unless another command uses it."""
        if self._client is not None:
            self._client.close()
            self._client = None
        if self._embedded is not None:
            self._embedded.close()
            self._embedded = None

    def __enter__(self) -> Lab:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def client(self) -> SyncClient:
        """The connection, for everything that has no method here."""
        if self._client is None:
            raise LabError("the lab is not open", "use `with gauntlet.Lab() as lab:`")
        return self._client

    def bench(self, model: str | Path, **options: Unpack[BenchOptions]) -> BenchResult:
        """Measure one model and wait for it. Cancelled when interrupted.

        Where the device turned out to be unfit by the time it ended, and measured again: the second result. One that
        stays suspect has `job.suspicion`.

        Raises:
            UsageError: a file or an option that cannot be meant.
            MeasurementFailed: the job ended without a result; `.job.failure` says why.
            ClientError: the lab refused it, or is gone.
        """
        from orchestrator.client import Ended

        job_ids = self.submit([model], **options)
        ended = Ended(job_ids)
        with self.cancelling(job_ids):
            for job in self.watch(job_ids):
                ended.take(job)
        [job] = ended.jobs()
        if not job.HasField("result"):
            raise MeasurementFailed(job)
        return BenchResult(job, self.device(job.result.provenance.device_id))

    def submit(self, models: Sequence[str | Path], **options: Unpack[BenchOptions]) -> list[str]:
        """Queue one job for each model, all or none; returns their ids. Raises like `bench`."""
        paths = [Path(model) for model in models]
        bench_options.check(paths, options)
        specs = bench_options.job_specs(self.client, paths, options)
        return [job.job_id for job in self.client.submit(specs)]

    def compare(self, a: str | Path, b: str | Path, **options: Unpack[CompareOptions]) -> list[Comparison]:
        """Compare two models in ABBA blocks on one device, or on each of `devices`; with `b` the same file as `a`, the
        result is the device's noise floor. Cancelled when interrupted.

        Returns:
            One comparison for each device, in the order asked.

        Raises:
            UsageError: a file or an option that cannot be meant.
            MeasurementFailed: a job ended without a result; the first of them.
            ClientError: the lab refused it, or is gone.
        """
        comparing.check(Path(a), Path(b), options)
        compared = comparing.run(self, Path(a), Path(b), options)
        for one in compared:
            if not one.job.HasField("result"):
                raise MeasurementFailed(one.job)
        return compared

    def faults(
        self,
        model: str | Path,
        data: str | Path,
        faults: Sequence[str],
        *,
        rates: str = "",
        folder: str | Path | None = None,
        **settings: Any,
    ) -> FaultCampaign:
        """Measure a model's accuracy under faults, as `gauntlet faults` does.

        Args:
            model: a ``.tflite`` file.
            data: a labelled data set.
            faults: fault models, such as "iBF(p=1e-4)".
            rates: that each is swept through, such as "1e-6:1e-2"; empty: as they are.
            folder: of the campaign, by which it is continued; "faults-" and the model's name if left out.
            settings: further fields of `FaultSettings`, such as `precision`, `devices`, `map`, `protect`.

        Raises:
            UsageError: what cannot be meant.
            MeasurementFailed: a job ended without a result.
        """
        from gauntlet.faults import campaign
        from gauntlet.faults.settings import FaultSettings, check, conditions

        wanted = FaultSettings(
            model=Path(model),
            data=Path(data),
            conditions=conditions(faults, rates=rates, seed=settings.get("seed", 0)),
            **settings,
        )
        check(wanted)
        return campaign.run(self, wanted, Path(folder or f"faults-{Path(model).stem}"))

    def results(
        self,
        job_ids: Sequence[str] = (),
        *,
        campaign: str = "",
        since: datetime | str | None = None,
        failed: bool = False,
    ) -> pd.DataFrame:
        """Finished measurements as a pandas DataFrame, one row each; docs/results.md names the columns.

        Args:
            job_ids: these, in this order; empty: all that fit the rest, newest first.
            campaign: of this campaign only.
            since: finished then or later: a time with a zone, or a text as `gauntlet results --since` takes it.
            failed: those that ended without a result, too.

        Raises:
            UsageError: pandas is not installed, a time that is none, or a job that has not ended.
            ClientError: a job is unknown, or the lab is gone.
        """
        from gauntlet.results import columns, tables
        from gauntlet.results.choice import Choice, parse_since

        moment = parse_since(since) if isinstance(since, str) else since
        return tables.data_frame(map(columns.row, Choice(job_ids, campaign, moment, failed).jobs(self.client)))

    def watch(self, job_ids: Sequence[str]) -> Iterator[job_pb2.Job]:
        """Each job as it stands, then at each change, until all have ended.

        Then those that are suspect by now, each with its `suspicion`, and the jobs that measure them again
        (`spec.repeats_job_id`), until these have ended, too; `orchestrator.client.Ended` joins them.

        Raises:
            LabError: the embedded lab has ended for good.
            ClientError: the lab is gone.
        """
        from orchestrator.client import Unreachable

        try:
            yield from self.client.watch(job_ids)
            yield from self.client.measured_again(job_ids)
        except Unreachable:
            if self._embedded is not None:
                self._embedded.check()
            raise

    @contextlib.contextmanager
    def cancelling(self, job_ids: Sequence[str]) -> Iterator[None]:
        """Cancel these jobs, and those that measure them again, if the block is interrupted."""
        try:
            yield
        except (KeyboardInterrupt, SystemExit):
            self.client.cancel(job_ids)
            raise

    def device(self, device_id: str) -> fleet_pb2.Device | None:
        """The device with this id as the lab knows it."""
        return next((entry for entry in self.client.devices() if entry.description.device_id == device_id), None)

    def raw_samples_s(self, result: BenchResult) -> list[float]:
        """The steady state's samples in the order taken: seconds a call.

        Raises:
            LabError: the device sent something else.
        """
        from protos.inflate import inflate

        most = result.job.spec.measurement.latency.max_samples * array.array("d").itemsize
        content = self.client.get_artifact(result.result.latency.raw_samples.digest)
        try:
            samples = array.array("d", inflate(content, most))
        except ValueError as error:
            raise LabError(
                f"a device sent raw samples that do not read: {error}", "is its agent up to date?"
            ) from error
        if sys.byteorder == "big":
            samples.byteswap()
        return samples.tolist()

    @staticmethod
    def _connect(address: str) -> SyncClient:
        from orchestrator.client import SyncClient

        return SyncClient(address)

    def _open_embedded(self) -> bool:
        """Start an embedded lab or attach to one; False if the one that we attached to was just ending."""
        # The children start before our own imports do, and both take their time at once.
        embedded = self._embedded = EmbeddedLab.start(self._folder, measures=self._measures)
        client = self._client = self._connect(embedded.address)
        from orchestrator.client import Unreachable

        deadline_s = time.monotonic() + self._start_timeout_s
        answers = False
        while True:
            try:
                if not answers:
                    client.wait_ready(_CHECK_EVERY_S)
                    answers = True
                    if embedded.owned and self._measures:
                        self._cancel_abandoned(client)
                client.wait_ready(_CHECK_EVERY_S, devices=int(self._measures and embedded.has_agent))
                return True
            except Unreachable as error:
                embedded.check()
                if embedded.has_ended():
                    return False
                if time.monotonic() > deadline_s:
                    missing = "agent" if answers else "orchestrator"
                    raise LabError(
                        f"the lab's {missing} was not ready within {self._start_timeout_s:g} s: {error.message}",
                        f"see {embedded.folder / missing}.log",
                        embedded.log_tail(missing),
                    ) from error

    def _cancel_abandoned(self, client: SyncClient) -> None:
        """End the jobs of commands that were killed.

        We have just started this lab, so nobody waits for what it held before; only a campaign comes back for its own.
        Later jobs are those of commands that attached meanwhile. What measures a suspect result again goes on: it is
        the lab's books that wait for it.
        """
        from protos.gauntlet.v1 import job_pb2

        unfinished = (job_pb2.JOB_STATE_QUEUED, job_pb2.JOB_STATE_LEASED, job_pb2.JOB_STATE_RUNNING)
        abandoned = [
            job.job_id
            for job in client.jobs(unfinished, limit=10_000)
            if not job.campaign_id
            and datetime.fromisoformat(job.submitted_at) < self._opened_at
            and not client.job(job.job_id).spec.repeats_job_id
        ]
        if abandoned:
            client.cancel(abandoned)


def _value(figure: figure_pb2.Figure) -> float | None:
    from protos.figures import value_of

    return value_of(figure)
