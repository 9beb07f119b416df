"""Make the Python stubs of protos/gauntlet/v1, or check that the committed ones are current.

The generator is grpcio-tools 1.62.3, in an environment of its own: its stubs load on every protobuf runtime from 3.20
to 7, those of newer generators do not. protoc emits ``from gauntlet.v1 import …``, which would be the face package;
the imports are rewritten to ``protos.gauntlet.v1``.

Usage: python tools/generate_protos.py [--check]
"""

from __future__ import annotations

import argparse
import filecmp
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "protos"
PACKAGE = "gauntlet/v1"
GENERATOR_ENV = ROOT / ".venv-protos"
# grpcio-tools 1.62.3 imports pkg_resources, which newer setuptools no longer carry.
GENERATOR = ["grpcio-tools==1.62.3", "setuptools<81"]
MISPLACED_IMPORT = re.compile(r"^(from|import) gauntlet\.v1\b", re.MULTILINE)


def generator_python() -> Path:
    """Python of the environment that holds the generator, made on first use."""
    python = GENERATOR_ENV / "bin" / "python"
    stamp = GENERATOR_ENV / "complete"
    if not stamp.exists():
        venv.create(GENERATOR_ENV, clear=True, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *GENERATOR], check=True)
        stamp.write_text("\n".join(GENERATOR), encoding="utf-8")
    return python


def generate(target: Path) -> None:
    """Write all stubs below `target`, in the layout of the source folder."""
    sources = sorted((SOURCE / PACKAGE).glob("*.proto"))
    options = [f"--{kind}_out={target}" for kind in ("python", "pyi", "grpc_python")]
    subprocess.run(
        [generator_python(), "-m", "grpc_tools.protoc", f"-I{SOURCE}", *options, *map(str, sources)], check=True
    )
    for path in (target / PACKAGE).iterdir():
        if path.name.endswith("_pb2_grpc.py") and "class " not in path.read_text(encoding="utf-8"):
            path.unlink()  # a file without a service
        elif path.suffix in (".py", ".pyi"):
            text = path.read_text(encoding="utf-8")
            path.write_text(MISPLACED_IMPORT.sub(r"\1 protos.gauntlet.v1", text), encoding="utf-8")


def differences(fresh: Path) -> list[str]:
    """Names of stubs that are missing, stale or no longer generated."""
    committed = {p.name for p in (SOURCE / PACKAGE).iterdir() if "_pb2" in p.name}
    generated = {p.name for p in (fresh / PACKAGE).iterdir()}
    stale = {
        name
        for name in committed & generated
        if not filecmp.cmp(SOURCE / PACKAGE / name, fresh / PACKAGE / name, shallow=False)
    }
    return sorted((committed ^ generated) | stale)


def main() -> int:
    """Entry point; exit code 1 when --check finds a difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the committed stubs, write nothing")
    if not parser.parse_args().check:
        for stub in (SOURCE / PACKAGE).glob("*_pb2*"):
            stub.unlink()
        generate(SOURCE)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        wrong = differences(Path(folder))
    if wrong:
        print(f"stubs differ from the .proto files: {', '.join(wrong)}; run `make protos`", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
