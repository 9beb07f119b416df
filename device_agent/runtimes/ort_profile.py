"""Per-operator times from ONNX Runtime's own profiler, which writes a file of events, in whole microseconds."""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Tuple

from device_agent.runtimes.base import Operator, Profile, ProfileUnavailable

WARM_UP = 10
_RESOLUTION_S = 1e-6
_RUN, _SUFFIX = "model_run", "_kernel_time"


@contextlib.contextmanager
def folder() -> Iterator[str]:
    """A prefix for the profiler's file, in a folder that does not outlive it."""
    with tempfile.TemporaryDirectory(prefix="profile-") as path:
        yield str(Path(path) / "ort")


def read(session: Any, invoke: Callable[[], None], inferences: int, delegates: Mapping[str, str]) -> Profile:
    """Run a session that profiles, and end its profile.

    Args:
        session: made with profiling on.
        invoke: runs it once.
        inferences: to take the mean over.
        delegates: our names of the library's providers.

    Raises:
        ProfileUnavailable: the file holds no such events.
    """
    for _ in range(WARM_UP + inferences):
        invoke()
    try:
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ProfileUnavailable(f"ONNX Runtime wrote no profile that can be read: {error}") from error
    return from_events(events, inferences, delegates)


def from_events(events: List[Dict[str, Any]], inferences: int, delegates: Mapping[str, str]) -> Profile:
    """Means over the last `inferences` runs in a file of events, in the order in which they were written.

    Raises:
        ProfileUnavailable: fewer runs, or none with operators.
    """
    runs: List[Tuple[float, List[Dict[str, Any]]]] = []
    nodes: List[Dict[str, Any]] = []
    for event in events:
        if event.get("cat") == "Node" and str(event.get("name", "")).endswith(_SUFFIX):
            nodes.append(event)
        elif event.get("name") == _RUN:
            # Written when the run is over, after its operators.
            runs.append((float(event["dur"]), nodes))
            nodes = []
    runs = runs[-inferences:]
    if len(runs) < inferences or not runs[0][1]:
        raise ProfileUnavailable("ONNX Runtime's profile holds no times of operators")
    totals: Dict[str, float] = {}
    first: Dict[str, Dict[str, Any]] = {}
    for _, operators in runs:
        for event in operators:
            arguments = event.get("args", {})
            key = f"{arguments.get('node_index')} {event['name']}"
            totals[key] = totals.get(key, 0.0) + float(event["dur"])
            first.setdefault(key, event)
    return Profile(
        operators=[
            Operator(
                kind=str(event["args"].get("op_name", "")),
                name=str(event["name"])[: -len(_SUFFIX)],
                delegate=delegates.get(event["args"].get("provider"), str(event["args"].get("provider", ""))),
                time_s=totals[key] / 1e6 / inferences,
            )
            for key, event in first.items()
        ],
        whole_s=sum(duration for duration, _ in runs) / 1e6 / inferences,
        source="ONNX Runtime's profiler",
        resolution_s=_RESOLUTION_S,
    )
