"""Does searching for fault tolerance, and training for it, pay? FTT-NAS (Ning et al., ACM TODAES 2021) at our scale.

Run: ``python -m benchmarks.ftt_nas short --data DIR --out DIR [--workers 2]``, with CIFAR-10's binary files in --data.
Run again it goes on where it was broken off. Settings: short, overnight, gpu; ``--quick`` takes handwritten digits.

A campaign (``examples/ftt_cifar10.yaml``) searches with a supernet that was trained under faults. The network that it
chooses, random networks of its space of the same MACs ± 5 %, another one for each seed, and networks of other people's
are then trained from scratch, all by the same recipe, exported as int8 files and tested in LiteRT on test images under
fault patterns that no search has seen. Endpoint, fixed before: the difference of mean accuracy at the setting's fault
rate between the searched network and (a) the best of the others' that were trained under faults, (b) the random ones,
in pairs of training seeds, with Student's 95 % interval over seeds. A gain is claimed where the interval lies above 0.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks._ftt_report import tables
from benchmarks._ftt_settings import QUICK, SETTINGS
from benchmarks._ftt_study import Study
from benchmarks._report import Report, Table, main
from search.executors import executor


def run(quick: bool, options: argparse.Namespace | None = None) -> Report:
    options = options or parser().parse_args([])
    if not quick and options.data is None:
        return Report(skipped="it takes an hour or more: name a setting, --data and --out (--help)")
    with tempfile.TemporaryDirectory(prefix="ftt-") as temporary:
        folder = options.out or Path(temporary)
        found: list[Table] = []
        for setting in (QUICK,) if quick else SETTINGS[options.setting]:
            if not quick:
                setting = replace(setting, recipe=replace(setting.recipe, data=str(options.data.resolve())))
            study = Study(setting, (folder / setting.name).resolve())
            failures: list[str] = []
            if not options.report:
                with executor(options.workers, note=print) as workers:
                    failures = study.carry_out(workers, max(1, options.workers))
                study.measure()
            found += tables(study, failures)
    return Report(found)


def parser() -> argparse.ArgumentParser:
    """Options of this benchmark alone."""
    made = argparse.ArgumentParser(add_help=False)
    made.add_argument("setting", nargs="?", choices=tuple(SETTINGS), default="short", help="how large (short)")
    made.add_argument("--data", type=Path, metavar="DIR", help="CIFAR-10's binary files")
    made.add_argument("--out", type=Path, metavar="DIR", help="keep all results there, and go on with those that are")
    made.add_argument("--workers", type=int, default=0, metavar="N", help="processes, of one thread each (0: this one)")
    made.add_argument("--report", action="store_true", help="only draw the tables of what is there")
    return made


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    chosen = argparse.Namespace()
    main(lambda quick: run(quick, chosen), __doc__, parents=[parser()], chosen=chosen)
