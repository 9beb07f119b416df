"""The boards that these tests deploy to are what they are taken for: seen with Debian's own ssh."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.orchestrator.deployment.sshd import Sshd, needs_sshd

pytestmark = needs_sshd


def ssh(board: Sshd, folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    known = folder / "known_hosts"
    known.write_text(board.known_hosts)
    options = ["-F", "none", "-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={known}", "-i", str(board.client_key)]
    target = ["-p", str(board.port), f"{board.user}@{board.address}", command]
    return subprocess.run(
        ["ssh", *options, *target], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, timeout=30
    )


def test_a_session_lives_in_a_home_folder_of_its_own(sshd: Sshd, tmp_path: Path) -> None:
    done = ssh(sshd, tmp_path, "pwd; echo $HOME; touch here")
    assert done.stdout.split() == [sshd.home_there, sshd.home_there], done.stderr
    assert (sshd.home / "here").exists()


def test_another_host_key_comes_with_the_same_address(sshd: Sshd, tmp_path: Path) -> None:
    port, known = sshd.port, sshd.known_hosts
    sshd.change_host_key()
    assert (sshd.port, sshd.known_hosts != known) == (port, True)
    assert ssh(sshd, tmp_path, "true").returncode == 0


def test_the_profile_is_run_first(sshd: Sshd, tmp_path: Path) -> None:
    sshd.profile("echo Welcome; export PATH=/nowhere")
    assert ssh(sshd, tmp_path, "echo $PATH").stdout.split() == ["Welcome", "/nowhere"]


def test_what_a_session_leaves_running_is_found_and_ended(make_sshd: Callable[..., Sshd], tmp_path: Path) -> None:
    board = make_sshd("leaving")
    waiting = "echo $$; exec >/dev/null 2>&1; read never < fifo"
    number = int(ssh(board, tmp_path, f"mkfifo fifo; setsid sh -c '{waiting}' </dev/null &").stdout)
    assert number in [process.pid for process in board.leftovers()]
    board.close()
    if psutil.pid_exists(number):
        psutil.Process(number).wait(timeout=30)


def test_a_small_disk_fills_up(make_sshd: Callable[..., Sshd], tmp_path: Path) -> None:
    board = make_sshd(disk_bytes=256 * 1024)
    done = ssh(board, tmp_path, "head -c 1000000 /dev/zero > big")
    assert "No space left on device" in done.stderr
    assert (board.home / "big").stat().st_size <= 256 * 1024
