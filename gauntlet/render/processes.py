"""Latency in several processes: what each of them found."""

from __future__ import annotations

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gauntlet.render import figures, units
from gauntlet.render.device import lines_table
from protos.gauntlet.v1 import measurement_pb2


def table(latency: measurement_pb2.LatencyResult) -> Padding:
    """One line for each process."""
    lines: Table = lines_table("process", "load", "first inference", "median", "±", "samples")
    for column in lines.columns[1:]:
        column.justify, column.no_wrap = "right", True
    for number, run in enumerate(latency.runs, 1):
        width = figures.half_width(run.median_s)
        lines.add_row(
            str(number),
            figures.short(run.load_s, units.duration),
            figures.short(run.first_inference_s, units.duration),
            figures.short(run.median_s, units.duration),
            Text("–" if width is None else units.ratio_short(width), "dim"),
            f"{run.median_s.estimate.samples:,}",
        )
    return Padding(lines, (0, 0, 1, 2))


def sentence(latency: measurement_pb2.LatencyResult, spec: measurement_pb2.LatencySpec) -> Text:
    """What the figures are of, and what is wrong with them."""
    count = units.count(len(latency.runs), "process")
    text = Text(f"Means over {count}.", "dim")
    unsettled = sum(not run.warmup_settled for run in latency.runs)
    if unsettled:
        text.append(f" Not settled after the warm-up in {unsettled} of them.", "yellow")
    width = figures.half_width(latency.median_s)
    if width is not None and width > spec.half_width:
        wanted = units.ratio_short(spec.half_width)
        more = units.count(max(spec.max_processes, len(latency.runs)), "process")
        text.append(f" Less precise than ±{wanted}: that takes more than {more}.", "yellow")
    return text
