"""Which cores are big and which are little."""

from __future__ import annotations

from pathlib import Path
from typing import List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_agent.tuning import cpufreq
from device_agent.tuning.clusters import kinds, select, spelled
from device_agent.tuning.system import SetupRefusedError
from tests.device_agent.tuning.board import CPU, board, tree


def test_kinds_by_capacity(tmp_path: Path) -> None:
    assert kinds(range(8), board(tmp_path)) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_three_kinds_big_are_all_but_the_slowest(tmp_path: Path) -> None:
    capacity = {0: 325, 1: 325, 2: 870, 3: 870, 4: 1024}
    tree(tmp_path, {f"{CPU}/cpu{core}/cpu_capacity": str(value) for core, value in capacity.items()})
    assert kinds(range(5), tmp_path) == [[0, 1], [2, 3], [4]]
    assert select("big", range(5), tmp_path) == [2, 3, 4]
    assert select("little", range(5), tmp_path) == [0, 1]


def test_kinds_by_the_clock_of_a_domain(tmp_path: Path) -> None:
    clocks = {0: 1_500_000, 1: 1_500_000, 2: 2_200_000, 3: 2_200_000}
    tree(tmp_path, {f"{CPU}/cpu{core}/cpufreq/cpuinfo_max_freq": str(value) for core, value in clocks.items()})
    assert kinds(range(4), tmp_path) == [[0, 1], [2, 3]]


def test_favoured_cores_of_one_kind_are_alike(tmp_path: Path) -> None:
    clocks = {0: 5_000_000, 1: 5_000_000, 2: 5_300_000, 3: 5_300_000}
    tree(tmp_path, {f"{CPU}/cpu{core}/cpufreq/cpuinfo_max_freq": str(value) for core, value in clocks.items()})
    assert kinds(range(4), tmp_path) == [[0, 1, 2, 3]]


def test_hybrid_x86_names_its_atoms(tmp_path: Path) -> None:
    tree(tmp_path, {"sys/devices/cpu_core/cpus": "0-3", "sys/devices/cpu_atom/cpus": "4-7"})
    assert kinds(range(8), tmp_path) == [[4, 5, 6, 7], [0, 1, 2, 3]]


def test_only_allowed_cores_are_chosen(tmp_path: Path) -> None:
    assert select("big", [2, 3, 6], board(tmp_path)) == [6]
    assert select("0,2-3", range(8), tmp_path) == [0, 2, 3]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("big", "no big cores: cores 0-1 are alike"),
        ("little", "no little cores"),
        ("0-3", "core 2-3 is not there, or not for this agent: it may use 0-1"),
        ("fast", "names no cores"),
        ("1;rm", "names no cores"),
        ("", "names no cores"),
        ("3-1", "names no cores"),
    ],
)
def test_a_choice_that_cannot_be_met_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SetupRefusedError, match=words):
        select(text, [0, 1], tmp_path)


@given(st.sets(st.integers(0, 300), min_size=1))
def test_a_list_of_cores_survives_being_spelled(cores: List[int]) -> None:
    assert select(spelled(list(cores)), range(301)) == sorted(cores)


@pytest.mark.parametrize("shared_folder", [True, False])
def test_policies_are_found_in_either_layout(tmp_path: Path, shared_folder: bool) -> None:
    found = cpufreq.policies(board(tmp_path, shared_folder=shared_folder))
    assert [list(policy.cores) for policy in found] == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_a_policy_that_is_offline_is_left_alone(tmp_path: Path) -> None:
    (board(tmp_path) / CPU / "cpufreq/policy4/scaling_governor").unlink()
    assert [policy.name for policy in cpufreq.policies(tmp_path)] == ["policy0"]
