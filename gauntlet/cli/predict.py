"""`gauntlet predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gauntlet.cli.output import JsonOption, print_json, stdout

if TYPE_CHECKING:
    from search.predicting import Forecast
    from search.spaces.base import Architecture


def predict(
    architectures: Annotated[
        list[str] | None,
        typer.Argument(metavar="ARCHITECTURE...", help="Networks of the space, by their texts.", show_default=False),
    ] = None,
    source: Annotated[
        Path,
        typer.Option("--from", metavar="RUN|TABLE", help="Folder of a run, or a recorded table.", show_default=False),
    ] = ...,  # type: ignore[assignment]  # typer's word for "needed"
    figure: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="What to predict, such as latency_s@pi4; may be repeated.  [dim]\\[default: all costs of devices][/]",
            show_default=False,
        ),
    ] = None,
    sample: Annotated[
        int, typer.Option(min=0, metavar="COUNT", help="As well, so many random networks that nobody measured.")
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, metavar="NUMBER", help="Of that draw.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Predict figures of networks that nobody measured, from those that somebody did.

    Latency, energy, memory and accuracy on the devices of a run or of a recorded
    table. A predicted figure is labelled so, with an interval, and with how far
    off its model was where it was not shown the answer. What was measured, or
    recorded, is told as it is.

      [cyan]gauntlet predict --from runs/digits --sample 5[/]
      [cyan]gauntlet predict --from runs/digits --figure latency_s@local TEXT[/]
      [cyan]gauntlet predict --from table.parquet --figure energy_j@pi4 --json TEXT[/]
    """
    from gauntlet.errors import UsageError
    from search.predicting import Known, forecasts

    if not architectures and not sample:
        raise UsageError("nothing to predict", "name networks by their texts, or draw some with --sample 5")
    known = Known.read(source)
    names = known.names(figure or ())
    wanted = [*map(known.architecture, architectures or ()), *known.unknown(sample, seed)]
    if not wanted:
        raise UsageError(f"all networks that were drawn are in {source}", "name some by their texts")
    found = forecasts(known, names, wanted)
    if as_json:
        print_json(_document(source, known.space.name, wanted, found))
        return
    from gauntlet.render.predict import report

    stdout().print(report(known, wanted, found))


def _document(source: Path, space: str, architectures: list[Architecture], forecasts: list[Forecast]) -> dict[str, Any]:
    from gauntlet.results_json import document, figure_document

    return document(
        predicted_from=str(source),
        space=space,
        figures=[
            {
                "name": forecast.name,
                "measurements": forecast.trust.measurements,
                "held_out": {
                    "median_relative_error": forecast.trust.median_error,
                    "kendall_tau": forecast.trust.tau,
                    "in_interval": forecast.trust.covered,
                },
                "values": [
                    {"architecture": architecture.text, **figure_document(value.to_figure())}
                    for architecture, value in zip(architectures, forecast.values, strict=True)
                ],
            }
            for forecast in forecasts
        ],
    )
