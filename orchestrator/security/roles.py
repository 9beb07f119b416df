"""Who may call what. A method that does not stand here is for nobody."""

from __future__ import annotations

from collections.abc import Mapping

from protos.gauntlet.v1 import admin_pb2

_PACKAGE = "gauntlet.v1"
_AGENT = frozenset({admin_pb2.ROLE_AGENT, admin_pb2.ROLE_ADMIN})
_USER = frozenset({admin_pb2.ROLE_USER, admin_pb2.ROLE_ADMIN})
_ADMIN = frozenset({admin_pb2.ROLE_ADMIN})
_ANYBODY_KNOWN = _AGENT | _USER
#: Also without any credentials.
PUBLIC = _ANYBODY_KNOWN | {admin_pb2.ROLE_UNSPECIFIED}

_BY_SERVICE = {
    "AgentService": {"Session": _AGENT},
    "ArtifactService": {
        "StatArtifacts": _ANYBODY_KNOWN,
        "UploadArtifact": _ANYBODY_KNOWN,
        "DownloadArtifact": _ANYBODY_KNOWN,
    },
    "FleetService": {
        "SubmitJobs": _USER,
        "GetJob": _USER,
        "ListJobs": _USER,
        # A user's own; the service looks at whose they are.
        "CancelJobs": _USER,
        "WatchJobs": _USER,
        "ListDevices": _USER,
        "GetStatus": _USER,
        # Users reserve and release; the service refuses them the rest.
        "ControlDevice": _USER,
    },
    "CampaignService": {
        "PublishCampaign": _USER,
        "PublishRecords": _USER,
        "ListCampaigns": _USER,
        "ListRecords": _USER,
    },
    "AdminService": {
        "CreateToken": _ADMIN,
        "ListTokens": _ADMIN,
        "Revoke": _ADMIN,
        "ListCertificates": _ADMIN,
        "ListAudit": _ADMIN,
    },
    "EnrolmentService": {
        "GetAuthority": PUBLIC,
        "Enrol": PUBLIC,
        # For the certificate that the caller shows.
        "Renew": _ANYBODY_KNOWN,
    },
}

#: Roles that may call a method, by its full name.
ALLOWED: Mapping[str, frozenset[admin_pb2.Role]] = {
    **{
        f"/{_PACKAGE}.{service}/{method}": roles
        for service, methods in _BY_SERVICE.items()
        for method, roles in methods.items()
    },
    # Says no more than that somebody serves here.
    "/grpc.health.v1.Health/Check": PUBLIC,
    "/grpc.health.v1.Health/Watch": _ANYBODY_KNOWN,
}


def may(role: admin_pb2.Role, method: str) -> bool:
    """May somebody with this role call the method, by its full name (``/package.Service/Method``)?"""
    return role in ALLOWED.get(method, frozenset())
