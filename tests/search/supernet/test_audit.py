"""An audit: what its figures say of problems whose answer is known, what it trains, and what it keeps."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from search.errors import SearchError
from search.spaces import Architecture
from search.supernet import (
    Accuracy,
    AuditedSubnet,
    AuditPlan,
    Supernet,
    TrainingDivergedError,
    TrainSettings,
    audit,
    rank_quality,
    train,
    wilson,
)
from search.supernet.audit_plan import sample_networks
from search.supernet.standalone import DataSource

BRIEF = AuditPlan(subnets=3, seeds=2, settings=TrainSettings(epochs=1, batch=100), patterns=2, images=40)


def sample(n=30, noise=0.0, seed=0, seeds=2, spread=0.1, size=0.0):
    """Networks of a known truth, of which a share is decided by their MACs."""
    rng = np.random.default_rng(seed)
    macs = np.exp(rng.normal(12, 0.7, n))
    truth = size * np.argsort(np.argsort(macs)) / n + (1 - size) * rng.random(n)
    rows = []
    for index, value in enumerate(0.8 + spread * truth):
        inherited, alone = value - 0.1 + rng.normal(0, noise), tuple(value + rng.normal(0, noise, seeds))
        rows.append(
            AuditedSubnet(Architecture(str(index)), int(macs[index]), {"accuracy": inherited}, {"accuracy": alone})
        )
    return rows


def quality(rows, noise=0.005):
    return rank_quality(rows, "accuracy", noise)


def ends(estimate):
    return estimate.interval.low, estimate.interval.high


def test_a_perfect_ranking():
    found = quality(sample())
    assert (found.overall.inherited.value, found.ceiling.value, found.verdict) == (1, 1, "ranks")
    assert found.alike.inherited.value == 1
    assert [(top.k, top.inherited, top.seeds) for top in found.top] == [(3, 1, 1), (8, 1, 1)]
    assert [top.chance for top in found.top] == [pytest.approx(0.1), pytest.approx(8 / 30)]
    assert found.bias.value == pytest.approx(-0.1)
    assert found.bias_per_doubling.value == pytest.approx(0, abs=1e-9)
    assert found.inherited.high < found.standalone.high
    assert "better than MACs alone" in found.reason


def test_a_weak_ranking():
    found = quality(sample(noise=0.025, seed=1))
    low, high = ends(found.overall.inherited)
    assert 0 < low < found.overall.inherited.value < high < 1
    assert found.verdict == "ranks weakly"
    assert 0 < found.ceiling.value < 1


def test_no_ranking():
    rng = np.random.default_rng(1)
    found = quality([replace(row, inherited={"accuracy": float(rng.random())}) for row in sample()])
    low, high = ends(found.overall.inherited)
    assert low < 0 < high
    assert found.verdict == "does not rank"


def test_what_ranks_by_size_alone_is_told_as_that():
    """Inherited accuracy knows the MACs and nothing else."""
    rows = [replace(row, inherited={"accuracy": np.log(row.macs) / 20}) for row in sample(size=0.75, n=40)]
    found = quality(rows)
    assert found.verdict == "ranks"
    assert found.overall.gain.value == 0
    assert ends(found.alike.inherited)[0] < 0.4 < ends(found.overall.inherited)[0]
    assert "not told apart from MACs alone" in found.reason
    assert "among networks of like MACs τ = " in found.reason


def test_bias_that_grows_with_size_is_seen():
    rows = [
        replace(row, inherited={"accuracy": row.standalone["accuracy"][0] - 0.3 + 0.01 * np.log2(row.macs)})
        for row in sample()
    ]
    found = quality(rows)
    assert found.bias_per_doubling.value == pytest.approx(0.01)


def test_too_few_networks_allow_no_statement():
    found = quality(sample(n=7))
    assert found.verdict == "insufficient"
    assert "7 networks" in found.reason
    assert found.alike is None


def test_a_spread_within_the_noise_allows_no_statement():
    found = quality(sample(spread=0.01), noise=0.02)
    assert found.verdict == "insufficient"
    assert "nothing to rank" in found.reason


def test_trainings_that_do_not_agree_with_one_another_condemn_no_supernet():
    rng = np.random.default_rng(3)
    rows = [
        replace(row, standalone={"accuracy": (float(value), float(other))})
        for row, value, other in zip(sample(), rng.random(30), rng.random(30), strict=True)
    ]
    found = quality(rows, noise=1e-4)
    assert found.verdict == "insufficient"
    assert "two trainings of the same network agree no better" in found.reason


def test_accuracies_that_do_not_vary_have_no_tau():
    rows = [AuditedSubnet(Architecture(str(i)), 100, {"accuracy": 0.9}, {"accuracy": (0.95, 0.95)}) for i in range(10)]
    found = quality(rows, noise=0.0)
    assert (found.overall.inherited, found.ceiling, found.bias_per_doubling) == (None, None, None)
    assert found.verdict == "insufficient"


def test_one_seed_has_no_ceiling():
    found = quality(sample(seeds=1))
    assert found.ceiling is None
    assert {top.seeds for top in found.top} == {None}


@pytest.fixture(scope="module")
def source(data, tmp_path_factory):
    """The images in a file, for other processes to read."""
    path = tmp_path_factory.mktemp("data") / "squares.npz"
    parts = list(data.parts.values())
    np.savez(
        path,
        images=torch.cat([part.images for part in parts]).numpy(),
        labels=torch.cat([part.labels for part in parts]).numpy(),
        split=np.repeat([0, 1, 2], [len(part) for part in parts]),
    )
    return DataSource(str(path))


@pytest.fixture(scope="module")
def inherit(data, space):
    supernet = Supernet(space)
    train(supernet, data, TrainSettings(epochs=2, batch=40))
    return lambda architecture: supernet.subnet(architecture, data.train.images)


def test_an_audit_trains_its_sample(space, inherit, source):
    seen = []
    found = audit(space, inherit, source, BRIEF, progress=lambda *done: seen.append(done))
    told = [("inherited", done, 3) for done in range(4)] + [("alone", done, 6) for done in range(7)]
    assert list(dict.fromkeys(seen)) == told
    assert len({subnet.architecture for subnet in found.subnets}) == 3
    assert all(len(subnet.standalone["accuracy"]) == 2 for subnet in found.subnets)
    assert [subnet.macs for subnet in found.subnets] == [space.macs(subnet.architecture) for subnet in found.subnets]
    assert found.rankings[0].verdict == "insufficient"
    assert (found.effort.trainings, found.effort.patterns) == (6, 0)
    assert found.effort.cpu_s > 0
    again = audit(space, inherit, source, BRIEF)
    assert (again.subnets, again.rankings) == (found.subnets, found.rankings)


def test_faults_are_audited_beside_it(space, inherit, source):
    plan = replace(BRIEF, subnets=2, seeds=1, conditions=("adSAF(p=0.2)",))
    found = audit(space, inherit, source, plan)
    assert [ranking.quantity for ranking in found.rankings] == ["accuracy", "accuracy@adSAF(p=0.2)"]
    assert found.rankings[1].inherited.noise > found.rankings[0].inherited.noise
    assert (found.effort.fault_images, found.effort.patterns) == (40, 2)


def test_a_condition_that_cannot_strike_is_left_out_with_its_reason(space, inherit, source):
    plan = replace(BRIEF, subnets=1, seeds=1, conditions=("iBF(p=0.1)", "no such fault"))
    found = audit(space, inherit, source, plan)
    assert [ranking.quantity for ranking in found.rankings] == ["accuracy", "accuracy@iBF(p=0.1)"]
    assert "no such fault" in found.missing["no such fault"]


class StoppedError(Exception):
    """Somebody has had enough."""


def test_what_was_trained_is_not_trained_again(space, inherit, source):
    memory = {}

    def stop(stage, done, total):
        if stage == "alone" and done == 3:
            raise StoppedError

    with pytest.raises(StoppedError):
        audit(space, inherit, source, BRIEF, memory=memory, progress=stop)
    assert len(memory) == 3
    kept, seen = dict(memory), []
    found = audit(space, inherit, source, BRIEF, memory=memory, progress=lambda *done: seen.append(done))
    assert len(memory) == 6
    assert {key: memory[key] for key in kept} == kept
    assert (found.subnets, found.rankings) == (lambda a: (a.subnets, a.rankings))(audit(space, inherit, source, BRIEF))
    # A larger audit begins with the smaller one; another training begins anew.
    larger = audit(space, inherit, source, replace(BRIEF, subnets=4), memory=memory)
    assert len(memory) == 8
    assert larger.subnets[:3] == found.subnets
    audit(space, inherit, source, replace(BRIEF, subnets=1, settings=TrainSettings(epochs=2, batch=100)), memory=memory)
    assert len(memory) == 10


def test_a_budget_ends_it_between_networks(space, inherit, source):
    found = audit(space, inherit, source, replace(BRIEF, budget_s=1e-6))
    assert len(found.subnets) == 1
    assert found.asked == 3
    assert found.effort.cpu_s > 1e-6


def test_networks_that_cannot_be_trained_are_named(space, inherit, source):
    wild = replace(BRIEF, settings=TrainSettings(epochs=1, batch=10, learning_rate=1e30, clip=1e30))
    with pytest.raises(SearchError, match="no network of the audit could be trained: training stopped in step"):
        audit(space, inherit, source, wild)


def test_networks_whose_fine_tuning_diverges_are_left_out_with_the_reason(space, inherit, source):
    first = sample_networks(space, 3, 0)[0]

    def tuned(architecture):
        if architecture == first:
            raise TrainingDivergedError(7, float("nan"), "the loss", None)
        return inherit(architecture)

    found = audit(space, tuned, source, replace(BRIEF, seeds=1))
    assert [subnet.architecture for subnet in found.subnets] == sample_networks(space, 3, 0)[1:]
    assert "step 7" in found.failed[first.text]


def test_a_space_that_is_too_small_is_told(space):
    with pytest.raises(SearchError, match=f"holds {space.size()} networks"):
        sample_networks(space, space.size() + 1, 0)


@pytest.mark.parametrize("change", [{"subnets": 0}, {"seeds": 0}, {"patterns": 1}, {"budget_s": 0.0}])
def test_plans_that_cannot_be_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        AuditPlan(**change)


@pytest.mark.parametrize(
    ("correct", "images", "expected"),
    [(0, 10, (0, 0.2775)), (10, 10, (0.7225, 1)), (81, 263, (0.2553, 0.3662))],  # the last: Newcombe 1998, table I
)
def test_wilsons_interval(correct, images, expected):
    assert wilson(correct, images) == pytest.approx(expected, abs=1e-4)
    assert Accuracy(correct, images).interval == wilson(correct, images)
