"""Boards to deploy to: real sshd processes on loopback, each with a home folder and host keys of its own.

They run as whoever runs the tests, root or not, and take public keys only. What is done over them lands in a temporary
home folder; whatever still runs from there when a board is closed is killed.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from orchestrator.deployment.hosts import Host

_MARK = "GAUNTLET_TEST_BOARD"
_PATIENCE_S = 20.0
_SFTP_SERVER = Path("/usr/lib/openssh/sftp-server")
#: Where Debian has it; often not on the PATH of ordinary users.
_SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")

needs_sshd = pytest.mark.skipif(
    _SSHD is None or shutil.which("ssh-keygen") is None, reason="sshd is not installed (Debian: openssh-server)"
)


def make_key(path: Path, kind: str = "ed25519", passphrase: str = "") -> Path:
    """A key pair, PATH and PATH.pub, in place of what was there."""
    for old in (path, path.with_name(f"{path.name}.pub")):
        old.unlink(missing_ok=True)
    command = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "made up for a test", "-f", str(path)]
    subprocess.run([*command, *(["-b", "2048"] if kind == "rsa" else [])], check=True, stdin=subprocess.DEVNULL)
    return path


class Sshd:
    """A board.

    Args:
        folder: where it may keep its files.
        client_key: private key of the one who may log in; made if it is not there.
        name: of the board.
        host_keys: kinds of host keys that it has.
        sftp: does it have the sftp subsystem?
        disk_bytes: its home folder is a file system of this size; skips the test where that cannot be had.
        address: on which it listens.
    """

    def __init__(
        self,
        folder: Path,
        client_key: Path,
        name: str = "board",
        host_keys: Sequence[str] = ("ed25519",),
        sftp: bool = True,
        disk_bytes: int = 0,
        address: str = "127.0.0.1",
    ) -> None:
        self.name = name
        self.address = address
        self.port = 0
        self.user = getpass.getuser()
        self.client_key = client_key if client_key.exists() else make_key(client_key)
        self.log: list[str] = []
        self._etc = folder / name / "etc"
        self._home = folder / name / "home"
        for made in (self._etc, self._home):
            made.mkdir(parents=True)
        self._mark = f"{name}-{secrets.token_hex(8)}"
        self._kinds = tuple(host_keys)
        self._sftp = sftp
        self._disk_bytes = disk_bytes
        self._process: subprocess.Popen[str] | None = None
        if disk_bytes:
            _check_mounting(self._home)
        public = self.client_key.with_name(f"{self.client_key.name}.pub").read_text()
        (self._etc / "authorized_keys").write_text(public)
        self._write_session()
        self.profile("")
        for kind in self._kinds:
            make_key(self._host_key(kind), kind)
        self.start()

    @property
    def home(self) -> Path:
        """Its home folder, as this process sees it."""
        if self._disk_bytes:
            return Path(f"/proc/{self._running().pid}/root{self._home}")
        return self._home

    @property
    def home_there(self) -> str:
        """Its home folder, as its sessions see it."""
        return str(self._home)

    @property
    def known_hosts(self) -> str:
        """Lines for a known_hosts file, one for each host key."""
        keys = (self._host_key(kind).with_suffix(".pub").read_text().split()[:2] for kind in self._kinds)
        return "".join(f"[{self.address}]:{self.port} {' '.join(key)}\n" for key in keys)

    @property
    def ssh_config(self) -> str:
        """A section for a ~/.ssh/config."""
        return (
            f"Host {self.name}\n  HostName {self.address}\n  Port {self.port}\n  User {self.user}\n"
            f"  IdentityFile {self.client_key}\n"
        )

    def host(self, **fields: Any) -> Host:
        """How it is reached."""
        given: dict[str, Any] = {"address": self.address, "port": self.port, "user": self.user}
        return Host(self.name, **(given | {"identity_files": (self.client_key,)} | fields))

    def fingerprint(self, kind: str = "ed25519") -> str:
        """Of a host key, as ssh-keygen shows it."""
        command = ["ssh-keygen", "-l", "-f", str(self._host_key(kind))]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[1]

    def profile(self, script: str) -> None:
        """Lines of shell that every session from now on runs first: PATH, ulimit, noise; sftp sessions, too."""
        (self._etc / "profile").write_text(script + "\n")

    def start(self) -> None:
        """Start it: on a port of its own, from the second time on on the same one."""
        for _ in range(5):
            port = self.port or _free_port(self.address)
            if self._start(port):
                self.port = port
                return
        raise AssertionError("sshd does not start:\n" + "\n".join(self.log))

    def stop(self) -> None:
        """End the daemon; sessions go on."""
        process = self._running()
        process.kill()
        process.wait()

    def change_host_key(self, kind: str = "ed25519") -> None:
        """Another host key, as after a new installation."""
        self.stop()
        make_key(self._host_key(kind), kind)
        self.start()

    def cut(self) -> int:
        """Cut all connections; what runs in their sessions is not told otherwise. Says how many processes held them."""
        return self._signal(signal.SIGKILL, [process for process in self._connections() if process.name() == "sshd"])

    def freeze(self) -> None:
        """Let it answer no more, new connections included; what is open stays open."""
        self._signal(signal.SIGSTOP, [psutil.Process(self._running().pid), *self._connections()])

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT, [*self._connections(), psutil.Process(self._running().pid)])

    def leftovers(self) -> list[psutil.Process]:
        """Processes that its sessions started and that still run, sessions themselves not counted."""
        return [process for process in psutil.process_iter() if self._is_of_board(process)]

    def close(self) -> None:
        """End it and all that was started over it."""
        if self._process is not None and self._process.poll() is None:
            self._signal(signal.SIGKILL, self._connections())
            self.stop()
        self._signal(signal.SIGKILL, self.leftovers())

    def _start(self, port: int) -> bool:
        self._write_config(port)
        command = [str(_SSHD), "-D", "-e", "-f", str(self._etc / "sshd_config")]
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # sshd wants it when it separates privileges
        if self._disk_bytes:
            mount = f'mount -t tmpfs -o size={self._disk_bytes} tmpfs "$0" && exec "$@"'
            command = ["unshare", "-m", "sh", "-c", mount, str(self._home), *command]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        listens, ended = threading.Event(), threading.Event()
        threading.Thread(target=self._read, args=(process, listens, ended), daemon=True).start()
        assert listens.wait(_PATIENCE_S), "sshd says nothing"
        if ended.is_set():
            process.wait()
            return False
        self._process = process
        return True

    def _read(self, process: subprocess.Popen[str], listens: threading.Event, ended: threading.Event) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            self.log.append(line.rstrip())
            if line.startswith("Server listening"):
                listens.set()
        ended.set()
        listens.set()

    def _write_config(self, port: int) -> None:
        host_keys = "".join(f"HostKey {self._host_key(kind)}\n" for kind in self._kinds)
        subsystem = f"Subsystem sftp {_SFTP_SERVER}\n" if self._sftp else ""
        (self._etc / "sshd_config").write_text(
            f"ListenAddress {self.address}:{port}\n{host_keys}{subsystem}"
            f"AuthorizedKeysFile {self._etc}/authorized_keys\nForceCommand {self._etc}/session\n"
            f"SetEnv HOME={self._home} {_MARK}={self._mark}\nPidFile none\n"
            "StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
            "PermitRootLogin prohibit-password\nMaxStartups 100\nMaxSessions 50\nPrintMotd no\nLogLevel VERBOSE\n"
        )

    def _write_session(self) -> None:
        session = self._etc / "session"
        session.write_text(
            "#!/bin/sh\n"
            f'cd "$HOME"\n. {self._etc}/profile\n'
            '[ -n "$SSH_ORIGINAL_COMMAND" ] || exec /bin/sh\nexec /bin/sh -c "$SSH_ORIGINAL_COMMAND"\n'
        )
        session.chmod(0o755)

    def _host_key(self, kind: str) -> Path:
        return self._etc / f"host_{kind}"

    def _running(self) -> subprocess.Popen[str]:
        assert self._process is not None
        return self._process

    def _connections(self) -> list[psutil.Process]:
        """The daemon's children, each with the session that it serves."""
        found = []
        for child in psutil.Process(self._running().pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                found += [child, *child.children(recursive=True)]
        return found

    def _is_of_board(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get(_MARK) == self._mark or any(
                str(self._home) in word for word in process.cmdline()
            )
        except psutil.Error:
            return False

    @staticmethod
    def _signal(number: signal.Signals, processes: Sequence[psutil.Process]) -> int:
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        return len(processes)


def _free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def _check_mounting(folder: Path) -> None:
    """Skip the test where no file system can be mounted in a namespace of one's own."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not installed (Debian: util-linux)")
    command = ["unshare", "-m", "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here: that takes root and CAP_SYS_ADMIN")
