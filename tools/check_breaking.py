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
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "archive", base, "protos"], cwd=ROOT, capture_output=True, check=True)
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        buf = Path(sys.executable).parent / "buf"
        command = [buf, "breaking", "--against", f"{folder}/protos"]
        return subprocess.run(command, cwd=ROOT / "protos", check=False).returncode


def _base() -> str | None:
    """Where this work left main: its remote state, or the last release tag."""
    for ref in ("origin/main", "main~1"):
        found = subprocess.run(
            ["git", "rev-parse", "--verify", "--quiet", f"{ref}:protos/buf.yaml"], cwd=ROOT, check=False
        )
        if found.returncode == 0:
            return ref
    return None


if __name__ == "__main__":
    sys.exit(main())
