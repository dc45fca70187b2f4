"""What machines do."""

from rendering.models.deliverables import Board, Deliverable, Export, RenderVersion
from rendering.models.jobs import (
    FINAL,
    UNFINISHED,
    JobState,
    RenderAttempt,
    RenderBatch,
    RenderJob,
    TeamShare,
)
from rendering.models.keeping import RetentionRule, StorageSample
from rendering.models.presets import (
    DRAWN_BY_NETWORKS,
    ENHANCED_NEURAL,
    ENHANCED_WAV2LIP,
    Preset,
    ability,
    drawn_with,
)
from rendering.models.tallies import Tally
from rendering.models.workers import WorkerNode

__all__ = [
    "DRAWN_BY_NETWORKS",
    "ENHANCED_NEURAL",
    "ENHANCED_WAV2LIP",
    "FINAL",
    "UNFINISHED",
    "Board",
    "Deliverable",
    "Export",
    "JobState",
    "Preset",
    "RenderAttempt",
    "RenderBatch",
    "RenderJob",
    "RenderVersion",
    "RetentionRule",
    "StorageSample",
    "Tally",
    "TeamShare",
    "WorkerNode",
    "ability",
    "drawn_with",
]
