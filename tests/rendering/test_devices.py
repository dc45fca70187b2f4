"""Several devices of one machine: one worker each, each with its own name and its own device."""

from __future__ import annotations

import pytest
from pytest_django.fixtures import Settings

from rendering import workers
from rendering.execution import node as this_process
from rendering.execution.child import EngineChild
from rendering.models import WorkerNode


@pytest.mark.django_db
def test_two_workers_of_one_machine_announce_their_devices_apart(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for short, device in (("0", "cpu"), ("1", "fake")):
        settings.ENGINE_DEVICE, settings.WORKER_NAME = device, f"box-{short}"
        engine = EngineChild()
        monkeypatch.setattr(this_process, "engine", lambda engine=engine: engine)
        node, replaces = workers.register("gpu")
        assert not replaces
        try:
            this_process.warm_engine(node, lambda: None)  # type: ignore[arg-type]
        finally:
            engine.stop()
    assert list(WorkerNode.objects.order_by("name").values_list("name", "device")) == [
        ("box-0/gpu", "cpu"),
        ("box-1/gpu", "fake"),
    ]
