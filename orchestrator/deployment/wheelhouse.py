"""The wheels that a kind of board needs, collected here, so that the board needs no internet.

pip picks the versions for a foreign platform, but it evaluates environment markers for the Python that it runs in
(pip's issue 11664): what that left out is found by walking the requirements as the board would, and fetched as well;
what it brought in vain is left behind.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from orchestrator.deployment.errors import DeploymentError
from orchestrator.deployment.ownwheel import distribution, write_own_wheel
from orchestrator.deployment.target import Target
from protos.contract import digest_of_bytes, digest_of_file

#: Installs the others. A board's own may be too old, or missing, as Debian ships Python without it.
INSTALLER = "pip"
_OWN = "gauntlet"
_INDEX = "wheels.json"
_DOWNLOAD_TIMEOUT_S = 900.0
_ROUNDS = 5
_MISSING = re.compile(r"No matching distribution found for (?P<what>.+)")
_OFFLINE = re.compile(r"connection broken by|Could not fetch URL|Read timed out|Failed to establish a new connection")


@dataclass(frozen=True)
class Wheel:
    """A wheel, here.

    Attributes:
        path: of the file.
        digest: its SHA-256.
        size_bytes: of the file.
    """

    path: Path
    digest: str
    size_bytes: int

    @property
    def name(self) -> str:
        """Of its distribution, in canonical form."""
        return parse_wheel_filename(self.path.name)[0]

    @property
    def version(self) -> Version:
        """Of its distribution."""
        return parse_wheel_filename(self.path.name)[1]

    @classmethod
    def of(cls, path: Path) -> Wheel:
        """Read the file for its digest."""
        return cls(path, digest_of_file(path), path.stat().st_size)


class Wheelhouses:
    """The wheels for each kind of board, collected once, whoever asks first.

    Args:
        folder: keeps what was collected; made when absent.
        given: a folder with wheels that somebody made: nothing is downloaded.

    What failed once is not tried again.
    """

    def __init__(self, folder: Path, given: Path | None = None) -> None:
        self._folder = folder
        self._given = given
        self._guard = threading.Lock()
        self._locks: dict[Target, threading.Lock] = {}
        self._failed: dict[Target, DeploymentError] = {}
        self._own: Wheel | None = None

    def is_ready(self, target: Target) -> bool:
        """Is there nothing to download for this kind of board?"""
        return self._given is not None or (self._place(target) / _INDEX).exists()

    def wheels(self, target: Target) -> list[Wheel]:
        """What a board of this kind is given, by name; pip and Gauntlet itself are among them.

        Raises:
            DeploymentError: something has no wheel for it, or cannot be downloaded.
        """
        with self._guard:
            own = self._own = self._own or self._pack()
            lock = self._locks.setdefault(target, threading.Lock())
        with lock:
            # Twenty boards need not wait for one index in turn, nor for one that somebody stopped asking.
            if failed := self._failed.get(target):
                raise DeploymentError(failed.message, failed.remedy)
            try:
                found = self._chosen(target, own)
            except DeploymentError as error:
                self._failed[target] = error
                raise
        return sorted([*_without(found, _OWN), own], key=lambda wheel: wheel.name)

    def _chosen(self, target: Target, own: Wheel) -> list[Wheel]:
        if self._given is None:
            return _kept(self._place(target)) or self._collect(target, own)
        found = _fitting(self._given, target)
        missing, _ = _closure([*_without(found, _OWN), own], target)
        if missing:
            raise DeploymentError(
                f"{self._given} has no wheel of {missing[0]} for {target}", "add it, or leave out --wheelhouse"
            )
        return found

    def _pack(self) -> Wheel:
        folder = self._folder / "own"
        _make(folder)
        return Wheel.of(write_own_wheel(folder))

    def _place(self, target: Target) -> Path:
        wanted = digest_of_bytes("\n".join(_requirements()).encode())
        return self._folder / f"{target.folder}-{wanted[:12]}"

    def _collect(self, target: Target, own: Wheel) -> list[Wheel]:
        place = self._place(target)
        _make(self._folder)
        with tempfile.TemporaryDirectory(dir=self._folder, prefix=".new-") as temporary:
            folder = Path(temporary) / place.name
            folder.mkdir()
            wanted = [*_direct(target), INSTALLER]
            for _ in range(_ROUNDS):
                _download(folder, target, wanted)
                missing, needed = _closure([*_fitting(folder, target), own], target)
                if not missing:
                    break
                wanted += missing
            else:
                raise DeploymentError(f"pip cannot settle on wheels for {target}: {', '.join(missing)}")
            for path in folder.iterdir():
                if path not in needed:
                    path.unlink()
            kept = {path.name: digest_of_file(path) for path in sorted(needed & set(folder.iterdir()))}
            (folder / _INDEX).write_text(json.dumps(kept, indent=1))
            shutil.rmtree(place, ignore_errors=True)  # damaged, or it would have been taken
            try:
                folder.rename(place)
            except OSError:
                # Another process was faster, with the same.
                if not _kept(place):
                    raise
        return _kept(place)


def amount(wheels: Sequence[Wheel]) -> str:
    """How many and how large they are, for people."""
    size_bytes = sum(wheel.size_bytes for wheel in wheels)
    return f"{len(wheels)} wheel{'' if len(wheels) == 1 else 's'}, {size_bytes / 1e6:.0f} MB"


def cache_folder() -> Path:
    """Where wheels are kept on this side."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "gauntlet" / "wheels"


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DeploymentError(
            f"cannot keep wheels in {folder}: {error.strerror}", "name another cache folder: XDG_CACHE_HOME=DIR"
        ) from error


