"""Boards: what they say of themselves, what keeps an agent from running there, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.deployment.board import Board, Python, look, parse
from orchestrator.deployment.dialing import Dialer
from orchestrator.deployment.errors import CommandError, UnfitError
from orchestrator.deployment.survey import SCRIPT
from tests.orchestrator.deployment.sshd import Sshd, needs_sshd

NOW_S = 1_790_000_000.0
NEEDED = 400_000_000
_KEYS = [*re.findall(r"say (\w+)", SCRIPT), "python"]


def board(name: str) -> Board:
    found = parse((Path(__file__).parent / "boards" / f"{name}.txt").read_text(), NOW_S)
    assert found is not None
    return found


def problems(of: Board) -> str:
    return "\n".join(f"{problem} | {remedy}" for problem, remedy in of.problems(NEEDED))


# ------------------------------------------------------------------------------------------- what they say


def test_a_raspberry_pi_is_ready() -> None:
    pi = board("raspberry-pi-os-12")
    pi.check(NEEDED)
    assert pi.warnings() == []
    assert pi.python == Python("/usr/bin/python3", (3, 11, 2), "cpython", 64, True)
    assert (pi.machine, pi.glibc, pi.user, pi.home) == ("aarch64", (2, 36), "pi", "/home/pi")
    assert (pi.root, pi.sudo, pi.systemd, pi.user_systemd, pi.lingering) == (False, True, True, True, False)
    assert (pi.memory_bytes, pi.free_bytes, pi.clock_off_s) == (3_880_932 * 1024, 21_430_152 * 1024, 4.0)
    assert pi.summary == (
        "Raspberry Pi 4 Model B Rev 1.4, Debian GNU/Linux 12 (bookworm), aarch64, Python 3.11.2, user pi"
    )


def test_a_32_bit_system_on_a_64_bit_kernel_is_found_out() -> None:
    pi = board("raspberry-pi-os-32bit")
    assert "its programs have 32 bits" in problems(pi)
    assert "install a 64-bit system" in problems(pi)
    assert pi.python is None


def test_jetpack_5_has_a_python_that_is_too_old() -> None:
    jetson = board("jetpack-5")
    jetson.check(NEEDED)
    assert jetson.python is None
    error = jetson.no_python()
    assert error.message == "it has no 64-bit Python 3.9 or newer (Python 3.8.10 at /usr/bin/python3)"
    assert "uv python install" in error.remedy
    assert "--python FILE" in error.remedy
    [warning] = jetson.warnings()
    assert "ann may not read /sys/class/hwmon/hwmon3/in1_input" in warning
    assert 'ATTR{name}=="ina3221"' in warning
    assert "/bin/chgrp -R ann" in warning


def test_jetpack_6_has_one_without_virtual_environments() -> None:
    python = board("jetpack-6").python
    assert python is not None
    assert (python.version, python.has_venv) == ((3, 10, 12), False)


def test_alpine_has_another_c_library() -> None:
    assert "musl" in problems(board("alpine"))
    assert "Debian" in problems(board("alpine"))
    assert board("alpine").glibc is None


def test_a_mac_is_no_linux() -> None:
    assert problems(board("macos")) == "it runs Darwin, and an agent needs Linux | use a Linux host"


def test_all_that_is_wrong_with_a_board_is_said_at_once() -> None:
    rock = board("busybox-without-python")
    assert "its C library is not glibc" in problems(rock)
    assert "/root is mounted read-only" in problems(rock)
    assert "/root has 123 MB free; 400 MB are needed" in problems(rock)
    with pytest.raises(UnfitError) as caught:
        rock.check(NEEDED)
    assert "\n" not in caught.value.message + caught.value.remedy
    assert all(part in caught.value.message for part in ("glibc", "read-only", "123 MB"))
    assert "days behind" in rock.warnings()[0]
    assert "timedatectl" in rock.warnings()[0]


def test_a_container_without_python_is_told_how_its_distribution_brings_one() -> None:
    container = board("debian-container")
    container.check(NEEDED)
    assert (container.root, container.systemd) == (True, False)
    assert container.no_python().message == "it has no 64-bit Python 3.9 or newer"
    assert "sudo apt-get install python3 python3-venv" in container.no_python().remedy


def test_a_server_whose_energy_may_not_be_read() -> None:
    server = board("x86-server")
    assert server.python is not None
    assert server.python.version == (3, 11, 10)
    assert "is mounted noexec" in problems(server)
    assert "307 MB free" in problems(server)
    clock, energy = server.warnings()
    assert "its clock is 117 minutes behind" in clock
    assert "ann may not read /sys/class/powercap/intel-rapl:0/energy_uj" in energy
    assert 'SUBSYSTEM=="powercap", ACTION=="add", RUN+="/bin/chgrp -R users /sys%p"' in energy


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"has_home": False}, "pi has no home folder"),
        ({"has_home": False, "home": ""}, "pi has no home folder of its own: it is /, or not set"),
        ({"writable": False}, "pi may not write to /home/pi/.local/share | sudo chown pi"),
        ({"free_inodes": 100}, "has room for 100 more files"),
        ({"machine": "riscv64"}, "its processor is riscv64"),
        ({"machine": ""}, "its processor is unknown"),
        ({"system": ""}, "it runs an unknown system"),
    ],
)
def test_other_reasons(change: dict[str, object], problem: str) -> None:
    assert problem in problems(replace(board("raspberry-pi-os-12"), **change))  # type: ignore[arg-type]


@pytest.mark.parametrize("home", ["/", "//", "", "pi", ".", "../pi"])
def test_a_home_below_which_others_live_is_none_of_ones_own(home: str) -> None:
    text = (Path(__file__).parent / "boards" / "raspberry-pi-os-12.txt").read_text()
    found = parse(text.replace("home=/home/pi\n", f"home={home}\n"), NOW_S)
    assert found is not None
    assert found.home != "/home/pi"
    with pytest.raises(UnfitError, match="no home folder of its own"):
        found.check_home()


def test_versions_that_no_board_has_are_not_counted_up_to() -> None:
    text = (Path(__file__).parent / "boards" / "raspberry-pi-os-12.txt").read_text()
    found = parse(text.replace("libc=glibc 2.36", "libc=glibc 2.9999"), NOW_S)
    assert found is not None
    assert found.glibc is None


def test_what_is_not_counted_is_no_reason() -> None:
    pi = replace(board("raspberry-pi-os-12"), free_bytes=None, free_inodes=None, clock_off_s=None, memory_bytes=None)
    assert problems(pi) == ""
    assert pi.warnings() == []


@pytest.mark.parametrize(
    "line",
    [
        "python=",
        "python=x|cpython|64|1|/p",
        "python=3.11|cpython|x|1|/p",
        "clock=now",
        "disk_kib=-",
        "unreadable=",
        "=",
    ],
)
def test_lines_that_mean_nothing_are_passed_over(line: str) -> None:
    found = parse(f"{line}\nend=yes\n", NOW_S)
    assert found is not None
    assert (found.python, found.clock_off_s, found.free_bytes) == (None, None, None)


@given(st.lists(st.tuples(st.sampled_from(_KEYS), st.text(max_size=20))))
@settings(deadline=None)
def test_whatever_a_board_says_can_be_judged(lines: list[tuple[str, str]]) -> None:
    found = parse("".join(f"{key}={value}\n" for key, value in lines) + "end=yes\n", NOW_S)
    assert found is not None
    said = [found.summary, *found.warnings(), found.no_python().message, *dict(found.problems(NEEDED))]
    assert not any("\n" in text for text in said)


def test_an_answer_without_its_end_is_none() -> None:
    assert parse("system=Linux\n", NOW_S) is None


# ------------------------------------------------------------------------------------------------ a real one


@pytest.fixture
def ask(tmp_path: Path) -> Callable[[Sshd], Board]:
    def ask(sshd: Sshd) -> Board:
        known = tmp_path / "known_hosts"
        known.write_text(sshd.known_hosts)
        with Dialer() as dialer:
            connection = dialer.connect(sshd.host(known_hosts=(known,)))
            try:
                return look(connection)
            finally:
                connection.close()

    return ask


@needs_sshd
def test_this_machine(sshd: Sshd, ask: Callable[[Sshd], Board]) -> None:
    sshd.profile("echo 'Welcome! end=yes'")
    found = ask(sshd)
    assert (found.system, found.user, found.home, found.has_home) == ("Linux", sshd.user, sshd.home_there, True)
    assert found.bits == 64
    assert found.free_bytes is not None
    assert found.free_bytes > 0
    assert found.memory_bytes is not None
    assert found.clock_off_s is not None
    assert found.writable
    assert (found.place, list(sshd.home.iterdir())) == (sshd.home_there, [])


@needs_sshd
def test_a_nearly_full_disk(make_sshd: Callable[..., Sshd], ask: Callable[[Sshd], Board]) -> None:
    found = ask(make_sshd(disk_bytes=1_048_576))
    assert found.free_bytes is not None
    assert found.free_bytes <= 1_048_576
    with pytest.raises(UnfitError, match="1 MB free"):
        found.check(NEEDED)


@needs_sshd
def test_pythons_that_are_of_no_use_are_passed_by(sshd: Sshd, ask: Callable[[Sshd], Board]) -> None:
    # Exit status 0 says that none better need be looked for.
    programs = {
        "python3": "echo 'python=3.8.10|cpython|64|1|/old'; exit 1",
        "python3.11": "echo 'python=3.11.2|cpython|64|0|/half'; exit 1",
        "python3.10": "echo 'python=3.10.4|cpython|64|1|/whole'",
        "python3.9": "echo 'python=3.9.1|cpython|64|1|/never asked'",
        "python3.12": "sleep 1000",
    }
    folder = sshd.home / "bin"
    folder.mkdir()
    for name, script in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    tools = "for tool in uname date tr head tail cat id df readlink getconf sleep sh ldd; do "
    tools += f'ln -s "$(command -v $tool)" {folder} 2>/dev/null; done; '
    # A `timeout` that is less patient.
    (folder / "timeout").write_text('#!/bin/sh\nshift\n[ "${1##*/}" != python3.12 ] || exit 124\nexec "$@"\n')
    (folder / "timeout").chmod(0o755)
    sshd.profile(f"{tools} export PATH={folder}")
    found = ask(sshd)
    assert [python.path for python in found.pythons] == ["/old", "/half", "/whole"]
    assert found.python is not None
    assert found.python.path == "/whole"


@needs_sshd
def test_a_shell_that_cannot_answer(sshd: Sshd, ask: Callable[[Sshd], Board]) -> None:
    folder = sshd.home / "bin"
    folder.mkdir()
    (folder / "sh").write_text('#!/bin/sh\n[ "$#" != 0 ] && exec /bin/sh "$@"\necho "sh: out of cheese" >&2; exit 2\n')
    (folder / "sh").chmod(0o755)
    sshd.profile(f"export PATH={folder}:$PATH")
    with pytest.raises(CommandError, match="out of cheese"):
        ask(sshd)
