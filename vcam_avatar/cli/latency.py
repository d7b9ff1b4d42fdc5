"""``vcam-avatar latency``: how much later than its sound a frame is sent, and where the time goes."""

import argparse
import json
from typing import Any

from vcam_avatar.cli import _options

_EPILOG = """\
Clicks are played on the loudspeaker and heard by the microphone, so both must be on and near each other;
no headphones. Without --clicks the figure is the sum of what each part reports. It is the same figure that
`vcam-avatar ctl status` shows and that OBS's sync offset is set to."""


def register(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "latency",
        help="measure how much later than its sound a frame is sent",
        description="Measure the time from a sound at the microphone to its frame at the camera.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="how long to measure (default 20)")
    parser.add_argument("--clicks", action="store_true", help="play clicks and measure the whole way")
    parser.add_argument(
        "--source", default="mic", metavar="SOURCE", help="mic (default), mic:NAME or file:PATH"
    )
    parser.add_argument(
        "--sink", default="camera", metavar="SINK", help="camera (default), camera:NAME or memory"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    _options.add_config_flags(parser)
    parser.set_defaults(handler=_run)


def _run(args: argparse.Namespace) -> int:
    from vcam_avatar.cli._live import make_live
    from vcam_avatar.errors import ConfigError

    config = _options.config_from(args, **{"obs.follow": False})
    source, sink = args.source.partition(":"), args.sink.partition(":")
    if source[0] not in ("mic", "file") or sink[0] not in ("camera", "memory"):
        raise ConfigError("latency takes --source mic, mic:NAME or file:PATH, and --sink camera or memory")
    live = make_live((source[0], source[2]), (sink[0], sink[2]), config, loop=True)
    figures = measure(live.parts, args.seconds, clicks=args.clicks)
    if args.json:
        print(json.dumps(figures))
    else:
        print("\n".join(_lines(figures)))
    return 0 if figures["frames"] else 1


def measure(parts: Any, seconds: float, *, clicks: bool) -> dict[str, Any]:
    """Run a service of these parts for so long and report its latency."""
    import dataclasses
    import time

    from vcam_avatar.daemon.clicks import ClickPlayer, ClickWatch, WatchedSink
    from vcam_avatar.daemon.service import AvatarService
    from vcam_avatar.devices.memory import MemorySink

    watch = ClickWatch()
    parts.loop.listeners.append(watch.hear)
    camera = WatchedSink(parts.camera if parts.camera is not None else MemorySink(keep=0), watch)
    service = AvatarService(dataclasses.replace(parts, camera=camera))
    service.start()
    try:
        heard = None
        if clicks:
            heard = watch.latency(ClickPlayer().play(seconds))
        else:
            time.sleep(seconds)
        report = service.report()
    finally:
        service.close()
    return {
        "clicks": None if heard is None else dataclasses.asdict(heard),
        "asked_for_clicks": clicks,
        "estimate_ms": report["latency_ms"],
        "stages_p95_ms": report["stages_p95_ms"],
        "troubles": report["troubles"],
        "frames": report["frames"],
        "fps": report["fps"],
        "size": report["size"],
    }


def _lines(figures: dict[str, Any]) -> list[str]:
    lines = [f"{figures['size']} at {figures['fps']} fps"]
    lines += [f"{part}: {reason}" for part, reason in figures["troubles"].items()]
    clicks = figures["clicks"]
    if clicks is not None:
        lines.append(
            f"measured with clicks: p50 {clicks['p50_ms']:.0f} ms, p95 {clicks['p95_ms']:.0f} ms "
            f"({clicks['heard']} of {clicks['played']} heard)"
        )
    elif figures["asked_for_clicks"]:
        lines.append("no click was heard: turn the loudspeaker up, and check which microphone is used")
    estimate = figures["estimate_ms"]
    if estimate is not None:
        lines.append(f"sum of the parts: p50 {estimate['p50']:.0f} ms, p95 {estimate['p95']:.0f} ms")
        lines += [f"  {name:18s} {ms:6.1f} ms" for name, ms in estimate.items() if name not in ("p50", "p95")]
    lines.append("stages, p95:")
    lines += [f"  {name:18s} {ms:6.1f} ms" for name, ms in figures["stages_p95_ms"].items()]
    return lines
