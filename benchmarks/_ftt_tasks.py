"""The work of a study, each piece by itself: search, train and test a network, measure one on the device.

What a piece finds is a line of ``results.jsonl``; who runs a study again does only the pieces that have none.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import gauntlet
from benchmarks._ftt_networks import baseline
from benchmarks._ftt_settings import Recipe
from device_agent.measure.accuracy import LabelledSamples
from device_agent.measure.faulty import break_model, together
from device_agent.measure.trials import LocalTrials, drive
from device_agent.runtimes import discover
from fault_injection.models import Place, parse
from fault_injection.plan import FaultPlan
from fault_injection.precision import Precision
from gauntlet.faults import campaign as fault_campaign
from gauntlet.faults.settings import FaultSettings, conditions
from orchestrator.client import Client
from protos import dataset
from search.campaign.campaign import Campaign, Observer, create
from search.campaign.config import CampaignConfig, load
from search.campaign.problem import Problem
from search.campaign.reporting import draw
from search.data import Data, DataError, Split
from search.data import load as load_data
from search.errors import SearchError
from search.evaluations import Evaluation
from search.export import export_tflite
from search.objectives import Constraint
from search.runlog import FILE_NAME, RunLog
from search.spaces.base import Architecture, Space
from search.supernet import evaluate, train_alone
from search.timed_windows import outside_timed_windows
from search.values import Value

PROJECT = Path(__file__).resolve().parent.parent
_CALIBRATION = 128
_BATCH = 128
_DEVICE_IMAGES = 1000
#: Draws before a space is said to hold no network of a size.
_MOST_DRAWS = 20_000
_MACS_TOLERANCE = 0.05

Result = Mapping[str, Any]


# ------------------------------------------------------------------------------------------------------ searching


def write_campaign(path: Path, recipe: Recipe, changes: Mapping[str, Any], seed: int) -> None:
    """Write the campaign file of a search: the example's, on this data, with a setting's changes."""
    document = yaml.safe_load((PROJECT / "examples" / "ftt_cifar10.yaml").read_text(encoding="utf-8"))
    source = recipe.data if recipe.data == "digits" else str(Path(recipe.data).resolve())
    data = {"path": source, "pool": recipe.pool}
    if recipe.limit is not None:
        data["limit"] = recipe.limit
    document |= {"title": f"ftt-search-{seed}", "data": data, "seed": seed}
    path.write_text(yaml.safe_dump(_merged(document, changes), sort_keys=False), encoding="utf-8")


def _merged(document: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(document)
    for key, value in changes.items():
        nested = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merged(merged[key], value) if nested else value
    return merged


def search(file: Path, run: Path, lab: Path) -> Result:
    """Carry a campaign out as ``gauntlet search`` does, or go on with it, and choose.

    Returns:
        What was chosen, and what the search cost.
    """
    begin = time.monotonic()
    log = RunLog.open(run) if (run / FILE_NAME).exists() else create(run, load(file))
    with log:
        campaign = Campaign(log, Observer())
        campaign.check()
        with gauntlet.Lab(folder=lab) as opened:
            asyncio.run(_run(campaign, opened.client.address))
        draw(log.history, run)
        config, history = campaign.config, log.history
    chosen = choose(config, history.evaluations)
    stages: dict[str, float] = {}
    for note in history.notes("stage"):
        stages[note["stage"]] = stages.get(note["stage"], 0.0) + note["seconds"]
    finals = (history.notes("finals") or [{}])[-1].get(str(chosen.number), {})
    return {
        "architecture": chosen.architecture,
        "macs": chosen.macs,
        "parameters": chosen.parameters,
        "inherited": {name: value.to_json() for name, value in chosen.figures.items()},
        "confirmed": finals,
        "candidates": len(history.evaluations),
        "failed": sum(evaluation.failure is not None for evaluation in history.evaluations),
        "train_s": stages.get("training", 0.0),
        "search_s": time.monotonic() - begin,
    }


async def _run(campaign: Campaign, address: str) -> None:
    async with Client(address) as client:
        await campaign.run(client)


def choose(config: CampaignConfig, evaluations: list[Evaluation]) -> Evaluation:
    """The rule that was fixed before: the highest inherited accuracy under faults, on validation images, in bounds.

    Raises:
        SearchError: no candidate is within bounds.
    """
    name = next(o.name for o in config.parsed_objectives() if o.quantity.parts[0].fault)
    bounds = config.parsed_constraints()
    found = [
        (value, evaluation)
        for evaluation in evaluations
        if evaluation.failure is None
        and (value := evaluation.value(name).value) is not None
        and all(_holds(bound, evaluation) for bound in bounds)
    ]
    if not found:
        raise SearchError("no candidate of the search keeps the bounds", "search for more, or raise the bounds")
    return max(found, key=lambda pair: pair[0])[1]


def _holds(bound: Constraint, evaluation: Evaluation) -> bool:
    value = evaluation.value(bound.name).value
    return value is not None and bound.violation(value) == 0


def matched(space: Space, searched: Architecture, seed: int, number: int) -> Architecture:
    """Draw a network of about as many MACs as another one.

    Args:
        space: whose own way of drawing is used.
        searched: whose MACs are met within 5 %, and which itself is not drawn.
        seed: of the training that the network is for: each has networks of its own.
        number: of the network.

    Raises:
        SearchError: the space holds hardly any.
    """
    rng, macs = np.random.default_rng([seed, number]), space.macs(searched)
    for _ in range(_MOST_DRAWS):
        drawn = space.sample(rng)
        if drawn != searched and abs(space.macs(drawn) - macs) <= _MACS_TOLERANCE * macs:
            return drawn
    raise SearchError(f"{space.name} holds hardly any other network of {macs:,} MACs", "widen the space")


def space_of(file: Path) -> Space:
    """The space that a campaign file names, for its data."""
    return Problem.of(load(file)).space


# ---------------------------------------------------------------------------------------------- training and testing


@dataclass(frozen=True)
class Training:
    """A network to be trained and tested.

    Attributes:
        recipe: how.
        network: a baseline's name, or an architecture of the campaign's space.
        campaign: the file that names this space; None for a baseline.
        seed: of weights, order and faults.
        faulty: train under faults.
        model: where its file goes.
    """

    recipe: Recipe
    network: str
    campaign: Path | None
    seed: int
    faulty: bool
    model: Path


def carry_out(task: Training) -> Result:
    """Train a network from scratch, or go on with it, and test the int8 file that comes of it.

    Raises:
        SearchError: the data cannot be read, or the training cannot be carried out.
    """
    recipe, data = task.recipe, _data(task.recipe)
    space, architecture = _network(task, data)
    begin = time.process_time()
    task.model.parent.mkdir(parents=True, exist_ok=True)
    checkpoint = task.model.with_suffix(".pt")
    resumed = checkpoint.exists()
    network = train_alone(
        space,
        architecture,
        data,
        recipe.training(task.faulty),
        seed=task.seed,
        around=outside_timed_windows,
        checkpoint=checkpoint,
    )
    train_s = time.process_time() - begin
    exported = export_tflite(network, (1, *data.image_shape), calibration=data.train.head(_CALIBRATION).images)
    exported.save(task.model)
    begin = time.process_time()
    tested = deployed_accuracy(exported.data, exported.input_name, data.test.head(recipe.images), recipe)
    checkpoint.unlink()
    return {
        "architecture": architecture.text,
        "seed": task.seed,
        "faulty": task.faulty,
        "macs": space.macs(architecture),
        "parameters": space.parameters(architecture),
        "float": evaluate(network, data.test).value,
        "validation": evaluate(network, data.validation).value,
        **tested,
        "train_s": None if resumed else train_s,  # what an earlier process spent is not known
        "test_s": time.process_time() - begin,
        "model": task.model.name,
    }


def deployed_accuracy(content: bytes, input_name: str, split: Split, recipe: Recipe) -> Result:
    """Accuracy of an int8 file in LiteRT, as an agent runs it, clean and under each of a recipe's conditions.

    Returns:
        ``clean``; ``under``: for each condition the accuracy under each pattern; ``hit``: the share of values that
        were changed, of those that could have been.
    """
    runtime = next(runtime for runtime in discover() if "tflite" in runtime.formats)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "test.npz"
        save_images(path, input_name, split)
        model = runtime.load(content, 1, "xnnpack")
        samples = LabelledSamples(model, path)
        clean = samples.classify(model, _BATCH).right / len(samples)
        trials = LocalTrials(samples, lambda given, batch: runtime.load(given, 1, "xnnpack", batch))
        under: dict[str, list[float]] = {}
        hit: dict[str, float] = {}
        for condition in recipe.conditions:
            plan = FaultPlan(parse(condition), seed=recipe.test_seed)
            broken_model = break_model(content, plan, len(samples), _BATCH)
            found = [drive(together([broken_model.run(number)]), trials)[0] for number in range(recipe.patterns)]
            values = sum(site.size for site in broken_model.sites)
            values *= 1 if plan.place is Place.WEIGHTS else len(samples)
            under[condition] = [broken.answers.right / len(samples) for broken in found]
            hit[condition] = sum(broken.faults for broken in found) / (values * len(found))
    return {"clean": clean, "under": under, "hit": hit}


def save_images(path: Path, input_name: str, split: Split) -> None:
    """Write labelled images as a device wants them."""
    images = np.ascontiguousarray(split.images.numpy().transpose(0, 2, 3, 1))
    dataset.save(path, dataset.DataSet({input_name: images}, labels=split.labels.numpy()))


def _network(task: Training, data: Data) -> tuple[Space, Architecture]:
    if task.campaign is None:
        space: Space = baseline(task.network, data.image_shape, data.classes)
        return space, space.sample(np.random.default_rng(0))
    space = _space(task.campaign)
    return space, space.parse(task.network)


@lru_cache(maxsize=1)
def _data(recipe: Recipe) -> Data:
    """The parts do not depend on a seed of training: they are those of the first search."""
    try:
        return load_data(recipe.data, 0, pool=recipe.pool, limit=recipe.limit)
    except DataError as error:
        raise SearchError(f"data: {error}", "name the folder of CIFAR-10's binary files with --data") from error


@lru_cache(maxsize=4)
def _space(campaign: Path) -> Space:
    return space_of(campaign)


# ------------------------------------------------------------------------------------------------------ on a device


def on_device(model: Path, recipe: Recipe, folder: Path) -> Result:
    """Measure a file on the device of the embedded lab: latency, memory, accuracy clean and at the endpoint."""
    images = min(_DEVICE_IMAGES, recipe.images)
    with tempfile.TemporaryDirectory() as scratch, gauntlet.Lab(folder=folder / "lab") as lab:
        data = Path(scratch) / "test.npz"
        save_images(data, "input", _data(recipe).test.head(images))
        measured = lab.bench(model, threads=1, data=data)
        asked = conditions([recipe.endpoint], seed=recipe.test_seed)
        precision = Precision(0.0, 0.95, recipe.patterns, recipe.patterns)
        run = fault_campaign.run(
            lab, FaultSettings(model, data, asked, precision, batch=_BATCH), folder / "device" / model.stem
        )
    faulty = run.devices[0].series[0].summary(0.95).accuracy
    assert faulty.interval is not None
    return {
        "device": measured.result.provenance.device_id,
        "latency_s": Value.from_figure(measured.result.latency.median_s).to_json(),
        "peak_memory_bytes": Value.from_figure(measured.result.memory.peak_bytes).to_json(),
        "energy_j": Value.from_figure(measured.result.energy.energy_j).to_json(),
        "accuracy": Value.from_figure(measured.result.accuracy.top1).to_json(),
        "under": Value(faulty.value, faulty.interval.low, faulty.interval.high).to_json(),
        "images": images,
    }
