"""Connections to a real sshd: what they refuse, what they send, and how they end when the other side does."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from orchestrator.deployment import authentication, hostkeys
from orchestrator.deployment.connection import Connection
from orchestrator.deployment.dialing import Dialer
from orchestrator.deployment.errors import (
    AuthenticationError,
    CommandError,
    DeploymentError,
    HostKeyError,
    NoSpaceError,
    UnfitError,
    UnreachableError,
)
from orchestrator.deployment.hosts import Host
from tests.orchestrator.deployment.sshd import Sshd, make_key, needs_sshd

pytestmark = needs_sshd

PATIENCE_S = 20.0
#: For tests in which a host says nothing: they last this long.
SHORT_S = 0.5

Connect = Callable[..., Connection]


@pytest.fixture(autouse=True)
def no_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Connect]:
    """Connects to a board whose host keys are known; other fields of the host as given."""
    dialers: list[Dialer] = []

    def connect(board: Sshd, patience_s: float = PATIENCE_S, **fields: Any) -> Connection:
        dialers.append(Dialer(patience_s))
        return dialers[-1].connect(known(board, tmp_path, **fields))

    yield connect
    for dialer in dialers:
        dialer.close()


def known(board: Sshd, folder: Path, **fields: Any) -> Host:
    """How it is reached, with its host keys known."""
    file = folder / f"known_hosts_{board.name}"
    file.write_text(board.known_hosts)
    return board.host(**{"known_hosts": (file,), **fields})


def refused(call: Callable[[], object]) -> DeploymentError:
    """The error, one line with a remedy of one line."""
    with pytest.raises(DeploymentError) as caught:
        call()
    assert "\n" not in caught.value.message + caught.value.remedy
    return caught.value


# ------------------------------------------------------------------------------------------------ commands


def test_words_reach_a_command_as_they_are(sshd: Sshd, connect: Connect) -> None:
    words = ["a b", "$HOME", "`id`", "'", '"', "*", "\\", "ü", "", "two\nlines", "-n"]
    output = connect(sshd).run(["printf", "%s|", *words])
    assert output.stdout == "".join(f"{word}|" for word in words)
    assert (output.status, output.stderr) == (0, "")


def test_standard_input_comes_whole(sshd: Sshd, connect: Connect) -> None:
    connection = connect(sshd)
    assert connection.run(["cat"], stdin=b"secret\n" * 50_000).stdout == "secret\n" * 50_000
    assert connection.run(["cat"]).stdout == ""


def test_a_failed_command_is_an_error_unless_it_may_fail(sshd: Sshd, connect: Connect) -> None:
    connection = connect(sshd)
    error = refused(lambda: connection.run(["sh", "-c", "echo first >&2; echo last >&2; exit 3"]))
    assert isinstance(error, CommandError)
    assert "failed with status 3: last" in error.message
    assert connection.run(["false"], check=False).status == 1
    assert "not found" in refused(lambda: connection.run(["no-such-program"])).message
    assert "killed" in refused(lambda: connection.run(["sh", "-c", "kill -9 $$"])).message.lower()


def test_what_the_shell_says_of_itself_is_not_the_commands(sshd: Sshd, connect: Connect) -> None:
    sshd.profile("echo Welcome to this board; echo 'mind the step' >&2")
    output = connect(sshd).run(["sh", "-c", "echo out; echo err >&2"])
    assert (output.stdout, output.stderr) == ("out\n", "err\n")


def test_messages_are_in_english_whatever_the_board_speaks(sshd: Sshd, connect: Connect) -> None:
    sshd.profile("export LC_ALL=de_DE.UTF-8 LANGUAGE=de")
    assert connect(sshd).run(["sh", "-c", "echo $LC_ALL"]).stdout == "C\n"


@pytest.mark.parametrize("program", ["echo 'This account is not available.'; exit 1", "exec cat", "exit 0"])
def test_an_account_that_runs_no_commands(sshd: Sshd, connect: Connect, program: str) -> None:
    sshd.profile(program)
    error = refused(lambda: connect(sshd).run(["true"]))
    assert isinstance(error, UnfitError)
    assert f"runs no commands for {sshd.user}" in error.message
    assert "account with a shell" in error.remedy


def test_a_command_that_takes_too_long_is_given_up_and_the_connection_stays(sshd: Sshd, connect: Connect) -> None:
    connection = connect(sshd)
    error = refused(lambda: connection.run(["sleep", "1000"], timeout_s=0.1))
    assert "`sleep 1000` did not end within 0.1 s" in error.message
    assert connection.run(["echo", "still here"]).stdout == "still here\n"


def test_a_command_that_is_given_up_is_killed_with_what_it_started(sshd: Sshd, connect: Connect) -> None:
    connection = connect(sshd)
    script = "echo $$ > pid; sleep 1000 & echo $! > child; wait"
    refused(lambda: connection.run(["sh", "-c", script], timeout_s=0.5))
    numbers = [int((sshd.home / name).read_text()) for name in ("pid", "child")]
    left = [psutil.Process(number) for number in numbers if psutil.pid_exists(number)]
    assert not psutil.wait_procs(left, timeout=PATIENCE_S)[1]


def test_a_command_that_never_stops_talking_is_given_up(sshd: Sshd, connect: Connect) -> None:
    connection = connect(sshd)
    assert "says more than 4 MiB" in refused(lambda: connection.run(["yes"])).message
    assert connection.run(["true"]).status == 0


def test_a_child_that_stays_behind_does_not_hold_up_its_command(sshd: Sshd, connect: Connect) -> None:
    output = connect(sshd).run(["sh", "-c", "echo started; sleep 1000 &"])
    assert output.stdout == "started\n"


# --------------------------------------------------------------------------------------------------- files


def test_a_file_arrives_whole(sshd: Sshd, connect: Connect, tmp_path: Path) -> None:
    source = tmp_path / "wheel"
    source.write_bytes(os.urandom(1_000_003))
    told: list[int] = []
    connect(sshd).put(source, f"{sshd.home_there}/a wheel", told.append)
    assert (sshd.home / "a wheel").read_bytes() == source.read_bytes()
    assert sum(told) == 1_000_003
    assert len(told) > 10
    assert [path.name for path in sshd.home.iterdir()] == ["a wheel"]


def test_small_files_and_their_modes(sshd: Sshd, connect: Connect) -> None:
    connection = connect(sshd)
    connection.write(f"{sshd.home_there}/secret", b"x" * 10, 0o600)
    connection.write(f"{sshd.home_there}/secret", b"", 0o755)
    assert (sshd.home / "secret").read_bytes() == b""
    assert (sshd.home / "secret").stat().st_mode & 0o777 == 0o755


def test_a_file_that_cannot_be_written_is_told(sshd: Sshd, connect: Connect) -> None:
    connection = connect(sshd)
    error = refused(lambda: connection.write(f"{sshd.home_there}/no/such/file", b"x"))
    assert isinstance(error, CommandError)
    assert "/no/such/file failed with status" in error.message
    assert "cannot create" in error.message or "No such file" in error.message


def test_a_board_without_an_sftp_server_takes_files_too(make_sshd: Callable[..., Sshd], connect: Connect) -> None:
    board = make_sshd(sftp=False)
    connect(board).write(f"{board.home_there}/file", b"content")
    assert (board.home / "file").read_bytes() == b"content"


def test_a_full_disk_is_told_and_nothing_is_left_on_it(
    make_sshd: Callable[..., Sshd], connect: Connect, tmp_path: Path
) -> None:
    board = make_sshd(disk_bytes=1_000_000)
    connection = connect(board)
    source = tmp_path / "large"
    source.write_bytes(bytes(3_000_000))
    error = refused(lambda: connection.put(source, f"{board.home_there}/large"))
    assert isinstance(error, NoSpaceError)
    assert "the disk is full" in error.message
    assert list(board.home.iterdir()) == []
    fill = f"head -c 3000000 /dev/zero > {board.home_there}/big"
    assert isinstance(refused(lambda: connection.run(["sh", "-c", fill])), NoSpaceError)


def test_a_limit_on_file_sizes_is_no_full_disk(sshd: Sshd, connect: Connect, tmp_path: Path) -> None:
    sshd.profile("ulimit -f 100")
    source = tmp_path / "large"
    source.write_bytes(bytes(1_000_000))
    error = refused(lambda: connect(sshd).put(source, f"{sshd.home_there}/large"))
    assert not isinstance(error, NoSpaceError)
    assert list(sshd.home.iterdir()) == []


# ---------------------------------------------------------------------------------------------- its host key


def test_an_unknown_key_is_refused_and_a_persons_word_makes_it_known(sshd: Sshd, tmp_path: Path) -> None:
    host = sshd.host(known_hosts=(tmp_path / "known_hosts",))
    with Dialer() as dialer:
        error = refused(lambda: dialer.connect(host))
        assert isinstance(error, HostKeyError)
        assert not error.changed
        assert error.fingerprint == sshd.fingerprint()
        hostkeys.remember(error.shown)
        assert dialer.connect(host).run(["true"]).status == 0


def test_a_changed_key_is_refused(sshd: Sshd, tmp_path: Path) -> None:
    host = known(sshd, tmp_path)
    old = sshd.fingerprint()
    sshd.change_host_key()
    with Dialer() as dialer:
        error = refused(lambda: dialer.connect(host))
    assert isinstance(error, HostKeyError)
    assert error.changed
    assert old in error.message
    assert sshd.fingerprint() in error.message
    assert "Accepted publickey" not in "\n".join(sshd.log)


@pytest.mark.parametrize("kind", ["rsa", "ecdsa", "ed25519"])
def test_the_known_kind_of_key_is_asked_for(
    make_sshd: Callable[..., Sshd], connect: Connect, tmp_path: Path, kind: str
) -> None:
    board = make_sshd(host_keys=("ed25519", "ecdsa", "rsa"))
    file = tmp_path / "known"
    file.write_text("".join(line for line in board.known_hosts.splitlines(True) if kind in line))
    assert connect(board, known_hosts=(file,)).run(["true"]).status == 0


# ------------------------------------------------------------------------------------------------- our keys


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_kinds_of_keys_that_log_in(make_sshd: Callable[..., Sshd], connect: Connect, tmp_path: Path, kind: str) -> None:
    make_key(tmp_path / "client_key", kind)
    assert connect(make_sshd()).run(["true"]).status == 0


def test_a_key_that_the_host_does_not_take(sshd: Sshd, connect: Connect, tmp_path: Path) -> None:
    other = make_key(tmp_path / "other")
    error = refused(lambda: connect(sshd, identity_files=(other, tmp_path / "absent")))
    assert isinstance(error, AuthenticationError)
    assert f"none of your keys for {sshd.user} ({other})" in error.message
    assert error.remedy == f"let your key in: ssh-copy-id -p {sshd.port} {sshd.user}@{sshd.address}"


def test_no_key_at_all(sshd: Sshd, connect: Connect) -> None:
    assert "there is no key" in refused(lambda: connect(sshd, identity_files=())).message


def test_a_file_that_is_no_key_does_not_keep_the_others_from_it(sshd: Sshd, connect: Connect, tmp_path: Path) -> None:
    junk = tmp_path / "junk"
    junk.write_text("no key")
    assert connect(sshd, identity_files=(junk, tmp_path, sshd.client_key)).run(["true"]).status == 0
    assert str(junk) in refused(lambda: connect(sshd, identity_files=(junk,))).message


def test_an_encrypted_key_without_an_agent_is_told(sshd: Sshd, connect: Connect, tmp_path: Path) -> None:
    locked = make_key(tmp_path / "locked", passphrase="made up")
    error = refused(lambda: connect(sshd, identity_files=(locked,)))
    assert isinstance(error, AuthenticationError)
    assert "needs a passphrase" in error.message
    assert error.remedy == f"hand it to your SSH agent: ssh-add {locked}"


def test_too_many_wrong_keys(sshd: Sshd, connect: Connect, tmp_path: Path) -> None:
    wrong = tuple(make_key(tmp_path / f"wrong{number}") for number in range(8))
    error = refused(lambda: connect(sshd, identity_files=(*wrong, sshd.client_key)))
    assert isinstance(error, AuthenticationError)
    assert "hung up" in error.message


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """The user's SSH agent, without keys."""
    if shutil.which("ssh-agent") is None:
        pytest.skip("ssh-agent is not installed (Debian: openssh-client)")
    path = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()  # it says where it listens once it does
    monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
    yield process
    process.kill()
    process.wait()


