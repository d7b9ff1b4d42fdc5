"""``python -m vcam_avatar.evaluation.pose_compare``: several pose networks on the same held-out talk."""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vcam_avatar.evaluation.pose import measure_held
from vcam_avatar.evaluation.pose_material import load_material, perform
from vcam_avatar.inference import Network
from vcam_avatar.stages.pose import NeuralPosePredictor


def compare(path: Path, data: Path, left_out: str | None) -> dict[str, Any]:
    """P1 and P4 on the held-out talk, and ms per tick, of the network ``path``."""
    material = load_material(data, left_out)
    network = Network(path)
    predictor = NeuralPosePredictor(network)
    started = time.process_time()
    ticks = len(perform(predictor, material.voices[0][1], 0))
    cost = (time.process_time() - started) / ticks * 1000
    results = measure_held(predictor, material)
    return {
        "kind": network.values["kind"],
        "ms a tick": round(cost, 2),
        **{key: {"value": r.value, "holds": r.holds, "baselines": r.baselines} for key, r in results.items()},
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Print one JSON object per network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="+", type=Path, help="pose networks (.onnx with sidecar)")
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="folder of the held-out sets"
    )
    parser.add_argument("--left-out", help="measure on this person, who must not have been learnt")
    args = parser.parse_args(argv)
    for path in args.networks:
        result = compare(path, args.data, args.left_out)
        print(json.dumps({"network": str(path), **result}, default=float, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
