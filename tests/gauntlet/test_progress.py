"""What is shown while a supernet trains, with a terminal and without."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from gauntlet.render import progress
from search.supernet import Progress

HALFWAY = Progress(
    step=50, steps=100, epoch=2, epochs=4, loss=1.25, accuracy=0.5, learning_rate=0.1, images_per_s=812.4, left_s=3725.2
)


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(s=1000.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now.s))
    return now


def shown(terminal):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=160, legacy_windows=False)
    bars = progress.CampaignBars(progress._progress(console), None)
    bars.stage("training the supernet")
    return bars, console


def test_without_a_terminal_a_long_training_tells_each_minute_how_far_it_is(clock):
    bars, console = shown(terminal=False)
    for clock.s in (1001, 1059, 1060, 1061, 1119, 1121):
        bars.trained(HALFWAY)
    stage, *lines = console.file.getvalue().splitlines()
    assert stage == "training the supernet"
    assert lines == ["epoch 2/4, loss 1.250, accuracy 50.0%, 812 images/s, 1:02:05 left"] * 2


def test_a_terminal_has_a_bar_with_the_figures_beside_it(clock):
    bars, console = shown(terminal=True)
    clock.s += 100
    bars.trained(HALFWAY)
    console.print(bars)
    text = console.file.getvalue()
    assert "50/100" in text
    assert "epoch 2/4, loss 1.250, accuracy 50.0%, 812 images/s" in text
    assert "left" not in text  # the bar has the time that remains
