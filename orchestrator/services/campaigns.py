"""CampaignService: generic records of campaigns, stored and handed out uninterpreted."""

from __future__ import annotations

import grpc

from orchestrator.services import Context, abort
from orchestrator.store.base import Store
from protos import contract
from protos.gauntlet.v1 import campaign_pb2, campaign_pb2_grpc

_PAGE = 1000
_MAX_KEY = 200
#: Of a title, of a name or unit.
_MAX_TITLE, _MAX_NAME = 1000, 200
_MAX_OBJECTIVES = 100
#: In one call.
_MAX_RECORDS = 1000
#: A curve of 60,000 points.
_MAX_RECORD_BYTES = 1024 * 1024


class CampaignService(campaign_pb2_grpc.CampaignServiceServicer):
    """A shell around the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def PublishCampaign(  # noqa: N802
        self, request: campaign_pb2.PublishCampaignRequest, context: Context
    ) -> campaign_pb2.PublishCampaignResponse:
        """See campaign.proto."""
        if not contract.is_id(request.campaign.campaign_id):
            message = f"campaign id {request.campaign.campaign_id[:_MAX_NAME]!r} is malformed"
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, message)
        objectives = request.campaign.objectives
        names = [text for objective in objectives for text in (objective.name, objective.unit)]
        if (
            len(request.campaign.title) > _MAX_TITLE
            or len(objectives) > _MAX_OBJECTIVES
            or any(len(name) > _MAX_NAME for name in names)
        ):
            message = (
                f"a campaign has a title of at most {_MAX_TITLE} characters and at most {_MAX_OBJECTIVES} objectives, "
                f"whose names and units have at most {_MAX_NAME}"
            )
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, message)
        await self._store.save_campaign(request.campaign)
        return campaign_pb2.PublishCampaignResponse()

    async def PublishRecords(  # noqa: N802
        self, request: campaign_pb2.PublishRecordsRequest, context: Context
    ) -> campaign_pb2.PublishRecordsResponse:
        """See campaign.proto."""
        if len(request.records) > _MAX_RECORDS:
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, f"at most {_MAX_RECORDS} records in one call")
        for record in request.records:
            if record.ByteSize() > _MAX_RECORD_BYTES:
                message = (
                    f"record {record.key[:_MAX_KEY]!r} has {record.ByteSize()} bytes, more than {_MAX_RECORD_BYTES}"
                )
                await abort(context, grpc.StatusCode.INVALID_ARGUMENT, message)
            if not 1 <= len(record.key) <= _MAX_KEY or record.WhichOneof("kind") is None:
                await abort(
                    context,
                    grpc.StatusCode.INVALID_ARGUMENT,
                    f"record {record.key[:_MAX_KEY]!r}: needs a kind and a key of 1-{_MAX_KEY}",
                )
        if not await self._store.save_records(request.campaign_id, request.records):
            await abort(context, grpc.StatusCode.NOT_FOUND, f"no campaign {request.campaign_id[:_MAX_NAME]!r}")
        return campaign_pb2.PublishRecordsResponse()

    async def ListCampaigns(  # noqa: N802
        self, request: campaign_pb2.ListCampaignsRequest, context: Context
    ) -> campaign_pb2.ListCampaignsResponse:
        """See campaign.proto."""
        return campaign_pb2.ListCampaignsResponse(campaigns=await self._store.campaigns())

    async def ListRecords(  # noqa: N802
        self, request: campaign_pb2.ListRecordsRequest, context: Context
    ) -> campaign_pb2.ListRecordsResponse:
        """See campaign.proto."""
        try:
            limit = min(request.page_size or _PAGE, _PAGE)
            records, token = await self._store.records(request.campaign_id, limit, request.page_token)
        except ValueError as error:
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, f"unknown page token: {error}")
        return campaign_pb2.ListRecordsResponse(records=records, next_page_token=token)
