"""Files on the phone, by their digests: sent once, checked each time that they are used, the oldest dropped.

/data/local/tmp/gauntlet/<digest>       runners, models, data: kept
<digest>.part  on its way
job-<…>/       of one call, gone after it
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import List, Mapping, Sequence

from device_agent.bridge.adb import AdbError, Phone
from device_agent.bridge.phone import FOLDER
from device_agent.errors import MeasurementError
from protos.gauntlet.v1 import failure_pb2

ROOT = f"{FOLDER}/gauntlet"
DEFAULT_BYTES = 1024**3

_SHELL_TIMEOUT_S = 30.0
#: A phone behind a worn cable or Wi-Fi; its storage, read for a digest, is faster.
_SLOWEST_BYTES_PER_S = 1e6
_ENTRY = re.compile(r"^(\d+) (\d+) ([0-9a-f]{64})$", re.MULTILINE)


class PhoneStore:
    """What the bridge keeps on a phone.

    Args:
        phone: it.
        most_bytes: of files that are kept.
    """

    def __init__(self, phone: Phone, most_bytes: int = DEFAULT_BYTES) -> None:
        self._phone = phone
        self._most_bytes = most_bytes
        self._swept = False

    async def hold(self, files: Mapping[str, Path]) -> None:
        """See to it that files are there, whole and executable.

        Args:
            files: where each lies here, by its digest.

        Raises:
            MeasurementError: corrupt artifact where one arrives damaged twice, disk full.
            AdbError: adb's own trouble.
        """
        if not self._swept:
            # Of an earlier life: nobody waits for it.
            await self._run(f"mkdir -p {ROOT} && cd {ROOT} && rm -rf job-* *.part")
            self._swept = True
        # What is used last goes last.
        missing = await self._unlike(files, [f"[ -e {d} ] && touch {d}" for d in files])
        for _ in range(2):
            if not missing:
                return
            for digest in missing:
                await send(self._phone, files[digest], f"{ROOT}/{digest}.part")
            kept = " ".join(files)
            arrived = [f"{same_digest(f'{digest}.part', digest)} && mv {digest}.part {digest}" for digest in missing]
            missing = await self._unlike(files, [*arrived, f"chmod 755 {kept}"])
            await self._drop_oldest(files)
        raise MeasurementError(
            failure_pb2.FAILURE_KIND_CORRUPT_ARTIFACT,
            f"{missing[0][:12]} arrived damaged on {self._phone.serial}, twice",
            "try another cable or port",
        )

    async def _unlike(self, files: Mapping[str, Path], before: Sequence[str]) -> List[str]:
        """Those of the files that are not there as they should be."""
        checks = [f"{same_digest(digest, digest)} || echo {digest}" for digest in files]
        told = await self._run("; ".join([f"cd {ROOT}", *before, *checks, "true"]), files)
        return [digest for digest in files if digest in told.split()]

    async def _drop_oldest(self, needed: Mapping[str, Path]) -> None:
        told = await self._run(f"cd {ROOT} && stat -c '%Y %s %n' * 2>/dev/null; true")
        entries = sorted((int(at), int(size), name) for at, size, name in _ENTRY.findall(told))
        total = sum(size for _, size, _ in entries)
        dropped = []
        for _, size, name in entries:
            if total > self._most_bytes and name not in needed:
                dropped.append(name)
                total -= size
        if dropped:
            await self._run(f"cd {ROOT} && rm -f {' '.join(dropped)}")

    async def _run(self, line: str, files: Mapping[str, Path] = {}) -> str:  # never written to
        """A line in the phone's shell, which may read some files."""
        limit_s = _SHELL_TIMEOUT_S + sum(path.stat().st_size for path in files.values()) / _SLOWEST_BYTES_PER_S
        output = await self._phone.shell(["sh", "-c", line], limit_s)
        return output.stdout.decode(errors="replace")


async def send(phone: Phone, source: Path, target: str) -> None:
    """Push a file.

    Raises:
        MeasurementError: disk full.
        AdbError: adb's own trouble.
    """
    try:
        await phone.push(source, target, transfer_s(source.stat().st_size))
    except AdbError as error:
        if "No space left" in str(error):
            raise MeasurementError(
                failure_pb2.FAILURE_KIND_DISK_FULL, str(error), "make room on the phone (adb shell df /data)"
            ) from error
        raise


def transfer_s(size_bytes: int) -> float:
    """How long a file may take."""
    return _SHELL_TIMEOUT_S + size_bytes / _SLOWEST_BYTES_PER_S


def same_digest(name: str, digest: str) -> str:
    """A test in the phone's shell: does a file hold what its digest says? Toybox has no other way to compare."""
    return f'[ "$(sha256sum < {name} 2>/dev/null)" = "{digest}  -" ]'