def add(key: Path) -> None:
    subprocess.run(["ssh-add", "-q", str(key)], check=True, stdin=subprocess.DEVNULL)


def test_a_key_of_the_agent_logs_in(sshd: Sshd, connect: Connect, agent: object) -> None:
    add(sshd.client_key)
    assert connect(sshd, identity_files=()).run(["true"]).status == 0


def test_the_agents_key_for_this_host_comes_first(sshd: Sshd, connect: Connect, agent: object, tmp_path: Path) -> None:
    for number in range(8):
        add(make_key(tmp_path / f"other{number}"))
    add(sshd.client_key)
    # Its private half is away: only the agent has it, and the public half beside says which.
    sshd.client_key.rename(tmp_path / "away")
    assert connect(sshd).run(["true"]).status == 0


def test_the_agent_may_be_left_out_or_be_another(
    sshd: Sshd, connect: Connect, agent: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(sshd.client_key)
    for fields in ({"identities_only": True}, {"identity_agent": "none"}, {"identity_agent": "$NO_AGENT"}):
        assert "there is no key" in refused(lambda fields=fields: connect(sshd, identity_files=(), **fields)).message
    path = os.environ["SSH_AUTH_SOCK"]
    monkeypatch.delenv("SSH_AUTH_SOCK")
    assert connect(sshd, identity_files=(), identity_agent=path).run(["true"]).status == 0
    monkeypatch.setenv("MY_AGENT", path)
    assert connect(sshd, identity_files=(), identity_agent="$MY_AGENT").run(["true"]).status == 0


def test_an_agent_that_went_away_is_told(
    sshd: Sshd, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "gone"))
    assert connect(sshd).run(["true"]).status == 0
    other = make_key(tmp_path / "other")
    assert "the SSH agent" in refused(lambda: connect(sshd, identity_files=(other,))).message


