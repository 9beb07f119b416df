"""Results of long benchmarks: each is made once, also when the process was killed in between."""

import json

import pytest

from benchmarks._records import Records

quiet = [].append


def test_what_was_found_is_not_made_again(tmp_path):
    file = tmp_path / "new" / "found.jsonl"
    Records(file, "setup", quiet).get("one", lambda: {"accuracy": 0.5, "each": (1, 2)})
    resumed = Records(file, "setup", quiet).get("one", lambda: pytest.fail("made again"))
    assert resumed == {"accuracy": 0.5, "each": [1, 2]}


def test_what_is_kept_reads_as_what_was_just_made():
    records = Records(None, "setup", quiet)
    assert records.get("one", lambda: {"each": (1, 2)}) == {"each": [1, 2]} == records.get("one", dict)


def test_a_line_that_was_cut_off_is_made_anew(tmp_path):
    file = tmp_path / "found.jsonl"
    records = Records(file, "setup", quiet)
    records.get("one", lambda: {"value": 1})
    records.get("two", lambda: {"value": 2})
    file.write_bytes(file.read_bytes()[:-5])
    resumed = Records(file, "setup", quiet)
    assert resumed.get("one", dict) == {"value": 1}
    assert resumed.get("two", lambda: {"value": 3}) == {"value": 3}
    assert [json.loads(line) for line in file.read_text().splitlines()] == [
        {"setup": "setup"},
        {"name": "one", "found": {"value": 1}},
        {"name": "two", "found": {"value": 3}},
    ]


def test_results_of_another_setup_are_refused_and_left_alone(tmp_path):
    file = tmp_path / "found.jsonl"
    Records(file, "setup", quiet).get("one", dict)
    before = file.read_bytes()
    with pytest.raises(SystemExit, match=r"found.jsonl holds results of another setup: name another file"):
        Records(file, "other setup", quiet)
    assert file.read_bytes() == before


@pytest.mark.parametrize("text", ["no JSON\n", "[1, 2]\n", '{"else": 1}\n', '{"setup": "setup"}\n{"name": "one"}\n'])
def test_another_kind_of_file_is_refused_and_left_alone(tmp_path, text):
    file = tmp_path / "notes.txt"
    file.write_text(text)
    with pytest.raises(SystemExit, match=r"notes.txt is no file of this benchmark's results: name another one"):
        Records(file, "setup", quiet)
    assert file.read_text() == text
