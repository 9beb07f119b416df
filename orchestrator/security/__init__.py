"""Who may do what: the lab's authority, tokens, roles, and the book of what was done."""

from pathlib import Path

#: Folder of the authority, in the lab's.
FOLDER = "security"


def has_authority(lab: Path) -> bool:
    """Has `gauntlet lab init` been run in this folder of a lab?"""
    return (lab / FOLDER / "authority.pem").exists()
