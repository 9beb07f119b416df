"""Names of phones: stable, well-formed, and no two phones share one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_agent.bridge import describe
from protos import contract


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("Pixel 8", "pixel8"),
        ("Pixel 8 Pro", "pixel8-pro"),
        ("SM-S911B", "sm-s911b"),
        ("Nexus 5X", "nexus5x"),
        ("moto g(7)", "moto-g7"),
        ("Redmi Note 12", "redmi-note12"),
        ("", "android"),
        ("小米", "android"),
    ],
)
def test_the_class_is_the_model_as_a_word(model: str, name: str) -> None:
    assert describe.class_of(model) == name


@given(st.text(max_size=200))
def test_every_model_has_a_class(model: str) -> None:
    assert contract.is_id(describe.class_of(model))


@given(st.text(max_size=100), st.text(max_size=100), st.text(max_size=40))
def test_every_phone_has_an_id_of_its_own(one: str, other: str, model: str) -> None:
    assert contract.is_id(describe.id_of(one, model))
    assert (describe.id_of(one, model) == describe.id_of(other, model)) is (one == other)


def test_a_person_finds_the_phone_by_the_serial_in_its_id() -> None:
    assert describe.id_of("39281FDJH003ZV", "Pixel 8") == "pixel8-39281FDJH003ZV"
    assert describe.id_of("192.168.7.31:5555", "Pixel 8").startswith("pixel8-192.168.7.31-5555-")


def test_names_that_a_person_gives_must_be_names_and_differ() -> None:
    assert describe.check_names({"4A2B": "left", "usb:1-2": "right"}) == {"4A2B": "left", "usb:1-2": "right"}
    with pytest.raises(ValueError, match=r"'a b' is no name for phone 4A2B\nuse"):
        describe.check_names({"4A2B": "a b"})
    with pytest.raises(ValueError, match=r"two phones cannot both be left\ngive each"):
        describe.check_names({"4A2B": "left", "77": "left"})
