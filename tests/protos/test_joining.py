"""Tokens as texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos.joining import API, JOIN, Token, TokenError, make_token, parse_token

PIN = "0123456789abcdef" * 2


@pytest.mark.parametrize(("kind", "bits"), [(JOIN, 160), (API, 256)])
def test_a_token_is_read_as_it_was_written(kind: str, bits: int) -> None:
    token = make_token(kind, PIN)
    assert parse_token(f"  {token}\n") == token
    assert len(token.secret) == -(-bits // 5)
    assert make_token(kind, PIN).secret != token.secret
    assert token.secret not in repr(token)


def test_what_a_lab_keeps_depends_on_kind_and_secret_only() -> None:
    join = Token(JOIN, "a" * 32, PIN)
    assert join.digest == Token(JOIN, "a" * 32, "f" * 32).digest
    assert join.digest != Token(API, "a" * 32, PIN).digest


@given(st.text(max_size=100) | st.from_regex(r"g[ja]t1-[a-z2-7]{30,34}-[0-9a-f]{30,34}", fullmatch=True))
def test_any_text_is_a_token_or_refused_with_a_remedy(text: str) -> None:
    try:
        outcome = str(parse_token(text))
    except TokenError as error:
        outcome = str(error)
    assert outcome == text.strip() or len(outcome.splitlines()) == 2
