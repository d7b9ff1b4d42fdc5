"""The status for people."""

from collections.abc import Mapping
from typing import Any


def status_text(data: Mapping[str, Any]) -> str:
    """Lines that say what is going on, and what to do about what is not."""
    lines = [
        f"{data['state']}: {data['avatar']}, {data['size']} at {_fps(data)} fps, up {_time(data['uptime_s'])}"
    ]
    if data["wanted"] != data["avatar"]:
        lines.append(f"  making {data['wanted']} ready")
    lines += [f"  {part}: {reason}" for part, reason in data["troubles"].items()]
    microphone = data["microphone"]
    if "microphone" not in data["troubles"]:
        text = f"microphone: {microphone['name'] or 'none'}, {microphone['level_db']:.0f} dBFS"
        if microphone["clipped_samples"]:
            text += f", {microphone['clipped_samples']} samples clipped: turn it down"
        elif microphone["silent_s"] > 10:
            text += f", digital silence for {_time(microphone['silent_s'])}: is it switched off?"
        lines.append(text)
    camera = data["camera"]
    if camera is not None and "camera" not in data["troubles"]:
        lines.append(f"camera: {camera['device'] or 'opening'}, {camera['sent']} frames sent")
    latency = data["latency_ms"]
    if latency is not None:
        parts = ", ".join(f"{name} {ms:.0f}" for name, ms in latency.items() if name not in ("p50", "p95"))
        lines.append(f"latency: {latency['p50']:.0f} ms, p95 {latency['p95']:.0f} ms ({parts})")
    if data["obs"] is not None:
        lines.append(f"OBS: {data['obs']}")
        if not data["sync_offset"] and latency is not None and str(data["obs"]).startswith("connected"):
            lines.append(
                f"  to delay OBS's microphone by {latency['p50']:.0f} ms, in step with the picture: "
                "vcam-avatar ctl set obs.sync_offset true"
            )
    faults = {
        "late": data["late_units"],
        "skipped": data["skipped_units"],
        "held": data["held_frames"],
        "dropped": (camera or {}).get("dropped", 0),
    }
    counted = ", ".join(f"{count} {name}" for name, count in faults.items() if count)
    memory = f", {data['memory_mb']:.0f} MB" if data["memory_mb"] else ""
    lines.append(
        f"frames: {data['frames']}{f' ({counted})' if counted else ''}; {data['cores']:.2f} cores{memory}"
    )
    kept = data.get("avatar_memory_mb") or {}
    if kept:
        text = ", ".join(f"{name} {megabytes:.0f} MB" for name, megabytes in kept.items())
        lines.append(f"avatars ready: {text}")
    return "\n".join(lines)


def metrics_line(data: Mapping[str, Any]) -> str:
    """One line for the log."""
    stages = " ".join(f"{name.replace(' ', '-')} {ms}" for name, ms in data["stages_p95_ms"].items())
    camera = data["camera"] or {}
    return (
        f"{data['state']} fps {data['fps']}, interval p99 {data['interval_p99_ms']} ms; p95 ms: {stages}; "
        f"late {data['late_units']}, skipped {data['skipped_units']}, held {data['held_frames']}, "
        f"repeated {camera.get('repeated', 0)}, dropped {camera.get('dropped', 0)}; "
        f"{data['cores']:.2f} cores, {data['memory_mb']} MB"
    )


def _fps(data: Mapping[str, Any]) -> str:
    return f"{data['fps']:.1f}" if data["fps"] is not None else "?"


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
