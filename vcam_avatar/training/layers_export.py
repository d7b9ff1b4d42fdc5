"""Write the layer network for the runtime: ``vcam-avatar train layers-export --work DIR --people N``.

Refuses when onnxruntime and torch disagree by more than 1e-3 on any output.
"""

import argparse
from pathlib import Path

import torch

from vcam_avatar.avatars.layers_parts import CHANNELS, NETWORK, PARTS, SIDE_PX
from vcam_avatar.inference.sidecar import write_sidecar
from vcam_avatar.training.checkpoint import export_onnx
from vcam_avatar.training.layers_data import load_people
from vcam_avatar.training.layers_net import LayerNet, Shipped
from vcam_avatar.training.layers_train import LayerTrainer, overlaps

TOLERANCE = 1e-3
RECIPE = (
    "vcam-avatar factory bodies -n 3000 -o BODIES --seed 22 --assets makehuman_assets; "
    "vcam-avatar factory clips -n 1000 -o CLIPS --seed 23 --assets makehuman_assets; "
    "vcam-avatar train layers --bodies BODIES --clips CLIPS --work WORK --minutes {minutes:.0f}; "
    "vcam-avatar train layers-export --work WORK --bodies BODIES --amount '{amount}'"
)


def export_layers(
    net: LayerNet, folder: Path, *, amount: str, minutes: float, metrics: dict[str, float]
) -> Path:
    """Export the network with its sidecar.

    Returns:
        The ``.onnx`` file.

    Raises:
        ModelError: the exported network does not agree with the trained one; nothing is left behind.
    """
    file = folder / f"{NETWORK}.onnx"
    planes = torch.rand(1, CHANNELS, SIDE_PX, SIDE_PX)
    export_onnx(
        Shipped(net), (planes,), file, input_names=["planes"], output_names=["shares"], tolerance=TOLERANCE
    )
    write_sidecar(
        file,
        description="Square around a person, rough mask, keypoint maps -> share of every part, core",
        training_data=[
            {
                "name": "vcam-avatar factory: synthetic people (MakeHuman meshes, skins, hair, clothes)",
                "licence": "CC0-1.0",
                "amount": amount,
            }
        ],
        recipe=RECIPE.format(minutes=minutes, amount=amount),
        metrics=metrics,
        values={"side_px": SIDE_PX, "parts": list(PARTS)},
    )
    return file


def main(argv: list[str] | None = None) -> int:
    """Export the averaged weights of a checkpoint."""
    parser = argparse.ArgumentParser(prog="vcam-avatar train layers-export", description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument(
        "--bodies", type=Path, nargs="+", required=True, help="sets whose held-out people measure"
    )
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--amount", required=True, help="what was trained on, for the model's description")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    trainer = LayerTrainer(1e-3)
    trainer.load(args.work / "checkpoint.pt")
    _, held = load_people(args.bodies, 1, 0)
    metrics = {f"iou_{name}": round(v, 4) for name, v in overlaps(trainer.average, held, 60).items()}
    print(
        export_layers(
            trainer.average, args.models, amount=args.amount, minutes=trainer.minutes, metrics=metrics
        )
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
