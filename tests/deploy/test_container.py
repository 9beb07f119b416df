"""Containerfile and compose file, held against what they copy, mount, start and install. No image is built here."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import shlex
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from packaging.requirements import Requirement

from gauntlet.cli.app import app
from orchestrator import settings
from orchestrator.config import DEFAULT_ADDRESS, Config
from protos.addresses import split
from protos.contract import software_version

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "container"
_KNOWN = {"FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "CMD"}
_PINNED = re.compile(r"[a-z/]+:v?\d+\.\d+\.\d+(-[a-z-]+)?")


def instructions() -> list[tuple[str, str]]:
    """Of the Containerfile: word and rest; lines that go on are joined."""
    text = re.sub(r"(?m)^#.*\n", "", (FOLDER / "Containerfile").read_text()).replace("\\\n", " ")
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line.strip()]


def of(word: str) -> list[str]:
    return [rest for name, rest in instructions() if name == word]


def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
    return document


def test_the_image_is_made_of_what_there_is() -> None:
    assert {name for name, _ in instructions()} <= _KNOWN
    sources = [word for rest in of("COPY") if "--from" not in rest for word in rest.split()[:-1]]
    assert all((ROOT / source).exists() for source in sources)
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    assert {package.rstrip("*") for package in packages} <= set(sources)
    taken = (FOLDER / "Containerfile.dockerignore").read_text().splitlines()
    assert {f"!{source}" for source in sources} == {line for line in taken if line.startswith("!")}
    assert "*" in taken


def test_every_image_is_pinned() -> None:
    bases = [rest.split()[0] for rest in of("FROM")]
    assert len(set(bases)) == 1  # the environment works with the Python that it was made with
    for image in [*bases, *(service["image"] for service in compose()["services"].values())]:
        assert _PINNED.fullmatch(image), image


def test_it_runs_the_lab_as_nobody_in_particular() -> None:
    [user] = of("USER")
    assert int(user) > 0
    assert f"--uid {user} " in " ".join(of("RUN"))
    command = ast.literal_eval(of("CMD")[0])
    assert command[0] == "gauntlet"
    assert typer.main.get_command(app).make_context("gauntlet", command[1:])


def test_its_settings_and_ports_are_the_labs(tmp_path: Path) -> None:
    environ = dict(pair.split("=", 1) for pair in shlex.split(of("ENV")[0]))
    given = {name: value for name, value in environ.items() if name.startswith("GAUNTLET_LAB_")}
    assert given["GAUNTLET_LAB_DIR"].startswith(f"{of('VOLUME')[0]}/")
    (tmp_path / "security").mkdir()
    (tmp_path / "security" / "authority.pem").touch()
    lab = compose()["services"]["lab"]
    config = settings.load([], given | lab["environment"] | {"GAUNTLET_LAB_DIR": str(tmp_path)}).config
    ports = [str(split(address)[1]) for address in (config.address, config.entrance)]
    assert of("EXPOSE") == [" ".join(ports)]
    assert split(DEFAULT_ADDRESS)[1] == int(ports[0])
    assert {f"{port}:{port}" for port in ports} <= set(lab["ports"])
    assert config.metrics_address in (ROOT / "deploy/prometheus/prometheus.yml").read_text()
    assert float(lab["stop_grace_period"].rstrip("s")) > Config.stop_timeout_s
    assert lab["image"] == f"gauntlet:{software_version()}"


def test_what_is_published_to_the_world_asks_who_comes() -> None:
    # Prometheus and Grafana only for this machine: the first asks nobody for a password.
    for name, service in compose()["services"].items():
        assert name == "lab" or (service["network_mode"] == "service:lab" and "ports" not in service)
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["cap_drop"] == ["ALL"]
    assert [port for port in compose()["services"]["lab"]["ports"] if not port.startswith(("127.0.0.1:", "5015"))] == []


def test_the_compose_file_mounts_what_there_is() -> None:
    document = compose()
    for service in document["services"].values():
        for mount in service["volumes"]:
            source, _, *mode = mount.split(":")
            if source.startswith("."):
                assert (FOLDER / source).is_dir(), source
                assert mode == ["ro"]
            else:
                assert source in document["volumes"]
        for word in service.get("command", []):
            if word.startswith("--config.file="):  # of what is mounted
                path = Path(word.partition("=")[2])
                [source] = [m.split(":")[0] for m in service["volumes"] if m.split(":")[1] == str(path.parent)]
                assert (FOLDER / source / path.name).is_file(), path


def test_the_health_check_is_a_program() -> None:
    *_, command = of("HEALTHCHECK")[0].partition("CMD ")
    assert ast.literal_eval(command) == ["python", "-P", "-m", "orchestrator.probe"]
    assert (ROOT / "orchestrator" / "probe.py").is_file()


def installed_in_the_image() -> set[str]:
    """Distributions: what `pip install` is given, and all that those need."""
    [install] = [rest for rest in of("RUN") if "pip install" in rest]
    words = install.split("pip install")[1].split()
    wanted = ["gauntlet", *words[words.index(".") + 1 :]]
    found: set[str] = set()
    while wanted:
        name = re.sub(r"[-_.]+", "-", wanted.pop()).lower()
        if name not in found:
            found.add(name)
            for text in importlib.metadata.requires(name) or ():
                requirement = Requirement(text)
                if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                    wanted.append(requirement.name)
    return found


_ONLY = """
import importlib.metadata, re, sys

class Absent:
    def __init__(self, present):
        self.owners = importlib.metadata.packages_distributions()
        self.present = present

    def find_spec(self, name, path=None, target=None):
        owners = {re.sub(r"[-_.]+", "-", owner).lower() for owner in self.owners.get(name.partition(".")[0], ())}
        if owners and not owners & self.present:
            raise ModuleNotFoundError(f"{name} is not in the image", name=name)

sys.meta_path.insert(0, Absent(set(sys.argv[1].split(","))))
"""


@pytest.mark.slow
def test_the_image_holds_what_the_server_imports(tmp_path: Path) -> None:
    present = installed_in_the_image()
    assert "torch" not in present
    script = """
        import os, signal, threading
        from gauntlet.cli.app import run
        from gauntlet.cli import main
        os.environ["GAUNTLET_LAB_DIR"] = folder = sys.argv[2]
        def look():
            from orchestrator.client import SyncClient
            from orchestrator import probe
            with SyncClient(f"unix:{folder}/s", patience_s=30) as client:
                client.wait_ready(30)
            codes.append(run(["lab", "status", "--lab", f"unix:{folder}/s"]))
            codes.append(run(["devices", "--lab", f"unix:{folder}/s"]))
            codes.append(run(["jobs", "--lab", f"unix:{folder}/s"]))
            codes.append(probe.main(["--address", f"unix:{folder}/s"], os.environ))
            os.kill(os.getpid(), signal.SIGTERM)
        codes = [run(["lab", "init", "--name", "x"])]
        looking = threading.Thread(target=look)
        looking.start()
        codes.append(run(["lab", "up", "--address", f"unix:{folder}/s", "--metrics-address", "127.0.0.1:0"]))
        looking.join()
        codes.append(run(["lab", "backup", folder + "/../backups"]))
        codes.append(run(["lab", "restore", folder + "/../backups", "--dir", folder + "/../new"]))
        assert codes == [0] * 8, codes
        try:
            import torch
        except ModuleNotFoundError:
            pass
        else:
            raise SystemExit("nothing was held back")
    """
    program = _ONLY + textwrap.dedent(script)
    command = [sys.executable, "-c", program, ",".join(present), str(tmp_path / "lab")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
