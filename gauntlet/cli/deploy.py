"""`gauntlet deploy` and `gauntlet undeploy`."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gauntlet.cli.output import EXIT_INTERRUPTED, JsonOption, print_json, stderr, stdout

if TYPE_CHECKING:
    from orchestrator.deployment.dialing import Dialer
    from orchestrator.deployment.hosts import Host
    from orchestrator.deployment.lab import LabSide
    from orchestrator.deployment.parallel import Work
    from orchestrator.deployment.steps import Observer

_ANSWERS_WITHIN_S = 5.0
EPILOG = "[bold]Exit status[/]: 0 all hosts are as asked, 1 some are not, 2 asked wrongly, 130 interrupted."

HostsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="HOST...", help="Name in ~/.ssh/config or in the inventory, or \\[user@]host\\[:port]."),
]
InventoryOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE.yaml", help="Hosts, and what is wanted of each; all of them, or those named."),
]
LabOption = Annotated[
    str, typer.Option("--lab", metavar="HOST:PORT", envvar="GAUNTLET_LAB", help="Lab that the boards join; with TLS.")
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", metavar="", help="Look, say what each step would do, and change nothing there.")
]
TrustOption = Annotated[
    bool, typer.Option("--trust", metavar="", help="Show the keys of hosts that are not known yet, and ask.")
]
JobsOption = Annotated[int, typer.Option("--jobs", metavar="COUNT", min=1, help="So many hosts at once.")]


def deploy(
    hosts: HostsArgument = None,
    lab: LabOption = "",
    inventory: InventoryOption = None,
    dry_run: DryRunOption = False,
    trust: TrustOption = False,
    jobs: JobsOption = 20,
    python: Annotated[
        Path | None,
        typer.Option(metavar="FILE.tar.gz", help="A standalone Python for boards whose own is missing or too old."),
    ] = None,
    wheelhouse: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Wheels to give instead of those that pip collects.")
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Bring the agent to boards over SSH, let it join the lab, and keep it running there.

    [cyan]gauntlet deploy pi4 jetson --lab lab.example:50151[/]    of ~/.ssh/config
    [cyan]gauntlet deploy --inventory boards.yaml --dry-run[/]     what would be done?
    [cyan]gauntlet deploy pi@192.168.1.20 --trust[/]               with a new host key

    A board needs an SSH server, Python ≥ 3.9 and 300 MB; no internet, no port
    but that of SSH. Run again, it changes nothing, or brings what is new; an
    agent that does not come up gives way to the one before.
    """
    from orchestrator.deployment.rollout import Options, Rollout
    from orchestrator.deployment.wheelhouse import Wheelhouses, cache_folder

    with _one_line():
        chosen = _hosts(hosts or [], inventory)
        options = Options(dry_run=dry_run, python=python)
        houses = Wheelhouses(cache_folder(), wheelhouse)
        with _lab(lab) as side, _dialer() as dialer:
            if trust:
                _ask_for_keys(chosen, dialer)

            def work(host: Host, observer: Observer, stop: threading.Event) -> Work:
                return Rollout(host, dialer.connect, side, houses, options, observer, stop)

            return _carry_out(chosen, work, jobs, dry_run, as_json)


def undeploy(
    hosts: HostsArgument = None,
    lab: LabOption = "",
    inventory: InventoryOption = None,
    dry_run: DryRunOption = False,
    trust: TrustOption = False,
    jobs: JobsOption = 20,
    as_json: JsonOption = False,
) -> int:
    """Remove the agent from boards, with all that `deploy` brought, and revoke its certificate.

    [cyan]gauntlet undeploy pi4 --lab lab.example:50151[/]

    What it is measuring is measured again elsewhere; results that it has not
    sent yet are lost. To let it finish first: [cyan]gauntlet devices drain pi4[/].
    """
    from orchestrator.deployment.removal import Removal

    with _one_line():
        chosen = _hosts(hosts or [], inventory)
        with _lab(lab) if lab else contextlib.nullcontext() as side, _dialer() as dialer:
            if trust:
                _ask_for_keys(chosen, dialer)

            def work(host: Host, observer: Observer, stop: threading.Event) -> Work:
                return Removal(host, dialer.connect, side, dry_run, observer, stop)

            return _carry_out(chosen, work, jobs, dry_run, as_json)


