"""Files on the phone, by their digests: sent once, checked each time that they are used, the oldest dropped.

/data/local/tmp/gauntlet/<digest>       runners, models, data: kept
<digest>.part        on its way
call/, call.bin      of one call, gone after its job
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import List, Mapping, Sequence, Set

from device_agent.bridge.adb import AdbError, Phone
from device_agent.bridge.phone import FOLDER
from device_agent.errors import MeasurementError
from protos.gauntlet.v1 import failure_pb2

ROOT = f"{FOLDER}/gauntlet"
DEFAULT_BYTES = 1024**3

_SHELL_TIMEOUT_S = 30.0
#: A phone behind a worn cable or Wi-Fi; its storage, read for a digest, is faster.
_SLOWEST_BYTES_PER_S = 1e6
_ENTRY = re.compile(r"^(\d{1,15}) (\d{1,15}) ([0-9a-f]{64})$", re.MULTILINE)


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
        #: Those that are there and whole, as far as is known.
        self._known: Set[str] = set()

    async def hold(self, files: Mapping[str, Path]) -> None:
        """See to it that files are there, whole and executable.

        Args:
            files: where each lies here, by its digest.

        Raises:
            MeasurementError: corrupt artifact where one arrives damaged twice, disk full.
            AdbError: adb's own trouble.
        """
        unknown = {digest: path for digest, path in files.items() if digest not in self._known}
        if not unknown:
            return
        # What an earlier life left behind, nobody waits for; what is used last is dropped last.
        before = [] if self._swept else ["rm -rf call call.bin *.part"]
        self._swept = True
        checks = [f"{{ {same_digest(d, d)} && touch {d}; }} || {{ rm -f {d}; echo {d}; }}" for d in unknown]
        missing = await self._told([*before, *checks], unknown)
        for _ in range(2 if missing else 0):
            for digest in missing:
                await send(self._phone, files[digest], f"{ROOT}/{digest}.part")
            arrive = [
                f"{{ {same_digest(f'{d}.part', d)} && chmod 755 {d}.part && mv {d}.part {d}; }} || echo {d}"
                for d in missing
            ]
            missing = await self._told(arrive, unknown)
            if not missing:
                await self._drop_oldest(files)
                break
        if missing:
            raise MeasurementError(
                failure_pb2.FAILURE_KIND_CORRUPT_ARTIFACT,
                f"{missing[0][:12]} arrived damaged on {self._phone.serial}, twice",
                "try another cable or port",
            )
        self._known.update(unknown)

    def forget(self, digests: Sequence[str]) -> None:
        """They are not there any more."""
        self._known.difference_update(digests)

    async def _told(self, lines: Sequence[str], files: Mapping[str, Path]) -> List[str]:
        """Which of the files some lines of shell name, that may read all of them."""
        line = "; ".join([f"mkdir -p {ROOT} && cd {ROOT} || exit 1", *lines, "true"])
        limit_s = transfer_s(sum(path.stat().st_size for path in files.values()))
        output = await self._phone.shell(["sh", "-c", line], limit_s)
        words = output.stdout.decode(errors="replace").split()
        return [digest for digest in files if digest in words]

    async def _drop_oldest(self, needed: Mapping[str, Path]) -> None:
        look = ["sh", "-c", f"cd {ROOT} && stat -c '%Y %s %n' *"]
        told = (await self._phone.shell(look, _SHELL_TIMEOUT_S)).stdout.decode(errors="replace")
        entries = sorted((int(at), int(size), name) for at, size, name in _ENTRY.findall(told))
        total = sum(size for _, size, _ in entries)
        dropped = []
        for _, size, name in entries:
            if total > self._most_bytes and name not in needed:
                dropped.append(name)
                total -= size
        if dropped:
            await self._phone.shell(["sh", "-c", f"cd {ROOT} && rm -f {' '.join(dropped)}"], _SHELL_TIMEOUT_S)
            self._known.difference_update(dropped)


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
    """A test in the phone's shell: does a file hold what its digest says? Old toyboxes know no `sha256sum -c`."""
    return f"sha256sum < {name} 2>/dev/null | grep -q ^{digest}"
