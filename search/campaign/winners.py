"""The Pareto-optimal candidates as files ready to ship, each with a card that says what it is and how we know."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from protos import contract
from search.campaign.config import CampaignConfig
from search.campaign.finalists import finalists_of, seed_of, settings_of
from search.evaluations import Evaluation
from search.runlog import History

_CHOSEN_ON = "validation images, the fault patterns that all candidates shared"
_CONFIRMED_ON = "test images and fault patterns that no choice has seen, measured anew on the device"
_TRAINED = "alone, after the search; accuracy is that of the float network on validation images"
_BEGAN = {"inherited": "those that it was searched with", "scratch": "random"}
#: The others are a supernet's alone.
_SETTINGS = ("epochs", "batch", "learning_rate", "weight_decay", "faults", "augment", "device", "mixed_precision")
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
        card = {
            **_model(target, name, models, evaluation.digests),
            **_about(evaluation, config, campaign_id),
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
        _write(target, name, card)


def add_finalists(folder: Path, models: Path, history: History, config: CampaignConfig, campaign_id: str) -> None:
    """Put the networks that were trained alone beside the winners.

    Args:
        folder: of the run.
        models: folder of the candidates' files.
        history: of the run.
        config: of the campaign.
        campaign_id: its id.
    """
    settings = asdict(settings_of(config))
    for finalist in finalists_of(history):
        if finalist.failure or finalist.measured is None:
            continue
        entry, evaluation = finalist.entry, history.told[finalist.entry.number]
        card = {
            **_model(folder / "winners", entry.name, models, finalist.measured["digests"]),
            **_about(evaluation, config, campaign_id),
            "trained": {
                "what": _TRAINED,
                "weights": _BEGAN[entry.weights],
                **{key: value for key, value in settings.items() if key in _SETTINGS},
                "seed": seed_of(config, entry),
                "seconds": finalist.trained["seconds"],
                "accuracy": finalist.trained["trained_accuracy"],
            },
            "confirmed_on": {"what": _CONFIRMED_ON, "figures": finalist.measured["figures"]},
            "software_version": contract.software_version(),
        }
        _write(folder / "winners", entry.name, card)


def _model(target: Path, name: str, models: Path, digests: Mapping[str, str]) -> dict[str, Any]:
    """The file, copied, as a card names it."""
    precision, digest = next(iter(digests.items()), ("", None))
    if digest is None:
        return {"model": None}
    shutil.copyfile(models / f"{digest}.tflite", target / f"{name}.tflite")
    return {"model": f"{name}.tflite", "sha256": digest, "precision": precision}


def _about(evaluation: Evaluation, config: CampaignConfig, campaign_id: str) -> dict[str, Any]:
    return {
        "architecture": evaluation.architecture,
        "macs": evaluation.macs,
        "parameters": evaluation.parameters,
        "data": f"replayed from {config.replay}" if config.replay else str(config.data),
        "campaign": {"id": campaign_id, "title": config.title, "seed": config.seed},
        "objectives": list(config.objectives),
    }


def _write(target: Path, name: str, card: Mapping[str, Any]) -> None:
    (target / f"{name}.json").write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def file_stem(evaluation: Evaluation) -> str:
    """Name of a winner's files."""
    return f"candidate-{evaluation.number:03d}"
