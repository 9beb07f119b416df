"""Per-operator times from ONNX Runtime's own profiler, which writes a file of events, in whole microseconds."""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Sequence, Tuple

from device_agent.runtimes.base import Profile, ProfileUnavailable
from device_agent.runtimes.profiles import Label, Run, typical

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
        inferences: that count.
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


def from_events(events: Sequence[Dict[str, Any]], inferences: int, delegates: Mapping[str, str]) -> Profile:
    """A typical one of the last `inferences` runs in a file of events.

    Raises:
        ProfileUnavailable: fewer runs, or none with the same operators.
    """
    runs: List[Run] = []
    nodes: List[Tuple[Label, float]] = []
    for event in events:
        if event.get("cat") == "Node" and str(event.get("name", "")).endswith(_SUFFIX):
            nodes.append((_label(event, delegates), float(event["dur"]) / 1e6))
        elif event.get("name") == _RUN:
            # Written when the run is over, after its operators.
            runs.append(Run(float(event["dur"]) / 1e6, [label for label, _ in nodes], [time_s for _, time_s in nodes]))
            nodes = []
    if len(runs) < inferences:
        raise ProfileUnavailable("ONNX Runtime's profile holds fewer inferences than were run")
    return typical(runs[-inferences:], "ONNX Runtime's profiler", _RESOLUTION_S)


def _label(event: Mapping[str, Any], delegates: Mapping[str, str]) -> Label:
    arguments = event.get("args", {})
    kind, name = str(arguments.get("op_name", "")), str(event["name"])[: -len(_SUFFIX)]
    provider = str(arguments.get("provider", ""))
    # Operators that it put in itself are called after their type.
    return Label(kind, "" if name == kind else name, delegates.get(provider, provider))
