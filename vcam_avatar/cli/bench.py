"""``vcam-avatar bench``: how fast, how heavy."""

import argparse


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    from vcam_avatar.cli import _options

    parser = subparsers.add_parser("bench", help="measure speed, processor load and memory")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--seconds", type=float, default=20.0, help="sound per measurement")
    parser.add_argument("--hours", type=float, default=0.0, help="also simulate this many hours for memory")
    _options.add_config_flags(parser)
    parser.set_defaults(handler=_run)


def _run(args: argparse.Namespace) -> int:
    from vcam_avatar.cli import _options

    config = _options.config_from(args)
    from vcam_avatar.cli._bench import measure_speed
    from vcam_avatar.evaluation.report import report, show

    results, stages = measure_speed(config, args.seconds, args.hours)
    content = report(results)
    if args.json:
        content["stages"] = stages
    print(show(content, as_json=args.json))
    if not args.json:
        print("\nstage             p50 ms   p95 ms   p99 ms")
        for name, spread in stages.items():
            print(f"{name:16} {spread['p50_ms']:7.2f}  {spread['p95_ms']:7.2f}  {spread['p99_ms']:7.2f}")
    return 0
