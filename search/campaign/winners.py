"""The Pareto-optimal candidates as files ready to ship, each with a card that says what it is and how we know."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from protos import contract
from search.campaign.config import CampaignConfig
from search.evaluations import Evaluation

_CHOSEN_ON = "validation images, the fault patterns that all candidates shared"
_CONFIRMED_ON = "test images and fault patterns that no choice has seen, measured anew on the device"
_RECORDED = "test images, as recorded; a table cannot be measured anew"


def write(
    folder: Path,
    models: Path,
    front: Sequence[Evaluation],
    finals: Mapping[str, Any],
    config: CampaignConfig,
    campaign_id: str,
) -> None:
    """Fill `winners/`; what was there from an earlier end of the run goes.

    Args:
        folder: of the run.
        models: folder of the candidates' files.
        front: the winners.
        finals: by candidate number, figures on test images and under fresh faults, as plain data.
        config: of the campaign.
        campaign_id: its id.
    """
    target = folder / "winners"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for evaluation in front:
        name = file_stem(evaluation)
        digest = evaluation.digests.get("int8")
        if digest is not None:
            shutil.copyfile(models / f"{digest}.tflite", target / f"{name}.tflite")
        model = {"model": f"{name}.tflite", "sha256": digest, "precision": "int8"} if digest else {"model": None}
        card = {
            **model,
            "architecture": evaluation.architecture,
            "macs": evaluation.macs,
            "parameters": evaluation.parameters,
            "data": f"replayed from {config.replay}" if config.replay else str(config.data),
            "campaign": {"id": campaign_id, "title": config.title, "seed": config.seed},
            "objectives": list(config.objectives),
            "chosen_on": {
                "what": "a recorded table" if config.replay else _CHOSEN_ON,
                "figures": {key: value.to_json() for key, value in evaluation.figures.items()},
            },
            "confirmed_on": {
                "what": _RECORDED if config.replay else _CONFIRMED_ON,
                "figures": dict(finals.get(str(evaluation.number), {})),
            },
            "provenance": dict(evaluation.provenance),
            "software_version": contract.software_version(),
        }
        (target / f"{name}.json").write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def file_stem(evaluation: Evaluation) -> str:
    """Name of a winner's files."""
    return f"candidate-{evaluation.number:03d}"
