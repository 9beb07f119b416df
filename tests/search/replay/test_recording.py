from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.evaluations import Evaluation, Failure
from search.replay.recording import record, table_of
from search.replay.schema import About
from search.replay.table import NO_RECORD, Table
from search.spaces.base import Architecture
from search.spaces.nb201 import Nb201Space
from search.values import Origin, Value
from tests.search.replay.tables import CELLS

pytest.importorskip("pyarrow", reason="recorded tables are Parquet: install pyarrow")

SPACE = Nb201Space()
_RANDOM = np.random.default_rng(0)
_TEXTS = sorted({SPACE.sample(_RANDOM).text for _ in range(40)})
_COSTS = ("latency_s@pi", "energy_j@pi", "peak_memory_bytes@tpu", "model_bytes")
_SHARES = (
    "accuracy",
    "accuracy@pi",
    "accuracy@pi@iBF(p=0.001, per=bit)",
    "accuracy@drift(days=1)",
    "inherited_accuracy",
)
_REASONS = st.sampled_from(("no meter", "device lost: unplugged", "not measured: – §"))


def values(most: float) -> st.SearchStrategy[Value]:
    number = st.floats(0.0, most, allow_nan=False)
    certain = st.builds(Value, number, samples=st.integers(0, 10**6), origin=st.sampled_from(_ORIGINS))
    ends = st.tuples(number, number, number).map(sorted)
    unsure = st.builds(
        lambda three, samples: Value(three[1], three[0], three[2], 0.95, "order statistics", samples),
        ends,
        st.integers(1, 99),
    )
    return st.one_of(certain, unsure, st.builds(Value.missing, _REASONS))


_ORIGINS = (Origin.MEASURED, Origin.REPLAYED, Origin.ESTIMATED)
_FIGURES = st.fixed_dictionaries(
    {}, optional={**{name: values(1e9) for name in _COSTS}, **{name: values(1.0) for name in _SHARES}}
)


def evaluation(number: int, text: str, figures: dict[str, Value], spent_s: float = 0.0) -> Evaluation:
    architecture = Architecture(text)
    stages = {"measurement": spent_s} if spent_s else {}
    return Evaluation(
        number, text, SPACE.macs(architecture), SPACE.parameters(architecture), figures=figures, stage_s=stages
    )


@settings(deadline=None, max_examples=25)
@given(
    st.lists(
        st.tuples(st.sampled_from(_TEXTS), _FIGURES, st.floats(0, 99)), min_size=1, max_size=6, unique_by=lambda t: t[0]
    )
)
def test_a_recorded_table_replays_every_figure_labelled_as_such(
    tmp_path_factory: pytest.TempPathFactory, told: list[tuple[str, dict[str, Value], float]]
) -> None:
    folder = tmp_path_factory.mktemp("run")
    evaluations = [evaluation(number, *one) for number, one in enumerate(told)]
    table = Table.read(record(folder, SPACE, evaluations, {"pi": {"description": "a board"}}, title="mine"))
    for before in evaluations:
        after = table.evaluation(before.number, Architecture(before.architecture))
        recorded = {name: value for name, value in after.figures.items() if value.unavailable != NO_RECORD}
        assert recorded == {name: replace(value, origin=Origin.REPLAYED) for name, value in before.figures.items()}
        assert (after.macs, after.parameters) == (before.macs, before.parameters)
        assert (after.stage_s, after.failure) == (before.stage_s, None)


def failed(kind: str, message: str, lost: tuple[str, ...]) -> Evaluation:
    figures = {"latency_s@pi": Value(0.1), **{name: Value.missing(f"{kind}: {message}") for name in lost}}
    return replace(evaluation(0, CELLS[0], figures), failure=Failure(kind, message, "somewhere", "do something"))


def replayed(before: Evaluation) -> Table:
    return table_of(About("mine"), SPACE, [before])


def test_a_failure_is_replayed_on_the_device_that_met_it() -> None:
    table = replayed(failed("crashed", "signal 11: Segmentation fault", ("latency_s@tpu", "energy_j@tpu")))
    cell = Architecture(CELLS[0])
    found = table.failure(cell, "tpu")
    assert found is not None
    assert (found.kind, found.message) == ("crashed", "signal 11: Segmentation fault")
    assert table.failure(cell, "pi") is None
    assert table.figure(cell, "latency_s@tpu").unavailable == "crashed: signal 11: Segmentation fault"


def test_a_failure_before_any_device_is_one_everywhere() -> None:
    table = replayed(failed("not exportable", "GRU", ()))
    found = table.failure(Architecture(CELLS[0]))
    assert found is not None
    assert (found.kind, found.message) == ("not exportable", "GRU")
    assert table.failures.keys() == {""}


def test_a_predicted_figure_is_not_recorded() -> None:
    before = evaluation(0, CELLS[0], {"latency_s@pi": Value(0.1, origin=Origin.PREDICTED)})
    assert (
        replayed(before).figure(Architecture(CELLS[0]), "latency_s@pi").unavailable == "it was predicted, not measured"
    )


def test_what_a_replayed_table_did_not_have_is_not_recorded_as_tried() -> None:
    figures = {"latency_s@pi": Value(0.1), "energy_j@pi": Value.missing(NO_RECORD, Origin.REPLAYED)}
    assert replayed(evaluation(0, CELLS[0], figures)).names == ("latency_s@pi",)


def test_what_is_put_together_from_others_is_left_to_its_parts() -> None:
    figures = {"latency_s@pi": Value(0.1), "worst(latency_s@pi/0.2)": Value(0.5), "my_own": Value(1.0)}
    assert replayed(evaluation(0, CELLS[0], figures)).names == ("latency_s@pi",)


def test_intervals_of_several_kinds_claim_the_least_of_them() -> None:
    one = evaluation(0, CELLS[0], {"latency_s@pi": Value(2.0, 1.0, 3.0, 0.95, "order statistics")})
    other = evaluation(1, CELLS[1], {"latency_s@pi": Value(2.0, 1.0, 3.0, 0.9, "Stein")})
    facts = table_of(About("mine"), SPACE, [one, other]).columns["latency_s@pi"].facts
    assert (facts.confidence, facts.method, facts.origin) == (0.9, "Stein or order statistics", "measured")


def test_a_correction_takes_the_place_of_what_was_told() -> None:
    told, corrected = (evaluation(0, CELLS[0], {"latency_s@pi": Value(seconds)}) for seconds in (0.1, 0.2))
    table = table_of(About("mine"), SPACE, [told, corrected])
    assert len(table) == 1
    assert table.figure(Architecture(CELLS[0]), "latency_s@pi").value == 0.2


def test_a_run_without_candidates_makes_an_empty_table(tmp_path: Path) -> None:
    assert len(Table.read(record(tmp_path, SPACE, [], {}, title="mine"))) == 0
