"""``vcam-avatar doctor``: what is missing, and the exact cure."""

import argparse


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("doctor", help="check everything, and say how to mend what is missing")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="where the networks are to run")
    parser.set_defaults(handler=_run)


def _run(args: argparse.Namespace) -> int:
    import json

    from vcam_avatar.cli._doctor import examine

    checks = examine(args.device)
    if args.json:
        print(json.dumps([check.as_dict() for check in checks], indent=1))
    else:
        for check in checks:
            print(f"{check.mark} {check.name:16} {check.found}")
            if check.cure:
                print(f"  {'':16} -> {check.cure}")
    return 1 if any(check.needed and not check.fine for check in checks) else 0
