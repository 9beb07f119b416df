"""`gauntlet search`, `gauntlet report` and `gauntlet supernet audit`."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gauntlet.cli.output import EXIT_INTERRUPTED, LabDirOption, LabOption, open_lab, stderr, stdout

if TYPE_CHECKING:
    from search.campaign.campaign import Campaign, Outcome
    from search.campaign.contest import Contest
    from search.fleet import Fleet
    from search.replay.table import Table
    from search.runlog import RunLog

EPILOG = """\
[bold]Examples[/]

  gauntlet search examples/digits.yaml                 a campaign on this machine
  gauntlet search mine.yaml --run runs/mine --lab HOST:PORT
  gauntlet search --resume runs/digits                 go on where it was broken off, however it was
  gauntlet search examples/nb201.yaml                  on recorded hardware, in seconds
  gauntlet search --keys                               what a campaign file may say
  gauntlet search --strategies                         what can choose the next candidates
"""

AUDIT_EPILOG = """\
[bold]Examples[/]

  gauntlet supernet audit runs/digits                         30 networks, two trainings each
  gauntlet supernet audit runs/digits --workers 4 --epochs 20
  gauntlet supernet audit runs/digits --budget 3600           as many as an hour of processor time allows
  gauntlet supernet audit runs/digits --fault "adSAF(p=0.08)"
"""

supernet_app = typer.Typer(help="The supernet of a run.", rich_markup_mode="rich")


@supernet_app.callback(invoke_without_command=True)
def supernet(context: typer.Context) -> None:
    """The supernet of a run."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def search(
    file: Annotated[Path | None, typer.Argument(metavar="FILE.yaml", help="The campaign.", show_default=False)] = None,
    run: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the run.  [dim]\\[default: runs/ and the file's name][/]"),
    ] = None,
    resume: Annotated[Path | None, typer.Option(metavar="DIR", help="Go on with the run in this folder.")] = None,
    keys: Annotated[bool, typer.Option("--keys", metavar="", help="List all keys of a campaign file.")] = False,
    strategies: Annotated[
        bool, typer.Option("--strategies", metavar="", help="List the strategies and their settings.")
    ] = False,
    address: LabOption = "",
    lab_dir: LabDirOption = None,
) -> int:
    """Search for networks that are accurate, fast and robust, measuring every candidate on the devices of a lab.

    Writes a run folder: the log, the report (report.html) and the Pareto-optimal models with a card each (winners/).
    """
    from gauntlet.errors import UsageError

    if keys:
        return _print_keys()
    if strategies:
        return _print_strategies()
    if (file is None) == (resume is None):
        raise UsageError("name a campaign file, or a run to --resume", "see gauntlet search --help")
    log = _open_log(file, run, resume)
    with log:
        return _carry_out(log, address, lab_dir)


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.", show_default=False)],
) -> int:
    """Draw the report of a run again, from its log; the run may be under way."""
    from search.campaign.reporting import report as draw

    stdout().print(str(draw(run)))
    return 0


@supernet_app.command(epilog=AUDIT_EPILOG)
def audit(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.", show_default=False)],
    subnets: Annotated[int, typer.Option(min=1, metavar="COUNT", help="Networks to train alone.")] = 30,
    seeds: Annotated[int, typer.Option(min=1, metavar="COUNT", help="Trainings of each.")] = 2,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, metavar="COUNT", help="Of each training.  [dim]\\[default: the campaign's][/]"),
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONDITION",
            help="Fault condition to judge under as well; may be repeated; none, for no faults.  "
            "[dim]\\[default: all of the campaign][/]",
        ),
    ] = None,
    patterns: Annotated[int, typer.Option(min=2, metavar="COUNT", help="Patterns of faults under each.")] = 30,
    budget: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Processor time of training after which no further network is begun."),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=0, metavar="COUNT", help="Processes that train, of one thread each; 0: this one.")
    ] = 1,
) -> int:
    """Does accuracy inherited from the supernet rank networks as training them alone does?

    States Kendall's tau with its interval, without faults and under them: over all
    pairs, among networks of like MACs, beside a count of MACs, and beside the
    ceiling that two seeds of training alone set. Trainings are kept in the run: the
    same command goes on where it was broken off. The report is drawn again.
    """
    from gauntlet.render.audit import figures
    from gauntlet.render.progress import bars
    from search.campaign.audits import Wishes, audit_run
    from search.campaign.reporting import report as draw

    conditions = None if fault is None else [condition for condition in fault if condition != "none"]
    wishes = Wishes(subnets, seeds, epochs, conditions, patterns, budget, workers)
    with bars() as progress:
        tasks = {
            stage: progress.add_task(words, total=None, detail="")
            for stage, words in (("inherited", "judging inherited weights"), ("alone", "training networks alone"))
        }

        def show(stage: str, done: int, total: int) -> None:
            progress.update(tasks[stage], completed=done, total=total)

        found = audit_run(run, wishes, show)
    stdout().print(figures(found))
    stdout().print(f"report  {draw(run)}")
    return 0