def _requirements() -> list[str]:
    return sorted(distribution().requires or ())


def _direct(target: Target) -> list[str]:
    """What Gauntlet itself asks for on such a board, without markers."""
    return [_bare(wanted) for wanted in _holding(_requirements(), target)]


def _holding(lines: Iterable[str], target: Target) -> list[Requirement]:
    """The requirements that hold on such a board."""
    environment = target.environment
    parsed = [Requirement(line) for line in lines]
    return [one for one in parsed if one.marker is None or one.marker.evaluate(environment)]


def _bare(wanted: Requirement) -> str:
    extras = f"[{','.join(sorted(wanted.extras))}]" if wanted.extras else ""
    return f"{wanted.name}{extras}{wanted.specifier}"


def _download(folder: Path, target: Target, wanted: Sequence[str]) -> None:
    """By pip, whose settings (index, certificates, proxy) are the user's own."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--only-binary=:all:", "--implementation=cp", f"--python-version={target.python[0]}.{target.python[1]}"]
    command += [f"--platform={name}" for name in target.platforms] + [f"--abi={name}" for name in target.abis]
    try:
        done = subprocess.run(
            [*command, f"--dest={folder}", *wanted],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_DOWNLOAD_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DeploymentError(
            f"the wheels for {target} did not come within {_DOWNLOAD_TIMEOUT_S:g} s",
            "try again, or give a folder that has them: --wheelhouse DIR",
        ) from error
    if done.returncode == 0:
        return
    if _OFFLINE.search(done.stderr):
        raise DeploymentError(
            f"the wheels for {target} cannot be downloaded: the package index does not answer",
            "go online once, they are kept then; or give a folder that has them: --wheelhouse DIR",
        )
    if "No module named pip" in done.stderr:
        raise DeploymentError(
            "this Python has no pip to collect wheels with",
            f"{sys.executable} -m ensurepip; in an environment of uv: uv pip install pip",
        )
    if found := _MISSING.search(done.stderr):
        raise DeploymentError(
            f"there is no wheel of {found['what'].strip()} for {target}",
            "another Python on the board may have one; or give a folder that has it: --wheelhouse DIR",
        )
    said = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("WARNING")]
    raise DeploymentError(f"pip cannot collect the wheels for {target}: {said[-1] if said else 'it does not say why'}")


def _fitting(folder: Path, target: Target) -> list[Wheel]:
    """The wheels in a folder that run on such a board: of each distribution the newest, and of that the best."""
    best: dict[str, tuple[Version, int, Path]] = {}
    for path in folder.glob("*.whl"):
        try:
            name, version, _, tags = parse_wheel_filename(path.name)
        except InvalidWheelFilename as error:
            raise DeploymentError(f"{path} is no wheel", "rename it as it was, or remove it") from error
        places = [target.tags[tag] for tag in tags if tag in target.tags]
        if places and (name not in best or (version, -min(places)) > (best[name][0], -best[name][1])):
            best[name] = (version, min(places), path)
    return [Wheel.of(path) for _, _, path in best.values()]


def _without(wheels: Iterable[Wheel], name: str) -> list[Wheel]:
    return [wheel for wheel in wheels if wheel.name != name]


def _closure(wheels: Sequence[Wheel], target: Target) -> tuple[list[str], set[Path]]:
    """Walk what is required, from Gauntlet itself and pip on.

    Returns:
        What has no wheel here, and the files that are needed.
    """
    known = {wheel.name: wheel for wheel in wheels}
    pending = [Requirement(_OWN), Requirement(INSTALLER)]
    missing: list[str] = []
    needed: set[Path] = set()
    while pending:
        wanted = pending.pop()
        wheel = known.get(canonicalize_name(wanted.name))
        if wheel is None or not wanted.specifier.contains(wheel.version, prereleases=True):
            missing.append(_bare(wanted))
        elif wheel.path not in needed:
            needed.add(wheel.path)
            pending += _holding(_requires(wheel.path), target)
    return sorted(set(missing)), needed


def _requires(path: Path) -> list[str]:
    """Of a wheel: the lines of its metadata."""
    try:
        with zipfile.ZipFile(path) as wheel:
            [name] = [name for name in wheel.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)]
            message = HeaderParser().parsestr(wheel.read(name).decode())
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise DeploymentError(f"{path} is damaged, or no wheel: {error}", "remove it, and try again") from error
    return message.get_all("Requires-Dist") or []


def _kept(place: Path) -> list[Wheel]:
    """What was collected there; nothing if it is not whole."""
    try:
        index = json.loads((place / _INDEX).read_text())
        wheels = [Wheel.of(place / name) for name in index]
    except (OSError, ValueError, TypeError):
        return []
    return wheels if all(index[wheel.path.name] == wheel.digest for wheel in wheels) else []
