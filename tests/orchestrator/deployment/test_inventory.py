"""Inventories: what is read, what is taken from elsewhere, and every mistake named with its line."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.deployment.errors import InventoryError
from orchestrator.deployment.hosts import Host
from orchestrator.deployment.inventory import read_inventory, select

Write = Callable[[str], Path]
_KEYS = ["pi4", "address", "user", "port", "jump", "labels", "identity_files", "service", "python"]


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nobody's ~/.ssh/config but the test's."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    return tmp_path


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "boards.yaml"
        path.write_text(text)
        return path

    return write


def test_hosts_with_defaults_labels_and_a_jump_host(write: Write, tmp_path: Path) -> None:
    hosts = read_inventory(
        write("""
defaults: {user: gauntlet, labels: {room: lab2, rack: 1}, service: user, identity_files: [lab_key]}
jumps:
  gateway: {address: gw.example.org, user: ann, port: 2222}
hosts:
  pi4: {address: 192.168.1.20, user: pi, labels: {rack: a}, python: ~/python.tar.gz}
  jetson:
    address: jetson.local
    jump: gateway
    service: process
    device_class: jetson-orin-nano
    agent_options: [--allow-setup]
""")
    )
    assert list(hosts) == ["pi4", "jetson"]
    pi4, jetson = hosts.values()
    assert (pi4.name, pi4.address, pi4.port, pi4.user, pi4.service) == ("pi4", "192.168.1.20", 22, "pi", "user")
    assert pi4.labels == {"room": "lab2", "rack": "a"}
    assert pi4.python == tmp_path / "python.tar.gz"
    assert pi4.identity_files == (tmp_path / "lab_key",)
    assert pi4.jump is None
    assert (jetson.user, jetson.service, jetson.device_class) == ("gauntlet", "process", "jetson-orin-nano")
    assert jetson.agent_options == ("--allow-setup",)
    assert jetson.jump is not None
    assert (jetson.jump.address, jetson.jump.user, jetson.jump.port) == ("gw.example.org", "ann", 2222)


@pytest.mark.skipif(shutil.which("ssh") is None, reason="ssh is not installed (Debian: openssh-client)")
def test_what_is_not_given_comes_from_the_ssh_configuration(write: Write, own_home: Path) -> None:
    (own_home / ".ssh" / "config").write_text(
        "Host nano\n  HostName 10.0.0.5\n  Port 2022\n  User ann\n  ProxyJump gw\nHost 192.168.*\n  User ubuntu\n"
    )
    hosts = read_inventory(write("hosts:\n  nano:\n  pi4: {address: 192.168.1.20, port: 5}\n"))
    assert (hosts["nano"].address, hosts["nano"].port, hosts["nano"].user) == ("10.0.0.5", 2022, "ann")
    assert hosts["nano"].jump is not None
    assert hosts["nano"].jump.address == "gw"
    assert (hosts["pi4"].user, hosts["pi4"].port) == ("ubuntu", 5)


def test_a_board_may_be_a_gateway_for_all_but_itself(write: Write) -> None:
    hosts = read_inventory(write("defaults: {jump: gate}\nhosts: {gate: {address: 10.0.0.1}, pi: {address: 10.1.0.2}}"))
    assert hosts["gate"].jump is None
    assert hosts["pi"].jump is not None
    assert hosts["pi"].jump.address == "10.0.0.1"


def test_one_private_address_behind_two_gateways_is_two_hosts(write: Write) -> None:
    hosts = "a: {address: 10.0.0.5, jump: g}, b: {address: 10.0.0.5, jump: h}"
    assert len(read_inventory(write(f"jumps: {{g: , h: }}\nhosts: {{{hosts}}}"))) == 2


@pytest.mark.parametrize(
    ("text", "message", "remedy"),
    [
        ("", "names no hosts", "write hosts:"),
        ("- pi4\n", "names no hosts", "write hosts:"),
        ("hosts: {}\n", "line 1: hosts names none", "write hosts:"),
        ("defaults: {}\n", "hosts is missing", "write hosts:"),
        ("hosts: [a]\n", "line 1: hosts must be KEY: VALUE pairs", "write hosts:"),
        ("hosts: {a: 5}\n", "line 1: hosts.a must be KEY: VALUE pairs, not '5'", "docs/deploy.md"),
        ("hosts:\n  pi4:\n    adress: 1.2.3.4\n", "line 3: there is no key hosts.pi4.adress", "did you mean address?"),
        ("host: {a: }\nhosts: {b: }\n", "line 1: there is no key host", "did you mean hosts?"),
        ("hosts: {a: }\ndefaults:\n  adress: b\n", "line 3: there is no key defaults.adress", "there are"),
        ("hosts:\n  pi4:\n    password: geheim\n", "passwords are not taken", "ssh-copy-id"),
        ("hosts: {a: {become_pass: x}}\n", "passwords are not taken", "ssh-copy-id"),
        (
            "hosts:\n  a:\n    port: 70000\n",
            "line 3: hosts.a.port must be at most 65535, not '70000'",
            "docs/deploy.md",
        ),
        ('hosts: {a: {labels: {note: "a\\nb"}}}\n', "hosts.a.labels.note 'a\\nb' is not one line of text", "docs/"),
        ('hosts: {a: {agent_options: ["--x\\nUser=root"]}}\n', "is not one line of text", "docs/deploy.md"),
        ("hosts: {a: {port: ssh}}\n", "hosts.a.port must be a whole number, not 'ssh'", "docs/deploy.md"),
        ("hosts: {a: {address: pi@1.2.3.4}}\n", "'pi@1.2.3.4' is not a host name or IP address", "docs/deploy.md"),
        ("hosts: {a: {address: -oProxyCommand=x}}\n", "is not a host name", "docs/deploy.md"),
        ("hosts: {a: {user: -l}}\n", "'-l' is not a user's name", "docs/deploy.md"),
        ("hosts:\n  'p i4':\n", "line 2: 'p i4' is no name for a device", "letters"),
        ("hosts: {no: }\n", "must be text, in quotes if need be, not 'False'", "docs/deploy.md"),
        ("hosts: {a: {service: upstart}}\n", "must be 'auto', 'system', 'user' or 'process', not 'upstart'", "docs"),
        ("hosts: {a: {agent_options: --x}}\n", "hosts.a.agent_options must be a list, not '--x'", "docs/deploy.md"),
        (
            "hosts:\n a: {jump: gatway}\njumps: {gateway: }\n",
            "line 2: there is no host 'gatway'",
            "did you mean gateway?",
        ),
        ("hosts: {a: {jump: b}}\njumps: {b: {jump: c}, c: {jump: b}}\n", "a → b → c → b jump in a circle", "directly"),
        ("hosts: {a: {address: x.org}, b: {address: X.org}}\n", "a and b are one host: x.org", "name it once"),
        ("hosts: {a: , a: }\n", "a key stands twice", "write hosts:"),
        ("hosts: &x {a: *x}\n", "aliases are not taken", "write hosts:"),
        ("hosts: {a: }: b\n", "is no YAML", "write hosts:"),
    ],
)
def test_mistakes_are_named(write: Write, text: str, message: str, remedy: str) -> None:
    with pytest.raises(InventoryError) as caught:
        read_inventory(write(text))
    assert message in caught.value.message
    assert remedy in caught.value.remedy
    assert "boards.yaml" in caught.value.message
    assert "\n" not in caught.value.message
    assert "geheim" not in caught.value.message


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(_KEYS) | st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(_VALUES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_whatever_a_file_holds_is_hosts_or_a_mistake(tmp_path: Path, value: object) -> None:
    path = tmp_path / "any.yaml"
    path.write_text(yaml.safe_dump({"hosts": value, "defaults": {}}, allow_unicode=True))
    with contextlib.suppress(InventoryError):
        assert read_inventory(path)


def test_what_is_no_inventory_at_all(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none.yaml", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(InventoryError, match=reason):
            read_inventory(path)
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(InventoryError, match="larger than 1024 KiB"):
        read_inventory(large)


def test_some_of_an_inventory_are_chosen() -> None:
    hosts = {name: Host(name, name) for name in ("pi4", "pi5", "jetson")}
    assert [host.name for host in select(hosts, [])] == ["pi4", "pi5", "jetson"]
    assert [host.name for host in select(hosts, ["jetson", "pi4", "pi4"])] == ["jetson", "pi4"]
    with pytest.raises(InventoryError, match="names no host pi6") as caught:
        select(hosts, ["pi6"])
    assert caught.value.remedy in ("did you mean pi4?", "did you mean pi5?")
