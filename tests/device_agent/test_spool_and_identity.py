"""What an agent keeps over its own death."""

from __future__ import annotations

from pathlib import Path

import pytest

from device_agent.identity import StateError, StateFolder
from device_agent.spool import Spool
from protos.contract import digest_of_bytes
from protos.gauntlet.v1 import agent_pb2


def finished(lease_id: str = "l1") -> agent_pb2.JobFinished:
    return agent_pb2.JobFinished(lease_id=lease_id, job_id="j1", device_id="d1")


def test_what_is_spooled_survives_until_it_is_acknowledged(tmp_path: Path) -> None:
    files = tmp_path / "job-1"
    files.mkdir()
    digest = digest_of_bytes(b"samples")
    (files / digest).write_bytes(b"samples")
    Spool(tmp_path / "spool").put(finished(), files)
    spool = Spool(tmp_path / "spool")  # the agent died and came back
    assert spool.all() == {"l1": finished()}
    path = spool.file("l1", digest)
    assert path is not None
    assert path.read_bytes() == b"samples"
    spool.remove("l1")
    spool.remove("l1")
    assert Spool(tmp_path / "spool").all() == {}
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_failure_has_no_files(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.put(finished(), None)
    assert Spool(tmp_path).all() == {"l1": finished()}
    assert spool.file("l1", "0" * 64) is None
    assert spool.file("l1", "../../agent-id") is None


def test_leftovers_that_are_no_finished_job_are_dropped(tmp_path: Path) -> None:
    for name, content in (("empty", None), ("garbage", b"\xff\xff\xff"), ("other", finished("l9").SerializeToString())):
        (tmp_path / name).mkdir()
        if content is not None:
            (tmp_path / name / "finished.pb").write_bytes(content)
    assert Spool(tmp_path).all() == {}
    assert list(tmp_path.iterdir()) == []


def test_a_result_that_cannot_be_written_is_kept_in_memory(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    (tmp_path / "spool" / "l1").mkdir()
    (tmp_path / "spool" / "l1" / "in-the-way").write_text("x")
    spool.put(finished(), None)
    assert spool.all() == {"l1": finished()}


def test_an_agents_id_is_kept_and_its_epoch_grows(tmp_path: Path) -> None:
    first = StateFolder(tmp_path, "pi-1")
    first.close()
    second = StateFolder(tmp_path)
    assert second.agent_id == "pi-1"
    assert (first.epoch.split("-")[0], second.epoch.split("-")[0]) == ("1", "2")
    assert first.epoch.split("-")[1] != second.epoch.split("-")[1]
    second.close()


def test_a_lost_epoch_is_no_obstacle(tmp_path: Path) -> None:
    StateFolder(tmp_path).close()
    (tmp_path / "epoch").write_text("garbage")
    StateFolder(tmp_path).close()


def test_one_folder_is_one_agents(tmp_path: Path) -> None:
    owner = StateFolder(tmp_path)
    with pytest.raises(StateError, match="--state-dir"):
        StateFolder(tmp_path)
    owner.close()
    StateFolder(tmp_path).close()


def test_a_damaged_id_and_a_folder_that_is_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "agent-id").write_text("../x\n")
    with pytest.raises(StateError, match="no agent id"):
        StateFolder(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="--state-dir"):
        StateFolder(tmp_path / "file")
