"""What a long benchmark has found so far, as lines of a file: one that was broken off goes on where it was."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Records:
    """Results by name, each made once.

    The file's first line says of what setup they are, each other one holds a name and what was found. A line that was
    cut off in the middle is made anew.

    Args:
        path: of the file; None: nothing is kept.
        setup: all that the results depend on, in words.
        report: told of each result that was made.

    Raises:
        SystemExit: the file holds results of another setup, or is none of ours.
    """

    def __init__(self, path: Path | None, setup: str, report: Callable[[str], None] | None = None) -> None:
        self._path, self._found = path, dict[str, Any]()
        self._report = report or (lambda text: print(text, file=sys.stderr, flush=True))
        if path is None:
            return
        whole, _, _ = path.read_text().rpartition("\n") if path.exists() else ("", "", "")
        lines = whole.splitlines()
        try:
            kept = [json.loads(line) for line in lines]
            if kept and kept[0]["setup"] != setup:
                raise SystemExit(f"{path} holds results of another setup: name another file")
            self._found = {line["name"]: line["found"] for line in kept[1:]}
        except (ValueError, KeyError, TypeError) as error:
            raise SystemExit(f"{path} is no file of this benchmark's results: name another one") from error
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines or [json.dumps({"setup": setup})]))

    def get(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What was found under this name, or is found now."""
        if name not in self._found:
            self._found[name] = found = json.loads(json.dumps(make()))
            if self._path is not None:
                with self._path.open("a") as file:
                    file.write(json.dumps({"name": name, "found": found}) + "\n")
                self._report(f"{name}: {_short(found)}")
        made: dict[str, Any] = self._found[name]
        return made


def _short(found: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value:.4g}" for key, value in found.items() if isinstance(value, int | float))
