"""A recorded table: figures of architectures on devices, from a campaign or from somebody's benchmark.

>>> table = Table.read(Path("table.parquet"))
>>> table.evaluation(0, Architecture("3-3p-s3s"), [Quantity.parse("latency_s@pi4")])

Whatever it gives is of the origin "replayed". The file's schema: `search.replay.schema`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protos.blame import Blame, blame, kind_name
from protos.gauntlet.v1 import failure_pb2
from search.errors import ObjectiveError
from search.evaluations import Evaluation, Failure
from search.objectives import STATIC_QUANTITIES, Quantity, derived, undeliverable
from search.replay.schema import FAILURE, About, FigureFacts, TableError, figure_name
from search.spaces.base import Architecture, Space, SpaceError
from search.values import Origin, Value

NO_RECORD = "the table has no record"
#: How an architecture may fail on a device, by no fault of the device's.
MODEL_FAILURES = {
    kind_name(value.number): value.number
    for value in failure_pb2.FailureKind.DESCRIPTOR.values
    if blame(failure_pb2.Failure(kind=value.name)) is Blame.MODEL
}


@dataclass(frozen=True, eq=False)
class Column:
    """One figure of all rows.

    Attributes:
        values: (rows,), in the SI unit of the figure's name; NaN where there is none.
        low: (rows,), lower ends of the intervals, NaN without; None: no figure has one.
        high: (rows,), upper ends.
        samples: (rows,), observations behind each; None: 1 each.
        unavailable: by row, why there is no figure; of other rows without figure, nobody knows.
        facts: what holds for all of them.
    """

    values: NDArray[np.float64]
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None
    samples: NDArray[np.int64] | None = None
    unavailable: Mapping[int, str] = field(default_factory=dict)
    facts: FigureFacts = field(default_factory=FigureFacts)

    def value(self, row: int) -> Value:
        """The figure of a row, replayed."""
        number = float(self.values[row])
        if math.isnan(number):
            return Value.missing(self.unavailable.get(row, NO_RECORD), Origin.REPLAYED)
        samples = 1 if self.samples is None else int(self.samples[row])
        low, high = (math.nan if ends is None else float(ends[row]) for ends in (self.low, self.high))
        if not (math.isfinite(low) and math.isfinite(high)):
            return Value(number, samples=samples, origin=Origin.REPLAYED)
        return Value(number, low, high, self.facts.confidence, self.facts.method, samples, Origin.REPLAYED)


class Table:
    """Figures and failures of the architectures of a space, on devices.

    Attributes:
        about: what it says about itself.
        space: whose architectures its rows are, all of it.
        rows: their canonical texts.
        columns: the figures by canonical name.
        failures: by device, and under "" of the architecture anywhere: "kind: message" by row.
        measure_s: (rows,), seconds of devices that a row's measurements took, NaN where unknown; None: nobody knows.
    """

    def __init__(
        self,
        about: About,
        space: Space,
        rows: Sequence[str],
        columns: Mapping[str, Column],
        failures: Mapping[str, Mapping[int, str]] | None = None,
        measure_s: NDArray[np.float64] | None = None,
    ) -> None:
        """Put a table together.

        Args:
            about: what it says about itself.
            space: see above.
            rows: architectures in any spelling.
            columns: see above.
            failures: see above.
            measure_s: see above.

        Raises:
            TableError: an architecture that is none of the space's, or is there twice; a figure that cannot be.
        """
        self.about = about
        self.space = space
        self.columns = dict(columns)
        self.failures = {device: dict(rows) for device, rows in (failures or {}).items()}
        self.measure_s = measure_s
        self._row_of = _numbered(rows, space)
        self.rows = tuple(self._row_of)
        for name, column in self.columns.items():
            _check(name, column, self.rows)
        _check_failures(self.failures)
        if measure_s is not None and (measure_s < 0).any():
            raise TableError("measure_s holds negative seconds", "leave what is not known empty")

    @classmethod
    def read(cls, path: Path, space: Space | None = None) -> Table:
        """Read a file.

        Args:
            path: of the Parquet file.
            space: whose architectures it must hold; without one, what the file says.

        Raises:
            TableError: no such table: what is wrong with it, and what to do.
        """
        from search.replay.parquet import read_table  # pyarrow takes a third of a second to load

        return read_table(path, space)

    def write(self, path: Path) -> None:
        """Write a file, whole or not at all; one that is there is replaced.

        Raises:
            TableError: the disk does not take it.
        """
        from search.replay.parquet import write_table

        write_table(self, path)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def names(self) -> tuple[str, ...]:
        """The figures that it holds."""
        return tuple(self.columns)

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices that its figures and failures name, each once."""
        named = [figure_name(name) for name in self.columns]
        found = [quantity.device for quantity in named if isinstance(quantity, Quantity)]
        return tuple(dict.fromkeys(device for device in [*found, *self.failures] if device))

    def figure(self, architecture: Architecture, name: str) -> Value:
        """A figure; a missing one says why.

        Args:
            architecture: canonical.
            name: canonical.
        """
        row = self._row_of.get(architecture.text)
        if row is None or name not in self.columns:
            return Value.missing(NO_RECORD, Origin.REPLAYED)
        return self.columns[name].value(row)

    def failure(self, architecture: Architecture, device: str = "") -> Failure | None:
        """Why an architecture cannot run on a device, or, without one, anywhere."""
        row = self._row_of.get(architecture.text)
        text = None if row is None else self.failures.get(device, {}).get(row)
        if text is None:
            return None
        kind, _, message = text.partition(": ")
        return Failure(kind, message or kind, f"measurement on {device}" if device else "")

    def spent_s(self, architecture: Architecture) -> float:
        """Seconds of devices that an architecture's measurements took when they were recorded; 0 if nobody knows."""
        row = self._row_of.get(architecture.text)
        seconds = math.nan if row is None or self.measure_s is None else float(self.measure_s[row])
        return seconds if math.isfinite(seconds) else 0.0

    def evaluation(
        self, number: int, architecture: Architecture, quantities: Iterable[Quantity] | None = None
    ) -> Evaluation:
        """All that is recorded of an architecture, as a campaign would have found it out.

        Args:
            number: the candidate's.
            architecture: canonical.
            quantities: the figures that count, aggregates included; None: all that there are. Failures on devices that
                none of them names are none.
        """
        asked = None if quantities is None else list(quantities)
        parts = [part for quantity in asked or () for part in quantity.parts if not part.is_static]
        names = self.names if asked is None else [part.name for part in parts]
        devices = self.devices if asked is None else dict.fromkeys(part.device for part in parts)
        figures = {name: self.figure(architecture, name) for name in names}
        failed = (self.failure(architecture, device) for device in dict.fromkeys(["", *devices]))
        spent_s = self.spent_s(architecture)
        return Evaluation(
            number,
            architecture.text,
            self.space.macs(architecture),
            self.space.parameters(architecture),
            figures={**figures, **derived(figures, asked or ())},
            failure=next(filter(None, failed), None),
            stage_s={"measurement": spent_s} if spent_s else {},
        )

    def members(self, quantities: Iterable[Quantity]) -> list[Architecture]:
        """The architectures of which each of these is recorded: a figure, the reason for its absence, or a failure."""
        asked = dict.fromkeys(part for quantity in quantities for part in quantity.parts if not part.is_static)
        known = np.ones(len(self), dtype=bool)
        for part in asked:
            known &= self._is_recorded(part)
        return [Architecture(text) for text, is_known in zip(self.rows, known, strict=True) if is_known]

    def check(self, quantities: Iterable[Quantity]) -> None:
        """See that the table has figures for each of these.

        Raises:
            ObjectiveError: it has not; the first one that it lacks, why, and what there is.
        """
        figures = [name for name, column in self.columns.items() if not np.isnan(column.values).all()]
        available = [*figures, *sorted(STATIC_QUANTITIES)]
        for quantity, near in undeliverable(quantities, available):
            column = self.columns.get(quantity.name)
            reason = next((f": {text}" for text in column.unavailable.values()), "") if column else ""
            hint = f"did you mean {near[0]}? " if near else ""
            raise ObjectiveError(
                f"the table {self.about.title!r} has no {quantity}{reason}", f"{hint}there are {', '.join(available)}"
            )

    def _is_recorded(self, quantity: Quantity) -> NDArray[np.bool_]:
        """(rows,)."""
        column = self.columns.get(quantity.name)
        recorded = np.zeros(len(self), dtype=bool) if column is None else ~np.isnan(column.values)
        rows = [self.failures.get(""), self.failures.get(quantity.device), column.unavailable if column else None]
        for explained in rows:
            recorded[list(explained or ())] = True
        return recorded


