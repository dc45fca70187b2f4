"""The client stands alone: it needs Python and nothing else, and can be installed."""

from __future__ import annotations

import ast
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CLIENT = Path(__file__).resolve().parents[2] / "client"


def test_it_imports_the_standard_library_and_itself_alone() -> None:
    used = set()
    for path in (CLIENT / "heygem_client").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                used |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0
                used.add(str(node.module).partition(".")[0])
    assert used - sys.stdlib_module_names - {"heygem_client"} == set()


def test_it_is_installed_with_its_command_and_its_types(tmp_path: Path) -> None:
    if importlib.util.find_spec("setuptools") is None or importlib.util.find_spec("pip") is None:
        pytest.skip("setuptools or pip is not here: the wheel was not built")
    source = shutil.copytree(CLIENT, tmp_path / "client")
    target = tmp_path / "installed"
    offline = ["--no-index", "--no-build-isolation", "--no-deps", "--disable-pip-version-check", "--quiet"]
    subprocess.run([sys.executable, "-m", "pip", "install", *offline, "--target", target, source], check=True)
    assert (target / "heygem_client" / "py.typed").exists()
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(target)}
    done = subprocess.run(
        [target / "bin" / "heygem-client", "--help"], env=env, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "exit codes:" in done.stdout
    assert "render" in done.stdout
