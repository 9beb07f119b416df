"""Tables of a study, also of one that is not complete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks._ftt_study import RANDOM, SEARCHED, Study
from benchmarks._ftt_tasks import Result
from benchmarks._report import Table
from benchmarks._stats import mean_interval

CLEAN = "clean"
#: By seed.
BySeed = Mapping[int, float]


def tables(study: Study, failures: Sequence[str]) -> list[Table]:
    """What a study has found so far, and what is missing."""
    return [_networks(study, failures), _differences(study), *_trainings(study), *_searches(study), *_devices(study)]


def by_seed(results: Sequence[tuple[int, Result]], condition: str) -> BySeed:
    """Accuracy of a role for each seed, 0-1: the mean over its networks there, and over the patterns of each."""
    found: dict[int, list[float]] = {}
    for seed, result in results:
        value = result["clean"] if condition == CLEAN else float(np.mean(result["under"][condition]))
        found.setdefault(seed, []).append(value)
    return {seed: float(np.mean(values)) for seed, values in found.items()}


def paired(one: BySeed, other: BySeed) -> list[float]:
    """Differences of the seeds that both have, in points."""
    return [100 * (one[seed] - other[seed]) for seed in sorted(one.keys() & other.keys())]


def best_baseline(study: Study) -> str | None:
    """Of the networks of other people's that were trained under faults with every seed, the best at the endpoint."""
    endpoint = study.setting.recipe.endpoint
    found = {name: by_seed(list(study.trained(name)), endpoint) for name in study.setting.baselines}
    whole = {name: float(np.mean(list(v.values()))) for name, v in found.items() if len(v) == study.setting.seeds}
    return max(whole, key=whole.__getitem__, default=None)


def with_interval(values: Sequence[float], sign: str = "") -> str:
    """Their mean with Student's 95 % interval; without one where a single value allows none."""
    if not values:
        return "–"
    mean = f"{float(np.mean(values)):{sign}.1f}"
    if len(values) < 2:
        return mean
    low, high = mean_interval(values)
    return f"{mean} ({low:{sign}.1f} to {high:{sign}.1f})"


def _networks(study: Study, failures: Sequence[str]) -> Table:
    recipe = study.setting.recipe
    table = Table(f"{study.setting.name}: accuracy of the int8 file on {recipe.images:,} test images, %")
    for role in (SEARCHED, RANDOM, *study.setting.baselines, *study.setting.once):
        for faulty in (True, False):
            results = list(study.trained(role, faulty))
            if not results:
                continue
            row: dict[str, object] = {
                "network": role,
                "trained": "with faults" if faulty else "without",
                "M MACs": _range([result["macs"] / 1e6 for _, result in results]),
                "k parameters": _range([result["parameters"] / 1e3 for _, result in results]),
                "seeds": len({seed for seed, _ in results}),
            }
            for condition in (CLEAN, *recipe.conditions):
                row[_short(condition)] = with_interval([100 * v for v in by_seed(results, condition).values()])
            clean, struck = by_seed(results, CLEAN), by_seed(results, recipe.endpoint)
            row["drop"] = f"{np.mean(paired(clean, struck)):.1f}"
            row["hit, %"] = f"{100 * np.mean([result['hit'][recipe.endpoint] for _, result in results]):.2f}"
            table.rows.append(row)
    table.notes += [
        f"mean with Student's 95 % interval over seeds; {recipe.patterns} patterns of faults for each condition",
        f"drop: points from clean to {recipe.endpoint}; hit: share of values that it changes, of those it can strike",
        f"patterns alone leave a network's figure at {recipe.endpoint} uncertain by ± {_patterns(study):.1f} points",
        *(f"not done: {failure}" for failure in failures),
    ]
    return table


def _differences(study: Study) -> Table:
    recipe, seeds = study.setting.recipe, study.setting.seeds
    table = Table(f"{study.setting.name}: the searched network less others, in points, in pairs of training seeds")
    best = best_baseline(study)
    searched = list(study.trained(SEARCHED))
    for label, role in (("(a) best of the others", best), ("(b) random, of its MACs", RANDOM)):
        if role is None:
            table.notes.append(f"{label}: none has been trained with all {seeds} seeds yet")
            continue
        others = list(study.trained(role))
        row: dict[str, object] = {"against": f"{label}: {role}" if role == best else label}
        for condition in (CLEAN, *recipe.conditions):
            found = paired(by_seed(searched, condition), by_seed(others, condition))
            row[_short(condition)] = with_interval(found, "+")
            if condition == recipe.endpoint and len(found) >= seeds > 1:
                row["a gain"] = "yes" if mean_interval(found)[0] > 0 else "not shown"
        row["pairs"] = len(paired(by_seed(searched, CLEAN), by_seed(others, CLEAN)))
        table.rows.append(row)
    table.notes.append(
        f"a gain is claimed where the interval at {recipe.endpoint} lies above 0; as the rate goes to 0 a difference "
        "goes to that of clean accuracy"
    )
    return table


