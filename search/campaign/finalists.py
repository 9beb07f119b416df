"""The best candidates, trained alone after the search: several seeds each, in processes of their own.

    front ──spread──▶ networks ──▶ × inherited, scratch ──▶ × seeds ──▶ trainings ──▶ files ──▶ devices, test images

    run folder
      finalists/
        candidate-003-inherited.pt            what the trainings of this kind begin with
        candidate-003-inherited-0.state.pt    a training under way, to go on from
        candidate-003-inherited-0.pt          a finished one

A finished training is a note of the log, and so is what devices measured of it. Nothing that is noted is done again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from search.campaign.candidates import Candidate, CandidateError, export
from search.campaign.config import CampaignConfig
from search.campaign.evaluating import Evaluator
from search.campaign.makers import Maker, SupernetMaker
from search.campaign.measurements import DataSets
from search.campaign.problem import Problem, training, training_alone
from search.campaign.sections import WeightsName
from search.errors import SearchError
from search.evaluations import Evaluation
from search.executors import executor
from search.files import whole_file
from search.objectives import Objective
from search.pareto import Scale, costs
from search.runlog import History, RunLog
from search.spaces.base import Architecture
from search.supernet import TrainingDivergedError, TrainSettings
from search.supernet.standalone import DataSource, Trained, Training, carry_out, read_weights, write_weights
from search.values import Value

#: Notes of the log: numbers of the candidates that are trained; a training that is finished; what devices found of it.
CHOSEN, TRAINED, MEASURED = "finalists", "finalist trained", "finalist measured"
#: Added to the campaign's seed for the first training, so that none repeats what the search has seen.
_SEEDS = 4_000_003
_LOOK_EVERY_S = 0.2


@dataclass(frozen=True)
class Entry:
    """One training of a finalist.

    Attributes:
        number: of the candidate.
        weights: where it begins.
        seed: which of its seeds, from 0.
    """

    number: int
    weights: WeightsName
    seed: int

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.begins_with}-{self.seed}"

    @property
    def begins_with(self) -> str:
        """What is common to all seeds."""
        return f"candidate-{self.number:03d}-{self.weights}"

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"number": self.number, "weights": self.weights, "seed": self.seed}


@dataclass(frozen=True)
class Finalist:
    """What is known of a training.

    Attributes:
        entry: which.
        trained: how it went, as plain data: `trained_accuracy` on validation images, `seconds`, or `failure`.
        measured: what devices found on test images and under fresh faults: `digests` and `figures`, or `failure`; None
            as long as they have not.
    """

    entry: Entry
    trained: Mapping[str, Any]
    measured: Mapping[str, Any] | None = None

    @property
    def failure(self) -> str:
        """Why there are no figures; empty if there are, or will be."""
        return str(self.trained.get("failure") or (self.measured or {}).get("failure") or "")


def finalists_of(history: History) -> list[Finalist]:
    """All trainings that are finished, in the order of `entries_of`."""
    measured = {_entry(note): note for note in history.notes(MEASURED)}
    found = {_entry(note): note for note in history.notes(TRAINED)}
    order = {number: place for place, number in enumerate(_chosen(history))}
    entries = sorted(found, key=lambda entry: (order[entry.number], entry.weights, entry.seed))
    return [Finalist(entry, found[entry], measured.get(entry)) for entry in entries]


def seed_of(config: CampaignConfig, entry: Entry) -> int:
    """Of its weights, of the order of its images and of the faults that it is trained under."""
    return config.seed + _SEEDS + entry.seed


def settings_of(config: CampaignConfig) -> TrainSettings:
    """How finalists are trained: under the faults and variations of the campaign's training, unless told."""
    chosen, usual = config.finalists, training(config) if config.has_supernet else training_alone(config)
    return TrainSettings(
        epochs=chosen.epochs,
        batch=chosen.batch,
        learning_rate=chosen.learning_rate,
        weight_decay=5e-4,
        faults=usual.faults if chosen.faults is None else chosen.faults.settings(),
        augment=usual.augment if chosen.augment is None else chosen.augment.settings(),
        device=usual.device,
        mixed_precision=usual.mixed_precision,
    )