def _open_log(file: Path | None, run: Path | None, resume: Path | None) -> RunLog:
    from search.campaign.campaign import create
    from search.campaign.config import load
    from search.runlog import RunLog

    if resume is not None:
        return RunLog.open(resume)
    assert file is not None
    config = load(file)
    return create(run or Path("runs") / file.stem, config)


def _carry_out(log: RunLog, address: str, lab_dir: Path | None) -> int:
    from gauntlet.render.campaign import summary
    from gauntlet.render.strategies import render
    from search.campaign.reporting import COMPARISON, draw

    folder = log.path.parent
    with _stopping() as stop:
        outcome = _run(log, address, lab_dir, stop)
    compared = draw(log.history, folder)
    stdout().print(summary(log.history, folder, outcome.complete))
    if compared is not None:
        stdout().print(render(compared, stdout().width))
        stdout().print(f"page    {folder / COMPARISON}")
    if not outcome.complete:
        stderr().print(f"stopped; go on with: gauntlet search --resume {folder}", style="bold")
        return EXIT_INTERRUPTED
    return 0


def _run(log: RunLog, address: str, lab_dir: Path | None, stop: threading.Event) -> Outcome:
    import asyncio

    from gauntlet.render.progress import campaign_bars
    from search.campaign.campaign import Campaign, Observer
    from search.campaign.config import parse
    from search.campaign.contest import Contest

    config = parse(dict(log.history.about["config"]), str(log.path))
    kind = Contest if config.compare.strategies else Campaign
    with campaign_bars(config) as shown:
        observer = Observer(shown.stage, shown.trained, shown.evaluated, shown.audited, shown.note, shown.finalists)
        campaign = kind(log, observer, stop.is_set)
        campaign.check()
        with _fleet(campaign.problem.table, address, lab_dir) as fleet:
            return asyncio.run(_connected(campaign, fleet))


@contextmanager
def _fleet(table: Table | None, address: str, lab_dir: Path | None) -> Iterator[Callable[[], Fleet]]:
    """The devices of a lab, or those of a recorded table; made where the loop runs."""
    from orchestrator.client import Client
    from search.replay.fleet import ReplayFleet

    if table is not None:
        yield partial(ReplayFleet, table)
        return
    with open_lab(address, lab_dir) as lab:
        yield partial(Client, lab.client.address)


async def _connected(campaign: Campaign | Contest, fleet: Callable[[], Fleet]) -> Outcome:
    async with fleet() as connected:
        return await campaign.run(connected)


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """Ctrl-C asks for a clean stop; a second one interrupts at once."""
    stop = threading.Event()

    def on_signal(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        stderr().print("stopping after this step; Ctrl-C again to stop at once")

    before = signal.signal(signal.SIGINT, on_signal)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def _print_strategies() -> int:
    from rich.table import Table
    from rich.text import Text

    from search.errors import StrategyError
    from search.strategies.registry import STRATEGIES, settings_of

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("strategy", no_wrap=True, style="bold")
    table.add_column("what it does")
    table.add_column("settings, with their defaults", overflow="fold")
    for name, entry in sorted(STRATEGIES.items()):
        try:
            settings = ", ".join(f"{key}: {parameter.default}" for key, parameter in settings_of(name).items())
        except StrategyError as error:
            settings = f"{error.message}: {error.remedy}"
        table.add_row(name, entry.summary, Text(settings))
    stdout().print(table)
    return 0


def _print_keys() -> int:
    from rich.table import Table
    from rich.text import Text

    from search.campaign.config import CampaignConfig
    from search.campaign.keys import explain

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("key", "default", "meaning"):
        table.add_column(column, overflow="fold")
    for key, default, meaning in explain(CampaignConfig):
        # As text: a default such as [m, c] is no markup.
        table.add_row(Text(key, "" if "." in key or default else "bold"), Text(default), Text(meaning))
    stdout().print(table)
    return 0
