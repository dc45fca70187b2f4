"""What requests and answers of the API look like, by the name of their shape in its description."""

from __future__ import annotations

from typing import Any

TEAM, PROJECT = "k7wq2m9xv4htbn3c", "p3d8rz6ynf5ja2su"
ADA, BEA = "a9m4tq7wx2kd6vhe", "b2n5yr8cz3jf7ups"
GREETING, NEWS = "s6x3hk9qd4mv8wat", "n4c7ez2tb5gy9ruf"
BATCH, JOB, VERSION, BLOB = "c8v5dn3hq7xk2mzw", "j5q9ws4rt8ya3ghe", "v7b2kx6mp4fz9cnd", "m3t8nu5va6yd4sqk"
WHEN = "2026-11-21T08:30:00Z"
NO_WORK = {"stage": "", "percent": None, "queue_position": None, "eta_s": None, "job": None, "problem": None}
BATCH_OF_TWO = {
    **{"id": BATCH, "team": TEAM, "project": PROJECT, "preset_name": "Standard", "created_at": WHEN},
    "preset": {"backend": "exemplar", "amplitude": 1.0, "crf": 18},
}
PROGRESS = {
    "batch": BATCH_OF_TWO,
    **{"total": 4, "done": 1, "failed": 0, "cancelled": 0, "running": 1, "queued": 2, "held": 0},
    **{"percent": 38, "eta_s": 95.0, "is_finished": False},
}
NO_ERROR = {"error_code": "", "error_title": "", "error_detail": ""}
RUNNING_JOB = {
    **{"id": JOB, "batch": BATCH, "project": PROJECT, "presenter": ADA, "script": GREETING, "language": "en"},
    **{"state": "running", "stage": "compose", "progress": 52, "priority": 0, "attempts": 1, "max_attempts": 3},
    **{**NO_ERROR, "version": None, "created_at": WHEN, "started_at": WHEN, "finished_at": None},
}
PRESET = {
    "backend": "auto",
    "enhance": 0.0,
    "amplitude": 1.0,
    "when_shorter": "cut",
    "crf": 20,
    "speed": "fast",
    "normalize_loudness": True,
}
ANALYSED = {
    **{"state": "ready", "stage": "", "progress": 100, "error_code": "", "findings": [], "analysed_at": WHEN},
    **{"archived_at": None, "created_at": WHEN},
}
OFFSET = {
    **{"code": "sound_offset", "level": "warning", "figure": 120.0},
    **{"title": "Sound and picture of the footage are apart; this is corrected."},
    "detail": "Nothing to do. If lips look early or late, export the footage again with its sound in place.",
}
HOOK = {
    **{"id": "h4t8cm2zx6nd9kva", "team": TEAM, "url": "https://example.com/heygem", "description": ""},
    **{"events": ["version.created", "batch.finished"], "is_active": True, "disabled_reason": "", "disabled_at": None},
    **{"failures_in_row": 0, "failing_since": None, "secret_hint": "C3d4", "created_at": WHEN},
}
BASE = {
    **{"id": "q8u3vh6xn2ck9tdy", "state": "ready", "stage": "", "progress": 100, **NO_ERROR, "reason": ""},
    **{"engine": "1.3", "identity": "5f0c2a91d7e3b864", "footage": ["f2k6rd9yw4xh7mta"], "presenters": 4},
    **{"speech_s": 312.5, "figures": {"gain": 0.07, "better_for": 4}, "created_at": WHEN, "analysed_at": WHEN},
}
EXAMPLES: dict[str, dict[str, Any]] = {
    "Me": {
        "email": "ada@example.com",
        "is_operator": False,
        "token": {
            **{"id": "t4y7uk2nb9gd5wxe", "name": "Nightly render", "scope": "write", "teams": [TEAM]},
            **{"created_at": WHEN, "expires_at": "2027-02-19T08:30:00Z", "last_used_at": None},
        },
    },
    "Team": {"id": TEAM, "name": "Course makers", "role": "creator", "created_at": WHEN},
    "TeamNew": {"name": "Course makers"},
    "PatchedTeamChange": {"name": "Course makers"},
    "Presenter": {"id": ADA, "team": TEAM, "name": "Ada", "notes": "", "archived_at": None, "created_at": WHEN},
    "PresenterNew": {"team": TEAM, "name": "Ada", "notes": "Blue background."},
    "PatchedPresenterChange": {"name": "Ada Lovelace"},
    "Footage": {
        **{"id": "f2k6rd9yw4xh7mta", "presenter": ADA, "name": "ada.mp4", **ANALYSED, "state": "warnings"},
        **{"findings": [OFFSET], "width": 1080, "height": 1920},
        **{"fps": 30.0, "duration_s": 21.4, "has_audio": True, "tier": "A", "url": f"/media/{BLOB}/ada.mp4"},
        **{"poster_url": f"/media/{BLOB}/poster.jpg", "faces": [[0.31, 0.22, 0.34, 0.27]], "presenter_face": 0},
    },
    "FaceChoice": {"face": 1},
    "MouthModel": {
        **{"id": "m6t2wd8nb3xr9ykc", "footage": "f2k6rd9yw4xh7mta", "presenter": ADA, "state": "running"},
        **{"stage": "train", "percent": 42, "step": 1240, "steps": 3000, "eta_s": 95.0, "psnr": 26.1},
        **{**NO_ERROR, "reason": "", "in_use": False, "automatic": False, "engine": "1.3", "identity": ""},
        **{"size": 0, "figures": {}, "failed": [], "initial": None, "borrowed": False},
        **{"picture_url": f"/media/{BLOB}/mouths.jpg", "created_at": WHEN, "started_at": WHEN},
        **{"analysed_at": None, "archived_at": None},
    },
    "MouthModelNew": {"footage": "f2k6rd9yw4xh7mta"},
    "MouthModelLog": {"log": "2026-11-21T09:30:12Z train 1240 of 3000\n", "log_end": 40},
    "Script": {"id": GREETING, "team": TEAM, "title": "Greeting", "archived_at": None, "created_at": WHEN},
    "ScriptNew": {"team": TEAM, "title": "Greeting"},
    "PatchedScriptChange": {"title": "Good morning"},
    "Words": {"language": "en", "text": "Good morning."},
    "ScriptVersion": {
        **{"id": "w5z8ge3ks7vq2bny", "script": GREETING, "language": "en", "number": 1},
        **{"text": "Good morning.", "created_at": WHEN},
    },
    "Take": {
        **{
            "id": "e7h3pn6xc9tm4kwd",
            "script": GREETING,
            "language": "en",
            "name": "greeting.wav",
            "source": "uploaded",
        },
        **{**ANALYSED, "duration_s": 8.2, "loudness_lufs": -16.3, "peak_dbfs": -1.1, "url": f"/media/{BLOB}/a.wav"},
    },
    "Project": {
        **{"id": PROJECT, "team": TEAM, "name": "Spring", "archived_at": None, "created_at": WHEN},
        "file_name_template": "{presenter} - {script} - {language} - v{version}",
    },
    "ProjectNew": {"team": TEAM, "name": "Spring", "presenters": [ADA, BEA], "scripts": [GREETING, NEWS]},
    "PatchedProjectChange": {"name": "Spring 2027"},
    "BoardMembers": {"presenters": [BEA], "scripts": []},
    "Board": {
        "project": PROJECT,
        "revision": 12,
        "columns": [{"script": GREETING, "title": "Greeting", "language": "en"}],
        "rows": [
            {
                "presenter": ADA,
                "name": "Ada",
                "cells": [
                    {
                        **{"key": f"{ADA}.{GREETING}.en", "state": "done", **NO_WORK, "version": VERSION},
                        **{"stale_because": [], "revision": 12},
                    }
                ],
            }
        ],
        "eta_s": None,
    },
    "Preset": {
        **{"id": "r6c9mf4wz8dh3xuk", "team": TEAM, "name": "Small", "is_default": False},
        **{**PRESET, "created_at": WHEN},
    },
    "PresetNew": {"team": TEAM, "name": "Small", **PRESET},
    "PatchedPresetChange": {"crf": 22},
    "BatchNew": {
        **{"project": PROJECT, "presenters": [ADA, BEA], "scripts": [GREETING, NEWS], "languages": ["en"]},
    },
    "BatchProgress": PROGRESS,
    "BatchStarted": {
        **PROGRESS,
        "skipped": [
            {
                "cell": f"{BEA}.{NEWS}.en",
                "code": "no_take",
                "title": "The script has no audio take in this language yet.",
            }
        ],
    },
    "Batch": BATCH_OF_TWO,
    "Job": RUNNING_JOB,
    "Version": {
        **{"id": VERSION, "project": PROJECT, "presenter": ADA, "script": GREETING, "language": "en", "batch": BATCH},
        **{"number": 2, "published": True, "width": 1080, "height": 1920, "fps": 30.0, "duration_s": 8.2},
        **{
            "quality": {"sync": 0.71},
            "engine": "1.0",
            "weights": "",
            "tracker": "",
            "mouths": "",
            "drawn_by": "exemplar",
            **{"instead": "", "instead_title": "", "instead_detail": ""},
            "tier": "A",
            "preset": {"crf": 18},
            "size": 6_291_456,
        },
        **{
            "sha256": "9f2c" * 16,
            "download_url": f"/media/{BLOB}/v2.mp4?download",
            "created_at": WHEN,
            "video_removed_at": None,
        },
    },
    "Export": {
        **{"id": "x4u7ta9nk2ce6bsg", "team": TEAM, "project": PROJECT, "name": "Spring 2026-11-21.zip"},
        **{"state": "ready", "done": 4, "total": 4, **NO_ERROR, "created_at": WHEN, "finished_at": WHEN},
        "download_url": f"/media/{BLOB}/Spring%202026-11-21.zip?download",
    },
    "ExportNew": {"project": PROJECT},
    "Farm": {
        **{"word": "active", "reason": "running", "running": 1, "queued": 1, "held": 0},
        "teams": [
            {
                **{"team": TEAM, "name": "Course makers", "waiting": 1, "held": 0, "running": 1, "oldest": WHEN},
                **{"priority": 0, "is_paused": False},
            }
        ],
        "waiting": [{"job": JOB, "team": TEAM, "why": "turn", "place": 1}],
        "mouths": [
            {
                **{"model": "m6t2wd8nb3xr9ykc", "team": TEAM, "state": "running", "worker": "render-1/gpu"},
                **{"percent": 42, "why": None},
            }
        ],
        "bases": [{"base": BASE["id"], "team": TEAM, "state": "waiting", "stage": "", "progress": 0}],
    },
    "Worker": {
        **{"id": 3, "name": "render-1/gpu", "host": "render-1", "cluster": "gpu", "version": "1.0.0", "engine": "1.0"},
        **{
            "backends": ["exemplar"],
            "weights": {},
            "tracker": "bundled",
            "refused": {},
            "device": "CUDA 0",
            "device_memory_mb": 81920,
            "figures": {"temperature_c": 54},
        },
        **{"state": "active", "asked": "", "refusal": "", "failures_in_row": 0, "is_heard": True, "job": JOB},
        **{"busy_since": WHEN, "last_seen_at": WHEN, "created_at": WHEN},
    },
    "WorkerAct": {"act": "drain", "at_once": False, "reason": "A new driver tonight."},
    "FarmJob": {**RUNNING_JOB, "team": TEAM, "worker": "render-1/gpu", "error_detail": ""},
    "JobAct": {"act": "priority", "priority": 10, "reason": "For this evening."},
    "BatchAct": {"act": "hold", "reason": "The footage will be replaced."},
    "CellsChosen": {"cells": [f"{ADA}.{GREETING}.en"]},
    "Cancelled": {"cancelled": 1},
    "Told": {"done": 12, "left": 0},
    "FarmShare": {
        **{"team": TEAM, "name": "Course makers", "weight": 2, "max_running": 8, "priority": 0, "max_attempts": None},
        **{"backoff_seconds": None, "paused_at": None},
        "limits": {"storage_bytes": 1 << 40, "render_minutes": 600, "file_bytes": None, "take_seconds": None},
    },
    "PatchedShareChange": {"weight": 2, "max_running": 8, "reason": "They bought a machine."},
    "LearningAct": {"act": "cancel", "reason": "This machine is needed for a trade fair."},
    "TeamAct": {"act": "pause", "reason": "They asked for it."},
    "Usage": {
        **{"bytes": 7_301_444_608, "storage_percent": 6, "uploads": 0, "files": 212, "month": "2026-11-01"},
        "by_kind": {
            **{"footage": 5_368_709_120, "takes": 214_748_364, "versions": 1_610_612_736, "exports": 0},
            **{"analysis": 96_468_992, "bases": 122_880, "mouths": 9_830_400, "previews": 10_905_396, "unused": 0},
        },
        **{"rendered_seconds": 1820.5, "planned_seconds": 44.0, "render_percent": 5, "versions_made": 180},
        **{"jobs_running": 1, "jobs_waiting": 2, "jobs_held": 0},
        "limits": {"storage_bytes": 107_374_182_400, "render_minutes": 600, "file_bytes": None, "take_seconds": None},
    },
    "Learning": {
        **{"learns": True, "current": BASE, "newest": BASE, "presenters": 4, "speech_s": 312.5},
        **{"least_presenters": 3, "least_speech_s": 60.0},
    },
    "TeamBase": BASE,
    "Attempt": {
        **{"number": 1, "worker": "render-1/gpu", "outcome": "failed", "error_code": "no_face", "started_at": WHEN},
        "error_title": "No face could be followed through the footage.",
        "error_detail": "Use footage in which one face is seen from the front in nearly every frame.",
        **{"ended_at": WHEN, "log": "compose: no face from 12.4 s on\n", "log_end": 32},
    },
    "Webhook": HOOK,
    "WebhookNew": {"team": TEAM, "url": "https://example.com/heygem", "events": ["version.created", "batch.finished"]},
    "WebhookMade": {**HOOK, "secret": "whsec_" + "A1b2C3d4" * 4},
    "PatchedWebhookChange": {"is_active": True},
    "Secret": {"secret": "whsec_" + "A1b2C3d4" * 4},
    "Delivery": {
        **{"id": "d6y3hv9kt5rb2wqm", "webhook": HOOK["id"], "event": "ping", "event_id": "evt_5f0c"},
        **{"state": "delivered", "attempts": 1, "next_try_at": WHEN, "status": 204, "response": "", "duration_ms": 87},
        **{"error_code": "", "tries": [{"at": WHEN, "status": 204, "code": "", "ms": 87}], "payload": {"type": "ping"}},
        **{"created_at": WHEN, "finished_at": WHEN},
    },
}
