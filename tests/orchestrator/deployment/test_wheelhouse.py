"""What boards are given: wheels that fit them, collected by the real pip from a folder of made-up ones."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from orchestrator.deployment import ownwheel, wheelhouse
from orchestrator.deployment.errors import DeploymentError
from orchestrator.deployment.target import Target
from orchestrator.deployment.wheelhouse import Wheel, Wheelhouses
from tests.orchestrator.deployment.wheels import make_wheel

PI = Target("aarch64", (3, 9), (2, 31))


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only wheels that pip finds."""
    folder = tmp_path / "index"
    folder.mkdir()
    make_wheel(folder, "pip")
    for variable in ("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def gauntlet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Gauntlet that asks for what the test writes into its METADATA; returns that file."""
    info = tmp_path / "site" / "gauntlet-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "RECORD").write_text("gauntlet-1.0.dist-info/METADATA,,\n")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: gauntlet\nVersion: 1.0\n")
    for module in (ownwheel, wheelhouse):
        monkeypatch.setattr(module, "distribution", lambda: metadata.PathDistribution(info))
    return info / "METADATA"


def requires(metadata_file: Path, *lines: str) -> None:
    with metadata_file.open("a") as file:
        file.writelines(f"Requires-Dist: {line}\n" for line in lines)


def names(wheels: list[Wheel]) -> list[str]:
    return [wheel.path.name for wheel in wheels if wheel.name not in ("pip", "gauntlet")]


def test_a_board_takes_wheels_for_its_glibc_and_older_ones() -> None:
    assert PI.platforms[:2] == ["manylinux_2_31_aarch64", "manylinux_2_30_aarch64"]
    assert PI.platforms[-2:] == ["manylinux_2_17_aarch64", "manylinux2014_aarch64"]
    assert Target("x86_64", (3, 12), (2, 36)).platforms[-1] == "manylinux1_x86_64"
    assert "python_version" in PI.environment
    assert PI.environment["python_version"] == "3.9"


def test_the_best_wheel_that_fits_is_taken(index: Path, gauntlet: Path, tmp_path: Path) -> None:
    requires(gauntlet, "fast>=1")
    for tag in ("cp39-cp39-manylinux_2_28_aarch64", "cp39-cp39-manylinux_2_17_aarch64", "py3-none-any"):
        make_wheel(index, "fast", "2.0", tag)
    for tag in (
        "cp39-cp39-manylinux_2_36_aarch64",
        "cp39-cp39-manylinux_2_17_x86_64",
        "cp311-cp311-manylinux_2_17_aarch64",
    ):
        make_wheel(index, "fast", "3.0", tag)
    wheels = Wheelhouses(tmp_path / "cache").wheels(PI)
    assert names(wheels) == ["fast-2.0-cp39-cp39-manylinux_2_28_aarch64.whl"]
    assert {wheel.name for wheel in wheels} == {"fast", "gauntlet", "pip"}


def test_markers_are_those_of_the_board_and_not_of_this_python(index: Path, gauntlet: Path, tmp_path: Path) -> None:
    requires(gauntlet, "library", "arm-only; platform_machine == 'aarch64'", "intel-only; platform_machine == 'x86_64'")
    # pip asks its own Python about these.
    make_wheel(
        index, "library", requires=["old-python; python_version < '3.10'", "new-python; python_version >= '3.10'"]
    )
    for name in ("arm_only", "intel_only", "old_python", "new_python"):
        make_wheel(index, name)
    got = names(Wheelhouses(tmp_path / "cache").wheels(PI))
    assert got == [f"{name}-1.0-py3-none-any.whl" for name in ("arm_only", "library", "old_python")]


def test_extras_of_gauntlet_are_not_for_boards(index: Path, gauntlet: Path, tmp_path: Path) -> None:
    requires(gauntlet, "torch; extra == 'lab'", "library")
    make_wheel(index, "library")
    assert names(Wheelhouses(tmp_path / "cache").wheels(PI)) == ["library-1.0-py3-none-any.whl"]


def test_what_was_collected_is_used_again_without_an_index(index: Path, gauntlet: Path, tmp_path: Path) -> None:
    requires(gauntlet, "library")
    make_wheel(index, "library")
    first = Wheelhouses(tmp_path / "cache")
    assert not first.is_ready(PI)
    got = first.wheels(PI)
    assert first.is_ready(PI)
    shutil.rmtree(index)
    assert Wheelhouses(tmp_path / "cache").wheels(PI) == got


def test_a_damaged_cache_is_collected_anew(index: Path, gauntlet: Path, tmp_path: Path) -> None:
    requires(gauntlet, "library")
    make_wheel(index, "library")
    houses = Wheelhouses(tmp_path / "cache")
    [kept] = [wheel for wheel in houses.wheels(PI) if wheel.name == "library"]
    kept.path.write_bytes(b"rot")
    assert kept in houses.wheels(PI)


def test_other_requirements_are_another_set(index: Path, gauntlet: Path, tmp_path: Path) -> None:
    assert names(Wheelhouses(tmp_path / "cache").wheels(PI)) == []
    requires(gauntlet, "library")
    make_wheel(index, "library")
    assert names(Wheelhouses(tmp_path / "cache").wheels(PI)) == ["library-1.0-py3-none-any.whl"]


