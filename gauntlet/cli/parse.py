"""Read what people write in options."""

from __future__ import annotations

from gauntlet.errors import UsageError


def label_pair(text: str) -> tuple[str, str]:
    """Read "site=berlin".

    Raises:
        UsageError: it is no label.
    """
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(f"--label: {text} is no label", "give it as KEY=VALUE, for example --label site=berlin")
    return key, value


def share(text: str, option: str = "--precision", below: float = 1.0) -> float:
    """Read "1%" or "0.01".

    Raises:
        UsageError: it is no share above 0 and below `below`.
    """
    from orchestrator.protocol import read_share

    try:
        value = float(read_share(text))
    except ValueError:
        value = float("nan")
    if not 0 < value < below:
        raise UsageError(f"{option}: {text} is no share", "give it as 1% or as 0.01")
    return value


def delegate_of_litert(text: str) -> str:
    """Read a delegate of LiteRT.

    Raises:
        UsageError: it is none.
    """
    if text not in ("xnnpack", "none"):
        raise UsageError(f"--delegate: {text} is no delegate that gauntlet knows", "give xnnpack or none")
    return text
