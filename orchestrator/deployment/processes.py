"""Processes on a board that belong to a folder of ours, such as an installation that goes on after a cut connection."""

from __future__ import annotations

from orchestrator.deployment.errors import DeploymentError
from orchestrator.deployment.ports import Remote

# The folder comes over standard input, so that neither the shell nor grep finds itself.
_END = """
folder=$(cat)
running() { printf '%s\\n' "$folder" | grep -lsFf - /proc/[0-9]*/cmdline; }
n=0
# Not by its status: to grep it is an error when some other process ends meanwhile.
while files=$(running); [ -n "$files" ]; do
  for file in $files; do
    pid=${file#/proc/}
    kill -s KILL "${pid%/cmdline}" 2>/dev/null
  done
  n=$((n+1))
  [ $n -lt 50 ] || { echo "$files"; exit 0; }
  sleep 0.1
done
"""


def end_processes(remote: Remote, folder: str) -> None:
    """Kill what names this folder in its command line, and wait until it is gone.

    Args:
        remote: the board.
        folder: absolute; with a slash at its end, what lies in it counts only.

    Raises:
        DeploymentError: something does not end.
    """
    left = remote.run(["sh", "-c", _END], stdin=folder.encode(), what="ending what runs there").stdout.split()
    if left:
        numbers = " ".join(path.split("/")[2] for path in left)
        raise DeploymentError(
            f"processes of {folder} do not end on {remote.name}: {numbers}", f"there: sudo kill -KILL {numbers}"
        )