def test_an_agent_that_hangs_is_given_up(
    sshd: Sshd, connect: Connect, agent: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "_AGENT_S", 0.2)
    agent.send_signal(signal.SIGSTOP)
    assert connect(sshd).run(["true"]).status == 0
    assert "timed out" in refused(lambda: connect(sshd, identity_files=())).message


def test_an_agent_that_does_not_sign_is_told(sshd: Sshd, connect: Connect, agent: object) -> None:
    # It is to ask for a confirmation, and has no program for that.
    subprocess.run(["ssh-add", "-q", "-c", str(sshd.client_key)], check=True, stdin=subprocess.DEVNULL)
    error = refused(lambda: connect(sshd))
    assert isinstance(error, AuthenticationError)
    assert "of the SSH agent does not sign" in error.message
    assert "confirmation" in error.remedy


def test_a_host_that_hangs_while_logging_in(sshd: Sshd, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hostkeys, "check", lambda _: sshd.freeze())
    error = refused(lambda: connect(sshd, SHORT_S))
    assert isinstance(error, UnreachableError)
    assert "hung up while logging in" in error.message or "says nothing" in error.message


# --------------------------------------------------------------------------------------- on the way, and cut


def test_a_board_behind_a_gateway(make_sshd: Callable[..., Sshd], tmp_path: Path) -> None:
    gateway, board = make_sshd("gateway"), make_sshd("board")
    way = known(gateway, tmp_path)
    with Dialer(PATIENCE_S) as dialer:
        connections = [dialer.connect(known(board, tmp_path, jump=way)) for _ in range(3)]
        assert [one.run(["pwd"]).stdout.strip() for one in connections] == [board.home_there] * 3
        # All through one connection, or a sshd would drop some of many at once.
        assert sum("Accepted publickey" in line for line in gateway.log) == 1
        gateway.cut()
        assert isinstance(refused(lambda: connections[0].run(["true"])), UnreachableError)
        assert dialer.connect(known(board, tmp_path, jump=way)).run(["true"]).status == 0


