"""Propose which bits of the weights to protect, and try it on patterns that the proposal has not seen."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fault_injection.protection import SEC_DED, TMR, RangeClipping, propose
from fault_injection.tflite.clipping import clip, expose
from fault_injection.tflite.features import find_features
from gauntlet.errors import LabError
from gauntlet.faults.result import DeviceResult, Trial
from gauntlet.faults.runner import Runner, Target
from gauntlet.faults.settings import Condition, ProtectSettings
from protos.dataset import load

#: Added to the campaign's seed: patterns that neither the map nor any curve has used.
TRIAL_SEED = 2_000_003
COSTS = {"tmr": TMR, "secded": SEC_DED}
NO_PROTECTION, RANGE_CLIPPING = "none", "range clipping"


def try_protection(
    runner: Runner,
    target: Target,
    clipped: Target,
    device: DeviceResult,
    condition: Condition,
    settings: ProtectSettings,
    on_trial: Callable[[str], None],
) -> list[Trial]:
    """Accuracy under the same fresh patterns with no protection, with range clipping, and with each budget spent.

    Args:
        runner: of the campaign.
        target: the model.
        clipped: the same with range clipping.
        device: with its map.
        condition: whose faults to protect from.
        settings: budgets and kind.
        on_trial: told what is tried.
    """
    assert device.map is not None
    plan = dataclasses.replace(condition.plan, seed=condition.plan.seed + TRIAL_SEED)
    bare = Condition(plan, condition.sweep, condition.rate)
    on_trial("no protection")
    trials = [Trial(0.0, NO_PROTECTION, runner.series(target, device, bare))]
    on_trial(RANGE_CLIPPING)
    trials.append(Trial(0.0, RANGE_CLIPPING, runner.series(clipped, device, bare)))
    cost = COSTS[settings.cost]
    budgets = sorted(settings.budgets)
    for budget, proposal in zip(budgets, propose(device.map, cost, budgets), strict=True):
        on_trial(f"{cost.name} for {budget:.1%} more memory")
        masks = {site: proposal.protection.mask(site) for site in proposal.protection.bits}
        protected = Condition(dataclasses.replace(plan, protected=masks), condition.sweep, condition.rate)
        trials.append(Trial(budget, cost.name, runner.series(target, device, protected), proposal))
    return trials


def clip_to_observed(model: bytes, data: Path) -> bytes:
    """The model with every feature map clipped to its range over a data set, found on this machine.

    Raises:
        LabError: there is no runtime here, or it does not take the model.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise LabError(f"range clipping needs ai-edge-litert here: {error}", "pip install ai-edge-litert") from error
    features = find_features(model)
    interpreter = Interpreter(model_content=expose(model), num_threads=1)
    interpreter.allocate_tensors()
    given = interpreter.get_input_details()
    made = interpreter.get_output_details()[-len(features) :]
    arrays = load(data).inputs
    ranges: RangeClipping | None = None
    for index in range(len(next(iter(arrays.values())))):
        for details in given:
            sample = next(iter(arrays.values())) if len(given) == 1 else arrays[details["name"]]
            interpreter.set_tensor(details["index"], _fitted(sample[index], details))
        interpreter.invoke()
        observed = {
            feature.name: _real(interpreter.get_tensor(details["index"]), details)
            for feature, details in zip(features, made, strict=True)
        }
        here = RangeClipping.fit(observed)
        ranges = here if ranges is None else ranges.union(here)
    assert ranges is not None
    return clip(model, ranges)


def _fitted(sample: NDArray[Any], details: dict[str, Any]) -> NDArray[Any]:
    shaped = sample.reshape(details["shape"])
    scale, zero_point = details["quantization"]
    if shaped.dtype == details["dtype"] or not scale:
        return shaped.astype(details["dtype"])
    limits = np.iinfo(details["dtype"])
    stored: NDArray[Any] = np.clip(np.rint(shaped / scale) + zero_point, limits.min, limits.max)
    return stored.astype(details["dtype"])


def _real(values: NDArray[Any], details: dict[str, Any]) -> NDArray[Any]:
    scale, zero_point = details["quantization"]
    return (values.astype(np.float64) - zero_point) * scale if scale else values
