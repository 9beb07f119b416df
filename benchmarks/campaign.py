"""A campaign on the digits: candidates per minute, and where the time goes.

Runs `gauntlet search` on a shortened examples/digits.yaml with the embedded lab, as a user would, and reads the run's
log: seconds by stage, candidates per minute of the search proper (training apart), and the time lost to dispatch as a
share of the time that the device measured. Stages that overlap count in full.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import yaml

from benchmarks._report import Report, Table, main

ROOT = Path(__file__).resolve().parent.parent
_DEVICE_STAGES = ("measurement", "faults")


def campaign(candidates: int, epochs: int) -> Report:
    """Carry out a campaign; its figures."""
    config = yaml.safe_load((ROOT / "examples" / "digits.yaml").read_text(encoding="utf-8"))
    config["supernet"] = {"epochs": epochs}
    config["search"]["candidates"] = candidates
    config["audit"] = {"subnets": 0}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "campaign.yaml"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        command = [sys.executable, "-m", "gauntlet", "search", str(path), "--run", f"{folder}/run"]
        began = time.monotonic()
        subprocess.run([*command, "--lab-dir", f"{folder}/lab"], check=True, capture_output=True, cwd=folder)
        whole_s = time.monotonic() - began
        events = [json.loads(line) for line in (Path(folder) / "run" / "log.jsonl").read_text().splitlines()]
    stages: defaultdict[str, float] = defaultdict(float)
    for event in events:
        if event["event"] == "told":
            for stage, seconds in event["evaluation"]["stage_s"].items():
                stages[stage] += seconds
        elif event["event"] == "note" and event["name"] == "stage":
            stages[event["data"]["stage"]] += event["data"]["seconds"]
    device_s = sum(stages[stage] for stage in _DEVICE_STAGES)
    total_s = sum(stages.values())
    rows = [
        {"stage": stage, "seconds": seconds, "share": seconds / total_s}
        for stage, seconds in sorted(stages.items(), key=lambda item: -item[1])
    ]
    pace = {
        "candidates": candidates,
        "candidates per minute": 60 * candidates / (whole_s - stages["training"]),
        "dispatch / measuring": stages["dispatch"] / device_s,
    }
    return Report([Table("where the time goes", rows), Table("pace of the search", [pace])])


def run(quick: bool) -> Report:
    """A campaign of 24 candidates; with `quick` of 4, on a supernet that is hardly trained."""
    return campaign(4, 1) if quick else campaign(24, 10)


if __name__ == "__main__":
    main(run, __doc__)
