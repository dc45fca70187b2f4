"""This machine: Python, packages, the engine and its models, the disk."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from heygem_site.doctor import house
from heygem_site.doctor.findings import BAD, OK, WARN, Finding

ROOT = Path(__file__).resolve().parents[2]
LEAST_FREE_GB = 2
LIBRARIES = """
import json, torch, cv2, av
from rendering.engine.contract import ENGINE_VERSION
cuda = torch.cuda.is_available()
print(json.dumps({"engine": ENGINE_VERSION, "device": torch.cuda.get_device_name(0) if cuda else "CPU"}))
"""
DEVICE = """
import json, torch
from rendering.engine import device
from rendering.engine.errors import EngineError
from rendering.engine.media import hardware
told = {"cards": torch.cuda.device_count() if torch.cuda.is_available() else 0}
try:
    told["device"] = device.said(device.chosen())
    told["codecs"] = hardware.opening() if told["device"].startswith("cuda") else {}
except EngineError as error:
    told["failure"], told["remedy"] = f"{error.failure.sentence} ({error.detail})", error.failure.remedy
print(json.dumps(told))
"""
MODELS = """
import json
from rendering.engine.backends import able
from rendering.engine.face.models import Net
from rendering.engine.media.audio import _speech_model
from rendering.engine.voice.base import load_base
Net("face_landmark.tflite"), _speech_model(), load_base()
print(json.dumps({"backends": sorted(able())}))
"""
CHECKPOINT = """
import json, torch
from rendering.engine.errors import EngineError
from rendering.engine.findings import FINDINGS
from rendering.engine.wav2lip import checkpoint
told = {"notice": FINDINGS["supplied_checkpoint"].remedy}
try:
    told["identity"] = checkpoint.load(checkpoint.required(), torch.device("cpu")).identity
except EngineError as error:
    told["failure"], told["remedy"] = f"{error.failure.sentence} ({error.detail})", error.failure.remedy
print(json.dumps(told))
"""
ENHANCER = """
import json
from rendering.engine.enhance import model
from rendering.engine.errors import EngineError
from rendering.engine.findings import FINDINGS
told = {"notice": FINDINGS["supplied_enhancer"].remedy}
try:
    told["identity"] = model.load().identity
except EngineError as error:
    told["failure"], told["remedy"] = f"{error.failure.sentence} ({error.detail})", error.failure.remedy
print(json.dumps(told))
"""
TRACKER = """
import json, torch
from rendering.engine.alignment import nets, weights
from rendering.engine.errors import EngineError
told = {}
try:
    nets.Nets(*weights.required(), torch.device("cpu"))
    told["identity"] = weights.identity()
except EngineError as error:
    told["failure"], told["remedy"] = f"{error.failure.sentence} ({error.detail})", error.failure.remedy
print(json.dumps(told))
"""


def python_is_right() -> Finding:
    have = "{}.{}.{}".format(*sys.version_info[:3])
    if sys.version_info[:2] == (3, 11):
        return Finding(OK, f"Python {have}")
    return Finding(BAD, f"Python {have}", "HeyGem is tested on 3.11: remove .venv and set HEYGEM_PYTHON to one.")


def packages_match_the_lock(lock: Path = ROOT / "requirements.txt") -> Finding:
    """Every pinned package in its pinned version."""
    wrong = []
    lines = lock.read_text(encoding="utf-8").splitlines()
    pins = [line.split("==") for line in lines if "==" in line and not line.startswith("#")]
    for name, wanted in pins:
        try:
            have = version(name)
        except PackageNotFoundError:
            have = "missing"
        if have.split("+")[0] != wanted.strip():
            wrong.append(f"{name} {have} (wanted {wanted.strip()})")
    if wrong:
        return Finding(BAD, f"packages: {', '.join(wrong[:5])}", "Remove .venv/heygem-lock and run ./heygem again.")
    return Finding(OK, f"{len(pins)} packages as in the lock")


def disks_have_room() -> Iterator[Finding]:
    """Media, the installation's own folder, and where temporary files go."""
    from django.conf import settings

    seen = set()
    places = {"MEDIA_ROOT": settings.MEDIA_ROOT, "HEYGEM_VAR": settings.VAR_DIR, "TMPDIR": Path(tempfile.gettempdir())}
    for name, folder in places.items():
        while not folder.exists():
            folder = folder.parent
        if (disk := folder.stat().st_dev) in seen:
            continue
        seen.add(disk)
        free = shutil.disk_usage(folder).free / 1e9
        kept = settings.DISK_KEEP_FREE_BYTES / 1e9 if name == "MEDIA_ROOT" else 0.0
        if free < kept:
            remedy = "Make room: see what would go with retention rules on the farm's disk page, or add disk."
            yield Finding(BAD, f"{free:.1f} GB free on the disk of {name}: uploads and renders are refused", remedy)
        elif free < LEAST_FREE_GB + kept:
            yield Finding(WARN, f"{free:.1f} GB free on the disk of {name}", f"Make room, or move {name} elsewhere.")
        else:
            yield Finding(OK, f"{free:.0f} GB free on the disk of {name}")


