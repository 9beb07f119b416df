"""Settings from file, environment and flags: one precedence, every mistake named with its remedy."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml

from orchestrator import settings
from orchestrator.config import Config, ConfigError
from orchestrator.main import main

DIR = ["--dir", "/lab"]


def write(tmp_path: Path, content: str) -> list[str]:
    path = tmp_path / "lab.yaml"
    path.write_text(content)
    return [*DIR, "--config", str(path)]


def test_flags_come_before_the_environment_that_before_the_file_that_before_defaults(tmp_path: Path) -> None:
    file = write(tmp_path, "lease_duration_s: 21\nheartbeat_interval_s: 3\nretention_s: 60\n")
    environ = {"GAUNTLET_LAB_LEASE_DURATION_S": "22", "GAUNTLET_LAB_HEARTBEAT_INTERVAL_S": "4"}
    loaded = settings.load([*file, "--lease-duration-s", "23"], environ)
    config = loaded.config
    assert (config.lease_duration_s, config.heartbeat_interval_s, config.retention_s) == (23.0, 4.0, 60.0)
    assert config.upload_grace_s == Config.upload_grace_s
    assert {key: loaded.sources[key] for key in ("lease_duration_s", "heartbeat_interval_s", "retention_s")} == {
        "lease_duration_s": "--lease-duration-s",
        "heartbeat_interval_s": "GAUNTLET_LAB_HEARTBEAT_INTERVAL_S",
        "retention_s": str(tmp_path / "lab.yaml"),
    }
    assert loaded.sources["upload_grace_s"] == "default"


def test_the_file_may_be_named_in_the_environment(tmp_path: Path) -> None:
    *_, path = write(tmp_path, "log_format: json")
    assert settings.load(DIR, {"GAUNTLET_LAB_CONFIG": path}).config.log_format == "json"


def test_an_empty_variable_is_as_good_as_none() -> None:
    assert settings.load(DIR, {"GAUNTLET_LAB_DIR": "", "GAUNTLET_LAB_LEASE_DURATION_S": ""}).sources["dir"] == "--dir"


def test_the_lab_of_one_command_hears_only_its_command(tmp_path: Path) -> None:
    environ = {"GAUNTLET_LAB_METRICS_ADDRESS": "127.0.0.1:9151", "GAUNTLET_LAB_CONFIG": "/no/such/file"}
    loaded = settings.load([*DIR, "--lifeline"], environ)
    assert loaded.lifeline
    assert loaded.config.metrics_address == ""


def test_what_is_shown_can_be_given_back(tmp_path: Path) -> None:
    shown = settings.load([*DIR, "--retention-s", "2592000.5", "--log-level", "debug"], {})
    again = settings.load(write(tmp_path, str(shown))[2:], {})
    assert again.config == shown.config
    assert set(yaml.safe_load(str(shown))) == {
        field.name for field in dataclasses.fields(Config) if field.name != "folder"
    } | {"dir"}


@pytest.mark.parametrize(
    ("content", "message", "remedy"),
    [
        ("lease_duration: 3", "there is no setting lease_duration", "did you mean lease_duration_s?"),
        ("1: 3", "there is no setting 1", "--show-config"),
        (
            "lease_duration_s: fast",
            r"lease_duration_s \(.*lab.yaml\) must be a valid number, not 'fast'",
            "default is 10",
        ),
        ("lease_duration_s: [1]", "lease_duration_s .* must be a valid number", "default is 10"),
        ("lease_duration_s: .nan", "lease_duration_s .* must be", "default is 10"),
        ("lease_duration_s: .inf", "lease_duration_s .* must be", "default is 10"),
        ("max_store_bytes: 0", "max_store_bytes .* must be at least 1, not '0'", "all artifacts together"),
        ("log_format: xml", "log_format .* must be 'text' or 'json', not 'xml'", "one object a line"),
        ("address: 0.0.0.0:50151", "refusing 0.0.0.0:50151", "ssh -R"),
        ("open_address: there", "open_address 'there' is no address", "0.0.0.0:50152"),
        ("metrics_address: there", "metrics_address 'there' is no address", "127.0.0.1:9151"),
        ("lease_duration_s: 3", "at least two heartbeats", "heartbeat_interval_s 2"),
        ("dir: 5", r"dir \(.*lab.yaml\) must be a valid path, not '5'", "folder of the lab's database"),
        ('"two\\nlines": 1', r"there is no setting two\\nlines", "--show-config"),
        ("- 1", "holds no settings", "KEY: VALUE"),
        ("a: [", "is no YAML", "KEY: VALUE"),
        ("log_level: info\nlog_level: info", "a key stands twice", "KEY: VALUE"),
        ("# " + "x" * 70_000, "larger than 64 KiB", "KEY: VALUE"),
    ],
)
def test_a_mistake_in_the_file_is_one_line_with_its_remedy(
    tmp_path: Path, content: str, message: str, remedy: str
) -> None:
    if message == "at least two heartbeats":
        content += "\nheartbeat_interval_s: 2"
    with pytest.raises(ConfigError, match=message) as caught:
        settings.load(write(tmp_path, content)[2:] if content.startswith("dir") else write(tmp_path, content), {})
    [problem] = caught.value.problems
    first, second = problem.split("\n")
    assert remedy in second
    assert len(first) < 400


def test_every_mistake_is_named_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(write(tmp_path, "lease: 3\nlog_format: xml\nretention_s: -1")) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 3


@pytest.mark.parametrize(
    ("arguments", "environ", "words"),
    [
        ([], {}, "dir is missing\ngive --dir"),
        (["--leese-duration-s", "3"], {}, "there is no setting --leese-duration-s\ndid you mean --lease-duration-s"),
        (["--lease-s=3"], {}, "there is no setting --lease-s"),
        (
            ["--metrics_address=127.0.0.1:1"],
            {},
            "there is no setting --metrics_address\ndid you mean --metrics-address?",
        ),
        (["now"], {}, "'now' belongs to no flag"),
        (["--retention-s"], {}, "--retention-s: expected one argument"),
        ([], {"GAUNTLET_LAB_LOGFORMAT": "json"}, "did you mean GAUNTLET_LAB_LOG_FORMAT?"),
        (["--config", "/no/such"], {}, "/no/such cannot be read: No such file"),
    ],
)
def test_a_mistake_elsewhere_too(arguments: list[str], environ: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings.load(arguments if words.startswith("dir") else [*DIR, *arguments], environ)
    assert any(words in problem for problem in caught.value.problems)


def test_show_config_prints_and_leaves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--dir", str(tmp_path / "new"), "--show-config"]) == 0
    assert "lease_duration_s: 10" in capsys.readouterr().out
    assert not (tmp_path / "new").exists()
