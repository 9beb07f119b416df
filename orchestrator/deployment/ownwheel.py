"""Gauntlet itself as a wheel, made of what is running here, whichever way it was installed.

The same files give the same bytes, so that a board is given a new release when something changed, and only then. A
build by setuptools would write the time into the file, and a folder into the source tree.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

from orchestrator.deployment.errors import DeploymentError

_NAME = "gauntlet"
#: The oldest time that a zip file can tell.
_NO_TIME = (1980, 1, 1, 0, 0, 0)
_WHEEL = "Wheel-Version: 1.0\nGenerator: gauntlet deploy\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def distribution() -> metadata.Distribution:
    """The running installation.

    Raises:
        DeploymentError: it runs from a source tree that was never installed.
    """
    # A source tree in the path shows its build files as a distribution, too.
    for found in metadata.distributions(name=_NAME):
        if found.read_text("RECORD"):
            return found
    raise DeploymentError(
        "this Gauntlet is not installed, so that nothing can be given to a board", "install it: pip install -e .[lab]"
    )


def write_own_wheel(folder: Path) -> Path:
    """Pack the running installation into a wheel in this folder.

    Raises:
        DeploymentError: it is not installed, or its files are gone.
    """
    installed = distribution()
    info = f"{_NAME}-{installed.version}.dist-info"
    members = {
        f"{info}/METADATA": (installed.read_text("METADATA") or "").encode(),
        f"{info}/WHEEL": _WHEEL.encode(),
        f"{info}/entry_points.txt": (installed.read_text("entry_points.txt") or "").encode(),
    }
    try:
        members.update((name, path.read_bytes()) for name, path in _files(installed))
        members[f"{info}/RECORD"] = _record(members, f"{info}/RECORD")
        target = folder / f"{_NAME}-{installed.version}-py3-none-any.whl"
        part = target.with_name(f"{target.name}.{os.getpid()}")
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as wheel:
            for name in sorted(members):
                entry = zipfile.ZipInfo(name, _NO_TIME)
                entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
                wheel.writestr(entry, members[name])
        part.replace(target)
    except OSError as error:
        raise DeploymentError(f"cannot pack Gauntlet into a wheel: {error}", "install it again") from error
    return target


def _files(installed: metadata.Distribution) -> Iterator[tuple[str, Path]]:
    packages = (installed.read_text("top_level.txt") or "").split()
    root = _source_tree(installed)
    if root is not None:
        for package in packages:
            for path in (root / package).rglob("*"):
                if path.is_file() and "__pycache__" not in path.parts:
                    yield path.relative_to(root).as_posix(), path
        return
    for file in installed.files or ():
        if file.parts[0] in packages and "__pycache__" not in file.parts:
            yield file.as_posix(), Path(str(file.locate()))


def _source_tree(installed: metadata.Distribution) -> Path | None:
    """Where the source lies that an editable installation points to (PEP 610)."""
    origin = json.loads(installed.read_text("direct_url.json") or "{}")
    if not origin.get("dir_info", {}).get("editable"):
        return None
    return Path(unquote(urlsplit(origin["url"]).path))


def _record(members: dict[str, bytes], own: str) -> bytes:
    lines = []
    for name in sorted(members):
        digest = base64.urlsafe_b64encode(hashlib.sha256(members[name]).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(members[name])}\n")
    return "".join([*lines, f"{own},,\n"]).encode()
