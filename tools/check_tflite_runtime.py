"""The agent's runtime tests on tflite-runtime, LiteRT's predecessor, which 32-bit Arm still needs.

It wants numpy<2 and Python <= 3.11, so that it gets an environment of its own; the models are made in this one.
Skipped, saying why, where there is no such Python or no wheel.

Usage: .venv/bin/python tools/check_tflite_runtime.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from check_agent import ROOT, TEST_TOOLS, pythons

NEWEST = (3, 12)
PACKAGES = ["tflite-runtime>=2.13", "numpy<2", "grpcio", "protobuf", "psutil", *TEST_TOOLS]
TESTS = ["tests/device_agent/test_runtime_contract.py", "tests/device_agent/test_litert.py"]


def main() -> int:
    """Entry point; pytest's exit code, 0 when skipped."""
    fitting = [name for version, name in pythons() if version < NEWEST]
    if not fitting:
        print("tflite-runtime: skipped, no Python 3.9-3.11 here")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        env, networks = Path(folder) / "venv", Path(folder) / "networks"
        subprocess.run([fitting[-1], "-m", "venv", env], check=True)
        python = env / "bin" / "python"
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES]
        installed = subprocess.run(pip, capture_output=True, text=True, check=False)
        if installed.returncode:
            reason = (installed.stderr.strip() or "pip failed").splitlines()[-1]
            print(f"tflite-runtime: skipped, it cannot be installed: {reason}")
            return 0
        networks.mkdir()
        subprocess.run([sys.executable, "-m", "tests.device_agent.networks", networks], cwd=ROOT, check=True)
        environment = {**os.environ, "GAUNTLET_TEST_NETWORKS": str(networks)}
        command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS]
        return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
