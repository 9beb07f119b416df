"""`gauntlet lab backup` and `gauntlet lab restore`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from gauntlet.cli.output import DirOption, JsonOption, print_json, stderr, stdout

_MIB = 1024 * 1024
_SHOWN = 3


def backup(
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="Folder of this lab's backups; made if need be.")],
    folder: DirOption = None,
    keep: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Keep the newest N backups there, remove older ones.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", envvar="GAUNTLET_LAB_CONFIG", help="Keep this file of settings with it."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Copy a lab, on its server, while it runs: database, artifacts, authority.

    Each backup is a folder of its own, complete and verified. What an earlier one
    in TARGET, or the lab on the same disk, has already takes no room again. It
    holds the authority's key: keep it where nobody else can read it.
    """
    from dataclasses import asdict

    from gauntlet.folder import default_folder
    from gauntlet.render.units import count, size
    from orchestrator.backup.making import make

    with _progress("backup") as on_progress:
        made = make(
            (folder or default_folder()).expanduser().absolute(),
            target.expanduser().absolute(),
            keep=keep,
            settings=config.expanduser() if config else None,
            on_progress=on_progress,
        )
    manifest = made.manifest
    if as_json:
        from gauntlet.results_json import document

        here = {"path": str(made.folder), "removed": [*map(str, made.removed)]}
        print_json(document(backup=here | asdict(manifest)))
    else:
        say = stdout()
        say.print(f"backup: {made.folder}", soft_wrap=True)
        artifacts = f"{count(len(manifest.artifacts), 'artifact')} ({size(manifest.artifact_bytes)}"
        shared = f", {size(made.linked_bytes)} of it shared" if made.linked_bytes else ""
        say.print(f"{count(manifest.jobs, 'job')}, {count(manifest.devices, 'device')}, {artifacts}{shared})")
        if made.removed:
            say.print(f"removed: {count(len(made.removed), 'older backup')}")
    if manifest.missing:
        names = [digest[:12] for digest in manifest.missing[:_SHOWN]] + ["…"] * (len(manifest.missing) > _SHOWN)
        lost = f"{count(len(manifest.missing), 'artifact')} of the lab, gone or damaged on its disk: {', '.join(names)}"
        stderr().print(f"warning: not in it: {lost}; upload them again", soft_wrap=True)


def restore(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="A backup, or a folder of them: then the newest.")],
    folder: DirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fill a lab's empty folder from a backup, and check every file of it on the way.

    Start the lab afterwards: jobs that devices held at the time of the backup get
    their time again. What happened since is not in it, revocations too: see
    docs/operating.md.
    """
    from gauntlet.folder import default_folder
    from gauntlet.render.units import clock, count, size
    from orchestrator.backup import restoring

    lab = (folder or default_folder()).expanduser().absolute()
    with _progress("restore") as on_progress:
        chosen = restoring.choose(source.expanduser().absolute())
        manifest = restoring.restore(chosen, lab, on_progress)
    if as_json:
        from dataclasses import asdict

        from gauntlet.results_json import document

        return print_json(document(restored={"path": str(lab), "backup": str(chosen)} | asdict(manifest)))
    from orchestrator.backup.contents import SETTINGS

    say = stdout()
    origin = f"of {manifest.folder} on {manifest.host}, {clock(manifest.made_at)} UTC"
    say.print(f"restored {chosen.name} ({origin}) to {lab}", soft_wrap=True)
    say.print(
        f"{count(manifest.jobs, 'job')}, {count(manifest.devices, 'device')}, "
        f"{count(len(manifest.artifacts), 'artifact')} ({size(manifest.artifact_bytes)})"
    )
    settings = f" --config {lab / SETTINGS}" if SETTINGS in manifest.files else ""
    say.print(f"\nstart it: gauntlet lab up --dir {lab}{settings}", soft_wrap=True)
    say.print(
        "then revoke again whom you revoked since; who joined since joins anew: docs/operating.md", soft_wrap=True
    )
    return None


def add_to(app: typer.Typer) -> None:
    """Make these commands of `gauntlet lab`."""
    for command in (backup, restore):
        app.command(command.__name__)(command)


@contextlib.contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar in MiB; and errors of backups as those of the command line."""
    from gauntlet.errors import GauntletError
    from gauntlet.render.progress import bars
    from orchestrator.backup.contents import BackupError

    with bars() as shown:
        task = shown.add_task(what, total=1, detail="MiB")
        try:
            yield lambda done, total: shown.update(task, completed=done / _MIB, total=max(total, 1) / _MIB)
        except BackupError as error:
            message, _, remedy = str(error).partition("\n")
            raise GauntletError(message, remedy) from error
