"""The units of systemd: what systemd says of them, and whether they fit what they start."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import typer

from device_agent.cli import _parser
from gauntlet.cli.app import app
from orchestrator import settings as lab_settings
from orchestrator.client import SyncClient
from orchestrator.config import Config
from orchestrator.deployment.layout import Layout
from orchestrator.deployment.unit import Unit
from tests.deploy.units import FOLDER, PROGRAMS, seconds, setting, settings
from tests.orchestrator.security.lab import free_ports

LAB, BACKUP, AGENT = (FOLDER / f"gauntlet-{name}.service" for name in ("lab", "backup", "agent"))
needs_analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


@needs_analyze
def test_systemd_has_no_complaint(tmp_path: Path) -> None:
    for name in ("gauntlet", "gauntlet-agent"):
        (tmp_path / name).touch(0o755)
    (tmp_path / "gauntlet-agent.service.d").mkdir()
    shutil.copy(FOLDER / "allow-setup.conf", tmp_path / "gauntlet-agent.service.d")
    units = [*FOLDER.glob("*.service"), *FOLDER.glob("*.timer")]
    assert len(units) == 4
    for unit in units:
        (tmp_path / unit.name).write_text(unit.read_text().replace(PROGRAMS, str(tmp_path)))
    done = subprocess.run(
        ["systemd-analyze", "verify", *(str(tmp_path / unit.name) for unit in units)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@needs_analyze
@pytest.mark.parametrize(("unit", "tenths"), [(LAB, 15), (BACKUP, 10), (AGENT, 40)])
def test_their_exposure_stays_low(unit: Path, tenths: int) -> None:
    # 0 is locked up, 10 bare; above the threshold the command fails.
    command = ["systemd-analyze", "security", "--offline=yes", f"--threshold={tenths}", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout.splitlines()[-1]


def test_they_start_what_there_is() -> None:
    face = typer.main.get_command(app)
    for unit in (LAB, BACKUP):
        program, group, name, *words = shlex.split(setting(unit.read_text(), "ExecStart"))
        assert (program, group) == (f"{PROGRAMS}/gauntlet", "lab")
        command = face.commands[group].commands[name]  # type: ignore[attr-defined]
        assert command.make_context(name, list(words))
    program, *words = shlex.split(setting(AGENT.read_text(), "ExecStart"))
    assert program == f"{PROGRAMS}/gauntlet-agent"
    assert _parser().parse_args(words).state_dir == Path("/var/lib/gauntlet-agent")


def test_the_lab_has_time_to_stop_and_the_watchdog_to_be_wrong() -> None:
    text = LAB.read_text()
    assert seconds(setting(text, "TimeoutStopSec")) > Config.stop_timeout_s
    assert seconds(setting(text, "WatchdogSec")) >= 10  # the longest that the store may wait for another process
    assert int(setting(text, "LimitNOFILE")) > 2 * 5000


def test_the_settings_are_settings(tmp_path: Path) -> None:
    (tmp_path / "security").mkdir()
    (tmp_path / "security" / "authority.pem").touch()  # without it, it would listen on this machine only
    asked = lab_settings.load([f"--config={FOLDER}/lab.yaml", f"--dir={tmp_path}"], {})
    assert (asked.config.address, asked.config.metrics_address) == ("0.0.0.0:50151", "127.0.0.1:9151")


def test_they_agree_on_where_the_lab_lies() -> None:
    environments = [
        dict(pair.split("=", 1) for k, pair in settings(u.read_text()) if k == "Environment") for u in (LAB, BACKUP)
    ]
    folder = environments[0]["GAUNTLET_LAB_DIR"]
    assert environments[1]["GAUNTLET_LAB_DIR"] == folder
    assert f"ConditionPathExists={folder}/lab.sqlite" in BACKUP.read_text()
    assert environments[1]["GAUNTLET_LAB_CONFIG"] in setting(LAB.read_text(), "ExecStart")
    for unit in (LAB, BACKUP):  # both are below one folder: hard links do not cross two
        assert folder.startswith(f"/var/lib/{setting(unit.read_text(), 'StateDirectory')}/")


def test_the_agent_is_locked_up_as_one_that_was_deployed() -> None:
    own = {"Type", "User", "ExecStart", "WorkingDirectory", "StateDirectory", "StateDirectoryMode", "ReadWritePaths"}
    deployed = Unit("pi4", Layout("/home/pi"), user="pi").system_text()
    assert [line for line in settings(AGENT.read_text()) if line[0] not in own] == [
        line for line in settings(deployed) if line[0] not in own
    ]
    assert setting(deployed, "ReadWritePaths").endswith(" " + setting(AGENT.read_text(), "ReadWritePaths"))
    permitting = Unit("pi4", Layout("/home/pi"), options=["--allow-setup"], user="pi").system_text()
    assert "ProtectKernelTunables" not in dict(settings(permitting))
    assert dict(settings((FOLDER / "allow-setup.conf").read_text()))["ProtectKernelTunables"] == "no"


@pytest.mark.skipif(os.getuid() != 0 or shutil.which("systemd-sysusers") is None, reason="needs root and systemd")
def test_the_users_of_the_units_are_made(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    subprocess.run(["systemd-sysusers", f"--root={tmp_path}", str(FOLDER / "gauntlet.sysusers")], check=True)
    made = {line.split(":")[0]: line.split(":")[5] for line in (tmp_path / "etc/passwd").read_text().splitlines()}
    for unit in (LAB, BACKUP, AGENT):
        text = unit.read_text()
        assert made[setting(text, "User")] == f"/var/lib/{setting(text, 'StateDirectory')}"


def test_the_right_to_set_up_is_given_for_these_files_only(tmp_path: Path) -> None:
    cpufreq = tmp_path / "cpu0" / "cpufreq"
    cpufreq.mkdir(parents=True)
    files = ("scaling_governor", "scaling_min_freq", "scaling_max_freq", "scaling_cur_freq", "cpuinfo_max_freq")
    for name in files:
        (cpufreq / name).touch(0o644)
    _, option, script = shlex.split(setting((FOLDER / "allow-setup.conf").read_text(), "ExecStartPre"))
    assert option == "-c"
    script = script.replace("$$", "$").replace("/sys/devices/system/cpu", str(tmp_path))
    subprocess.run(["sh", "-c", script.replace("gauntlet-agent", str(os.getgid()))], check=True)
    assert [name for name in files if (cpufreq / name).stat().st_mode & 0o020] == list(files[:3])


_SANDBOX = """
mount --make-rprivate /
mount --bind "$1" "$1"
mount -o remount,ro,bind /
touch /tmp/x 2>/dev/null && exit 9
shift
exec setpriv --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
"""
_DENY_WRITE_EXECUTE = """
import ctypes, sys
PR_SET_MDWE, REFUSE_EXEC_GAIN = 65, 1  # prctl(2), Linux 6.3
ctypes.CDLL(None).prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0)
sys.argv = ["gauntlet", "lab", "up", *sys.argv[1:]]
from gauntlet.cli import main
sys.exit(main())
"""


def _may_mount() -> bool:
    attempt = ["unshare", "-rm", "sh", "-c", "mount --make-rprivate / && mount -o remount,ro,bind /"]
    tools = all(shutil.which(tool) for tool in ("unshare", "setpriv"))
    return tools and subprocess.run(attempt, capture_output=True, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not _may_mount(), reason="needs unshare, setpriv and user namespaces that may mount")
def test_a_lab_needs_to_write_nowhere_but_in_its_folder(tmp_path: Path) -> None:
    state, port = tmp_path / "state", free_ports()
    state.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(state / "notify"))
        systemd.settimeout(60)
        words = ["--dir", str(state / "lab"), "--address", f"unix:{state}/s", "--metrics-address", f"127.0.0.1:{port}"]
        inside = [sys.executable, "-c", _DENY_WRITE_EXECUTE, *words]
        lab = subprocess.Popen(
            ["unshare", "-rm", "sh", "-ec", _SANDBOX, "sh", str(state), *inside],
            env={**os.environ, "NOTIFY_SOCKET": str(state / "notify"), "PYTHONDONTWRITEBYTECODE": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert systemd.recv(100) == b"READY=1"
            with SyncClient(f"unix:{state}/s", patience_s=10) as client:
                digest = client.put_bytes(b"a model", "model/tflite", "a.tflite").digest
                assert client.get_artifact(digest) == b"a model"
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
                assert b"gauntlet_artifacts 1.0" in response.read()
            lab.send_signal(signal.SIGTERM)
            _, said = lab.communicate(timeout=60)
        finally:
            lab.kill()
            lab.wait()
    assert lab.returncode == 0, said
    assert "WARNING" not in said
    assert "ERROR" not in said
