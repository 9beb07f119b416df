"""Fault campaigns on the real thing: embedded lab, agent, runtime."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import gauntlet
from fault_injection.models import Place
from fault_injection.precision import Precision
from fault_injection.replay import FaultRecord
from fault_injection.space import hits
from fault_injection.vulnerability import Outcome
from gauntlet.cli.app import run as cli
from gauntlet.errors import MeasurementFailed, UsageError
from gauntlet.faults import campaign, mapping, records
from gauntlet.faults.replay import replay
from gauntlet.faults.result import FaultCampaign
from gauntlet.faults.settings import (
    FaultSettings,
    MapSettings,
    ProtectSettings,
    ServiceSettings,
    check,
    conditions,
)
from tests.gauntlet import int8

pytest.importorskip("ai_edge_litert")

Files = tuple[Path, Path]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return int8.write(tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[gauntlet.Lab]:
    with gauntlet.Lab(folder=tmp_path_factory.mktemp("lab")) as lab:
        yield lab


def settings(files: Files, *faults: str, most: int = 12, **fields: object) -> FaultSettings:
    wanted = FaultSettings(files[0], files[1], conditions(faults), Precision(0.02, 0.95, 6, most), batch=16)
    return replace(wanted, **fields)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def whole(lab: gauntlet.Lab, files: Files, tmp_path_factory: pytest.TempPathFactory) -> tuple[FaultCampaign, Path]:
    folder = tmp_path_factory.mktemp("campaign") / "out"
    wanted = settings(
        files,
        "iBF(p=0)",
        "MiBB(p_m=1e-3)",
        "iBF(p=0.02)",
        map=MapSettings(0.2, 20),
        protect=ProtectSettings((0.1, 0.5)),
        service=ServiceSettings(600.0, 10.0, 3600.0),
    )
    check(wanted)
    return campaign.run(lab, wanted, folder), folder


@pytest.mark.slow
def test_a_campaign_measures_what_was_asked(whole: tuple[FaultCampaign, Path]) -> None:
    result, _ = whole
    (device,) = result.devices
    none, features, weights = (series.summary(0.95) for series in device.series)
    clean = device.series[0].outcomes.clean_accuracy
    assert none.accuracy.value == clean
    assert none.drop.value == none.changed.value == none.faults == 0
    assert device.series[0].stop == "precise"
    assert len(device.series[0].outcomes) == 6
    assert weights.accuracy.value < features.accuracy.value < clean
    assert weights.accuracy.interval is not None
    assert weights.accuracy.interval.low < weights.accuracy.value < weights.accuracy.interval.high
    assert weights.over_both is not None
    assert weights.over_images is not None
    assert weights.yields is not None
    assert features.yields is None  # transient: no chips
    assert weights.outside_top5 is not None
    assert set(device.provenance) == {"class", "runtime", "delegate", "threads"}


@pytest.mark.slow
def test_a_map_shows_that_high_bits_do_the_harm(whole: tuple[FaultCampaign, Path]) -> None:
    device = whole[0].devices[0]
    assert device.map is not None
    by_bit = {bit: estimate.value for bit, estimate in device.map.by_bit(Outcome.SDC1, 0.95).items()}
    assert set(by_bit) == set(range(8))
    assert by_bit[7] > by_bit[3] >= by_bit[0]
    for result in device.map.results:
        assert result.injections == mapping.injections(result.stratum, 0.2, 0.95)
    assert device.wrong_answers is not None
    assert device.wrong_answers.time_between_s.value > 0


@pytest.mark.slow
def test_protection_helps_on_patterns_that_did_not_choose_it(whole: tuple[FaultCampaign, Path]) -> None:
    result, _ = whole
    trials = result.devices[0].trials
    assert [(trial.name, trial.budget) for trial in trials] == [
        ("none", 0.0),
        ("range clipping", 0.0),
        ("TMR", 0.1),
        ("TMR", 0.5),
    ]
    means = [trial.series.summary(0.95).accuracy.value for trial in trials]
    assert means[0] < means[3]
    seeds = {trial.series.condition.plan.seed for trial in trials}
    assert seeds.isdisjoint({series.condition.plan.seed for series in result.devices[0].series})
    for trial in trials[2:]:
        assert trial.proposal is not None
        assert 0 < trial.proposal.overhead <= trial.budget
    assert trials[2].proposal.harm_left > trials[3].proposal.harm_left  # type: ignore[union-attr]


@pytest.mark.slow
def test_any_pattern_is_replayed_from_its_file(whole: tuple[FaultCampaign, Path], lab: gauntlet.Lab) -> None:
    result, folder = whole
    written = campaign.write_faults(result, folder / "faults", lambda text: None)
    for series, file in zip(result.devices[0].series, written, strict=True):
        assert (file.patterns, file.remark) == (len(series.outcomes), "")
        assert file.path is not None
        done = replay(lab, file.path, 3, result.settings.model, result.settings.data)
        assert done.outcomes.accuracies == [series.outcomes.accuracies[3]]
        assert done.outcomes.changed == [series.outcomes.changed[3]]
        assert done.outcomes.digests == [series.outcomes.digests[3]]
        assert done.faults == series.outcomes.faults[3]
        record = FaultRecord.from_bytes(file.path.read_bytes())
        assert [hits(record.patterns[k]) for k in range(len(series.outcomes))] == series.outcomes.faults
    assert written[2].path is not None
    with pytest.raises(UsageError, match="holds no pattern 99"):
        replay(lab, written[2].path, 99, result.settings.model, result.settings.data)


@pytest.mark.slow
def test_a_file_of_faults_fits_its_own_model_only(
    whole: tuple[FaultCampaign, Path], lab: gauntlet.Lab, tmp_path: Path
) -> None:
    result, _ = whole
    other = tmp_path / "other.tflite"
    content = bytearray(result.settings.model.read_bytes())
    place = mapping.strata(bytes(content), Place.WEIGHTS)[0].site
    weight = next(w for w in records.find_weights(bytes(content)) if w.name == place)
    content[weight.offset] ^= 1
    other.write_bytes(bytes(content))
    written = records.write(result.settings.model.read_bytes(), result.devices[0].series[2], tmp_path / "faults.npz")
    assert written.path is not None
    with pytest.raises(MeasurementFailed, match="belongs to another model"):
        replay(lab, written.path, 0, other, result.settings.data)


@pytest.mark.slow
def test_the_same_folder_measures_nothing_twice_and_takes_no_other_campaign(
    whole: tuple[FaultCampaign, Path], lab: gauntlet.Lab
) -> None:
    result, folder = whole
    log = folder / "log.jsonl"
    before = log.read_bytes()
    again = campaign.run(lab, result.settings, folder)
    assert log.read_bytes() == before
    assert [s.outcomes.accuracies for s in again.devices[0].series] == [
        s.outcomes.accuracies for s in result.devices[0].series
    ]
    assert again.devices[0].map == result.devices[0].map
    with pytest.raises(UsageError, match="holds another campaign: it differs in conditions"):
        campaign.run(lab, replace(result.settings, conditions=conditions(["iBF(p=0.5)"])), folder)


@pytest.mark.slow
def test_a_killed_campaign_goes_on_where_it_was(files: Files, tmp_path: Path) -> None:
    """kill -9 in the middle, then Ctrl-C; in the end there is what an undisturbed campaign finds."""

    def start(folder: Path) -> subprocess.Popen[str]:
        command = [
            sys.executable, "-m", "gauntlet", "faults", str(files[0]), "--data", str(files[1]), "--json",
            "--fault", "iBF(p=0.01)", "--fault", "random(p=0.02)", "--fault", "stuck(p=0.02, to=1)",
            "--min-patterns", "20", "--max-patterns", "60", "--precision", "0.01%", "--out", str(folder),
            "--lab-dir", str(tmp_path / "lab"),
        ]  # fmt: skip
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    folder = tmp_path / "killed"
    for chunks, how, status in ((2, signal.SIGKILL, -signal.SIGKILL), (5, signal.SIGINT, 130)):
        process = start(folder)
        deadline = time.monotonic() + 60
        log = folder / "log.jsonl"
        while not (log.exists() and log.read_bytes().count(b"\n") > chunks) and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(how)
        _, err = process.communicate(timeout=60)
        assert process.returncode == status, err
    process = start(folder)
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    calm = start(tmp_path / "calm")
    expected, err = calm.communicate(timeout=100)
    assert calm.returncode == 0, err
    patterns = [
        [condition["patterns"] for condition in device["conditions"]]
        for device in json.loads(out)["devices"] + json.loads(expected)["devices"]
    ]
    assert patterns[0] == patterns[1]
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()[1:]]
    drawn: dict[str, int] = {}
    for line in lines:
        name = line["data"]["series"]
        drawn[name] = drawn.get(name, 0) + len(line["data"]["outcomes"]["accuracies"])
    assert set(drawn.values()) == {60}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--fault", "iBF(p=2)"], "iBF: p must lie in 0 to 1, not 2"),
        (["--fault", "ibf(p=0.1)"], "no fault model 'ibf'"),
        (["--fault", "iBF(p=0.1)", "--target", "nothing*"], "nothing to break matches 'nothing*'; the model has:"),
        (["--fault", "iBF(p=0.1)", "--operation", "SOFTMAX"], "nothing to break matches 'SOFTMAX'"),
        (["--fault", "iBF(p=0.1)", "--bits", "3-9"], "bits must lie in 0 to 7, not 3 to 9"),
        (["--fault", "iBF(p=0.1)", "--bits", "high"], "--bits: high names no bits"),
        (["--fault", "adSAF(p=0.1)", "--site", "after"], "adSAF does not strike features"),
        (["--fault", "iBF", "--rates", "1e-2:1e-6"], "1e-2"),
        (["--fault", "SEU", "--rates", "1e-6:1e-2"], "SEU has no rate that could be swept"),
        (["--fault", "iBF(p=0.1)", "--lifetime", "forever"], "--lifetime: forever is none of: transient, permanent"),
        (["--fault", "iBF(p=0.1)", "--lifetime", "intermittent"], "intermittent is no lifetime"),
        (["--fault", "iBF(p=0.1)", "--protect", "10%"], "--protect follows from the map"),
        (["--fault", "iBF32(p=0.1)"], "iBF32 needs 32-bit values"),
        (["--fault", "MiBB(p_m=0.1)", "--site", "before"], "faults before the activation need it unfused"),
        (["--fault", "stuck(p=0.1, to=1)", "--site", "after"], "a deployed graph cannot carry stuck in its features"),
        (["--map", "everything"], "--map: everything is neither weights nor features"),
        (["--fault", "iBF(p=0.1)", "--precision", "tight"], "--precision: tight is no share"),
        (["--fault", "iBF(p=0.1)", "--min-patterns", "1"], "at least 2"),
        (["--map", "weights", "--fit", "-3"], "--fit must be greater than 0, not -3"),
        (["--map", "weights", "--fit", "3", "--residency", "2"], "--residency must lie in 0 to 1, not 2"),
        ([], "nothing to do"),
    ],
)
def test_what_makes_no_sense_is_said_in_one_line_before_anything_starts(
    files: Files, options: list[str], words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    os.environ.pop("GAUNTLET_LAB", None)
    folder = tmp_path / "lab"
    assert cli(["faults", str(files[0]), "--data", str(files[1]), "--lab-dir", str(folder), *options]) == 2
    error = capsys.readouterr().err
    assert " ".join(words.split()) in " ".join(error.split())
    assert error.startswith("error: ")
    assert not folder.exists()


def test_data_that_cannot_be_meant_is_refused(files: Files, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    nothing = tmp_path / "none.npz"
    with np.load(files[1]) as archive:
        arrays = {name: archive[name][:0] for name in archive.files}
    np.savez(nothing, **arrays)
    for data, words in ((tmp_path / "absent.npz", "no such file"), (nothing, "none.npz")):
        assert cli(["faults", str(files[0]), "--data", str(data), "--fault", "iBF(p=0.1)"]) == 2
        assert words in capsys.readouterr().err


def test_a_model_of_another_kind_is_refused(files: Files, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(b"something")
    assert cli(["faults", str(model), "--data", str(files[1]), "--fault", "iBF(p=0.1)"]) == 2
    assert "faults are put into .tflite files" in capsys.readouterr().err