def _probe(script: str) -> tuple[dict[str, Any] | None, str]:
    """What the script found, or its last words. In a process of its own: the engine never loads into the site."""
    from rendering.execution.child import environment

    how: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 180, "check": False}
    try:
        done = subprocess.run(  # noqa: S603 - our own probe
            [sys.executable, "-c", script], cwd=ROOT, env=environment(), **how
        )
    except subprocess.TimeoutExpired:
        return None, "it did not answer within three minutes"
    if done.returncode == 0:
        return json.loads(done.stdout.strip().splitlines()[-1]), ""
    return None, (done.stderr.strip().splitlines() or ["it said nothing"])[-1]


def engine_starts() -> Finding:
    found, last = _probe(LIBRARIES)
    if found is not None:
        return Finding(OK, f"engine {found['engine']} on {found['device']}")
    if "libGL" in last or "libgthread" in last or "libglib" in last:
        return Finding(BAD, f"engine: {last}", "sudo apt-get install -y libgl1 libglib2.0-0")
    return Finding(BAD, f"engine: {last}", "Remove .venv/heygem-lock and run ./heygem again.")


def device_is_there() -> Iterator[Finding]:
    """What networks run on, whether its codecs open, and whether every card of this machine has a worker."""
    found, last = _probe(DEVICE)
    if found is None:
        yield Finding(BAD, f"device: {last}", "Remove .venv/heygem-lock and run ./heygem again.")
        return
    if "failure" in found:
        yield Finding(BAD, f"device: {found['failure']}", str(found["remedy"]))
    elif found["device"] == "fake":
        yield Finding(WARN, "networks run on the processor, which poses as a card", "Leave ENGINE_DEVICE out.")
    else:
        codecs = [f"its {name} {'opens' if opens else 'does not open'}" for name, opens in found["codecs"].items()]
        yield Finding(OK, ", ".join([f"networks run on {found['device']}", *codecs]))
    yield from house.cards_are_used(found["cards"])


def models_load() -> Finding:
    """Faces, speech and the base voice, as a render would load them."""
    found, last = _probe(MODELS)
    if found is not None:
        backends = found["backends"]
        return Finding(OK, f"models load; back ends: {', '.join(backends) if isinstance(backends, list) else backends}")
    return Finding(BAD, f"models: {last}", "Remove .venv/heygem-lock and run ./heygem again: a package is incomplete.")


def checkpoint_loads() -> Iterator[Finding]:
    """The operator's Wav2Lip checkpoint, if there is one: opened as a render would open it."""
    from django.conf import settings

    if settings.WAV2LIP_CHECKPOINT is None:
        return
    found, last = _probe(CHECKPOINT)
    if found is None:
        yield Finding(BAD, f"wav2lip: {last}", "Remove .venv/heygem-lock and run ./heygem again.")
    elif "failure" in found:
        yield Finding(BAD, f"wav2lip: {found['failure']}", str(found["remedy"]))
    else:
        yield Finding(OK, f"wav2lip checkpoint {found['identity']} loads. {found['notice']}")


def tracker_loads() -> Iterator[Finding]:
    """The weights of face-alignment, where footage is followed with it: opened as an analysis would open them."""
    from django.conf import settings

    if settings.TRACKER != "face-alignment":
        return
    found, last = _probe(TRACKER)
    if found is None:
        yield Finding(BAD, f"face-alignment: {last}", "Remove .venv/heygem-lock and run ./heygem again.")
    elif "failure" in found:
        yield Finding(BAD, f"face-alignment: {found['failure']}", str(found["remedy"]))
    else:
        yield Finding(OK, f"{found['identity']} loads and follows the faces in footage.")


def enhancer_loads() -> Iterator[Finding]:
    """The operator's restoration model, if there is one: read, loaded and asked once, as a render would."""
    from django.conf import settings

    if settings.ENHANCER_MODEL is None:
        return
    found, last = _probe(ENHANCER)
    if found is None:
        yield Finding(BAD, f"enhancer: {last}", "Remove .venv/heygem-lock and run ./heygem again.")
    elif "failure" in found:
        yield Finding(BAD, f"enhancer: {found['failure']}", str(found["remedy"]))
    else:
        yield Finding(OK, f"enhancer {found['identity']} loads and answers. {found['notice']}")
