"""Where things lie on a board, all in the home folder of whoever runs the agent."""

from __future__ import annotations

from dataclasses import dataclass

#: Of the unit, the folders, the process.
NAME = "gauntlet-agent"


@dataclass(frozen=True)
class Layout:
    """Paths on a board.

        ~/.local/share/gauntlet/         data
            wheels/DIGEST/NAME.whl       what was sent
            pythons/DIGEST/              a Python that was brought
            releases/VERSION-DIGEST/     a virtual environment; whole when `complete` is in it
            current -> releases/…        the one in use
            lingering                    `loginctl enable-linger` was our doing
            run, agent.pid, exits, agent.log   where there is no systemd
        ~/.local/state/gauntlet/agent/   identity, certificate, cache, unsent results

    Attributes:
        home: absolute, without a slash at its end.
    """

    home: str

    @property
    def data(self) -> str:
        """What deployment owns: removed as a whole."""
        return f"{self.home}/.local/share/gauntlet"

    @property
    def wheels(self) -> str:
        """What was sent."""
        return f"{self.data}/wheels"

    @property
    def pythons(self) -> str:
        """Pythons that were brought."""
        return f"{self.data}/pythons"

    @property
    def releases(self) -> str:
        """What was installed."""
        return f"{self.data}/releases"

    @property
    def current(self) -> str:
        """The release in use."""
        return f"{self.data}/current"

    @property
    def state(self) -> str:
        """The agent's own folder."""
        return f"{self.home}/.local/state/gauntlet/agent"

    @property
    def user_unit(self) -> str:
        """Of the user's systemd."""
        return f"{self.home}/.config/systemd/user/{NAME}.service"

    @property
    def system_unit(self) -> str:
        """Of the system's systemd."""
        return f"/etc/systemd/system/{NAME}.service"
