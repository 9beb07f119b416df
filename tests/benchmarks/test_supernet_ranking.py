"""Which training of supernets ranks better: pairs, verdicts, and that nothing is trained twice."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks import supernet_ranking
from benchmarks._records import Records
from benchmarks.supernet_ranking import CLEAN, Estimate, Judged, Study
from search.data import Data, Split
from search.spaces import MobileSpace
from search.supernet import TrainSettings
from search.supernet.audit_plan import sample_networks
from search.supernet.base import make_supernet
from search.supernet.methods import METHODS

SPACE = MobileSpace((1, 8, 8), 3, stem=2, widths=((2, 4), (2, 4)), depth=1, kernels=(3,), expansions=(1,))
SHORT = TrainSettings(epochs=1, batch=32)
STUDY = Study(
    SPACE, 6, SHORT, {name: replace(SHORT, method=name) for name in ("sandwich", "single-path")}, 2, 2, images=20
)
NETWORKS = sample_networks(STUDY.space, STUDY.subnets, STUDY.seed)


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch):
    monkeypatch.setattr(supernet_ranking, "_RESAMPLES", 200)


def _split(rng):
    images = torch.from_numpy(rng.normal(size=(64, 1, 8, 8)).astype(np.float32))
    return Split(images, torch.from_numpy(rng.integers(0, 3, 64)))


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return Data("noise", _split(rng), _split(rng), _split(rng), 3)


def judged(*rows):
    values = np.array(rows)
    return Judged({CLEAN: values, STUDY.condition: values}, tuple(1.0 for _ in rows))


RISING = np.arange(6) / 10


def test_tau_is_averaged_over_the_trainings():
    assert supernet_ranking.mean_tau(np.array([RISING, RISING]), RISING) == pytest.approx(1)
    assert supernet_ranking.mean_tau(np.array([RISING, -RISING]), RISING) == pytest.approx(0)
    assert supernet_ranking.mean_tau(np.array([RISING, np.ones(6)]), RISING) is None


def test_among_like_macs_only_pairs_of_a_bin_count():
    bins = np.array([0, 0, 0, 1, 1, 1])
    each_backwards = np.array([0.2, 0.1, 0.0, 0.5, 0.4, 0.3])
    assert supernet_ranking.mean_tau(each_backwards[None], RISING, bins) == pytest.approx(-1)
    assert supernet_ranking.mean_tau(each_backwards[None], RISING) == pytest.approx(3 / 15)


def test_all_contenders_meet_the_same_resamples():
    rows = np.random.default_rng(1).normal(size=(3, 6))
    draws = supernet_ranking.resampled({"one": rows, "same": rows.copy()}, RISING)
    assert np.array_equal(draws["one"], draws["same"], equal_nan=True)
    assert np.nanstd(draws["one"]) > 0


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        ((0.1, 0.3), "a wins"),
        ((-0.3, -0.1), "b wins"),
        ((-0.1, 0.3), "a does not win, nor does b"),
        ((0.0, 0.3), "a does not win, nor does b"),
        (None, "nothing to rank"),
    ],
)
def test_only_an_interval_beside_zero_wins(interval, words):
    assert supernet_ranking.verdict("a", "b", Estimate(0.1, interval)) == words


def test_a_method_that_ranks_truly_wins_over_one_that_ranks_backwards():
    inherited = {"sandwich": judged(RISING, RISING), "single-path": judged(-RISING, -RISING)}
    ranks, gains, *_ = supernet_ranking.tables(STUDY, NETWORKS, judged(RISING, RISING), inherited)
    row = next(row for row in gains.rows if row[""] == "sandwich − single-path")
    assert row["difference"] == pytest.approx(2)
    assert row["verdict"] == "sandwich wins"
    assert [row["ranked by"] for row in ranks.rows] == [
        "sandwich",
        "single-path",
        "MACs",
        "trained alone, another seed",
    ]
    assert ranks.rows[3]["τ"] == pytest.approx(1)


def test_accuracies_that_do_not_vary_rank_nothing():
    alone = judged(RISING, RISING)
    flat = {"sandwich": judged(np.ones(6), np.ones(6)), "single-path": judged(RISING, RISING)}
    ranks, gains, *_ = supernet_ranking.tables(STUDY, NETWORKS, alone, flat)
    assert ranks.rows[0]["τ"] is None
    assert ranks.rows[0]["95 %"] is None
    assert gains.rows[0]["verdict"] == "nothing to rank"


def test_one_training_alone_has_no_ceiling():
    ranks, *_ = supernet_ranking.tables(STUDY, NETWORKS, judged(RISING), {"sandwich": judged(RISING)})
    assert "τ" not in ranks.rows[-1]
    assert "from seed to seed, unknown" in ranks.notes[-1]


def test_the_pilot_meets_other_networks_and_seeds():
    pilot = supernet_ranking._pilot(STUDY)
    assert pilot.seed != STUDY.seed
    assert sample_networks(pilot.space, pilot.subnets, pilot.seed)[:6] != NETWORKS
    assert {(s.method, s.learning_rate) for s in pilot.methods.values()} == {
        (method, rate) for method in ("sandwich", "single-path") for rate in supernet_ranking._RATES
    }


def test_a_pilot_shows_what_the_networks_inherit():
    table = supernet_ranking.tried({"sandwich": judged(RISING)})
    assert table.rows[0]["mean accuracy, %"] == pytest.approx(25)
    assert table.rows[0]["standard deviation over networks"] == pytest.approx(100 * RISING.std(ddof=1))


def test_a_study_that_was_broken_off_goes_on_with_what_it_has(tmp_path, data, monkeypatch):
    study = replace(STUDY, subnets=2, alone_seeds=1, supernet_seeds=1, patterns=2)
    networks = sample_networks(study.space, study.subnets, study.seed)

    def both():
        records = Records(tmp_path / "found.jsonl", "setup", lambda text: None)
        inherited = supernet_ranking.judge_inherited(study, networks, data, records)
        return supernet_ranking.judge_alone(study, networks, data, records), inherited

    alone, inherited = both()
    assert alone.values[CLEAN].shape == (1, 2)
    assert inherited["sandwich"].values[study.condition].shape == (1, 2)
    assert all(0 <= value <= 1 for value in inherited["single-path"].values[CLEAN].flat)
    for name in ("train", "train_alone"):
        monkeypatch.setattr(supernet_ranking, name, lambda *args, **settings: pytest.fail("trained again"))
    again, once_more = both()
    assert np.array_equal(again.values[CLEAN], alone.values[CLEAN])
    assert once_more["sandwich"].cpu_s == inherited["sandwich"].cpu_s


def test_without_images_it_is_skipped(tmp_path):
    options = supernet_ranking.parser().parse_args(["--data", str(tmp_path / "nowhere")])
    assert "--data names the folder" in supernet_ranking.run(False, options).skipped


@pytest.mark.parametrize("name", supernet_ranking._STUDIES)
def test_every_space_has_a_study_whose_methods_can_teach_it(name):
    study = supernet_ranking._STUDIES[name]
    for settings in study.methods.values():
        METHODS[settings.method].check(make_supernet(study.space, 0, sets=settings.sets))
    assert study.subnets >= 30
    assert study.supernet_seeds >= 3
    assert supernet_ranking._SMALL.keys() == supernet_ranking._STUDIES.keys()
