"""The report of a run folder, complete or not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from search.campaign.campaign import ENDED, PROCESS
from search.campaign.comparing import comparison_of
from search.campaign.config import CampaignConfig, parse
from search.campaign.corrections import suspicions
from search.campaign.finalists import finalists_of, settings_of
from search.campaign.problem import front_of
from search.campaign.warm_start import FROM
from search.campaign.winners import file_stem
from search.comparison import Comparison
from search.objectives import Quantity
from search.report import ReportInput, write_report
from search.report.inputs import FinalistInput, FinalistNetwork
from search.report.strategies import write_comparison
from search.report.units import count
from search.runlog import History, read_history
from search.values import Value

REPORT = "report.html"
COMPARISON = "comparison.html"


def report(folder: Path) -> Path:
    """See `draw`; from the log in the folder.

    Returns:
        The file; `comparison.html` is beside it.

    Raises:
        RunLogError: no run there, or of another version.
    """
    draw(read_history(folder), folder)
    return folder / REPORT


def draw(history: History, folder: Path) -> Comparison | None:
    """Draw the report of a run, and of a comparison of strategies a page of its own.

    Args:
        history: of the run.
        folder: of the run, where both are written.

    Returns:
        What the run says of strategies; None if it compares none, or has not come so far.

    Raises:
        RunLogError: the log of a search that is compared cannot be read.
    """
    write_report(report_input(history, folder), folder / REPORT)
    config = parse(dict(history.about["config"]), str(folder))
    compared = comparison_of(folder, config) if config.compare.strategies else None
    if compared is not None:
        write_comparison(compared, folder / COMPARISON)
    return compared


def report_input(history: History, folder: Path) -> ReportInput:
    """All that a report shows, from the log alone."""
    about = history.about
    config = parse(dict(about["config"]), str(folder))
    processes = history.notes(PROCESS)
    audits, devices = history.notes("audit"), history.notes("devices")
    compared = list(config.searches()) if config.compare.strategies else []
    told = len(history.told)
    # Those that a warm start brought do not count; a comparison has all that its searches found.
    wanted = told if compared else config.search.candidates + sum(FROM in e.provenance for e in history.evaluations)
    resumed = len(devices) - 1
    notes = [f"The run was resumed {'once' if resumed == 1 else f'{resumed} times'}."] if resumed > 0 else []
    notes += [f"The search ended early: {reason}." for reason in history.notes(ENDED)]
    if history.pending or (told < wanted and not history.notes(ENDED)):
        notes.append(f"The run is not complete: {told} of {wanted} candidates.")
    notes += suspicions(history.evaluations)
    winners = front_of(history, config) if (folder / "winners").is_dir() else []
    return ReportInput(
        title=config.title,
        created=str(about["created"]),
        software_version=history.software_version,
        objectives=tuple(config.parsed_objectives()),
        constraints=tuple(config.parsed_constraints()),
        evaluations=tuple(history.evaluations),
        settings={
            "Strategy": f"compared: {', '.join(compared)}" if compared else config.search.strategy,
            "Space": "of the recorded table" if config.replay else config.space.kind,
            **({"Replayed from": config.replay} if config.replay else {"Data": str(config.data)}),
            "Seed": str(config.seed),
            "Campaign": str(about["campaign_id"]),
        },
        budget={"candidates": f"{told} of {wanted}"},
        devices=tuple(devices[-1]) if devices else (),
        audit=audits[-1] if audits else None,
        audit_missing=_no_audit(config),
        finalists=_finalists(history, config, folder),
        stage_s=_stages(history),
        # A process that was killed did not say how long it worked.
        wall_s=sum(float(note["wall_s"]) for note in processes) if len(processes) >= len(devices) > 0 else None,
        files={
            winner.number: {
                **({winner.precision: f"winners/{file_stem(winner)}.tflite"} if winner.precision else {}),
                "card": f"winners/{file_stem(winner)}.json",
            }
            for winner in winners
        },
        notes=tuple(notes),
        floors=[{}, *history.notes("floors")][-1],
    )


def _finalists(history: History, config: CampaignConfig, folder: Path) -> FinalistInput | None:
    known = finalists_of(history)
    if not known:
        return None
    finals = [{}, *history.notes("finals")][-1]
    networks = []
    for number in dict.fromkeys(finalist.entry.number for finalist in known):
        own = [finalist for finalist in known if finalist.entry.number == number]
        trained = defaultdict[str, list[dict[str, Value]]](list)
        for finalist in own:
            if finalist.measured is not None and not finalist.failure:
                trained[finalist.entry.weights].append(_values(finalist.measured["figures"]))
        names = [f.entry.name for f in own if (folder / "winners" / f"{f.entry.name}.tflite").exists()]
        networks.append(
            FinalistNetwork(
                number,
                history.asked[number],
                _values(finals.get(str(number), {})),
                trained,
                tuple(f"{finalist.entry.name}: {finalist.failure}." for finalist in own if finalist.failure),
                {f"{name}.tflite": f"winners/{name}.tflite" for name in names},
            )
        )
    quantities = tuple(Quantity("accuracy", fault=fault) for fault in ("", *config.fault_conditions()))
    return FinalistInput(tuple(networks), quantities, config.has_supernet, _how_trained(config))


def _values(figures: Mapping[str, Any]) -> dict[str, Value]:
    return {name: Value.from_json(document) for name, document in figures.items()}


def _how_trained(config: CampaignConfig) -> str:
    settings = settings_of(config)
    under = "without faults" if settings.faults is None else f"under {settings.faults.model}"
    epochs, seeds = count(settings.epochs, "epoch"), count(config.finalists.seeds, "seed")
    return f"{epochs} {under}, {seeds} from each beginning"


def _no_audit(config: CampaignConfig) -> str:
    if not config.has_supernet:
        return "candidates do not share weights"
    return "the run ended before it" if config.audit.subnets else "the campaign asks for none"


def _stages(history: History) -> dict[str, float]:
    spent = [(str(note["stage"]), float(note["seconds"])) for note in history.notes("stage")]
    spent += [item for evaluation in history.evaluations for item in evaluation.stage_s.items()]
    total: defaultdict[str, float] = defaultdict(float)
    for stage, seconds in spent:
        total[stage] += seconds
    return dict(total)
