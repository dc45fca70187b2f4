"""Old code runs beside the new schema while a farm is upgraded (docs/operations.md, "Upgrading").

So a release may only add: what the release before it reads is still there, and what it writes is still accepted. What
has to go goes in two steps: a release that no longer uses it, and a later one whose migration removes it and is named
in :data:`CONTRACTS` with the reason why no running code misses it.

An index on a table that has rows is allowed: PostgreSQL builds one over a million jobs in about a second, during which
writers wait, as they would for a slow disk. (``AddIndexConcurrently`` does not exist on SQLite.)
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import models
from django.db.migrations import operations as ops
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

RELEASED = {"projects": "0003_api_tokens", "rendering": "0003_team_priority"}
"""The last migrations of the first release. Before it there was no other code to live beside."""

CONTRACTS = {
    ("projects", "0007_tokens_of_teams", "AddConstraint token_scope_known"): "the same rule with one more value",
    ("projects", "0009_analyse_again", "RunPython"): "puts analysed footage back in line, as a person could",
    (
        "rendering",
        "0004_tallies_and_hold",
        "AddConstraint version_without_video_says_since_when",
    ): "old code makes no version without its video",
    ("rendering", "0013_enhancement", "AddConstraint preset_enhance_in_range"): "old code leaves the column at 0",
    (
        "rendering",
        "0016_keeping_mouth_models",
        "AddConstraint retention_at_least_a_day",
    ): "the same rule with a column that old code leaves empty",
}
"""``(app, migration, what)`` to why no running code misses it."""

HARMLESS = (
    ops.CreateModel,
    ops.AddIndex,
    ops.RemoveIndex,
    ops.RenameIndex,
    ops.RemoveConstraint,
    ops.AlterModelOptions,
    ops.AlterModelManagers,
)


def what(operation: Operation) -> str:
    constraint = getattr(operation, "constraint", None)
    return " ".join(filter(None, [type(operation).__name__, constraint.name if constraint else ""]))


def objection(operation: Operation, before: ProjectState, app: str, fresh: set[str]) -> str:
    """Why code of the release before could not live with it; empty when it could. ``fresh``: tables made just now."""
    table = str(getattr(operation, "model_name", "")).lower()
    if isinstance(operation, HARMLESS) or (table and table in fresh):
        return ""
    if isinstance(operation, ops.AddField):
        field = operation.field
        if field.many_to_many or field.null or field.has_db_default():
            return ""
        return f"{table}.{operation.name}: rows that old code inserts have no value for it; give it db_default or null"
    if isinstance(operation, ops.AlterField):
        old = before.models[app, table].fields[operation.name]
        return narrowed(old, operation.field) and f"{table}.{operation.name}: {narrowed(old, operation.field)}"
    return f"{what(operation)}: code that runs may still need it, or write against it"


def narrowed(old: models.Field, new: models.Field) -> str:
    """How ``new`` takes less than ``old``; empty when it takes at least as much."""
    if old.get_internal_type() != new.get_internal_type() or old.db_column != new.db_column:
        return "another kind of column"
    if old.null and not new.null:
        return "empty values are refused"
    if new.unique and not old.unique:
        return "values must be unique"
    if (new.max_length or 10**9) < (old.max_length or 10**9):
        return "shorter values than before"
    if old.has_db_default() and not new.has_db_default():
        return "the database no longer fills it in"
    if getattr(old.remote_field, "model", None) != getattr(new.remote_field, "model", None):
        return "it points at another table"
    return ""


def objections() -> Iterator[tuple[tuple[str, str, str], str]]:
    loader = MigrationLoader(None)
    for app, released in RELEASED.items():
        leaf = next(node for node in loader.graph.leaf_nodes(app))
        for key in loader.graph.forwards_plan(leaf):
            if key[0] != app or key[1] <= released:
                continue
            state = loader.project_state(key, at_end=False)
            fresh: set[str] = set()
            for operation in loader.graph.nodes[key].operations:
                if found := objection(operation, state, app, fresh):
                    yield (*key, what(operation)), found
                if isinstance(operation, ops.CreateModel):
                    fresh.add(operation.name.lower())
                operation.state_forwards(app, state)


def test_the_release_before_can_run_beside_every_migration() -> None:
    assert {key: found for key, found in objections() if key not in CONTRACTS} == {}


def test_no_contract_is_left_over() -> None:
    assert set(CONTRACTS) - {key for key, _ in objections()} == set()


def state_with(**fields: models.Field) -> ProjectState:
    state = ProjectState()
    columns = [("id", models.BigAutoField(primary_key=True)), *fields.items()]
    ops.CreateModel("Thing", columns).state_forwards("a", state)
    return state


@pytest.mark.parametrize(
    "operation",
    [
        ops.AddField("thing", "new", models.IntegerField(default=3)),
        ops.RemoveField("thing", "word"),
        ops.RenameField("thing", "word", "name"),
        ops.RenameModel("Thing", "Item"),
        ops.DeleteModel("Thing"),
        ops.AlterModelTable("Thing", "things"),
        ops.AddConstraint("thing", models.CheckConstraint(condition=models.Q(word="a"), name="only_a")),
        ops.AlterField("thing", "word", models.CharField(max_length=5, null=True)),
        ops.AlterField("thing", "word", models.CharField(max_length=10)),
        ops.AlterField("thing", "word", models.IntegerField(null=True)),
        ops.AlterField("thing", "word", models.CharField(max_length=10, null=True, unique=True)),
        ops.RunSQL("DELETE FROM a_thing"),
    ],
    ids=lambda operation: operation.describe(),
)
def test_what_old_code_would_trip_over_is_found(operation: Operation) -> None:
    before = state_with(word=models.CharField(max_length=10, null=True))
    assert objection(operation, before, "a", set()) != ""
    if getattr(operation, "model_name", ""):
        assert objection(operation, before, "a", {"thing"}) == ""


@pytest.mark.parametrize(
    "operation",
    [
        ops.AddField("thing", "new", models.IntegerField(default=3, db_default=3)),
        ops.AddField("thing", "new", models.IntegerField(null=True)),
        ops.AddIndex("thing", models.Index(fields=["word"], name="thing_word")),
        ops.AlterField("thing", "word", models.CharField(max_length=20, null=True, choices=[("a", "A")])),
    ],
    ids=lambda operation: operation.describe(),
)
def test_what_only_adds_is_let_through(operation: Operation) -> None:
    assert objection(operation, state_with(word=models.CharField(max_length=10, null=True)), "a", set()) == ""
