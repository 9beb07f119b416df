"""What training under faults is worth: who is chosen, what is compared with what."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks import _cifar10, fault_training
from benchmarks._records import Records
from search.data import Data, Split
from search.spaces import Architecture

STUDY = replace(fault_training._quick(fault_training._full()), alphas=(0.0, 0.5, 0.9), seeds=3, patterns=2, images=20)


def values(clean, faulty, *, validation=None):
    """Three seeds around the means; on validation images the same unless told."""
    seeds = np.array([-0.01, 0, 0.01])
    seen = validation or (clean, faulty)
    return {
        "clean": clean + seeds,
        "faulty": faulty + seeds,
        "validation_clean": seen[0] + seeds,
        "validation_faulty": seen[1] + seeds,
        "cpu_s": np.ones(3),
    }


def test_the_best_under_faults_is_chosen_among_those_that_lose_little():
    found = {0.0: values(0.7, 0.3), 0.3: values(0.69, 0.4), 0.5: values(0.685, 0.45), 0.9: values(0.6, 0.6)}
    assert fault_training.chosen(found, 0.02) == 0.5
    assert fault_training.chosen(found, 0.2) == 0.9
    assert fault_training.chosen(found, 0.005) == 0.0


def test_the_choice_sees_validation_images_only():
    found = {
        0.0: values(0.7, 0.3),
        0.5: values(0.5, 0.2, validation=(0.7, 0.6)),
        0.9: values(0.7, 0.9, validation=(0.7, 0.2)),
    }
    assert fault_training.chosen(found, 0.02) == 0.5
    _, stated = fault_training.tables(STUDY, found)
    assert stated.rows[0]["gained under faults, points"] == pytest.approx(-10)
    assert stated.rows[0]["verdict"] == "not told apart from none"


def test_differences_are_paired_by_seed():
    traded, stated = fault_training.tables(STUDY, {0.0: values(0.7, 0.3), 0.5: values(0.69, 0.5)})
    row = traded.rows[1]
    assert row["faulty − that of α = 0"] == pytest.approx(20)
    assert row["95 %, faulty"] == pytest.approx((20, 20))  # all seeds gain alike, however far they are apart
    assert stated.rows[0]["verdict"] == "gains"


def test_if_all_lose_too_much_nothing_gains():
    _, stated = fault_training.tables(STUDY, {0.0: values(0.7, 0.3), 0.5: values(0.6, 0.5)})
    assert stated.rows[0]["α"] == 0
    assert stated.rows[0]["verdict"] == "none of them stays within that loss and gains"


def test_one_seed_has_no_interval():
    found = {
        alpha: {name: row[:1] for name, row in values(0.7, faulty).items()}
        for alpha, faulty in ((0.0, 0.3), (0.5, 0.5))
    }
    traded, stated = fault_training.tables(STUDY, found)
    assert traded.rows[1]["95 %"] is None
    assert stated.rows[0]["verdict"] == "one seed: no interval"


def test_the_first_share_is_trained_without_faults_and_all_else_alike(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)

    def split():
        images = torch.from_numpy(rng.normal(size=(64, 1, 16, 16)).astype(np.float32))
        return Split(images, torch.from_numpy(rng.integers(0, 10, 64)))

    data = Data("noise", split(), split(), split(), 10)
    trainings = []
    train_alone = fault_training.train_alone

    def noted(space, architecture, data, settings, *, seed):
        trainings.append((settings, seed))
        return train_alone(space, architecture, data, settings, seed=seed)

    monkeypatch.setattr(fault_training, "train_alone", noted)
    study = replace(STUDY, alphas=(0.0, 0.9), seeds=2)
    for _ in range(2):  # the second time from the file
        records = Records(tmp_path / "found.jsonl", "setup", lambda text: None)
        found = fault_training.measure(study, data, records)
        assert found[0.9]["faulty"].shape == (2,)
    assert [(s.faults.alpha if s.faults else 0, seed) for s, seed in trainings] == [(0, 0), (0.9, 0), (0, 1), (0.9, 1)]
    assert len({repr(replace(settings, faults=None)) for settings, _ in trainings}) == 1


def test_without_images_it_is_skipped(tmp_path):
    options = _cifar10.parser().parse_args(["--data", str(tmp_path / "nowhere")])
    assert "--data names the folder" in fault_training.run(False, options).skipped


@pytest.mark.parametrize("study", [fault_training._full(), STUDY])
def test_the_network_is_one_of_its_space_and_its_training_gets_to_the_faults(study):
    assert study.space.parse(study.network) == Architecture(study.network)
    study.settings.faults.check(study.settings.epochs)
    assert study.alphas[0] == 0
