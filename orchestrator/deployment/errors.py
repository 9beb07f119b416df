"""What can go wrong on the way to a board: each in one line, with a remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.deployment.hostkeys import ShownKey


class DeploymentError(Exception):
    """A host could not be deployed to, or not be left as it was asked to.

    Attributes:
        message: one line.
        remedy: what to do about it; may be empty.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class InventoryError(DeploymentError):
    """The inventory, or the user's SSH configuration, does not say what it should."""


class UnreachableError(DeploymentError):
    """The host does not answer, or the connection was cut."""


class AuthenticationError(DeploymentError):
    """The host does not take the user's keys."""


class HostKeyError(DeploymentError):
    """The host's key is unknown, or not the known one.

    Attributes:
        shown: the key that it showed; `hostkeys.remember` takes it once a person agreed.
        changed: another key is known for it, or this one was revoked: nobody may agree to that.
    """

    def __init__(self, message: str, remedy: str, shown: ShownKey, changed: bool) -> None:
        super().__init__(message, remedy)
        self.shown = shown
        self.changed = changed

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` writes it: ``SHA256:…``."""
        return self.shown.fingerprint


class CommandError(DeploymentError):
    """A command on the host failed, or took too long."""


class NoSpaceError(DeploymentError):
    """The host's disk is full."""


class UnfitError(DeploymentError):
    """The host cannot run an agent as it is."""
