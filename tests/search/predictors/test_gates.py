"""GATES: what it shares with all predictors, what it sees of a cell, and what it is trained for."""

from __future__ import annotations

import pytest
import torch

from search.predictors.base import PredictorError
from search.predictors.cells import Cells
from search.predictors.gates import Gates
from search.predictors.gates_network import GatesNetwork, hinge
from search.spaces.mobile import MobileSpace
from search.spaces.nb201 import OPERATIONS
from tests.search.predictors.contract import SPACE, PredictorContract, draw, figures


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


class TestGates(PredictorContract):
    def make(self, seed: int = 0) -> Gates:
        return Gates(SPACE, seed, epochs=30)


def cells(*texts: str) -> Cells:
    return Cells.of(SPACE, [SPACE.parse(text) for text in texts])


def test_edges_that_carry_nothing_are_left_out_and_the_rest_padded() -> None:
    found = cells("3-n1-nnp", "3-3p-s3s")
    assert found.operations[0].tolist() == [3, 2, 4, *[len(OPERATIONS)] * 3]
    ways = list(zip(found.sources[0].tolist(), found.targets[0].tolist(), strict=True))
    assert ways == [(0, 1), (1, 2), (2, 3), (0, 0), (0, 0), (0, 0)]


def test_a_cell_is_the_same_beside_larger_ones() -> None:
    network = GatesNetwork(len(OPERATIONS), 5).eval()
    alone, beside = network(cells("3-nn-1nn")), network(cells("3-nn-1nn", "3-3p-s3s"))
    assert beside[0].item() == pytest.approx(alone.item(), rel=1e-5)
    assert beside[1].item() != pytest.approx(alone.item(), rel=1e-5)


def test_gates_sees_no_operation_that_no_information_reaches() -> None:
    """Node 2 is never entered, so that what leaves it changes nothing: the encoding knows isomorphs of that kind."""
    network = GatesNetwork(len(OPERATIONS), 5).eval()
    live = Cells(
        torch.tensor([[0, 1, 0], [0, 1, 2]]),
        torch.tensor([[1, 3, 0], [1, 3, 3]]),
        torch.tensor([[3, 2, len(OPERATIONS)], [3, 2, 3]]),
        torch.tensor([4, 4]),
        4,
    )
    first, second = network(live)
    assert first.item() == pytest.approx(second.item(), rel=1e-6)


def test_the_hinge_counts_pairs_in_the_wrong_order_and_those_within_the_margin() -> None:
    values = torch.tensor([3.0, 2.0, 2.0])
    # 3 leads by 0.05 where it should by 0.1, trails by 0.1; the equal ones make no pair.
    assert hinge(torch.tensor([1.0, 0.95, 1.1]), values).item() == pytest.approx((0.05 + 0.2) / 2, abs=1e-6)
    assert hinge(torch.tensor([1.0, 0.5, 0.6]), values).item() == 0.0
    assert hinge(torch.tensor([1.0]), values[:1]).item() == 0.0


def test_training_leaves_the_generator_of_torch_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    known = draw(5)
    Gates(SPACE, epochs=1).fit(known, figures(known))
    assert torch.equal(torch.rand(1), expected)


def test_a_space_without_cells_and_no_epochs_are_refused() -> None:
    with pytest.raises(PredictorError, match=r"networks of .* repeat none"):
        Gates(MobileSpace((3, 32, 32), 10))
    with pytest.raises(PredictorError, match="at least one epoch, not 0"):
        Gates(SPACE, epochs=0)


def test_gates_claims_no_figures() -> None:
    known = draw(5)
    predictor = Gates(SPACE, epochs=1)
    predictor.fit(known, figures(known))
    assert not predictor.predicts_figures
    assert predictor.predict(known).std.tolist() == [0.0] * 5