def _trainings(study: Study) -> list[Table]:
    """What training under faults is worth, and what it costs."""
    table = Table(f"{study.setting.name}: training with faults less training without, in points, first seed")
    for role in dict.fromkeys(study.setting.clean):
        with_faults, without = list(study.trained(role))[:1], list(study.trained(role, faulty=False))
        if not with_faults or not without:
            continue
        row: dict[str, object] = {"network": role}
        for condition in (CLEAN, *study.setting.recipe.conditions):
            row[_short(condition)] = with_interval(
                paired(by_seed(with_faults, condition), by_seed(without, condition)), "+"
            )
        spent_s, spent_without_s = with_faults[0][1]["train_s"], without[0][1]["train_s"]
        if spent_s is not None and spent_without_s is not None:
            row["time"] = f"{spent_s / spent_without_s:.1f} times"
        table.rows.append(row)
    table.notes.append("one seed each, so that no interval is given")
    return [table] if table.rows else []


def _searches(study: Study) -> list[Table]:
    table = Table(f"{study.setting.name}: the searches")
    for number in range(study.setting.searches):
        found = study.searched(number)
        if found is None:
            continue
        inherited, confirmed = found["inherited"], found["confirmed"]
        # accuracy@DEVICE is that without faults.
        named = next(name for name in inherited if name.startswith("accuracy@") and name.endswith(")"))
        table.rows.append(
            {
                "search": number,
                "chosen": found["architecture"],
                "M MACs": found["macs"] / 1e6,
                "candidates": found["candidates"],
                "inherited, faults": _percent(inherited.get(named)),
                "on test images": _percent(confirmed.get(named)),
                "latency, ms": _times(inherited.get("latency_s@local"), 1e3),
                "supernet, s": round(found["train_s"]),
                "search, s": round(found["search_s"]),
            }
        )
    table.notes.append("inherited: with the supernet's weights, on validation images; measured on the device")
    return [table] if table.rows else []


def _devices(study: Study) -> list[Table]:
    table = Table(f"{study.setting.name}: on the device, as trained with the first seed")
    for piece, result in study.on_devices():
        table.rows.append(
            {
                "network": piece.role,
                "device": result["device"],
                "latency, ms": _times(result["latency_s"], 1e3),
                "peak memory, MB": _times(result["peak_memory_bytes"], 1e-6),
                "energy, mJ": _times(result["energy_j"], 1e3),
                "clean, %": _percent(result["accuracy"]),
                f"{_short(study.setting.recipe.endpoint)}, %": _percent(result["under"]),
            }
        )
    table.notes.append("measured by an agent, faults included, on the first thousand test images")
    return [table] if table.rows else []


def _patterns(study: Study) -> float:
    """Half the width of the interval over patterns, in points, the median of all networks."""
    widths = [
        (high - low) / 2
        for faulty in (True, False)
        for role in (SEARCHED, RANDOM, *study.setting.baselines, *study.setting.once)
        for _, result in study.trained(role, faulty)
        for low, high in [mean_interval(result["under"][study.setting.recipe.endpoint])]
    ]
    return 100 * float(np.median(widths)) if widths else float("nan")


def _short(condition: str) -> str:
    """A rate as people write it."""
    return condition if condition == CLEAN else condition.replace("adSAF(p=", "").replace("MiBB(p_m=", "").rstrip(")")


def _range(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:.3g}" if f"{low:.3g}" == f"{high:.3g}" else f"{low:.3g}–{high:.3g}"


def _percent(value: Mapping[str, object] | None) -> str:
    return _times(value, 100)


def _times(value: Mapping[str, object] | None, factor: float) -> str:
    number = None if value is None else value.get("value")
    return "–" if not isinstance(number, int | float) else f"{factor * number:.3g}"
