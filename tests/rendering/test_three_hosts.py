"""A batch on three hosts while one is cut off, one is killed, the database restarts and the storage answers 500."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rendering import three_hosts

pytestmark = [pytest.mark.qcluster, pytest.mark.postgres]

RENDERS = 18


def test_a_batch_survives_what_happens_to_its_machines(tmp_path: Path) -> None:
    if reason := three_hosts.missing():
        pytest.skip(reason)
    footage = tmp_path / "footage.mp4"
    footage.write_bytes(b"fake footage")
    takes = []
    for number in range(RENDERS):
        take = tmp_path / f"take{number}.wav"
        take.write_bytes(f"fake:ok:1.6:{number}\n".encode())
        takes.append(take)
    with three_hosts.running(LEASE_SECONDS=5, ENGINE_SILENCE_SECONDS=3, BACKOFF_SECONDS=1) as farm:
        found = three_hosts.render_all(farm, footage, takes, three_hosts.Plan(), within_s=150)
        assert [job["job"] for job in found["jobs"] if job["versions"] != [1]] == [], farm.logs()
        assert found["versions"] == RENDERS
        assert three_hosts.unexplained(found, farm.faults, slack_s=2) == []
        lost = {attempt["host"] for job in found["jobs"] for attempt in job["attempts"] if attempt["outcome"] == "lost"}
        assert {"host1", "host2"} <= lost, three_hosts.table(found)
        stored = farm.call("stored")
        assert (stored["damaged"], stored["checked"]["video/mp4"]) == ([], RENDERS)
