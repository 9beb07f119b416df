"""FleetService.ControlDevice: what people do to devices."""

from __future__ import annotations

import grpc

from orchestrator.custody import Custody, HeldByAnotherError
from orchestrator.holds import InvalidHoldError
from orchestrator.services import Caller, Context, abort
from protos.gauntlet.v1 import admin_pb2, fleet_pb2

#: What anybody who may call this may do; the rest is for admins.
_FOR_ALL = ("reserve", "release")


async def control(custody: Custody, request: fleet_pb2.ControlDeviceRequest, caller: Caller, context: Context) -> None:
    """Carry it out, on a device that is known, or end the call with an error."""
    action = request.WhichOneof("action") or ""
    is_admin = caller.role == admin_pb2.ROLE_ADMIN
    if action not in _FOR_ALL and not is_admin:
        message = f"you are {caller}: only an admin may do this to a device\nreserve it for yourself, or ask an admin"
        await abort(context, grpc.StatusCode.PERMISSION_DENIED, message)
    device_id, by = request.device_id, caller.name
    try:
        match action:
            case "drain":
                await custody.drain(device_id, by, request.drain.reason)
            case "resume":
                await custody.resume(device_id, by)
            case "reserve":
                await custody.reserve(device_id, by, request.reserve.duration_s, request.reserve.reason)
            case "release":
                await custody.release(device_id, by, is_admin)
            case "quarantine":
                await custody.quarantine(device_id, by, request.quarantine.reason)
            case "set_maintenance":
                await custody.set_maintenance(device_id, by, request.set_maintenance.windows)
            case _:
                await abort(context, grpc.StatusCode.INVALID_ARGUMENT, "nothing is to be done to the device\nsay what")
    except InvalidHoldError as error:
        await abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
    except HeldByAnotherError as error:
        await abort(context, grpc.StatusCode.FAILED_PRECONDITION, str(error))
