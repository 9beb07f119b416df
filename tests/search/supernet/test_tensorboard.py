"""Files for TensorBoard: read back by protobuf's own reader, with a schema written here, and checksums checked."""

import struct
from dataclasses import replace

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from search.supernet import Supernet, TrainSettings, train, train_alone
from search.supernet.tensorboard import ProgressLog, ScalarLog, _checksum

SHORT = TrainSettings(epochs=1, batch=40)


def event_class():
    """The fields of TensorFlow's event.proto and summary.proto that are written."""
    file = descriptor_pb2.FileDescriptorProto(name="events.proto", package="made_up", syntax="proto3")
    fields = descriptor_pb2.FieldDescriptorProto
    messages = {
        "Value": [("tag", 1, fields.TYPE_STRING), ("simple_value", 2, fields.TYPE_FLOAT)],
        "Summary": [("value", 1, "Value")],
        "SessionLog": [("status", 1, fields.TYPE_INT32)],
        "Event": [
            ("wall_time", 1, fields.TYPE_DOUBLE),
            ("step", 2, fields.TYPE_INT64),
            ("file_version", 3, fields.TYPE_STRING),
            ("summary", 5, "Summary"),
            ("session_log", 7, "SessionLog"),
        ],
    }
    for name, members in messages.items():
        message = file.message_type.add(name=name)
        for member, number, kind in members:
            label = fields.LABEL_REPEATED if (name, member) == ("Summary", "value") else fields.LABEL_OPTIONAL
            field = message.field.add(name=member, number=number, label=label)
            if isinstance(kind, str):
                field.type, field.type_name = fields.TYPE_MESSAGE, f".made_up.{kind}"
            else:
                field.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("made_up.Event"))


Event = event_class()


def events(path):
    content, found = path.read_bytes(), []
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        assert content[8:12] == _checksum(content[:8])
        record, rest = content[12 : 12 + length], content[12 + length :]
        assert rest[:4] == _checksum(record)
        found.append(Event.FromString(record))
        content = rest[4:]
    return found


def test_the_checksum_is_castagnolis_masked():
    # RFC 3720, B.4: 32 bytes of zeros have the CRC-32C 0x8A9136AA, and "123456789" is known to have 0xE3069283.
    for data, crc in ((bytes(32), 0x8A9136AA), (b"123456789", 0xE3069283)):
        masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
        assert _checksum(data) == struct.pack("<I", masked)


def test_a_file_begins_with_its_version_and_takes_back_later_steps(tmp_path):
    log = ScalarLog(tmp_path / "new", 300, clock=lambda: 12.5)
    log.note(70_000, {"loss": 0.25, "accuracy": 0.5})
    log.close()
    (path,) = (tmp_path / "new").iterdir()
    assert "tfevents" in path.name  # by which TensorBoard knows it
    version, start, noted = events(path)
    assert version.file_version == "brain.Event:2"
    assert (start.step, start.session_log.status) == (300, 1)
    assert (noted.step, noted.wall_time) == (70_000, 12.5)
    assert [(value.tag, value.simple_value) for value in noted.summary.value] == [("loss", 0.25), ("accuracy", 0.5)]


def test_every_step_of_a_training_is_there_those_of_its_next_life_too(data, space, tmp_path):
    settings, path, seen = replace(SHORT, epochs=2), tmp_path / "state", []
    log = ProgressLog(tmp_path / "log", seen.append)
    train(Supernet(space), data, settings, checkpoint=path, progress=log, stop=lambda: len(seen) == 4)
    train(Supernet(space), data, settings, checkpoint=path, progress=ProgressLog(tmp_path / "log", seen.append))
    first, second = (events(file) for file in sorted((tmp_path / "log").iterdir()))
    assert [event.step for event in first] == [0, 1, 1, 2, 3, 4]
    assert [event.step for event in second] == [0, 5, 5, 6, 7, 8, 9, 10]
    assert [entry.step for entry in seen] == list(range(1, 11))
    for event, told in zip([*first[2:], *second[2:]], seen, strict=True):
        values = {value.tag: value.simple_value for value in event.summary.value}
        expected = {name: getattr(told, name) for name in ("loss", "accuracy", "learning_rate", "images_per_s")}
        assert values == pytest.approx(expected)


def test_the_learning_rate_is_that_of_the_step(data, space):
    seen = []
    train_alone(space, space.smallest(np.random.default_rng(0)), data, SHORT, seed=0, progress=seen.append)
    assert [entry.learning_rate for entry in seen] == [SHORT.rate(step, 5) for step in range(5)]


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        ScalarLog(tmp_path / "file" / "below", 1)
