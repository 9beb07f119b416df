"""The base install, as a device gets it: a fresh environment, no extras, on the oldest Python >= 3.9 found here.

Checks that `gauntlet-agent` starts, that neither torch nor SQLAlchemy came along, and that the agent's tests pass.
Prints the size of the installation.
"""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FLOOR = (3, 9)
TESTS = ["tests/device_agent", "tests/protos", "tests/fault_injection"]
#: The half of fault injection that needs torch, which no agent has.
NOT_HERE = ["--ignore=tests/fault_injection/pytorch"]
TEST_TOOLS = ["pytest", "pytest-asyncio", "pytest-timeout", "hypothesis"]
FORBIDDEN = ["torch", "sqlalchemy", "alembic", "typer", "rich", "pydantic"]


def pythons() -> list[tuple[tuple[int, ...], str]]:
    """Interpreters from the floor up, oldest first."""
    names = [shutil.which(f"python3.{minor}") for minor in range(FLOOR[1], 15)]
    names += glob.glob(os.path.expanduser("~/.pyenv/versions/*/bin/python"))
    names.append(sys.executable)
    found = {}
    for name in filter(None, names):
        command = [name, "-c", "import sys, venv, ensurepip; print(*sys.version_info[:3])"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode == 0:
            version = tuple(map(int, answer.stdout.split()))
            if version >= FLOOR:
                found.setdefault(version, name)
    return sorted(found.items())


def main() -> int:
    """Entry point; exit code 1 when something does not hold."""
    version, python = pythons()[0]
    print(f"agent's base install on Python {'.'.join(map(str, version))}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        env = Path(folder) / "venv"
        subprocess.run([python, "-m", "venv", env], check=True)
        pip = [env / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        bare = _size(env)
        subprocess.run([*pip, ROOT], check=True)
        print(f"installed: {(_size(env) - bare) / 1e6:.0f} MB beside Python and pip", flush=True)
        subprocess.run([env / "bin" / "gauntlet-agent", "--version"], check=True)
        subprocess.run([env / "bin" / "gauntlet-agent", "doctor"], check=True)
        probe = f"import importlib.util as u; print(*[n for n in {FORBIDDEN!r} if u.find_spec(n)])"
        stowaways = subprocess.run([env / "bin" / "python", "-c", probe], capture_output=True, text=True, check=True)
        if stowaways.stdout.strip():
            print(f"error: the base install brings {stowaways.stdout.strip()}", file=sys.stderr)
            return 1
        face = subprocess.run([env / "bin" / "gauntlet", "--version"], capture_output=True, text=True, check=False)
        if face.returncode != 2 or "lab" not in face.stderr:
            print(f"error: without the lab extra `gauntlet` must say how to get it: {face.stderr}", file=sys.stderr)
            return 1
        subprocess.run([*pip, *TEST_TOOLS], check=True)
        command = [env / "bin" / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS, *NOT_HERE]
        return subprocess.run(command, cwd=ROOT, check=False).returncode


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


if __name__ == "__main__":
    sys.exit(main())