def _numbered(rows: Sequence[str], space: Space) -> dict[str, int]:
    """Row by canonical text."""
    found: dict[str, int] = {}
    for row, text in enumerate(rows):
        try:
            canonical = space.parse(text).text
        except SpaceError as error:
            raise TableError(
                f"row {row}: {text!r} is no network of the space {space.name}: {error}",
                "is the table of another space, or with other settings?",
            ) from error
        if canonical in found:
            other = rows[found[canonical]]
            spelled = "" if other == text else f", which the other spells {other!r}"
            raise TableError(
                f"rows {found[canonical]} and {row} are one architecture: {text!r}{spelled}",
                "keep one of them, or their mean",
            )
        found[canonical] = row
    return found


def _check(name: str, column: Column, rows: Sequence[str]) -> None:
    """Refuse figures that cannot be, which are figures in another unit, most often."""
    if len(column.values) != len(rows):
        raise TableError(f"{name} has {len(column.values)} figures for {len(rows)} rows", "give one for each row")
    is_share = "accuracy" in name.partition("@")[0] or name == "export_agreement"
    most = 1.0 if is_share else math.inf
    for row in map(int, np.flatnonzero((column.values < 0.0) | (column.values > most))):
        raise TableError(
            f"{name} of {rows[row]} (row {row}) is {column.values[row]:g}",
            "it lies in 0 to 1: divide percentages by 100" if is_share else "it cannot be negative: leave it empty",
        )
    if column.samples is not None and (column.samples < 0).any():
        raise TableError(f"{name}.samples counts fewer than none", "leave what is not known empty")
    if column.low is None or column.high is None:
        return
    has_one = np.isfinite(column.low) | np.isfinite(column.high)
    for row in map(int, np.flatnonzero(has_one & ~(np.isfinite(column.values) & (column.low <= column.high)))):
        ends = f"{column.low[row]:g} to {column.high[row]:g}"
        raise TableError(f"{name} of {rows[row]} (row {row}) has the interval {ends}", "the lower end comes first")


def _check_failures(failures: Mapping[str, Mapping[int, str]]) -> None:
    for device, texts in failures.items():
        for row, text in texts.items():
            kind, colon, message = text.partition(": ")
            if not (colon and kind and message) or (device and kind not in MODEL_FAILURES):
                kinds = f", and kind is one of {', '.join(MODEL_FAILURES)}" if device else ""
                what = f"{FAILURE}@{device}" if device else FAILURE
                raise TableError(f"{what} in row {row} is {text!r}", f"write 'kind: message'{kinds}")