def spread(front: Sequence[Evaluation], objectives: Sequence[Objective], count: int) -> list[Evaluation]:
    """Some of a front, far from each other: the best in the first objective, then always the one farthest from all
    that are chosen, on the scale on which the front spans 0 to 1 (Gonzalez 1985, farthest-first traversal).

    Args:
        front: its members, with all figures of the objectives.
        objectives: of the campaign.
        count: how many at most.
    """
    points = np.array([costs(member, objectives) for member in front], dtype=np.float64)
    if count < 1 or not len(points):
        return []
    scaled = Scale.of(points).apply(points)
    chosen = [int(points[:, 0].argmin())]
    while len(chosen) < min(count, len(front)):
        apart = np.linalg.norm(scaled[:, None] - scaled[None, chosen], axis=2).min(axis=1)
        apart[chosen] = -1
        chosen.append(int(apart.argmax()))
    return [front[place] for place in chosen]


class Finalists:
    """The trainings of one campaign.

    Args:
        log: of the run; grows.
        problem: of the campaign.
        maker: of the campaign's candidates; a supernet's has the weights that some trainings begin with.
        progress: told how many trainings are done, and how many there are.
        note: something worth a line.
        stop: asked often; true leaves what is under way to a later process.
    """

    def __init__(
        self,
        log: RunLog,
        problem: Problem,
        maker: Maker,
        progress: Callable[[int, int], None],
        note: Callable[[str], None],
        stop: Callable[[], bool],
    ) -> None:
        self._log, self._problem, self._maker = log, problem, maker
        self._progress, self._note, self._stop = progress, note, stop
        self._folder = log.path.parent / "finalists"

    def choose(self, front: Sequence[Evaluation]) -> list[Entry]:
        """All trainings that there will be. The networks are chosen once, and stay.

        Args:
            front: the winners.
        """
        config = self._problem.config
        if not self._log.history.notes(CHOSEN):
            members = spread(front, config.parsed_objectives(), config.finalists.networks)
            self._log.note(CHOSEN, [member.number for member in members])
        return [
            Entry(number, weights, seed)
            for number in _chosen(self._log.history)
            for weights in config.finalist_weights
            for seed in range(config.finalists.seeds)
        ]

    async def train(self, entries: Sequence[Entry]) -> bool:
        """Train all of them that are not trained yet. False when stopped.

        Raises:
            SearchError, SupernetError: a training cannot be; those that are finished are kept.
        """
        left = [entry for entry in entries if not self._is_trained(entry)]
        done = len(entries) - len(left)
        self._progress(done, len(entries))
        if not left:
            return True
        self._folder.mkdir(exist_ok=True)
        chosen = self._problem.config.finalists
        for entry in left:
            await asyncio.to_thread(self._make_beginning, entry)
        with suppress(_StoppedError), executor(chosen.workers, chosen.threads, self._note) as pool:
            running = {asyncio.wrap_future(pool.submit(carry_out, self._work(entry))): entry for entry in left}
            try:
                while running:
                    finished, _ = await asyncio.wait(
                        running, timeout=_LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED
                    )
                    for future in finished:
                        self._keep(running.pop(future), future)
                        done += 1
                        self._progress(done, len(entries))
                    if running and self._stop():
                        raise _StoppedError  # so that nothing waits for those under way
            finally:
                for future in running:
                    future.cancel()
            return True
        return False

    async def measure(self, entries: Sequence[Entry], evaluator: Evaluator, data: DataSets) -> bool:
        """Have devices measure all of them that none has seen yet. False when stopped.

        Args:
            entries: trained.
            evaluator: of the campaign.
            data: test images.

        Raises:
            ClientError: the lab is gone; what was measured is kept.
        """
        known = {finalist.entry: finalist for finalist in finalists_of(self._log.history)}
        for done, entry in enumerate(entries):
            self._progress(done, len(entries))
            if known[entry].measured is None and not known[entry].failure:
                if self._stop():
                    return False
                self._log.note(MEASURED, {**entry.to_json(), **await self._found(entry, evaluator, data)})
        self._progress(len(entries), len(entries))
        return True

    async def _found(self, entry: Entry, evaluator: Evaluator, data: DataSets) -> dict[str, Any]:
        try:
            candidate = await asyncio.to_thread(self._file, entry)
        except CandidateError as error:
            return {"failure": f"it cannot be exported: {error}"}
        digests = evaluator.kept(candidate)
        figures = await evaluator.confirm(data, next(iter(digests.values())))
        return {"digests": digests, "figures": {name: value.to_json() for name, value in figures.items()}}

    def _file(self, entry: Entry) -> Candidate:
        assert self._problem.data is not None
        network = self._problem.space.module(self._architecture(entry))
        network.load_state_dict(read_weights(self._path(entry).read_bytes()))
        storage = self._problem.storage(self._architecture(entry))
        return export(network.eval(), self._problem.data, "trained_accuracy", {}, storage)

    def _make_beginning(self, entry: Entry) -> None:
        """The weights that it begins with, in a file."""
        path = self._beginning(entry)
        if path is not None and not path.exists():
            assert isinstance(self._maker, SupernetMaker)
            _write(path, write_weights(self._maker.inherit(self._problem.network(self._architecture(entry)))))

    def _work(self, entry: Entry) -> Training:
        config = self._problem.config
        return Training(
            self._problem.networks,
            self._network(entry),
            DataSource(config.data.path, config.seed, config.data.pool, config.data.limit),
            settings_of(config),
            seed_of(config, entry),
            self._beginning(entry),
            checkpoint=self._state(entry),
        )

    def _keep(self, entry: Entry, future: asyncio.Future[Trained]) -> None:
        """The weights are on the disk before the log says so."""
        try:
            found = future.result()
        except TrainingDivergedError as error:
            self._log.note(TRAINED, {**entry.to_json(), "failure": str(error)})
            self._state(entry).unlink(missing_ok=True)
            return
        _write(self._path(entry), found.weights)
        accuracy = found.accuracy
        low, high = accuracy.interval
        value = Value(accuracy.value, low, high, 0.95, "Wilson", accuracy.images)
        told = {"trained_accuracy": value.to_json(), "seconds": found.seconds}
        self._log.note(TRAINED, {**entry.to_json(), **told})
        self._state(entry).unlink(missing_ok=True)

    def _is_trained(self, entry: Entry) -> bool:
        known = next((f for f in finalists_of(self._log.history) if f.entry == entry), None)
        return known is not None and (bool(known.failure) or self._path(entry).exists())

    def _architecture(self, entry: Entry) -> Architecture:
        return self._problem.space.parse(self._log.history.asked[entry.number])

    def _network(self, entry: Entry) -> Architecture:
        return self._problem.network(self._architecture(entry))

    def _beginning(self, entry: Entry) -> Path | None:
        return self._folder / f"{entry.begins_with}.pt" if entry.weights == "inherited" else None

    def _path(self, entry: Entry) -> Path:
        return self._folder / f"{entry.name}.pt"

    def _state(self, entry: Entry) -> Path:
        return self._folder / f"{entry.name}.state.pt"


class _StoppedError(Exception):
    """Somebody asked us to stop, in the middle of trainings."""


def _chosen(history: History) -> list[int]:
    notes = history.notes(CHOSEN)
    return [int(number) for number in notes[0]] if notes else []


def _entry(note: Mapping[str, Any]) -> Entry:
    return Entry(int(note["number"]), note["weights"], int(note["seed"]))


def _write(path: Path, content: bytes) -> None:
    try:
        with whole_file(path) as file:
            file.write(content)
    except OSError as error:
        raise SearchError(f"{path} cannot be written: {error.strerror}", "make room, then resume the run") from error
