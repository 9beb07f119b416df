"""The fault rates of a sweep, as people write them."""

from __future__ import annotations

import re
from decimal import Context, Decimal
from typing import List

from fault_injection.errors import FaultError

_NUMBER = re.compile(r"\+?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_COUNT = re.compile(r"\d{1,4}", re.ASCII)
_EXAMPLES = "1e-6:1e-2 (decades), 1e-6:1e-2:9 (9 points) or 1e-4,3e-4,1e-3"
_MOST_POINTS = 1000
# Decimal powers are correctly rounded, so that a sweep names the same rates on every machine; and four digits stay
# readable in the text of a fault model.
_PRECISE = Context(prec=40)
_FOUR_DIGITS = Context(prec=4)


def parse_rates(text: str) -> List[float]:
    """Read the rates of a sweep.

    >>> parse_rates("1e-4:1e-2")
    [0.0001, 0.001, 0.01]
    >>> parse_rates("1e-4:1e-2:5")
    [0.0001, 0.0003162, 0.001, 0.003162, 0.01]
    >>> parse_rates("1e-3, 3e-4")
    [0.0003, 0.001]

    Args:
        text: "low:high", decades; "low:high:n", n geometric points, inner ones with four significant digits; or a list.
            What range a rate may have is the fault model's business.

    Returns:
        Ascending, without duplicates.

    Raises:
        FaultError: one line that says what is wrong.
    """
    parts = text.split(":")
    if len(parts) == 1:
        rates = sorted(_number(word, text) for word in text.split(","))
    elif len(parts) <= 3:
        low, high = _number(parts[0], text), _number(parts[1], text)
        if not 0 < low < high:
            raise FaultError(f"{text!r}: a range goes from a rate above 0 to a higher one")
        rates = _decades(low, high, text) if len(parts) == 2 else _geometric(low, high, parts[2].strip(), text)
    else:
        raise FaultError(f"{text!r} is no sweep of rates; write {_EXAMPLES}")
    found = [float(rate) for rate in rates]
    for one, next_one in zip(found, found[1:]):
        # Rounded to four digits, points of a narrow range may even change places.
        if one >= next_one:
            raise FaultError(f"{text!r}: {one:g} comes twice, or points lie too close together")
    return found


def _number(word: str, text: str) -> Decimal:
    word = word.strip()
    if not _NUMBER.fullmatch(word):
        raise FaultError(f"{text!r}: {word!r} is no rate; write {_EXAMPLES}")
    number = Decimal(word)
    if number and not 1e-300 < number < 1e300:
        raise FaultError(f"{text!r}: {word} is out of range")
    return number


def _decades(low: Decimal, high: Decimal, text: str) -> List[Decimal]:
    rates = [low]
    while rates[-1] < high:
        rates.append(rates[-1].scaleb(1))
    if rates[-1] != high:
        raise FaultError(f"{text!r} spans no whole decades; add a number of points, like {text.strip()}:9")
    return rates


def _geometric(low: Decimal, high: Decimal, word: str, text: str) -> List[Decimal]:
    points = int(word) if _COUNT.fullmatch(word) else 0
    if not 2 <= points <= _MOST_POINTS:
        raise FaultError(f"{text!r}: the number of points must lie in 2 to {_MOST_POINTS}, not {word!r}")
    ratio = _PRECISE.divide(high, low)
    inner = []
    for k in range(1, points - 1):
        power = _PRECISE.power(ratio, _PRECISE.divide(Decimal(k), Decimal(points - 1)))
        inner.append(_FOUR_DIGITS.multiply(low, power))
    return [low, *inner, high]
