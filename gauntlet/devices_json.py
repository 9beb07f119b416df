"""Devices and the lab as JSON for programs, see `gauntlet.results_json`."""

from __future__ import annotations

from collections.abc import Sequence

from gauntlet.results_json import Document, figure_document, word
from gauntlet.setup import control_document
from protos.gauntlet.v1 import device_pb2, fitness_pb2, fleet_pb2


def device_document(device: fleet_pb2.Device) -> Document:
    """A device as it describes itself, and how it is."""
    described = device.description
    hardware = described.hardware
    return {
        "device_id": described.device_id,
        "device_class": described.device_class,
        "agent_id": device.agent_id,
        "state": device_state_name(device.state),
        "state_reason": device.state_reason,
        "last_seen_at": device.last_seen_at or None,
        "job_id": device.job_id or None,
        "holds": [
            {
                "kind": hold.kind,
                "reason": hold.reason,
                "by": hold.by or None,
                "since": hold.since,
                "until": hold.until or None,
            }
            for hold in device.holds
        ],
        "maintenance": [
            {
                "weekdays": list(window.weekdays) or list(range(1, 8)),
                "start_minute": window.start_minute,
                "duration_s": window.duration_s,
                "reason": window.reason,
            }
            for window in device.maintenance
        ],
        "events": [{"at": event.at, "kind": event.kind, "detail": event.detail} for event in device.events],
        "labels": dict(described.labels),
        "hardware": {
            "board": hardware.board or None,
            "cpu_model": hardware.cpu_model,
            "architecture": hardware.architecture,
            "physical_cores": hardware.physical_cores,
            "logical_cores": hardware.logical_cores,
            "memory_bytes": hardware.memory_bytes,
            "operating_system": hardware.operating_system,
            "kernel": hardware.kernel,
            "cpu_features": list(hardware.cpu_features),
            "virtualization": hardware.virtualization or None,
            "facts": dict(hardware.facts),
        },
        "runtimes": [
            {
                "name": runtime.name,
                "version": runtime.version,
                "delegates": list(runtime.delegates),
                "formats": list(runtime.formats),
            }
            for runtime in described.runtimes
        ],
        "sensors": [
            {
                "quantity": sensor.quantity,
                "source": sensor.source or None,
                "unavailable": sensor.unavailable or None,
            }
            for sensor in described.sensors
        ],
        "capabilities": list(described.capabilities),
        "controls": [control_document(control) for control in described.controls],
        "checks": [_check_document(check) for check in device.checks],
        "noise_floor": (
            {**figure_document(device.noise_floor.floor), "measured_at": device.noise_floor.measured_at}
            if device.HasField("noise_floor")
            else {"unavailable": "not measured yet", "origin": "measured"}
        ),
        "telemetry": {
            "temperature_c": figure_document(device.telemetry.temperature_c),
            "frequency_hz": figure_document(device.telemetry.frequency_hz),
            "load_average": figure_document(device.telemetry.load_average),
            "throttling": list(device.telemetry.throttling),
            "energy_j": figure_document(device.telemetry.energy_j),
            "disk_free_bytes": figure_document(device.telemetry.disk_free_bytes),
            "battery_ratio": figure_document(device.telemetry.battery_ratio),
        },
    }


def status_document(status: fleet_pb2.GetStatusResponse, devices: Sequence[fleet_pb2.Device], address: str) -> Document:
    """How the orchestrator, its fleet and its queue are."""
    jobs = dict(status.jobs_by_state)
    return {
        "address": address,
        "secure": status.secure,
        "caller": status.caller,
        "orchestrator_version": status.software_version,
        "protocol_version": status.protocol_version,
        "connected_agents": status.connected_agents,
        "devices": [
            {
                "device_id": device.description.device_id,
                "state": device_state_name(device.state),
                "state_reason": device.state_reason or None,
                "last_seen_at": device.last_seen_at,
            }
            for device in devices
        ],
        "jobs_by_state": jobs,
        "queue": [
            {
                "user": share.user,
                "campaign_id": share.campaign_id or None,
                "queued": share.queued,
                "held": share.held,
                "device_s": share.device_s,
            }
            for share in status.shares
        ],
        "store_bytes": status.store_bytes,
        "artifact_files": status.artifact_files,
        "artifact_bytes": status.artifact_bytes,
        "max_artifact_bytes": status.max_artifact_bytes,
        "uptime_s": status.uptime_s,
    }


def device_state_name(state: int) -> str:
    """DEVICE_STATE_ONLINE is "online"."""
    return word(device_pb2.DeviceState, state, "DEVICE_STATE_")


def verdict_name(verdict: int) -> str:
    """What a fitness check found: good, shifted, baseline, unavailable."""
    return word(fitness_pb2.FitnessVerdict, verdict, "FITNESS_VERDICT_")


def _check_document(check: fitness_pb2.FitnessCheck) -> Document:
    return {
        "check_id": check.check_id,
        "checked_at": check.checked_at,
        "occasion": check.occasion,
        "verdict": verdict_name(check.verdict),
        "reference_s": figure_document(check.reference_s),
        "expected_s": figure_document(check.expected_s),
        "shift": check.shift if check.HasField("shift") else None,
        "reason": check.reason or None,
    }
