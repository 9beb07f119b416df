"""The command line `gauntlet`."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point: says how to install the command line where only the agent is installed."""
    try:
        import rich  # noqa: F401
        import typer  # noqa: F401
    except ImportError:
        # The base install, which is what a device needs, has no command line but the agent's.
        sys.stderr.write(
            "error: the gauntlet command line is not installed; install it with: pip install 'gauntlet[lab]'\n"
        )
        sys.exit(2)
    from gauntlet.cli.app import run

    sys.exit(run(sys.argv[1:]))
