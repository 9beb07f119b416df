"""The campaign file: what it says, and what is said about its mistakes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from search.campaign.config import CampaignConfig, load, parse
from search.campaign.keys import explain
from search.campaign.problem import Problem, load_data, training, training_alone
from search.campaign.sections import ConfigError
from search.data import Augmentation
from search.errors import SearchError
from tests.search.campaign import tiny

ROOT = Path(__file__).resolve().parents[3]


def test_the_example_is_valid_and_names_its_conditions_canonically() -> None:
    config = load(ROOT / "examples" / "digits.yaml")
    assert str(config.data) == "digits"
    assert config.devices() == ["local"]
    assert "iBF(p=0.003, per=bit)" in config.fault_conditions()
    assert len(config.fault_conditions()) == len(set(config.fault_conditions())) == 3
    assert config.search.candidates >= 40
    assert config.has_supernet


def test_what_goes_into_the_log_comes_back() -> None:
    config = parse(tiny.document(), "x")
    assert parse(config.model_dump(mode="json"), "log") == config


def test_a_path_is_taken_relative_to_the_file(tmp_path: Path) -> None:
    path = tiny.write(tmp_path)
    assert str(load(path).data) == str(tmp_path / "blobs.npz")
    assert load(path).title == "tiny"


def test_data_is_a_path_or_a_mapping_with_one(tmp_path: Path) -> None:
    plain, small = (load(tiny.write(tmp_path, data=data)) for data in ("blobs.npz", {"path": "blobs.npz", "pool": 2}))
    assert small.data.path == plain.data.path
    assert str(small.data) == f"{tmp_path / 'blobs.npz'} (pool 2)"
    assert parse(small.model_dump(mode="json"), "log") == small
    data = load_data(load(tiny.write(tmp_path, data={"path": "blobs.npz", "pool": 2, "limit": 40})))
    assert data.image_shape == (1, 4, 4)
    assert [len(split) for split in data.parts.values()] == [40, 40, 40]


def test_every_key_is_explained() -> None:
    rows = explain(CampaignConfig)
    assert all(meaning for _, _, meaning in rows)
    assert "search.candidates" in {key for key, _, _ in rows}


@pytest.mark.parametrize(
    ("changes", "message", "remedy"),
    [
        ({"serch": {}}, "no key serch", "did you mean search"),
        ({"search": {"candidate": 3}}, r"no key search\.candidate", "did you mean candidates"),
        ({"search": {"candidates": "many"}}, r"search\.candidates", "--keys"),
        ({"search": {"candidates": 0}}, r"search\.candidates", ""),
        ({"search": {"strategy": "randm"}}, "no strategy 'randm'", "did you mean random?"),
        ({"compare": {"strategies": ["nsga2"]}}, "cannot be compared", ""),
        ({"compare": {"strategies": ["nsga2", "nsga2"]}}, "nsga2 is there twice", ""),
        ({"compare": {"strategies": ["nsga2", {"strategy": "random", "sttings": {}}]}}, "sttings", "settings"),
        ({"space": {"kind": "moble"}}, r"space\.kind: .*'moble'", "mobile"),
        ({"space": {"kind": "nb201", "chanels": 4}}, r"no key space\.chanels", "did you mean channels?"),
        ({"space": {"kernals": [3]}}, r"no key space\.kernals", "did you mean kernels?"),
        ({"stop": {"plateau": {"gain": 0.1}}}, r"stop\.plateau\.queries is missing", ""),
        ({"stop": {"device_s": 0}}, r"stop\.device_s", ""),
        ({"replay": "nb201"}, "one of the two", ""),
        ({"data": ""}, "one of the two", ""),
        ({"data": {"pool": 2}}, "one of the two", ""),
        ({"data": {"path": "digits", "pol": 2}}, r"no key data\.pol", "did you mean pool?"),
        ({"data": {"path": "digits", "pool": 0}}, r"data\.pool: .*greater than or equal to 1", ""),
        ({"data": {"path": "digits", "limit": "few"}}, r"data\.limit", ""),
        ({"data": 5}, "data: ", ""),
        ({"data": "", "replay": "x.parquet"}, "a recorded table brings its own", ""),
        ({"seed": -1}, "seed", ""),
        ({"objectives": []}, "objectives", ""),
        ({"objectives": ["speed@local"]}, "speed", "there are"),
        ({"objectives": ["latency_s"]}, "which device", "latency_s@DEVICE"),
        ({"objectives": ["accuracy@iBF(p=2)"]}, "0 to 1", ""),
        ({"objectives": ["accuracy@xBF(p=0.1)"]}, "xBF", ""),
        ({"faults": {"models": ["iBF(q=1)"]}}, "'q'", ""),
        ({"constraints": ["parameters <= 10", "parameters >= 20"]}, "parameters", ""),
        ({"constraints": ["parameters < 10"]}, "'<'", "<="),
        ({"faults": {"min_patterns": 9, "max_patterns": 3}}, "max_patterns", ""),
        ({"measure": {"min_s": 2, "max_s": 1}}, "max_s", ""),
        ({"measure": {"precision": 1.5}}, r"measure\.precision", ""),
        (
            {"measure": {"protocol": {"latency": {"maxs": 1}}}},
            r"no setting latency\.maxs",
            "did you mean latency.max_s?",
        ),
        ({"measure": {"protocol": {"energy": {"window_s": "long"}}}}, "long is no duration", "500ms"),
        ({"measure": {"protocol": [1]}}, r"measure\.protocol", ""),
        (
            {"measure": {"max_s": 0.5, "protocol": {"latency": {"max_s": 3}}}},
            r"measure\.max_s and measure\.protocol both give latency\.max_s",
            "leave one of them out",
        ),
        (
            {"measure": {"min_s": 0.5, "protocol": {"latency": {"max_s": 0.4}}}},
            r"measure\.min_s \(0\.5\) is greater than measure\.protocol: latency\.max_s \(0\.4\)",
            "change one of them",
        ),
        ({"compare": {"strategies": 5}}, r"compare\.strategies: input should be a valid tuple", "--keys"),
        ({"compare": {"strategies": "guided"}}, r"compare\.strategies: input should be a valid tuple", "--keys"),
        ({"stop": {"device_s": math.inf}}, r"stop\.device_s: input should be a finite number", "--keys"),
    ],
)
def test_a_mistake_is_one_line_with_a_remedy(changes: dict[str, Any], message: str, remedy: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse(tiny.document(**changes), "file.yaml")
    assert "\n" not in caught.value.message
    assert remedy in caught.value.remedy


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ConfigError, match="objectives is missing"):
        parse({"data": "digits"}, "file.yaml")


@pytest.mark.parametrize("content", ["", "- a\n- b\n", "a: [", "\x00", "just words"])
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"x\.yaml"):
        load(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    "content",
    [
        b"data: digits\ndata: mine.npz\nobjectives: [accuracy]\n",
        b"title: &a [x]\ndata: *a\n",
        b"title: \xff\n",
        b"[" * 5000,
    ],
)
def test_yaml_that_deceives_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"x\.yaml is no YAML") as caught:
        load(path)
    assert "\n" not in caught.value.message
    assert caught.value.remedy == "see examples/digits.yaml"


def test_yaml_cannot_make_objects(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("title: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(ConfigError, match="no YAML"):
        load(path)


def test_the_file_may_be_minimal() -> None:
    config = CampaignConfig.model_validate(yaml.safe_load("data: digits\nobjectives: [accuracy]\n"))
    assert config.fault_conditions() == []
    assert config.devices() == []


def test_a_campaign_measures_quicker_and_its_protocol_changes_any_number() -> None:
    usual = parse({**tiny.document(), "measure": {}}, "x").measure.full_protocol()
    latency = usual.latency
    assert (latency.warmup_min_s, latency.warmup_max_s, latency.min_s, latency.max_s) == (0.1, 1.0, 0.2, 1.0)
    assert (latency.half_width, usual.output_check.tolerance) == (0.02, 0.25)
    measure = {"warmup_s": 2, "protocol": {"latency": {"max_s": "50ms"}, "energy": {"window_s": 2}}}
    config = parse({**tiny.document(), "measure": measure}, "x")
    changed = config.measure.full_protocol()
    assert (changed.latency.warmup_min_s, changed.latency.warmup_max_s) == (2, 2)
    assert (changed.latency.min_s, changed.latency.max_s, changed.energy.window_s) == (0.05, 0.05, 2)
    assert parse(config.model_dump(mode="json"), "log").measure.full_protocol() == changed


def test_a_protocol_may_be_a_file_beside_the_campaigns(tmp_path: Path) -> None:
    path = tiny.write(tmp_path)
    document = yaml.safe_load(path.read_text())
    document["measure"]["protocol"] = "careful.yaml"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(ConfigError, match=r"careful\.yaml cannot be read") as caught:
        load(path)
    assert caught.value.remedy
    (tmp_path / "careful.yaml").write_text("memory: {runs: 9}")
    assert load(path).measure.full_protocol().memory.runs == 9


@pytest.mark.parametrize("section", ["supernet", "training"])
def test_images_are_varied_as_the_file_says(tmp_path: Path, section: str) -> None:
    config = load(tiny.write(tmp_path, **{section: {"augment": {"crop": 2, "flip": True}}}))
    settings = training(config) if section == "supernet" else training_alone(config)
    assert settings.augment == Augmentation(crop=2, flip=True)
    assert parse(config.model_dump(mode="json"), "log") == config


def test_variations_that_leave_nothing_are_refused(tmp_path: Path) -> None:
    config = load(tiny.write(tmp_path, supernet={"augment": {"crop": 8}}))
    with pytest.raises(SearchError, match=r"supernet.augment.crop of 8 may leave nothing of images of 8 × 8"):
        Problem.of(config)
    with pytest.raises(ConfigError, match=r"no key supernet\.augment\.cut"):
        load(tiny.write(tmp_path, supernet={"augment": {"cut": 8}}))
