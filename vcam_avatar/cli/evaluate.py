"""``vcam-avatar evaluate``: how good lips, gestures and pictures are, with baselines beside them."""

import argparse
from pathlib import Path

FAMILIES = ("lips", "pose", "body", "face")


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("evaluate", help="measure the quality on held-out data")
    parser.add_argument("family", choices=(*FAMILIES, "all"))
    parser.add_argument("--data", type=Path, help="where the held-out sets are; default: beside the checkout")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="a fraction of the data, for a first look")
    parser.set_defaults(handler=_run)


def _run(args: argparse.Namespace) -> int:
    from vcam_avatar.evaluation.report import evaluate, show

    families = FAMILIES if args.family == "all" else (args.family,)
    print(show(evaluate(families, args.data, quick=args.quick), as_json=args.json))
    return 0