def test_a_gateways_key_is_checked_too(make_sshd: Callable[..., Sshd], tmp_path: Path) -> None:
    gateway, board = make_sshd("gateway"), make_sshd("board")
    way = gateway.host(known_hosts=(tmp_path / "empty",))
    with Dialer(PATIENCE_S) as dialer:
        error = refused(lambda: dialer.connect(known(board, tmp_path, jump=way)))
        assert isinstance(error, HostKeyError)
        assert (error.shown.host.name, error.fingerprint) == ("gateway", gateway.fingerprint())
        hostkeys.remember(error.shown)
        assert dialer.connect(known(board, tmp_path, jump=way)).run(["true"]).status == 0


def test_a_board_that_its_gateway_does_not_reach(make_sshd: Callable[..., Sshd], tmp_path: Path) -> None:
    gateway, board = make_sshd("gateway"), make_sshd("board")
    board.stop()
    with Dialer(PATIENCE_S) as dialer:
        error = refused(lambda: dialer.connect(known(board, tmp_path, jump=known(gateway, tmp_path))))
    assert isinstance(error, UnreachableError)
    assert "cannot be reached through gateway" in error.message


def test_nobody_listens(sshd: Sshd, connect: Connect) -> None:
    sshd.stop()
    error = refused(lambda: connect(sshd))
    assert isinstance(error, UnreachableError)
    assert error.message == f"{sshd.address}:{sshd.port} refuses connections"


