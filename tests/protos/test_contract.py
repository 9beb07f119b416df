"""What is agreed beyond the messages."""

from __future__ import annotations

import importlib
import pkgutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

import protos.gauntlet.v1
from protos import addresses, blame, contract, figures
from protos.gauntlet.v1 import failure_pb2


def test_every_stub_can_be_imported() -> None:
    names = [module.name for module in pkgutil.iter_modules(protos.gauntlet.v1.__path__)]
    assert "job_pb2" in names
    assert "fleet_pb2_grpc" in names
    for name in names:
        importlib.import_module(f"protos.gauntlet.v1.{name}")


@pytest.mark.parametrize("good", ["pi4", "Pixel-6.a_b", "0", "a" * 64])
def test_ids_that_are_safe_as_file_names_are_taken(good: str) -> None:
    assert contract.is_id(good)


@pytest.mark.parametrize("bad", ["", ".", "..", "-x", "a/b", "a b", "ä", "a" * 65, "a\n", "a\0"])
def test_ids_that_are_not_are_refused(bad: str) -> None:
    assert not contract.is_id(bad)


@given(st.binary())
def test_a_digest_names_its_content(data: bytes) -> None:
    digest = contract.digest_of_bytes(data)
    assert contract.is_digest(digest)
    assert not contract.is_digest(digest.upper()) or digest.isdigit()
    assert digest != contract.digest_of_bytes(data + b"x")


def test_every_failure_kind_has_somebody_to_blame() -> None:
    for kind in failure_pb2.FailureKind.values():
        failure = failure_pb2.Failure(kind=kind)
        assert isinstance(blame.blame(failure), blame.Blame)
        if kind not in (failure_pb2.FAILURE_KIND_UNSPECIFIED, failure_pb2.FAILURE_KIND_CRASHED):
            assert kind in blame._BY_KIND, failure_pb2.FailureKind.Name(kind)


@pytest.mark.parametrize(
    ("signal", "who"),
    [(11, blame.Blame.MODEL), (6, blame.Blame.MODEL), (9, blame.Blame.DEVICE), (15, blame.Blame.DEVICE)],
)
def test_a_crash_is_the_models_fault_unless_somebody_else_sent_the_signal(signal: int, who: blame.Blame) -> None:
    failure = failure_pb2.Failure(kind=failure_pb2.FAILURE_KIND_CRASHED, signal=signal)
    assert blame.blame(failure) is who


def test_a_missing_figure_is_no_zero() -> None:
    assert figures.value_of(figures.unavailable("no sensor")) is None
    assert figures.value_of(figures.measured(0.0)) == 0.0


@pytest.mark.parametrize("address", ["127.0.0.1:1", "localhost:50151", "[::1]:80", "unix:/tmp/x.sock", "127.8.9.1:9"])
def test_addresses_of_this_machine_are_taken(address: str) -> None:
    addresses.check_local(address)


@pytest.mark.parametrize(
    "address",
    ["0.0.0.0:1", "[::]:1", "192.168.1.4:50151", "example.org:80", ":80", "127.0.0.1", "127.0.0.1:x", "", "1:99999"],
)
def test_other_addresses_are_refused_with_a_remedy(address: str) -> None:
    with pytest.raises(addresses.AddressError) as caught:
        addresses.check_local(address)
    assert len(str(caught.value).splitlines()) == 2
