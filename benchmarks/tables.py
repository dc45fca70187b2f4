"""The benchmark's report for reading, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def table(report: dict[str, Any]) -> str:
    """Everything that counts in ``report``; the rest is in the JSON."""
    parts = [_machine(report["machine"], report["load"])]
    for scene in report["scenes"]:
        parts.append(_scene(scene))
    if report["analysis"]:
        parts.append(_analysis(report["analysis"]))
    if training := report.get("training"):
        parts.append(_training(training))
    return "\n\n".join(parts)


def _machine(machine: dict[str, Any], load: list[float]) -> str:
    cards = "; ".join(machine["cards"]) or "no card"
    return (
        f"{machine['cores']} x {machine['cpu']}, {machine['memory_gb']} GB; {cards}; device {machine['device']}; "
        f"torch {machine['torch']}, PyAV {machine['av']}, engine {machine['engine']}; "
        f"load {load[0]} before, {load[1]} after"
    )


def _scene(scene: dict[str, Any]) -> str:
    width, height = scene["size"]
    head = (
        f"**{width} x {height}, {scene['fps']:g} frames/s, take of {scene['take_s']:g} s ({scene['frames']} frames)**"
    )
    codecs = f"decoded by {scene['codecs']['decode']}, encoded by {scene['codecs']['encode']}"
    rows = [_row(name, figures, scene) for name, figures in scene["made"].items()]
    if made := scene.get("published"):
        rows.append(_published(made))
    columns = ("", "frames/s", "of plain: wall", "of plain: CPU", "busy while composing", "peak MB", "card")
    return f"{head}, {codecs}\n\n" + _markdown(columns, rows)


def _row(name: str, figures: dict[str, Any], scene: dict[str, Any]) -> tuple[str, ...]:
    shares = figures.get("busy_share", {})
    by = name if figures.get("drawn_by", name) == name else f"{name}, drawn by {figures['drawn_by']}"
    ratio = figures.get("ratio", {})
    return (
        by,
        f"{figures['fps']:g}",
        _number(ratio.get("wall")),
        _number(ratio.get("cpu")),
        ", ".join(f"{stage} {share:.0%}" for stage, share in shares.items()),
        _number(figures["peak_mb"]),
        _card(figures),
    )


def _card(figures: dict[str, Any]) -> str:
    use = figures.get("card", {})
    words = [f"{use[key]:g} % {word}" for key, word in (("utilization.gpu", "busy"),) if key in use]
    return ", ".join([*words, *([f"{figures['card_mb']} MB"] if figures.get("card_mb") else [])])


def _published(made: dict[str, Any]) -> tuple[str, ...]:
    stages = ", ".join(f"{name} {seconds:g} s" for name, seconds in made["seconds"].items())
    words = f"published design, detector's weights {made['weights']}"
    if made["looked_at"] < made["pictures"]:
        words += f", {made['looked_at']} of {made['pictures']} frames detected, scaled"
    ratios = ", ".join(f"{name} {x['wall']:g} x as fast (CPU {x['cpu']:g})" for name, x in made["beaten_by"].items())
    return (words, f"{made['fps']:g}", "", "", stages, _number(made["peak_mb"]), ratios)


def _analysis(rows: list[dict[str, Any]]) -> str:
    columns = ("analysis", "tracking: frames/s", "times real time", "CPU ms a frame", "learning: s a minute")
    return _markdown(
        columns,
        (
            (
                f"{row['size'][0]} x {row['size'][1]}",
                f"{row['tracking_fps']:g}",
                f"{row['tracking_x_real_time']:g}",
                f"{row['tracking_cpu_ms_per_frame']:g}",
                f"{row['learning_s_per_minute']:g}",
            )
            for row in rows
        ),
    )


def _training(made: dict[str, Any]) -> str:
    done = (
        "" if made["steps"] == made["all_steps"] else f", worked out from {made['steps']} of {made['all_steps']} steps"
    )
    rows = [
        (
            name,
            *(f"{made[clock][key]:g}" for key in ("minutes", "collect_s", "step_ms", "validation_s", "measure_s")),
        )
        for name, clock in (("wall", "wall"), ("CPU", "cpu"))
    ]
    head = (
        f"Training a mouth model at {made['size']} pixels{done}: {made['psnr']:g} dB; "
        f"peak {_number(made['peak_mb'])} MB{_and_card(made)}"
    )
    columns = ("", "minutes in all", "collect s", "a step ms", "a validation s", "measure s")
    return f"{head}\n\n{_markdown(columns, rows)}"


def _and_card(made: dict[str, Any]) -> str:
    return f", {made['card_mb']} MB of the card" if made["card_mb"] else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _markdown(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [columns, tuple("---" for _ in columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
