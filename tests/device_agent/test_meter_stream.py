"""External meters: real commands, files and FIFOs that send lines."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_agent.measure.meters import MeterError
from device_agent.measure.meters.stream import StreamMeter, find_stream, parse_line

# 10 W in volts and amperes, a hundred samples a second on a clock of its own, after a heading.
TEN_WATTS = """
import time
print("seconds,volts,amperes", flush=True)
begin = time.monotonic()
while True:
    print(f"{time.monotonic() - begin + 1e6:.6f},5.0,2.0", flush=True)
    time.sleep(0.01)
"""


def command(program: str) -> str:
    return f"command:{sys.executable} -c '{program}'"


@pytest.fixture
def ten_watts() -> Iterator[StreamMeter]:
    meter = find_stream(command(TEN_WATTS))
    assert isinstance(meter, StreamMeter)
    yield meter
    meter.close()


def test_a_command_is_a_meter(ten_watts: StreamMeter) -> None:
    for seconds in (0.3, 0.2):
        ten_watts.start()
        time.sleep(seconds)
        look = ten_watts.look()
        reading = ten_watts.stop()
        assert reading.seconds >= seconds
        assert reading.energy_j == pytest.approx(10 * reading.seconds, rel=0.02)
        assert look.energy_j == pytest.approx(10 * look.seconds, rel=0.1)
    assert ten_watts.power_w() == 10.0


def test_a_command_that_ends_voids_the_window() -> None:
    meter = find_stream(command('print("0,1\\n0.1,1\\n0.2,1", flush=True); import time; time.sleep(0.2)'))
    assert isinstance(meter, StreamMeter)
    meter.start()
    time.sleep(0.5)
    with pytest.raises(MeterError, match="ended"):
        meter.stop()
    # The next window starts it again.
    meter.start()
    meter.close()


def test_a_command_that_sends_mostly_garbage_voids_the_window() -> None:
    noise = TEN_WATTS.replace('print(f"', 'print("?????\\n" * 3 + f"')
    meter = find_stream(command(noise))
    assert isinstance(meter, StreamMeter)
    meter.start()
    time.sleep(0.1)
    with pytest.raises(MeterError, match="are no samples"):
        meter.stop()
    meter.close()


@pytest.mark.parametrize("fifo", [True, False], ids=["fifo", "file"])
def test_a_growing_file_and_a_fifo_are_meters(tmp_path: Path, fifo: bool) -> None:
    path = tmp_path / "watts.csv"
    if fifo:
        os.mkfifo(path)
    else:
        path.write_text("seconds,watts\n0,1000\n1,1000\n")
    done = threading.Event()

    def write() -> None:
        with path.open("w" if fifo else "a", buffering=1) as sink:
            while not done.is_set():
                sink.write(f"{time.monotonic():.6f},3\n")
                time.sleep(0.01)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        meter = find_stream(f"file:{path}")
        assert isinstance(meter, StreamMeter)
        meter.start()
        time.sleep(0.3)
        reading = meter.stop()
        # Lines from before the first window are history.
        assert reading.energy_j == pytest.approx(3 * reading.seconds, rel=0.02)
        meter.close()
    finally:
        done.set()
        writer.join()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("command:no-such-program --fast", "is not there"),
        ("command:'unbalanced", "No closing quotation"),
        ("file:/no/such/file", "cannot be read"),
        ("joulescope", 'write "command:PROGRAM ARGUMENTS" or "file:PATH"'),
        ("file:", "is no meter"),
    ],
)
def test_a_meter_that_cannot_be_is_told_before_any_window(name: str, reason: str) -> None:
    assert reason in find_stream(name).unavailable


@pytest.mark.parametrize(
    ("line", "sample"),
    [
        ("1.5,2", (1.5, 2.0)),
        (" 1.5 , 5 , 0.4 \n", (1.5, 2.0)),
        ("1e3,-0.25", (1000.0, -0.25)),
        ("seconds,watts", None),
        ("1.5", None),
        ("1,2,3,4", None),
        ("nan,1", None),
        ("1,inf", None),
        ("", None),
    ],
)
def test_lines(line: str, sample: object) -> None:
    assert parse_line(line) == (pytest.approx(sample) if sample else None)


@given(st.text())
def test_no_text_breaks_the_parser(line: str) -> None:
    parse_line(line)
