"""Audits of a run: what they compare, what they keep in the run, and what they cannot do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fault_injection.models import parse as parse_fault
from search.campaign.audits import AUDIT, AUDITED, Wishes, audit_run, campaign_plan
from search.campaign.campaign import create
from search.campaign.config import load, parse
from search.campaign.makers import SupernetMaker, maker_for
from search.campaign.problem import Problem
from search.campaign.reporting import report
from search.errors import SearchError
from search.runlog import RunLog, read_history
from tests.search.campaign import tiny

FEW = Wishes(subnets=2, seeds=2, epochs=1, conditions=(), patterns=2, workers=0)
STUCK: dict[str, Any] = {"model": "adSAF(p=0.1)", "alpha": 0.7, "clean_epochs": 1, "ramp_epochs": 1}


def trained(folder: Path, **changes: Any) -> Path:
    """A run whose supernet is trained and that has measured nothing."""
    config = load(tiny.write(folder, **changes))
    run = folder / "run"
    with create(run, config):
        maker = maker_for(Problem.of(config), run / "supernet.pt")
        assert isinstance(maker, SupernetMaker)
        assert maker.train(lambda progress: None, lambda: False)
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("audited"))


def notes(run: Path, name: str) -> list[Any]:
    return read_history(run).notes(name)


def test_what_was_found_is_kept_and_a_larger_audit_goes_on_from_it(run: Path) -> None:
    found = audit_run(run, FEW)
    assert notes(run, AUDIT)[-1] == found
    assert [ranking["quantity"] for ranking in found["rankings"]] == ["accuracy"]
    assert found["supernet"] == {"epochs": 2}
    kept = len(notes(run, AUDITED))
    assert kept == 4
    again = audit_run(run, replace(FEW, subnets=3))
    assert len(notes(run, AUDITED)) == kept + 2
    assert again["subnets"][:2] == found["subnets"]
    assert "How well the supernet ranks" in report(run).read_text(encoding="utf-8")


def test_the_campaigns_faults_are_judged_unless_others_are_named(run: Path) -> None:
    wishes = replace(FEW, subnets=1, seeds=1, epochs=2)
    faults = [str(parse_fault(text)) for text in ("iBF(p=0.001)", "MiBB(p_m=0.001)", "iBF(p=0.01)", "adSAF(p=0.1)")]
    for conditions, expected in ((None, faults[:3]), (["adSAF(p = 0.1)"], faults[3:])):
        found = audit_run(run, replace(wishes, conditions=conditions))
        quantities = [ranking["quantity"] for ranking in found["rankings"]]
        assert quantities == ["accuracy", *(f"accuracy@{fault}" for fault in expected)]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_processes_find_the_same(run: Path) -> None:
    """In other processes, and with nothing kept: the log of another run over the same weights."""
    wishes = replace(FEW, subnets=1, epochs=3)
    inside = audit_run(run, wishes)
    log = run / "log.jsonl"
    kept = log.read_bytes()
    log.write_bytes(b"".join(line for line in kept.splitlines(keepends=True) if b'"audited"' not in line))
    outside = audit_run(run, replace(wishes, workers=2))
    assert outside["subnets"] == inside["subnets"]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_killed_audit_goes_on_where_it_was(tmp_path: Path) -> None:
    run = trained(tmp_path)
    command = [sys.executable, "-m", "gauntlet", "supernet", "audit", run, "--subnets", "3", "--epochs", "20"]
    command += ["--fault", "none", "--workers", "1"]
    environment = {**os.environ, "PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 200
    while not notes(run, AUDITED):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = notes(run, AUDITED)
    assert 1 <= len(before) < 6
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "3 networks, each trained alone 2 times for 20 epochs" in " ".join(again.stdout.split())
    assert notes(run, AUDITED)[: len(before)] == before
    assert len(notes(run, AUDITED)) == 6
    assert (run / "report.html").exists()


def test_a_campaign_audits_the_faults_that_it_chooses_or_trains_by(tmp_path: Path) -> None:
    supernet = {"epochs": 8, "faults": STUCK, "augment": {"crop": 1}}
    document = tiny.document(supernet=supernet, audit={"subnets": 2, "epochs": 4})
    plan = campaign_plan(parse(document, "here"))
    assert plan.settings.faults is not None
    # Not those that are only measured.
    assert plan.conditions == (str(parse_fault("iBF(p=0.01)")), plan.settings.faults.model)
    assert plan.settings.faults.model == str(parse_fault(STUCK["model"]))
    # Half as many epochs, and of the clean ones and of the ramp, too.
    assert (plan.settings.faults.clean_epochs, plan.settings.faults.ramp_epochs) == (0, 0)
    assert plan.settings.augment.crop == 1
    assert campaign_plan(parse(document, "here"), epochs=16).settings.faults == replace(
        plan.settings.faults, clean_epochs=2, ramp_epochs=2
    )


def test_what_cannot_be_audited_is_told_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(SearchError, match="holds no run"):
        audit_run(tmp_path, FEW)
    config = load(tiny.write(tmp_path))
    run = tmp_path / "begun"
    log = create(run, config)
    with pytest.raises(SearchError, match="in use by another process"):
        audit_run(run, FEW)
    log.close()
    with pytest.raises(SearchError, match="holds no supernet yet") as error:
        audit_run(run, FEW)
    assert "--resume" in error.value.remedy


def test_networks_that_share_no_weights_cannot_be_audited(tmp_path: Path) -> None:
    space = {"kind": "nb201", "channels": 4, "cells": 1}
    RunLog.create(
        tmp_path / "run",
        "1",
        {"campaign_id": "x", "config": load(tiny.write(tmp_path, space=space)).model_dump(mode="json")},
    ).close()
    with pytest.raises(SearchError, match="holds no supernet"):
        audit_run(tmp_path / "run", FEW)


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        (replace(FEW, conditions=("nonsense",)), "'nonsense' is no fault condition"),
        (replace(FEW, conditions=("iBF(p=2)",)), "is no fault condition"),
        (replace(FEW, patterns=1), "audit: patterns must be 2 or more"),
        (replace(FEW, budget_s=-1.0), "audit: budget_s must be positive"),
        (replace(FEW, subnets=10**6), "fewer than 1000000"),
    ],
)
def test_wishes_that_cannot_be_are_told_in_a_line(run: Path, wishes: Wishes, message: str) -> None:
    with pytest.raises(SearchError, match=message) as error:
        audit_run(run, wishes)
    assert error.value.remedy
