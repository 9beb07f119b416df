"""How long a deployment takes, step by step, over a real sshd on loopback with the real base install.

Run: ``python -m benchmarks.deploy [--quick]``

- *One host*: `gauntlet deploy` to a fresh board, the same again, an upgrade (one wheel is new), `gauntlet undeploy`.
  The wheels are here already: collecting them is the package index's affair, and stands in a note. Target: a fresh
  host ≤ 15 s.
- *Many hosts at once* on this one machine, which is sender, lab and all boards at the same time: the figure per host is
  the wall time of all, divided by their number.

Skipped without sshd, and where the wheels cannot be had. Boards keep their files in the temporary folder.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import _stats
from benchmarks._report import Report, Table, main
from orchestrator.deployment.errors import DeploymentError
from orchestrator.deployment.steps import HostReport
from orchestrator.deployment.target import Target
from orchestrator.deployment.wheelhouse import Wheel, Wheelhouses
from tests.orchestrator.deployment.site import Site, a_site
from tests.orchestrator.deployment.sshd import Sshd
from tests.orchestrator.deployment.wheels import make_wheel

_TARGET_S = 15.0


def run(quick: bool) -> Report:
    if shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin") is None:
        return Report(skipped="sshd is not installed")
    with tempfile.TemporaryDirectory(prefix="gauntlet-") as temporary:
        folder = Path(temporary)
        kept = {name: os.environ.get(name) for name in ("XDG_CONFIG_HOME", "GAUNTLET_HOST_LOCK")}
        os.environ["XDG_CONFIG_HOME"] = str(folder / "config")
        os.environ["GAUNTLET_HOST_LOCK"] = str(folder / "host.lock")
        try:
            return asyncio.run(measure(folder, repetitions=1 if quick else 5, many=2 if quick else 20))
        except DeploymentError as error:
            return Report(skipped=error.message)
        finally:
            for name, value in kept.items():
                os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


class Upgraded(Wheelhouses):
    """The same wheels and one more: another release."""

    def wheels(self, target: Target) -> list[Wheel]:
        """See `Wheelhouses`."""
        extra = make_wheel(self._folder / "extra", "upgrade")
        return [*super().wheels(target), Wheel.of(extra)]


async def measure(folder: Path, repetitions: int, many: int) -> Report:
    """Both tables."""
    cache = folder / "cache"
    runs: dict[str, list[HostReport]] = {"fresh": [], "again": [], "upgrade": [], "undeploy": []}
    async with a_site(folder, folder) as site:
        for number in range(repetitions):
            with_board = Sshd(folder / "boards", folder / "key", f"board{number}")
            try:
                host = site.host(with_board)
                if number == 0:
                    collected = good(await site.deploy(host, Wheelhouses(cache)))
                    good(await site.undeploy(host))
                runs["fresh"].append(good(await site.deploy(host, Wheelhouses(cache))))
                runs["again"].append(good(await site.deploy(host, Wheelhouses(cache))))
                runs["upgrade"].append(good(await site.deploy(host, Upgraded(cache))))
                runs["undeploy"].append(good(await site.undeploy(host)))
            finally:
                with_board.close()
        together = await at_once(site, folder, Wheelhouses(cache), many)
    return Report([steps_table(runs, collected), together])


async def at_once(site: Site, folder: Path, wheels: Wheelhouses, many: int) -> Table:
    """Fresh boards, all together."""
    boards = [Sshd(folder / "many", folder / "key", f"one{number}") for number in range(many)]
    try:
        hosts = [site.host(board) for board in boards]
        begin = time.perf_counter()
        reports = await site.deploy_all(hosts, wheels)
        wall_s = time.perf_counter() - begin
    finally:
        for board in boards:
            board.close()
    table = Table("Many hosts at once, fresh")
    slowest_s = max(report.seconds for report in reports)
    well = sum(report.ok for report in reports)
    row = {"hosts": many, "well": well, "wall s": wall_s, "s a host": wall_s / many, "slowest s": slowest_s}
    table.rows.append(row)
    return table


def good(report: HostReport) -> HostReport:
    if report.error is not None:
        raise report.error
    return report


def steps_table(runs: dict[str, list[HostReport]], collected: HostReport) -> Table:
    """A row for each step, medians over the repetitions."""
    names = list(dict.fromkeys(step.name for reports in runs.values() for report in reports for step in report.steps))
    table = Table(f"Steps of a deployment, s, medians of {len(runs['fresh'])}")
    for name in names:
        table.rows.append({"step": name, **{kind: median(reports, name) for kind, reports in runs.items()}})
    totals = {kind: _stats.median([report.seconds for report in reports]) for kind, reports in runs.items()}
    table.rows.append(
        {"step": "all", **totals, "target": f"fresh ≤ {_TARGET_S:g}", "met": totals["fresh"] <= _TARGET_S}
    )
    index = next(step.seconds for step in collected.steps if step.name == "wheels")
    table.notes.append(f"Collecting the wheels from the package index, once for all boards of a kind: {index:.1f} s.")
    return table


def median(reports: Sequence[HostReport], name: str) -> float | None:
    """Of a step; None where no report has it."""
    found = [step.seconds for report in reports for step in report.steps if step.name == name]
    return _stats.median(found) if found else None


if __name__ == "__main__":
    main(run, __doc__)
