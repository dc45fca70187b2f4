"""Whether the kernel has killed processes for want of memory: what tells its SIGKILL from anybody else's."""

from __future__ import annotations

from pathlib import Path

OWN_GROUP = Path("/proc/self/cgroup")
GROUPS = Path("/sys/fs/cgroup")
WHOLE_MACHINE = Path("/proc/vmstat")


def kills() -> int | None:
    """How many processes of our control group the kernel has killed so; where it does not say, how many of the machine.

    Only a change of it means something. None: neither is told (another system than Linux, or one before 4.13).
    """
    for path in (*_of_our_group(), WHOLE_MACHINE):
        try:
            words = path.read_text().split()
        except OSError:
            continue
        if "oom_kill" in words:
            return int(words[words.index("oom_kill") + 1])
    return None


def _of_our_group() -> list[Path]:
    """The file of version 2; what is killed in groups below it counts there, too."""
    try:
        lines = OWN_GROUP.read_text().splitlines()
    except OSError:
        return []
    return [GROUPS / line[3:].lstrip("/") / "memory.events" for line in lines if line.startswith("0::")]