def _carry_out(
    hosts: Sequence[Host],
    work: Callable[[Host, Observer, threading.Event], Work],
    jobs: int,
    dry_run: bool,
    as_json: bool,
) -> int:
    from gauntlet.render.deploy import LiveTable, plan, report_document, reports_table
    from orchestrator.deployment.parallel import run_all

    stop = threading.Event()
    table = LiveTable([host.name for host in hosts])
    with _shown(table):
        reports = run_all([work(host, table, stop) for host in hosts], jobs, stop, table)
    if as_json:
        from gauntlet.results_json import document

        print_json(document(hosts=[report_document(report) for report in reports]))
    else:
        stdout().print(plan(reports) if dry_run else reports_table(reports))
    if stop.is_set():
        return EXIT_INTERRUPTED
    return 0 if all(report.ok for report in reports) else 1


@contextlib.contextmanager
def _shown(table: object) -> Iterator[None]:
    """On the terminal while it goes, if there is one."""
    console = stderr()
    if not console.is_terminal:
        yield
        return
    from rich.live import Live

    with Live(
        get_renderable=lambda: table,  # type: ignore[arg-type,return-value]
        console=console,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
        refresh_per_second=8,
    ):
        yield


def _hosts(names: Sequence[str], inventory: Path | None) -> list[Host]:
    from gauntlet.errors import UsageError
    from orchestrator.deployment.hosts import check_distinct
    from orchestrator.deployment.inventory import read_inventory, select
    from orchestrator.deployment.sshconfig import named

    if inventory is not None:
        return select(read_inventory(inventory), names)
    if not names:
        raise UsageError("no host is named", "name one of ~/.ssh/config, or user@host; or give --inventory FILE.yaml")
    hosts = [named(name) for name in names]
    check_distinct(hosts)
    return hosts


@contextlib.contextmanager
def _lab(address: str) -> Iterator[LabSide]:
    from gauntlet.errors import UsageError
    from orchestrator.client import SyncClient
    from orchestrator.deployment.lab import LabSide

    if not address:
        raise UsageError(
            "no lab is named that boards could join",
            "--lab HOST:PORT, or GAUNTLET_LAB; `gauntlet lab init` makes one, docs/security.md tells how",
        )
    with SyncClient(address) as client:
        client.wait_ready(_ANSWERS_WITHIN_S)
        yield LabSide(client)


def _dialer() -> Dialer:
    from orchestrator.deployment.dialing import Dialer

    return Dialer()


def _ask_for_keys(hosts: Sequence[Host], dialer: Dialer) -> None:
    """Show each key that is not known yet; it is kept when a person says that it is the host's."""
    from gauntlet.errors import UsageError
    from orchestrator.deployment.errors import DeploymentError, HostKeyError
    from orchestrator.deployment.hostkeys import remember

    for host in hosts:
        while True:
            try:
                dialer.connect(host).close()
            except HostKeyError as error:
                if error.changed:
                    break  # nobody can agree to that: the run says why
                if not sys.stdin.isatty():
                    raise UsageError(
                        f"{error.message}, and there is no terminal to ask at",
                        "run it in a terminal, or add the key to ~/.ssh/known_hosts after comparing it",
                    ) from error
                shown = error.shown
                stderr().print(f"{shown.host.where} shows {shown.kind} {shown.fingerprint}", soft_wrap=True)
                stderr().print("compare it, on that machine: ssh-keygen -l -f /etc/ssh/ssh_host_*_key.pub")
                if not typer.confirm("is it that host's?", err=True):
                    break
                remember(shown)
                continue
            except DeploymentError:
                pass  # said in the run
            break


@contextlib.contextmanager
def _one_line() -> Iterator[None]:
    """What concerns no single host ends the command."""
    from gauntlet.errors import GauntletError, UsageError
    from orchestrator.deployment.errors import DeploymentError, InventoryError

    try:
        yield
    except InventoryError as error:
        raise UsageError(error.message, error.remedy) from error
    except DeploymentError as error:
        raise GauntletError(error.message, error.remedy) from error
