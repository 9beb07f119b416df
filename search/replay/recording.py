"""A campaign's evaluations as a table, to be replayed, predicted from, or published with a paper.

    run folder/table.parquet     one row for each candidate that was told

Predicted figures are left out: a table holds what happened. A figure's failure is recorded under the devices whose
figures it left missing, so that a replayed campaign meets it there again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protos.contract import software_version
from search.errors import SearchError
from search.evaluations import Evaluation
from search.objectives import Quantity
from search.replay.schema import About, FigureFacts, figure_name
from search.replay.table import MODEL_FAILURES, NO_RECORD, Column, Table
from search.spaces.base import Space
from search.values import Origin, Value

FILE_NAME = "table.parquet"


def record(
    folder: Path,
    space: Space,
    evaluations: Sequence[Evaluation],
    devices: Mapping[str, Mapping[str, Any]],
    *,
    title: str,
    protocol: Mapping[str, Any] | None = None,
    sources: Sequence[str] = (),
    licence: str = "",
) -> Path:
    """Write a campaign's evaluations as its folder's table; one that is there is replaced.

    Args:
        folder: of the run.
        space: of the campaign, and no restriction of it.
        evaluations: what was told; of an architecture that is there twice the last one counts.
        devices: what is known of each, by the name that figures give it, as plain data.
        title: for people.
        protocol: how was measured, as plain data.
        sources: where figures come from that were not measured here, a line each.
        licence: under which the table may be used.

    Returns:
        The file.

    Raises:
        TableError: the disk does not take it.
    """
    about = About(
        title,
        devices,
        tuple(sources),
        licence,
        datetime.now(UTC).isoformat(timespec="seconds"),
        software_version(),
        protocol or {},
    )
    path = folder / FILE_NAME
    table_of(about, space, evaluations).write(path)
    return path


def table_of(about: About, space: Space, evaluations: Iterable[Evaluation]) -> Table:
    """The table of these evaluations.

    Figures that are neither quantities nor known to a table by name are left out, aggregates among them: their parts
    are there.

    Args:
        about: what it says about itself.
        space: of the architectures.
        evaluations: of an architecture that is there twice the last one counts.
    """
    rows = list({evaluation.architecture: evaluation for evaluation in evaluations}.values())
    figures = ((name, value) for evaluation in rows for name, value in evaluation.figures.items())
    names = dict.fromkeys(name for name, value in figures if _is_recorded(name) and value.unavailable != NO_RECORD)
    failures: dict[str, dict[int, str]] = {}
    for row, evaluation in enumerate(rows):
        for device in failed_on(evaluation):
            failures.setdefault(device, {})[row] = _failure_text(evaluation)
    spent_s = [sum(e.stage_s.get(stage, 0.0) for stage in ("measurement", "faults")) or np.nan for e in rows]
    return Table(
        about,
        space,
        [evaluation.architecture for evaluation in rows],
        {name: _column([evaluation.figures.get(name) for evaluation in rows]) for name in names},
        failures,
        None if np.isnan(spent_s).all() else np.array(spent_s),
    )


def _is_recorded(name: str) -> bool:
    try:
        return str(figure_name(name)) == name
    except SearchError:
        return False


def failed_on(evaluation: Evaluation) -> list[str]:
    """Devices whose figures are missing for the evaluation's failure; "" alone if there is none such."""
    if evaluation.failure is None:
        return []
    text = _failure_text(evaluation)
    lost = [name for name, value in evaluation.figures.items() if value.unavailable == text and _is_recorded(name)]
    quantities = [figure_name(name) for name in lost]
    devices = dict.fromkeys(q.device for q in quantities if isinstance(q, Quantity) and q.device)
    return list(devices) if devices and evaluation.failure.kind in MODEL_FAILURES else [""]


def _failure_text(evaluation: Evaluation) -> str:
    assert evaluation.failure is not None
    return f"{evaluation.failure.kind}: {evaluation.failure.message}"


#: Stands for a figure that an evaluation does not have.
_NOTHING = Value.missing("nothing")


def _column(values: Sequence[Value | None]) -> Column:
    told = [_kept(value) for value in values]
    with_interval = [value for value in told if value.low is not None]
    samples = np.array([value.samples if value.value is not None else 1 for value in told])
    facts = FigureFacts(
        _joined(value.origin for value in told if value.value is not None) or "measured",
        # Of several the least: it holds for all.
        min((value.confidence for value in with_interval), default=0.0),
        _joined(value.method for value in with_interval),
    )
    return Column(
        _floats(value.value for value in told),
        _floats(value.low for value in told) if with_interval else None,
        _floats(value.high for value in told) if with_interval else None,
        samples if (samples != 1).any() else None,
        {row: value.unavailable for row, value in enumerate(told) if value.unavailable and value is not _NOTHING},
        facts,
    )


def _kept(value: Value | None) -> Value:
    if value is None or value.unavailable == NO_RECORD:
        return _NOTHING
    return Value.missing("it was predicted, not measured") if value.origin is Origin.PREDICTED else value


def _joined(words: Iterable[str]) -> str:
    return " or ".join(sorted(set(words)))


def _floats(numbers: Iterable[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if number is None else number for number in numbers], dtype=np.float64)
