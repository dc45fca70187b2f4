"""Every list and view of what machines do. The caller has checked access to the project, team or cell it passes in."""

from rendering.selectors.shapes import (
    BatchView,
    BoardView,
    CellDetail,
    CellState,
    CellView,
    ChangesView,
    ColumnView,
    Counts,
    ExportView,
    HomeView,
    JobView,
    ProblemView,
    ProjectCard,
    RowView,
    stage_label,
)

__all__ = [
    "BatchView",
    "BoardView",
    "CellDetail",
    "CellState",
    "CellView",
    "ChangesView",
    "ColumnView",
    "Counts",
    "ExportView",
    "HomeView",
    "JobView",
    "ProblemView",
    "ProjectCard",
    "RowView",
    "stage_label",
]
