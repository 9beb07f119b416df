"""The protocol: one place for every number, read from what people write, and always one that an orchestrator takes."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
from annotated_types import Ge, Gt, Le, Lt
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from orchestrator.client import specs
from orchestrator.protocol import DEFAULT, Protocol, unit_of
from orchestrator.protocol_files import ProtocolError, all_names, flat, load, resolve
from orchestrator.validation import check_job
from protos.gauntlet.v1 import artifact_pb2, job_pb2

MODEL = artifact_pb2.ArtifactRef(digest="0" * 64, size_bytes=1, media_type="model/tflite", name="m.tflite")


def jobs(protocol: Protocol) -> list[job_pb2.JobSpec]:
    """All that a protocol can become."""
    throttle = specs.throttle_spec(**protocol.throttle.model_dump())
    single = specs.measurement_spec(
        MODEL,
        latency=specs.latency_spec(**protocol.latency.model_dump()),
        multi_stream=specs.multi_stream_spec(**protocol.multi_stream.model_dump()),
        offline=specs.offline_spec(**protocol.offline.model_dump()),
        accuracy=specs.accuracy_spec(MODEL, **protocol.accuracy.model_dump()),
        output_check=specs.output_check_spec(MODEL, **protocol.output_check.model_dump()),
        memory_runs=protocol.memory.runs,
        energy_window_s=protocol.energy.window_s,
        profile=True,
        profile_inferences=protocol.profile.inferences,
        throttle=throttle,
        timeout_s=3600.0,
    )
    numbers = protocol.comparison.model_dump(exclude={"timeout_s"})
    comparison = specs.measurement_spec(
        MODEL,
        memory=False,
        energy=False,
        comparison=specs.comparison_spec(MODEL, **numbers),
        throttle=throttle,
        timeout_s=protocol.comparison.timeout_s,
    )
    job = protocol.job
    asked = {"max_attempts": job.max_attempts, "queue_timeout_s": job.queue_timeout_s}
    return [specs.job_spec(measurement, **asked) for measurement in (single, comparison)]  # type: ignore[arg-type]


def extremes(name: str) -> st.SearchStrategy[Any]:
    """Values of a setting, its bounds among them."""
    part, _, key = name.partition(".")
    default = getattr(getattr(DEFAULT, part), key)
    if isinstance(default, bool):
        return st.booleans()
    if isinstance(default, tuple):
        most = {"batch_sizes": 4096, "threads": 256}[key]
        return st.lists(st.integers(1, most), min_size=1, max_size=8, unique=True)
    bounds: dict[type, float] = {}
    for limit in type(getattr(DEFAULT, part)).model_fields[key].metadata:
        for kind, attribute in ((Ge, "ge"), (Gt, "gt"), (Le, "le"), (Lt, "lt")):
            if isinstance(limit, kind):
                bounds[kind] = getattr(limit, attribute)
    low, high = bounds.get(Ge, bounds.get(Gt, 0)), bounds.get(Le, bounds.get(Lt, 0))
    if isinstance(default, int):
        return st.integers(int(low), int(high)) | st.sampled_from([int(low), int(high)])
    return st.floats(low, high, exclude_min=Gt in bounds, exclude_max=Lt in bounds, allow_subnormal=False)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_whatever_a_protocol_takes_an_orchestrator_takes(data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(all_names()), max_size=6, unique=True))
    asked = {name: data.draw(extremes(name), label=name) for name in names}
    try:
        protocol = resolve(asked)
    except ProtocolError as error:
        # Said before anything is submitted.
        crossing = "greater than" in error.message or "cells" in error.message
        assume(not crossing)
        raise
    offline = protocol.offline
    # Whether the cells fit into the time is not the protocol's alone, and the orchestrator's to say.
    assume(len(offline.batch_sizes) * len(offline.threads) * offline.min_s < 3600.0)
    for job in jobs(protocol):
        check_job(job)


def test_left_out_a_specification_is_the_default_protocol() -> None:
    single, comparison = (job.measurement for job in jobs(DEFAULT))
    assert single.latency == specs.latency_spec()
    assert single.multi_stream == specs.multi_stream_spec()
    assert single.offline == specs.offline_spec()
    assert single.throttle == specs.throttle_spec()
    assert comparison.comparison == specs.comparison_spec(MODEL)
    plain = specs.measurement_spec(MODEL, latency=specs.latency_spec(), profile=True)
    assert (single.memory, single.energy, single.profile) == (plain.memory, plain.energy, plain.profile)
    assert plain.timeout_s == DEFAULT.job.timeout_s


def test_the_practice_behind_the_defaults_is_kept() -> None:
    """Numbers that a source gives: facts/devices (warm-up, stop rule), MLPerf (p99)."""
    latency = DEFAULT.latency
    assert (latency.warmup_min_runs, latency.warmup_min_s, latency.warmup_tolerance) == (10, 0.5, 0.02)
    assert (latency.min_samples, latency.min_s, latency.half_width, latency.confidence) == (30, 1.0, 0.01, 0.95)
    assert DEFAULT.multi_stream.min_queries == 662
    assert DEFAULT.throttle.drift == 0.03
    assert 5 <= DEFAULT.energy.window_s <= 10


def test_every_setting_has_a_meaning_a_unit_and_a_way_to_write_it() -> None:
    for part in DEFAULT.parts().values():
        assert inspect.getdoc(type(part))
        for name, field in type(part).model_fields.items():
            assert field.description
            assert "\n" not in field.description
            assert unit_of(part, name).form


@pytest.mark.parametrize(
    ("name", "written", "means"),
    [
        ("latency.max_s", "500ms", 0.5),
        ("latency.max_s", "2 s", 2.0),
        ("latency.max_s", "1.5min", 90.0),
        ("latency.max_s", 3, 3.0),
        ("latency.min_sample_s", "1e-5", 1e-5),
        ("latency.min_sample_s", "50us", 50e-6),
        ("latency.half_width", "0.5%", 0.005),
        ("latency.half_width", "0.005", 0.005),
        ("output_check.tolerance", "1e-3", 1e-3),
        ("offline.batch_sizes", "1,4, 16", (1, 4, 16)),
        ("offline.batch_sizes", 4, (4,)),
        ("offline.threads", [1, 2], (1, 2)),
        ("latency.pin", False, False),
    ],
)
def test_numbers_are_read_as_people_write_them(name: str, written: object, means: object) -> None:
    part, _, key = name.partition(".")
    assert getattr(getattr(resolve({name: written}), part), key) == pytest.approx(means)


@pytest.mark.parametrize(
    ("asked", "message", "remedy"),
    [
        ({"latency.max_sec": 1}, "there is no setting latency.max_sec", "did you mean latency.max_s?"),
        ({"latncy.max_s": 1}, "there is no setting latncy.max_s", "did you mean latency.max_s?"),
        ({"latency": 1}, "there is no setting latency", ""),
        ({"latency.max_s": 0}, "latency.max_s must be at least 0.001, not 0", "2s, 500ms"),
        ({"latency.max_s": -1}, "latency.max_s must be at least", "default is 10"),
        ({"latency.max_s": float("nan")}, "latency.max_s must be", "seconds"),
        ({"latency.max_s": float("inf")}, "latency.max_s must be", "seconds"),
        ({"latency.max_s": "inf"}, "latency.max_s must be", "seconds"),
        ({"latency.max_s": "nan"}, "latency.max_s must be", "seconds"),
        ({"latency.max_s": 10**400}, "latency.max_s must be", "seconds"),
        ({"latency.max_s": True}, "must be a valid number, not true", ""),
        ({"latency.max_s": None}, "must be a valid number", ""),
        ({"latency.max_s": [1]}, "must be a valid number", ""),
        ({"latency.max_s": "2 parsecs"}, "2 parsecs is no duration", "2s, 500ms"),
        ({"latency.max_s": "s"}, "s is no duration", ""),
        ({"latency.max_s": "a\nb"}, "latency.max_s: a b is no duration", ""),
        ({"latency.max_s": "x" * 10_000}, "latency.max_s: xxx", ""),
        ({"latency.a\nb": 1}, "there is no setting latency.a b", ""),
        ({"latency.half_width": "1.5"}, "must be less than 1, not '1.5'", "1% or as 0.01"),
        ({"latency.half_width": 0}, "must be greater than 0", ""),
        ({"latency.half_width": "x%"}, "x% is no share", ""),
        ({"latency.min_samples": "10"}, "must be a valid integer, not '10'", "whole number"),
        ({"latency.min_samples": 1.5}, "must be a valid integer, not 1.5", ""),
        ({"latency.min_samples": True}, "must be a valid integer, not true", ""),
        ({"latency.pin": 1}, "must be a valid boolean, not 1", "true or false"),
        ({"offline.batch_sizes": []}, "must have at least 1 item", "1,4,16"),
        ({"offline.batch_sizes": "1,,2"}, "1,,2 is no list", ""),
        ({"offline.batch_sizes": [1, 0]}, "must be at least 1, not 0", ""),
        ({"offline.batch_sizes": [2, 2]}, "names a number twice", ""),
        ({"offline.threads": [1000]}, "must be at most 256", ""),
        ({"offline.batch_sizes": list(range(1, 34)), "offline.threads": "1,2"}, "66 cells", "leave some out"),
        ({"latency.min_s": 5, "latency.max_s": 2}, "latency.min_s (5) is greater than latency.max_s (2)", "leave it"),
        ({"comparison.processes": 1}, "at least 2", ""),
        ({"throttle.repeats": 1000}, "at most 10", ""),
    ],
)
def test_what_cannot_be_meant_is_one_line_with_a_remedy(asked: dict[str, Any], message: str, remedy: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        resolve(asked)
    assert message in caught.value.message
    assert len(caught.value.message) < 310
    assert "\n" not in caught.value.message + caught.value.remedy
    assert remedy in caught.value.remedy


def test_where_one_bound_is_given_the_other_follows() -> None:
    short, long = resolve({"latency.max_s": 0.2}), resolve({"latency.min_s": 20})
    assert (short.latency.min_s, long.latency.max_s) == (0.2, 20)
    assert resolve({"comparison.processes": 40}).comparison.max_processes == 40
    assert not short.is_given("latency.min_s")
    assert short.is_given("latency.max_s")
    assert DEFAULT.latency.min_s == 1.0


def file(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "careful.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_any_part_of_a_file_will_do(tmp_path: Path) -> None:
    for content in ("", "# nothing\n", "latency:\n", "latency:\n  # max_s: 5\nenergy: {}\n"):
        assert flat(load(file(tmp_path, content)), "x") == {}
    assert flat(load(file(tmp_path, "latency: {max_s: 2s}")), "x") == {"latency.max_s": "2s"}


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{n}: &{n} [{','.join([f'*{p}'] * 9)}]\n" for p, n in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("latency: [", "is no YAML"),
        ("latency: {max_s: 1}\n---\nlatency: {}\n", "is no YAML"),
        (b"\x80", "is no YAML"),
        ("!!python/object/apply:os.system ['true']", "is no YAML"),
        (LAUGHS, "aliases are not taken"),
        ("latency: {max_s: 1, max_s: 2}", "a key stands twice"),
        ("latency: {max_s: 1}\nlatency: {min_s: 1}", "a key stands twice"),
        ("[" * 2_000, "nested too deep"),
        ("#" * 100_000, "larger than 64 KiB"),
        ("just words", "holds no settings"),
        ("- latency", "holds no settings"),
        ("latency: 5", "latency holds no settings"),
        ("latncy: {max_s: 5}", "there is no part latncy"),
        ("1: {max_s: 5}", "there is no part 1"),
        ("2026-99-99: 1", "careful.yaml"),
    ],
)
def test_a_file_that_is_no_protocol(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = file(tmp_path, content)
    with pytest.raises(ProtocolError, match=message) as caught:
        flat(load(path), str(path))
    assert "\n" not in caught.value.message
    assert str(path) in caught.value.message
    assert caught.value.remedy


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.yaml", tmp_path):
        with pytest.raises(ProtocolError, match="cannot be read") as caught:
            load(path)
        assert caught.value.remedy == "name a protocol file (.yaml)"