@pytest.mark.parametrize("address", ["no-such-host.invalid", "a" * 70 + ".invalid", "two..dots"])
def test_a_name_that_nobody_has(address: str) -> None:
    with Dialer(PATIENCE_S) as dialer:
        error = refused(lambda: dialer.connect(Host("board", address)))
    assert isinstance(error, UnreachableError)
    assert f"there is no host {address}" in error.message


def test_something_else_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, Dialer(PATIENCE_S) as dialer:
        port = server.getsockname()[1]

        def answer() -> None:
            with server.accept()[0] as client:
                client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                client.recv(1000)

        thread = threading.Thread(target=answer)
        thread.start()
        error = refused(lambda: dialer.connect(Host("board", "127.0.0.1", port)))
        thread.join(PATIENCE_S)
    assert isinstance(error, UnreachableError)
    assert "does not answer as an SSH server" in error.message


@pytest.mark.slow
def test_a_host_that_hangs_is_given_up(sshd: Sshd, connect: Connect, tmp_path: Path) -> None:
    source = tmp_path / "large"
    source.write_bytes(bytes(16_000_000))
    running, writing = connect(sshd, SHORT_S), connect(sshd, SHORT_S)
    running.run(["true"])
    frozen = threading.Event()

    def freeze(_: int) -> None:
        if not frozen.is_set():
            frozen.set()
            sshd.freeze()

    error = refused(lambda: writing.put(source, f"{sshd.home_there}/large", freeze))
    assert isinstance(error, UnreachableError)
    assert "has said nothing for 0.5 s" in error.message
    assert "has said nothing for 0.5 s" in refused(lambda: running.run(["true"])).message
    assert "does not answer as an SSH server: says nothing" in refused(lambda: connect(sshd, SHORT_S)).message
    sshd.thaw()
    assert connect(sshd).run(["true"]).status == 0


@pytest.mark.slow
def test_a_command_that_is_silent_for_long_is_not_given_up(sshd: Sshd, connect: Connect) -> None:
    assert connect(sshd, SHORT_S).run(["sh", "-c", "sleep 1.5; echo done"]).stdout == "done\n"


def test_a_cut_while_a_command_runs(sshd: Sshd, connect: Connect) -> None:
    connection = connect(sshd)
    cut = threading.Timer(0.2, sshd.cut)
    cut.start()
    error = refused(lambda: connection.run(["sleep", "1000"], timeout_s=100))
    cut.join()
    assert isinstance(error, UnreachableError)
    assert error.message == f"{sshd.address}:{sshd.port} was cut off"
    assert isinstance(refused(lambda: connection.run(["true"])), UnreachableError)


def test_a_cut_in_mid_transfer_leaves_the_old_file(sshd: Sshd, connect: Connect, tmp_path: Path) -> None:
    source = tmp_path / "large"
    source.write_bytes(bytes(16_000_000))
    (sshd.home / "large").write_text("old")
    sent = 0

    def cut(amount: int) -> None:
        nonlocal sent
        sent += amount
        if sent - amount < 4_000_000 <= sent:
            assert sshd.cut() > 0

    error = refused(lambda: connect(sshd).put(source, f"{sshd.home_there}/large", cut))
    assert isinstance(error, UnreachableError)
    assert (sshd.home / "large").read_text() == "old"
    connect(sshd).put(source, f"{sshd.home_there}/large")
    assert (sshd.home / "large").stat().st_size == 16_000_000
    assert [path.name for path in sshd.home.iterdir()] == ["large"]


@pytest.mark.slow
def test_twenty_boards_at_once(make_sshd: Callable[..., Sshd], tmp_path: Path) -> None:
    boards = [make_sshd(f"board{number}") for number in range(20)]
    found: dict[str, str] = {}

    with Dialer(3 * PATIENCE_S) as dialer:

        def visit(board: Sshd) -> None:
            connection = dialer.connect(replace(known(board, tmp_path), name=board.name))
            found[connection.name] = connection.run(["pwd"]).stdout.strip()

        threads = [threading.Thread(target=visit, args=(board,)) for board in boards]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(6 * PATIENCE_S)
    assert found == {board.name: board.home_there for board in boards}
