"""`buf breaking` against main: a message that agents in the field speak must not change its meaning.

Skipped, saying so, where there is no earlier state to compare with.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Entry point; buf's exit code."""
    base = _base()
    if base is None:
        print("buf breaking: skipped, no earlier commit to compare with")
        return 0
    print(f"buf breaking: against {base}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "archive", base, "protos"], cwd=ROOT, capture_output=True, check=True)
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        buf = Path(sys.executable).parent / "buf"
        command = [buf, "breaking", "--against", f"{folder}/protos"]
        return subprocess.run(command, cwd=ROOT / "protos", check=False).returncode


def _base() -> str | None:
    """The main that this work builds on: the remote's, or, on main itself, the commit before."""
    head = _resolve("HEAD")
    for ref in ("origin/main", "HEAD~1"):
        if _resolve(f"{ref}:protos/buf.yaml") and _resolve(ref) != head:
            return ref
    return None


def _resolve(ref: str) -> str:
    command = ["git", "rev-parse", "--verify", "--quiet", ref]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
