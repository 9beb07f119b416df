"""A fault campaign from beginning to end.

with gauntlet.Lab() as lab:
    campaign = run(lab, settings, Path("faults-resnet"))
print(campaign.devices[0].series[0].summary(0.95).accuracy)
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fault_injection.errors import FaultError
from fault_injection.space import Site
from fault_injection.tflite import MalformedModelError
from gauntlet import files
from gauntlet.errors import UsageError
from gauntlet.faults import mapping, protect, records
from gauntlet.faults.result import DeviceResult, FaultCampaign
from gauntlet.faults.runner import Journal, Runner, Target
from gauntlet.faults.settings import FaultSettings
from protos.contract import digest_of_bytes, digest_of_file, software_version

if TYPE_CHECKING:
    from gauntlet.api import Lab

#: Told what is going on, in a line.
Show = Callable[[str], None]


def run(lab: Lab, settings: FaultSettings, folder: Path, show: Show = lambda text: None) -> FaultCampaign:
    """Carry a campaign out, or continue it where it was left.

    Args:
        lab: open.
        settings: checked by `settings.check`.
        folder: of the campaign; holds its log and the files of faults.
        show: told of progress.

    Raises:
        UsageError: a plan that does not fit the model, an unknown device, a folder of another campaign.
        MeasurementFailed: a job failed.
        RunLogError: the folder cannot be used.
    """
    model = settings.model.read_bytes()
    aimed_at = check_plans(model, settings)
    devices = _devices(lab, settings.devices)
    model_digest, data_digest = digest_of_bytes(model), digest_of_file(settings.data)
    about = {"kind": "faults", "model": model_digest, "data": data_digest, **settings.about()}
    result = FaultCampaign(settings, model_digest, data_digest, software_version())
    result.sizes = {site.name: site.size for site in aimed_at}
    journal = Journal(folder, about, software_version())
    try:
        progress = _Progress(show, len(devices))
        # Jobs of an earlier run of the same folder are found again by its name.
        campaign = f"faults/{digest_of_bytes(str(folder.resolve()).encode())[:12]}/{model_digest[:12]}"
        runner = Runner(lab, settings, journal, campaign, progress.patterns)
        with tempfile.TemporaryDirectory(prefix="gauntlet-faults-") as scratch:
            work = _Work(lab, settings, runner, model, Path(scratch), progress)
            result.devices = [DeviceResult(device) for device in devices]
            by_id = {device.device_id: device for device in result.devices}
            runner.on_devices(devices, lambda device: work.on(by_id[device]))
    except FaultError as error:
        raise UsageError(str(error)) from error
    finally:
        journal.close()
    return result


def check_plans(model: bytes, settings: FaultSettings) -> list[Site]:
    """Refuse plans that do not fit the model, before a device is asked; returns what the conditions aim at.

    Raises:
        UsageError: says why.
    """
    try:
        if settings.map is not None:
            mapping.strata(model, settings.place)
        return [site for condition in settings.conditions for site in records.aimed_at(model, condition.plan)]
    except (FaultError, MalformedModelError) as error:
        raise UsageError(f"{settings.model}: {error}") from error


def _devices(lab: Lab, wanted: tuple[str, ...]) -> list[str]:
    known = [entry.description.device_id for entry in lab.client.devices()]
    listed = ", ".join(known) or "none"
    for device in wanted:
        if device not in known:
            raise UsageError(f"no device is called {device}", f"there is: {listed}")
    if wanted:
        return list(dict.fromkeys(wanted))
    if len(known) != 1:
        raise UsageError(
            "kernels of different devices round differently, so that a campaign belongs to one device",
            f"name one or several with --device; there is: {listed}",
        )
    return known


class _Work:
    """What is done on each device."""

    def __init__(
        self, lab: Lab, settings: FaultSettings, runner: Runner, model: bytes, scratch: Path, progress: _Progress
    ) -> None:
        self._settings, self._runner, self._model, self._progress = settings, runner, model, progress
        client = lab.client
        uploaded = client.put_file(settings.model, files.check_model(settings.model))
        data = client.put_file(settings.data, files.DATA_MEDIA_TYPE)
        self._target = Target("accuracy", uploaded, data)
        if settings.map is not None:
            fewer = mapping.first_samples(settings.data, settings.map.images, scratch / "map.npz")
            self._map_samples = mapping.count_samples(fewer)
            self._map_target = Target("map", uploaded, client.put_file(fewer, files.DATA_MEDIA_TYPE))
            if settings.protect is not None:
                clipped = protect.clip_to_observed(model, fewer)
                name = f"{settings.model.stem}-clipped.tflite"
                self._clipped = Target("clipped", client.put_bytes(clipped, uploaded.media_type, name), data)

    def on(self, device: DeviceResult) -> None:
        settings, runner = self._settings, self._runner
        for condition in settings.conditions:
            device.series.append(runner.series(self._target, device, condition))
        confidence = settings.precision.confidence
        if settings.map is not None:
            device.map_samples = self._map_samples
            wanted = mapping.strata(self._model, settings.place)
            device.map = mapping.draw_map(
                runner,
                self._map_target,
                device,
                wanted,
                settings.place,
                settings.map,
                confidence,
                settings.seed,
                lambda done, of: self._progress(device.device_id, f"vulnerability map: {done} of {of} strata"),
            )
            if settings.service is not None:
                device.wrong_answers = mapping.in_the_field(device.map, settings.service, confidence)
            if settings.protect is not None:
                device.trials = protect.try_protection(
                    runner,
                    self._target,
                    self._clipped,
                    device,
                    settings.conditions[-1],
                    settings.protect,
                    lambda what: self._progress(device.device_id, f"protection: {what}"),
                )


class _Progress:
    """One line for all devices."""

    def __init__(self, show: Show, devices: int) -> None:
        self._show, self._several = show, devices > 1
        self._lines: dict[str, str] = {}
        self._lock = threading.Lock()

    def __call__(self, device: str, text: str) -> None:
        with self._lock:
            self._lines[device] = text
            parts = [f"{name}: {line}" if self._several else line for name, line in self._lines.items()]
            self._show("  ·  ".join(parts))

    def patterns(self, device: str, condition: str, drawn: int, look: int) -> None:
        self(device, f"{condition}: {drawn} patterns, next look at {look}")


def write_faults(campaign: FaultCampaign, folder: Path, show: Show) -> list[records.Written]:
    """Write the faults of every condition that the devices went through, so that any pattern can be replayed.

    What one device drew the others drew as well: it is written once, for the longest series.
    """
    model = campaign.settings.model.read_bytes()
    written = []
    for number, condition in enumerate(campaign.settings.conditions):
        show(f"writing the faults of {condition.plan.model}")
        series = max((device.series[number] for device in campaign.devices), key=lambda entry: len(entry.outcomes))
        written.append(records.write(model, series, folder / f"{condition.key}.npz"))
    return written