def test_many_hosts_of_a_kind_collect_once(
    index: Path, gauntlet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    download = wheelhouse._download

    def counted(*arguments: object) -> None:
        calls.append(arguments)
        download(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(wheelhouse, "_download", counted)
    houses = Wheelhouses(tmp_path / "cache")
    threads = [threading.Thread(target=houses.wheels, args=(PI,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


def test_a_wheel_that_nobody_built_for_such_a_board_is_named(index: Path, gauntlet: Path, tmp_path: Path) -> None:
    requires(gauntlet, "fast>=2")
    make_wheel(index, "fast", "2.0", "cp39-cp39-manylinux_2_17_x86_64")
    with pytest.raises(DeploymentError, match=r"no wheel of fast>=2 for Python 3.9 on aarch64 with glibc 2.31"):
        Wheelhouses(tmp_path / "cache").wheels(PI)
    assert not list((tmp_path / "cache").glob("cp39*"))


def test_an_index_that_does_not_answer_is_told_from_a_wheel_that_is_missing(
    gauntlet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requires(gauntlet, "fast")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    for variable in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(DeploymentError, match="the package index does not answer"):
        Wheelhouses(tmp_path / "cache").wheels(PI)


def test_a_python_without_pip_is_told_so(gauntlet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    monkeypatch.setattr(sys, "executable", str(bare / "bin" / "python"))
    with pytest.raises(DeploymentError, match="this Python has no pip") as raised:
        Wheelhouses(tmp_path / "cache").wheels(PI)
    assert "ensurepip" in raised.value.remedy


def test_a_folder_of_wheels_that_somebody_made_is_taken_as_it_is(gauntlet: Path, tmp_path: Path) -> None:
    requires(gauntlet, "library>=1")
    given = tmp_path / "given"
    for version in ("0.9", "1.10", "1.9"):
        make_wheel(given, "library", version)
    make_wheel(given, "runtime", "1.0", "cp39-cp39-manylinux_2_17_aarch64")
    make_wheel(given, "runtime", "2.0", "cp39-cp39-manylinux_2_17_x86_64")
    make_wheel(given, "pip")
    got = names(Wheelhouses(tmp_path / "cache", given).wheels(PI))
    assert got == ["library-1.10-py3-none-any.whl", "runtime-1.0-cp39-cp39-manylinux_2_17_aarch64.whl"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "library-1.0-py3-none-any.whl").unlink(), "has no wheel of library for Python 3.9"),
        (lambda folder: (folder / "library-1.0-py3-none-any.whl").write_bytes(b"rot"), "is damaged, or no wheel"),
        (lambda folder: (folder / "library.whl").write_bytes(b""), "library.whl is no wheel"),
    ],
)
def test_what_is_wrong_with_such_a_folder_is_said(
    gauntlet: Path,
    tmp_path: Path,
    spoil: object,
    message: str,
) -> None:
    requires(gauntlet, "library")
    given = tmp_path / "given"
    make_wheel(given, "library")
    make_wheel(given, "pip")
    spoil(given)  # type: ignore[operator]
    with pytest.raises(DeploymentError, match=message):
        Wheelhouses(tmp_path / "cache", given).wheels(PI)


def test_gauntlets_own_wheel_is_the_same_as_long_as_nothing_changed(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one, two = ownwheel.write_own_wheel(tmp_path / "one"), ownwheel.write_own_wheel(tmp_path / "two")
    assert one.read_bytes() == two.read_bytes()
    with zipfile.ZipFile(one) as wheel:
        members = set(wheel.namelist())
        assert {"device_agent/cli.py", "protos/contract.py", "device_agent/fitness/reference.tflite"} <= members
        assert not [name for name in members if "__pycache__" in name]
        assert b"gauntlet-agent = device_agent.cli:main" in wheel.read(
            next(name for name in members if name.endswith("entry_points.txt"))
        )


def test_an_installed_gauntlet_is_packed_from_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    wheel = make_wheel(
        tmp_path,
        "gauntlet",
        "2.0",
        files={"device_agent/a.py": "A = 1\n", "gauntlet-2.0.dist-info/top_level.txt": "device_agent\n"},
    )
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-index",
            "--no-deps",
            "--target",
            str(site),
            str(wheel),
        ],
        check=True,
    )
    monkeypatch.setattr(ownwheel, "distribution", lambda: metadata.PathDistribution(site / "gauntlet-2.0.dist-info"))
    with zipfile.ZipFile(ownwheel.write_own_wheel(tmp_path)) as packed:
        assert packed.read("device_agent/a.py") == b"A = 1\n"
        assert not [name for name in packed.namelist() if "__pycache__" in name]


def test_a_source_tree_that_was_never_installed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "distributions", lambda **_: [])
    with pytest.raises(DeploymentError, match="not installed"):
        ownwheel.distribution()


def test_what_failed_for_one_board_is_not_tried_again_for_each_of_the_others(
    gauntlet: Path, index: Path, tmp_path: Path
) -> None:
    requires(gauntlet, "late")
    houses = Wheelhouses(tmp_path / "cache")
    with pytest.raises(DeploymentError) as first:
        houses.wheels(PI)
    make_wheel(index, "late")
    with pytest.raises(DeploymentError) as second:
        houses.wheels(PI)
    assert (second.value.message, second.value.remedy) == (first.value.message, first.value.remedy)
    assert names(Wheelhouses(tmp_path / "cache").wheels(PI)) == ["late-1.0-py3-none-any.whl"]
