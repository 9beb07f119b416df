"""Multi-stream and offline in words, and throughput as a table of batch sizes and threads.

batch  1 thread                          2 threads
    1  108,295 /s  ±0.4 %  █████▍         71,744 /s  ±0.9 %  ███▌
   16  195,124 /s  ±0.9 %  █████████▊    327,290 /s  ±0.7 %  ████████████████ best
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gauntlet.render import figures, units
from gauntlet.render.bars import bar
from gauntlet.render.figures import half_width
from gauntlet.results_json import reason_of
from gauntlet.scenarios_json import best_cell
from protos.figures import value_of
from protos.gauntlet.v1 import measurement_pb2

_STOPS = {
    measurement_pb2.STOP_REASON_MAX_SAMPLES: "stopped at the most queries that were asked for",
    measurement_pb2.STOP_REASON_MAX_TIME: "stopped at the most seconds that were asked for",
}
#: Of a line that is no bar: the batch sizes, and for each number of threads a throughput, its width and the gaps.
_BATCHES, _COLUMN = 9, 23
_WIDEST_BAR, _LEAST_BAR = 24, 5
_BEST = " best"


def multi_stream(result: measurement_pb2.MultiStreamResult) -> RenderableType:
    """Latency of queries, and of a sample in them."""
    size = result.samples_per_query
    table = figures.grid()
    rows = [("median", result.median_s), *((f"p{100 * p.rank:g}", p.latency_s) for p in result.percentiles)]
    for name, figure in rows:
        value = value_of(figure)
        remark = f"{units.duration(value / size)} a sample" if value is not None else ""
        figures.add(table, name, figure, units.duration, remark, bold=name == "median")
    samples = "sample" if size == 1 else "samples"
    how = f"one call of {size} {samples}" if result.batched else "calls in a row: the model cannot be resized"
    queries = units.count(result.median_s.estimate.samples, "query")
    stop = _STOPS.get(result.stop_reason)
    text = f"{queries} of {size} {samples}, {how}{f'; {stop}' if stop else ''}."
    return Group(table, Padding(Text(text, "dim"), (0, 0, 0, 2)))


def offline(result: measurement_pb2.OfflineResult, spec: measurement_pb2.OfflineSpec, width: int) -> RenderableType:
    """Throughput of each pair of batch size and threads, with bars; why some are missing.

    Args:
        result: its cells.
        spec: what was asked.
        width: characters of a line.
    """
    there = [cell for cell in result.cells if cell.throughput_per_s.HasField("estimate")]
    parts: list[RenderableType] = [_table(there, width)] if there else []
    parts += [Padding(Text(line, "dim"), (0, 0, 0, 2)) for line in [*_sentence(there, spec), *_missing(result)]]
    return Group(*parts)


def _table(there: list[measurement_pb2.OfflineCell], width: int) -> Table:
    threads = list(dict.fromkeys(cell.threads for cell in there))
    cells = {(cell.batch_size, cell.threads): cell for cell in there}
    best = best_cell(measurement_pb2.OfflineResult(cells=there))
    assert best is not None
    room = (width - _BATCHES) // len(threads) - _COLUMN
    widest = min(room - len(_BEST), _WIDEST_BAR)
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", min_width=_BATCHES - 2, no_wrap=True)
    for _ in threads:
        table.add_column(justify="right", no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
        table.add_column(no_wrap=True, min_width=max(widest, 0))
    header = [Text("batch", "bold")]
    for count in threads:
        header += [Text(units.count(count, "thread"), "bold"), Text(""), Text("")]
    table.add_row(*header)
    for size in dict.fromkeys(cell.batch_size for cell in there):
        row = [Text(str(size))]
        for count in threads:
            row += _cell(cells.get((size, count)), best, widest)
        table.add_row(*row)
    return table


def _cell(
    cell: measurement_pb2.OfflineCell | None, best: measurement_pb2.OfflineCell, widest: int
) -> tuple[Text, Text, Text]:
    value = value_of(cell.throughput_per_s) if cell is not None else None
    if cell is None or value is None:
        return Text("–", "dim"), Text(""), Text("")
    style, mark = ("bold green", _BEST) if cell == best else ("", "")
    share = value / (value_of(best.throughput_per_s) or value)
    picture = Text(bar(share, widest) if widest >= _LEAST_BAR else "", "cyan").append(mark, style)
    return Text(f"{units.number(value)} /s", style), Text(_width(cell), "dim"), picture


def _width(cell: measurement_pb2.OfflineCell) -> str:
    width = half_width(cell.throughput_per_s)
    return "± ?" if width is None else f"±{units.ratio_short(width)}"


def _sentence(there: list[measurement_pb2.OfflineCell], spec: measurement_pb2.OfflineSpec) -> Iterator[str]:
    if not there:
        return
    capped = sum(cell.stop_reason != measurement_pb2.STOP_REASON_PRECISE for cell in there)
    known = f"known to ±{units.ratio_short(spec.half_width)}"
    late = f"; {capped} of {len(there)} stopped there, with a wider interval" if capped else ""
    yield f"Samples a second, calls back to back until {known}, at most {spec.max_s:g} s each{late}."


def _missing(result: measurement_pb2.OfflineResult) -> Iterator[str]:
    """One line for each reason."""
    found: dict[str, list[measurement_pb2.OfflineCell]] = {}
    for cell in result.cells:
        if not cell.throughput_per_s.HasField("estimate"):
            found.setdefault(reason_of(cell.throughput_per_s), []).append(cell)
    for reason, cells in found.items():
        sizes = ", ".join(str(size) for size in dict.fromkeys(cell.batch_size for cell in cells))
        threads = list(dict.fromkeys(cell.threads for cell in cells))
        many = ", ".join(str(count) for count in threads)
        yield f"Not measured: batch {sizes} with {many} {'thread' if threads == [1] else 'threads'}: {reason}."
