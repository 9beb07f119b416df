"""`gauntlet faults` and `gauntlet replay`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gauntlet.cli.choices import DEVICE, RuntimeOption, ThreadsOption
from gauntlet.cli.output import (
    EXIT_INTERRUPTED,
    JsonOption,
    LabDirOption,
    LabOption,
    open_lab,
    print_json,
    stderr,
    stdout,
)
from gauntlet.cli.parse import delegate_of_litert, share
from gauntlet.cli.progress import Show, progress

if TYPE_CHECKING:
    from gauntlet.faults.result import FaultCampaign
    from gauntlet.faults.settings import FaultSettings

EPILOG = (
    "[bold]Exit status[/]: 0 done; 1 a measurement failed or the lab is gone; 2 asked wrongly; 130 interrupted, the "
    "same command goes on where it was left."
)
_FAULTS, _PRECISION, _FURTHER = "What breaks", "How precisely", "What else is found"


def faults(
    model: Annotated[
        Path | None, typer.Argument(metavar="MODEL.tflite", help="Model to break.", show_default=False)
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="FILE.npz", help="Labelled data set; gauntlet.save_data_set writes one."),
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(metavar="MODEL", help="Fault model, such as 'iBF(p=1e-4)'; repeatable.", rich_help_panel=_FAULTS),
    ] = None,
    rates: Annotated[
        str,
        typer.Option(
            metavar="FROM:TO[:COUNT]",
            help="Sweep the rate: 1e-6:1e-2 by decades, 1e-6:1e-2:9, or a list 1e-5,3e-5.",
            rich_help_panel=_FAULTS,
        ),
    ] = "",
    site: Annotated[
        str,
        typer.Option(
            metavar="weights|before|after",
            help="Weights, or features before or after the activation.  [dim]\\[default: the model's usual one][/]",
            rich_help_panel=_FAULTS,
        ),
    ] = "",
    scale: Annotated[
        str,
        typer.Option(
            metavar="deployed|power-of-two", help="Steps in which features have bits.", rich_help_panel=_FAULTS
        ),
    ] = "deployed",
    target: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN", help="Tensors to break, such as '*conv*'; repeatable.", rich_help_panel=_FAULTS
        ),
    ] = None,
    operation: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Operators to break, such as CONV_2D.", rich_help_panel=_FAULTS),
    ] = None,
    bits: Annotated[
        str, typer.Option(metavar="LOW[-HIGH]", help="Bits that may be hit; 7 is the sign.", rich_help_panel=_FAULTS)
    ] = "",
    lifetime: Annotated[
        str,
        typer.Option(
            metavar="KIND",
            help="permanent, transient, or intermittent:SHARE.  [dim]\\[default: permanent in weights, transient in "
            "features][/]",
            rich_help_panel=_FAULTS,
        ),
    ] = "",
    seed: Annotated[int, typer.Option(min=0, metavar="NUMBER", help="Of the patterns.", rich_help_panel=_FAULTS)] = 0,
    precision: Annotated[
        str,
        typer.Option(
            metavar="PERCENT",
            help="Draw patterns until the mean accuracy is known this well, on either side.",
            rich_help_panel=_PRECISION,
        ),
    ] = "1%",
    confidence: Annotated[
        float, typer.Option(metavar="SHARE", help="Of all intervals.", rich_help_panel=_PRECISION)
    ] = 0.95,
    min_patterns: Annotated[
        int, typer.Option(metavar="COUNT", help="Fewest patterns.", rich_help_panel=_PRECISION)
    ] = 30,
    max_patterns: Annotated[
        int, typer.Option(metavar="COUNT", help="Most patterns.", rich_help_panel=_PRECISION)
    ] = 200,
    device: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Device; repeatable: the campaign runs on each.", rich_help_panel=DEVICE),
    ] = None,
    runtime: RuntimeOption = "",
    threads: ThreadsOption = 1,
    delegate: Annotated[
        str, typer.Option(metavar="xnnpack|none", help="Delegate.", rich_help_panel=DEVICE)
    ] = "xnnpack",
    batch: Annotated[
        int, typer.Option(min=1, metavar="COUNT", help="Samples to a call; changes no fault.", rich_help_panel=DEVICE)
    ] = 128,
    map_place: Annotated[
        str,
        typer.Option(
            "--map",
            metavar="weights|features",
            help="Find out which bit of which tensor does the harm, one flip at a time.",
            rich_help_panel=_FURTHER,
        ),
    ] = "",
    map_margin: Annotated[
        str,
        typer.Option(metavar="PERCENT", help="Precision of each tensor and bit of the map.", rich_help_panel=_FURTHER),
    ] = "10%",
    map_images: Annotated[
        int,
        typer.Option(min=1, metavar="COUNT", help="Samples that each flip is tried on.", rich_help_panel=_FURTHER),
    ] = 100,
    protect: Annotated[
        str,
        typer.Option(
            metavar="BUDGETS",
            help="Propose protection of weights for so much more memory, such as 5%,10%,25%, and try it. Needs --map.",
            rich_help_panel=_FURTHER,
        ),
    ] = "",
    protection: Annotated[
        str, typer.Option(metavar="tmr|secded", help="Kind of protection.", rich_help_panel=_FURTHER)
    ] = "tmr",
    fit: Annotated[
        float | None,
        typer.Option(
            metavar="RATE",
            help="Raw upsets in 10⁹ h for 10⁶ bits: gives the time between wrong answers. Needs --map.",
            rich_help_panel=_FURTHER,
        ),
    ] = None,
    inferences: Annotated[
        float, typer.Option(metavar="PER_SECOND", help="In the field, with --fit.", rich_help_panel=_FURTHER)
    ] = 1.0,
    scrub: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", help="Weights are written anew so often, with --fit.", rich_help_panel=_FURTHER
        ),
    ] = 86400.0,
    residency: Annotated[
        float,
        typer.Option(
            metavar="SHARE", help="Of the time a bit is still to be read, with --fit.", rich_help_panel=_FURTHER
        ),
    ] = 1.0,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the campaign.  [dim]\\[default: faults- and the model's name][/]"),
    ] = None,
    listing: Annotated[bool, typer.Option("--list", metavar="", help="List the fault models, and leave.")] = False,
    lab: LabOption = "",
    lab_dir: LabDirOption = None,
    as_json: JsonOption = False,
) -> int:
    """Break a model bit by bit on real devices: accuracy under faults, and which bits do the harm.

    Faults strike the deployed file: bytes of its weights, or its feature maps
    while it runs. Patterns are drawn until the accuracy is known as precisely as
    asked. The folder holds a report, figures, tables (Parquet) and every fault,
    for gauntlet replay. The same command goes on where it was broken off.

      [cyan]gauntlet faults m.tflite --data test.npz --fault "iBF(p=1e-4)"[/]
      [cyan]gauntlet faults m.tflite --data test.npz --fault iBF --fault adSAF --rates 1e-5:1e-2[/]
      [cyan]gauntlet faults m.tflite --data test.npz --fault MiBB --rates 1e-6:1e-4 --site after[/]
      [cyan]gauntlet faults m.tflite --data test.npz --map weights --fit 600[/]
      [cyan]gauntlet faults m.tflite --data test.npz --fault "iBF(p=1e-3)" --map weights --protect 5%,10%[/]
    """
    from gauntlet.errors import UsageError

    if listing:
        return _list_models()
    if model is None or data is None:
        missing = "model" if model is None else "data set"
        raise UsageError(f"no {missing} given", "gauntlet faults MODEL.tflite --data FILE.npz --fault 'iBF(p=1e-4)'")
    from fault_injection.models import Place
    from fault_injection.precision import Precision
    from gauntlet.faults import settings as s

    if map_place not in ("", "weights", "features"):
        raise UsageError(f"--map: {map_place} is neither weights nor features")
    if not map_place and (protect or fit is not None):
        raise UsageError(
            f"{'--protect' if protect else '--fit'} follows from the map of single flips", "add --map weights"
        )
    if protect and map_place != "weights":
        raise UsageError("--protect is about weights", "give --map weights")
    if protection not in ("tmr", "secded"):
        raise UsageError(f"--protection: {protection} is neither tmr nor secded")
    if not 0 < confidence < 1:
        raise UsageError(f"--confidence must lie between 0 and 1, not {confidence:g}")
    wanted = s.FaultSettings(
        model=model,
        data=data,
        conditions=s.conditions(
            fault or [],
            rates=rates,
            position=site,
            scale=scale,
            targets=target or (),
            operations=operation or (),
            bits=bits,
            lifetime=lifetime,
            seed=seed,
        ),
        precision=Precision(share(precision), confidence, min_patterns, max_patterns),
        devices=tuple(device or ()),
        runtime=runtime,
        threads=threads,
        delegate=delegate_of_litert(delegate),
        batch=batch,
        map=s.MapSettings(share(map_margin, "--map-margin"), map_images) if map_place else None,
        protect=s.ProtectSettings(tuple(share(part, "--protect", math.inf) for part in protect.split(",")), protection)
        if protect
        else None,
        service=s.ServiceSettings(fit, inferences, scrub, residency) if fit is not None else None,
        place=Place(map_place) if map_place else Place.WEIGHTS,
        seed=seed,
    )
    s.check(wanted)
    folder = out or Path(f"faults-{model.stem}")
    try:
        with progress() as show:
            campaign = _carry_out(wanted, folder, lab, lab_dir, show)
    except KeyboardInterrupt:
        stderr().print(f"interrupted; the same command goes on from what {folder} holds")
        return EXIT_INTERRUPTED
    if as_json:
        print_json(campaign.to_dict())
        return 0
    from rich.text import Text

    from gauntlet.render.faults import report

    console = stdout()
    console.print(report(campaign, console.width))
    where = Text.assemble(("report, figures, tables and faults: ", "dim"), f"{folder}/report.html")
    console.print(where, soft_wrap=True)
    return 0


def _carry_out(wanted: FaultSettings, folder: Path, lab: str, lab_dir: Path | None, show: Show) -> FaultCampaign:
    from gauntlet.faults import campaign as c
    from gauntlet.faults.document import write_parquet
    from gauntlet.faults.report import write_report

    show("looking at the model")
    c.check_plans(wanted.model.read_bytes(), wanted)
    show("starting the lab" if not lab else f"connecting to {lab}")
    with open_lab(lab, lab_dir) as opened:
        campaign = c.run(opened, wanted, folder, show)
    for written in c.write_faults(campaign, folder / "faults", show):
        if written.remark:
            with show.paused():
                stderr().print(f"note: {written.path or 'no file of faults'}: {written.remark}", soft_wrap=True)
    show("drawing the report")
    write_parquet(campaign, folder)
    write_report(campaign, folder)
    return campaign


def replay(
    file: Annotated[Path, typer.Argument(metavar="FAULTS.npz", help="File of faults.", show_default=False)],
    model: Annotated[
        Path, typer.Argument(metavar="MODEL.tflite", help="Model that they belong to.", show_default=False)
    ],
    data: Annotated[Path, typer.Option(metavar="FILE.npz", help="Data set of the campaign.")],
    pattern: Annotated[int, typer.Option(min=0, metavar="NUMBER", help="Which pattern.")] = 0,
    device: Annotated[str, typer.Option(metavar="ID", help="Device; any if left out.")] = "",
    runtime: Annotated[str, typer.Option(metavar="NAME", help="Runtime; the device's first if left out.")] = "",
    delegate: Annotated[str, typer.Option(metavar="xnnpack|none", help="Delegate, as in the campaign.")] = "xnnpack",
    lab: LabOption = "",
    lab_dir: LabDirOption = None,
    as_json: JsonOption = False,
) -> int:
    """Inject one pattern of faults again, exactly as it is written.

    [cyan]gauntlet replay faults-m/faults/4f2a….npz m.tflite --data test.npz --pattern 7[/]
    """
    from gauntlet import files
    from gauntlet.faults import replay as r

    files.check_model(model)
    files.check_data(data, "labels")
    r.read_record(file)
    delegate = delegate_of_litert(delegate)
    with progress() as show:
        show("starting the lab" if not lab else f"connecting to {lab}")
        with open_lab(lab, lab_dir) as opened:
            show(f"pattern {pattern}")
            done = r.replay(opened, file, pattern, model, data, device, runtime, delegate)
    outcomes = done.outcomes
    document = {
        "fault_model": str(done.record.plan.model),
        "pattern": done.pattern,
        "device_id": done.device_id,
        "faults": done.faults,
        "digest": outcomes.digests[0],
        "samples": outcomes.samples,
        "clean_accuracy": outcomes.clean_accuracy,
        "accuracy": outcomes.accuracies[0],
        "changed": outcomes.changed[0],
        "critical": outcomes.critical[0],
        "non_finite": outcomes.non_finite[0],
    }
    if as_json:
        print_json(document)
        return 0
    console = stdout()
    console.print(
        f"{done.record.plan.model}, pattern {pattern}, on {done.device_id}: {done.faults:,} faults as written"
    )
    console.print(
        f"accuracy {outcomes.accuracies[0]:.2%} (clean {outcomes.clean_accuracy:.2%}) on {outcomes.samples:,} samples; "
        f"{outcomes.changed[0]} changed their class, {outcomes.critical[0]} from right to wrong"
    )
    return 0


def _list_models() -> int:
    from rich.table import Table

    from fault_injection.models import MODELS

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("fault model", "strikes", "what it is"):
        table.add_column(heading, no_wrap=heading == "strikes")
    for model in MODELS.values():
        summary = (model.__doc__ or "").partition("\n")[0].partition(": ")[2].rstrip(".")
        table.add_row(_form(model), ", ".join(place.value for place in model.places), summary)
    stdout().print(table)
    return 0


def _form(model: type) -> str:
    """How a model is written, required parameters by name, others with their defaults."""
    import dataclasses

    parts = [
        field.name
        if field.default is dataclasses.MISSING
        else f"{field.name}={field.default:g}"
        if isinstance(field.default, float)
        else f"{field.name}={field.default}"
        for field in dataclasses.fields(model)
    ]
    return f"{model.name}({', '.join(parts)})" if parts else model.name  # type: ignore[attr-defined]
