"""What people keep."""

from projects.models.analysis import USABLE, AnalysisState
from projects.models.audit import AuditEvent
from projects.models.base import new_public_id
from projects.models.bases import TeamBase
from projects.models.blobs import MediaBlob, MediaHold, Upload
from projects.models.limits import TeamLimits
from projects.models.mouths import MouthModel
from projects.models.presenters import Footage, Presenter
from projects.models.projects import Project, ProjectPresenter, ProjectScript
from projects.models.scripts import AudioTake, Script, ScriptVersion
from projects.models.teams import Invitation, Membership, Role, Team
from projects.models.tokens import ApiToken, KeyedRequest, RequestCount
from projects.models.webhooks import Webhook, WebhookDelivery

__all__ = [
    "USABLE",
    "AnalysisState",
    "ApiToken",
    "AudioTake",
    "AuditEvent",
    "Footage",
    "Invitation",
    "KeyedRequest",
    "MediaBlob",
    "MediaHold",
    "Membership",
    "MouthModel",
    "Presenter",
    "Project",
    "ProjectPresenter",
    "ProjectScript",
    "RequestCount",
    "Role",
    "Script",
    "ScriptVersion",
    "Team",
    "TeamBase",
    "TeamLimits",
    "Upload",
    "Webhook",
    "WebhookDelivery",
    "new_public_id",
]
