"""Run benchmarks, each in a process of its own: ``python -m benchmarks [--quick] [--json FILE] [NAME …]``.

A benchmark is a module of this package whose name does not begin with an underscore; it offers ``run(quick) -> Report``
and the command line of `_report.main`. The exit status says whether all of them ran, never whether a figure was good.
"""

from __future__ import annotations

import argparse
import json
import pkgutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import benchmarks
from benchmarks._lab import PROJECT


def main() -> int:
    known = sorted(m.name for m in pkgutil.iter_modules(benchmarks.__path__) if not m.name.startswith("_"))
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which, all if left out: {', '.join(known)}")
    parser.add_argument("--quick", action="store_true", help="seconds each; shows that they run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - set(known)):
        parser.error(f"there is no benchmark {', '.join(unknown)}; there is {', '.join(known)}")
    figures, failed = {}, []
    with tempfile.TemporaryDirectory(prefix="gauntlet-") as folder:
        for name in options.names or known:
            print(f"── {name}", flush=True)
            begin = time.monotonic()
            answer = Path(folder) / f"{name}.json"
            command = [sys.executable, "-m", f"benchmarks.{name}", "--json", str(answer)]
            status = subprocess.run([*command, *["--quick"] * options.quick], cwd=PROJECT).returncode
            if status == 0 and answer.is_file():
                figures[name] = json.loads(answer.read_text())
            else:
                failed.append(name)
                print(f"{name} FAILED with status {status}", flush=True)
            print(f"   {name}: {time.monotonic() - begin:.0f} s\n", flush=True)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
