"""Carry a study out: which pieces there are, in which order, and what is known of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks._ftt_settings import Setting
from benchmarks._ftt_tasks import Result, Training, carry_out, matched, on_device, search, space_of, write_campaign
from search.errors import SearchError

SEARCHED, RANDOM = "searched", "random"
RESULTS = "results.jsonl"


@dataclass(frozen=True)
class Piece:
    """A search, or a network trained and tested.

    Attributes:
        role: "search", "searched", "random 1" …, or the name of a baseline.
        seed: of the training; of a search its number.
        faulty: trained under faults.
    """

    role: str
    seed: int
    faulty: bool = True

    @property
    def key(self) -> str:
        """What its result is found by."""
        return f"{self.role}, seed {self.seed}, {'faults' if self.faulty else 'clean'}"

    @property
    def from_space(self) -> bool:
        """Is the network one of the campaign's space?"""
        return self.role.startswith((SEARCHED, RANDOM))


def pieces(setting: Setting) -> list[Piece]:
    """All of a study, those first that others wait for or that count most if time runs out: whole seeds."""
    roles = [*setting.baselines, SEARCHED, *(f"{RANDOM} {number}" for number in range(1, setting.randoms + 1))]
    return [
        *(Piece("search", number) for number in range(setting.searches)),
        *(Piece(role, seed) for seed in range(setting.seeds) for role in roles),
        *(Piece(name, 0, faulty=False) for name in setting.clean),
        *(Piece(name, 0) for name in setting.once),
    ]


class Results:
    """What is known, a line for each piece that was done.

    Args:
        folder: of the study.
        recipe: digest of the recipe; lines of another one are refused.

    Raises:
        SearchError: a line that cannot be read, or that another recipe made.
    """

    def __init__(self, folder: Path, recipe: str) -> None:
        self._path, self._recipe = folder / RESULTS, recipe
        self.known: dict[str, Result] = {}
        for number, line in enumerate(self._lines(), 1):
            try:
                entry = json.loads(line)
                key, recipe, result = entry["key"], entry["recipe"], entry["result"]
            except (ValueError, TypeError, KeyError) as error:
                raise SearchError(
                    f"{self._path}, line {number} is no result", "take this line out; its piece is done again"
                ) from error
            if recipe != self._recipe:
                raise SearchError(f"{self._path} holds results of another recipe", "name another folder with --out")
            self.known[key] = result

    def add(self, piece: Piece, result: Result) -> None:
        """Write a result down."""
        line = json.dumps({"key": piece.key, "recipe": self._recipe, "result": result}, ensure_ascii=False)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        self.known[piece.key] = result

    def of(self, piece: Piece) -> Result | None:
        """Its result, if it is there."""
        return self.known.get(piece.key)

    def _lines(self) -> list[str]:
        """Whole lines; what a kill tore off at the end is cut off."""
        if not self._path.exists():
            return []
        content = self._path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            self._path.write_bytes(whole)
        return whole.decode("utf-8").splitlines()


class Study:
    """A setting in a folder.

    Args:
        setting: what to do.
        folder: where files and results lie; made if it is not there.
    """

    def __init__(self, setting: Setting, folder: Path) -> None:
        self.setting, self.folder = setting, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.results = Results(folder, setting.recipe.digest)

    def carry_out(self, workers: Executor, slots: int) -> list[str]:
        """Do what has no result yet.

        Args:
            workers: do the pieces.
            slots: how many at a time.

        Returns:
            What failed, in words; the rest was done all the same.
        """
        left = [piece for piece in pieces(self.setting) if self.results.of(piece) is None]
        running: dict[Future[Result], Piece] = {}
        failures: list[str] = []
        while True:
            for piece in [piece for piece in left if self._ready(piece)][: slots - len(running)]:
                running[self._submit(workers, piece)] = piece
                left.remove(piece)
            if not running:
                return failures + [f"{piece.key}: its search has no result" for piece in left]
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                piece = running.pop(future)
                try:
                    self.results.add(piece, future.result())
                    print(f"  {piece.key}: done, {len(left) + len(running)} left", file=sys.stderr, flush=True)
                except SearchError as error:
                    failures.append(f"{piece.key}: {error}")
                    print(f"  {failures[-1]}", file=sys.stderr, flush=True)

    def measure(self) -> None:
        """Measure what the first seed has trained under faults on the device, when nothing else computes."""
        for piece in self._shown():
            if self.results.of(piece) is not None and self.results.of(_on_device(piece)) is None:
                self.results.add(_on_device(piece), on_device(self.model(piece), self.setting.recipe, self.folder))

    def on_devices(self) -> Iterator[tuple[Piece, Result]]:
        """What the device said of each of these."""
        for piece in self._shown():
            result = self.results.of(_on_device(piece))
            if result is not None:
                yield piece, result

    def _shown(self) -> list[Piece]:
        return [p for p in pieces(self.setting) if p.faulty and p.seed == 0 and p.role != "search"]

    def searched(self, seed: int) -> Result | None:
        """What the search that a training seed belongs to has found."""
        return self.results.of(Piece("search", seed % self.setting.searches))

    def model(self, piece: Piece) -> Path:
        """The file of a network that was trained."""
        return self.folder / "models" / f"{piece.key.replace(', ', '-').replace(' ', '-')}.tflite"

    def trained(self, role: str, faulty: bool = True) -> Iterator[tuple[int, Result]]:
        """Seeds and results of all networks of a role; of "random" all of them."""
        for piece in pieces(self.setting):
            if piece.faulty == faulty and (piece.role == role or (role == RANDOM and piece.role.startswith(RANDOM))):
                result = self.results.of(piece)
                if result is not None:
                    yield piece.seed, result

    def _ready(self, piece: Piece) -> bool:
        return not piece.from_space or self.searched(piece.seed) is not None

    def _submit(self, workers: Executor, piece: Piece) -> Future[Result]:
        if piece.role == "search":
            file = self._file(piece.seed)
            write_campaign(file, self.setting.recipe, self.setting.campaign, piece.seed)
            return workers.submit(search, file, self.folder / file.stem, self.folder / "lab")
        network, campaign = piece.role, None
        if piece.from_space:
            campaign = self._file(piece.seed % self.setting.searches)
            network = self._architecture(piece, campaign)
        return workers.submit(
            carry_out, Training(self.setting.recipe, network, campaign, piece.seed, piece.faulty, self.model(piece))
        )

    def _architecture(self, piece: Piece, campaign: Path) -> str:
        found = self.searched(piece.seed)
        assert found is not None
        text = str(found["architecture"])
        if piece.role == SEARCHED:
            return text
        space = space_of(campaign)
        return matched(space, space.parse(text), piece.seed, int(piece.role.rpartition(" ")[2])).text

    def _file(self, number: int) -> Path:
        return self.folder / f"search-{number}.yaml"


def _on_device(piece: Piece) -> Piece:
    """Under whose key it is noted what the device said."""
    return replace(piece, role=f"{piece.role} on the device")
