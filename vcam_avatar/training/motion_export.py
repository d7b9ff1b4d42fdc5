"""Write the networks that bend head and torso for the runtime: ``vcam-avatar train motion-export``.

Refuses when onnxruntime and torch disagree by more than 1e-3 on any output.
"""

import argparse
from pathlib import Path

import torch

from vcam_avatar.inference.sidecar import write_sidecar
from vcam_avatar.stages.body_motion import FIELDS, FIELDS_MODEL, GRID, SIDE_PX, WEIGHTS_MODEL
from vcam_avatar.training.checkpoint import export_onnx
from vcam_avatar.training.motion_data import load_people
from vcam_avatar.training.motion_net import VALUES, MotionNet
from vcam_avatar.training.motion_train import MotionTrainer, measure

TOLERANCE = 1e-3
RECIPE = (
    "vcam-avatar factory bodies -n 3000 -o BODIES --seed 21 --assets makehuman_assets; "
    "vcam-avatar factory bodies -n 3000 -o BODIES2 --seed 22 --assets makehuman_assets; "
    "vcam-avatar train motion-data --bodies BODIES BODIES2 -o DATA; "
    "vcam-avatar train motion-real --data latentsync_people -o REAL; "
    "vcam-avatar train motion --data DATA --real REAL --work WORK --minutes {minutes:.0f}; "
    "vcam-avatar train motion-export --data DATA --work WORK --amount '{amount}' --real '{real}'"
)


def export_motion(
    net: MotionNet, folder: Path, *, amount: str, real: str, minutes: float, metrics: dict[str, float]
) -> list[Path]:
    """Export both networks with their sidecars.

    Raises:
        ModelError: an exported network does not agree with the trained one; it is not left behind.
    """
    square, rest = torch.rand(1, 4, SIDE_PX, SIDE_PX), torch.rand(1, VALUES) - 0.5
    pose = torch.rand(1, 2 * VALUES) * 0.2
    parts = (
        (FIELDS_MODEL, net.fields, (square, rest), ("square", "rest"), "fields",
         "Head and torso, keypoints at rest -> displacement fields"),
        (WEIGHTS_MODEL, net.weights, (pose,), ("pose",), "weights",
         "Keypoints at rest and their shift -> weights of the fields"),
    )  # fmt: skip
    files = []
    for name, module, inputs, input_names, output_name, description in parts:
        file = folder / f"{name}.onnx"
        export_onnx(
            module, inputs, file, input_names=input_names, output_names=[output_name], tolerance=TOLERANCE
        )
        write_sidecar(
            file,
            description=description,
            training_data=[
                {
                    "name": "vcam-avatar factory: synthetic people (MakeHuman meshes, skins, hair, clothes)",
                    "licence": "CC0-1.0",
                    "amount": amount,
                },
                {
                    "name": "LatentSync demo videos: three people talking",
                    "licence": "Apache-2.0",
                    "amount": real,
                },
            ],
            recipe=RECIPE.format(minutes=minutes, amount=amount, real=real),
            metrics=metrics,
            values={"fields": FIELDS, "side_px": SIDE_PX, "grid": GRID},
        )
        files.append(file)
    return files


def main(argv: list[str] | None = None) -> int:
    """Export the averaged weights of a checkpoint."""
    parser = argparse.ArgumentParser(prog="vcam-avatar train motion-export", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="its held-out people measure")
    parser.add_argument("--work", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--amount", required=True, help="what was trained on, for the model's description")
    parser.add_argument("--real", required=True, help="the same of real people")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    trainer = MotionTrainer()
    trainer.load(args.work / "checkpoint.pt")
    _, held = load_people(args.data)
    metrics = {f"distance_{name}": round(v, 5) for name, v in measure(trainer.average, held).items()}
    for file in export_motion(
        trainer.average,
        args.models,
        amount=args.amount,
        real=args.real,
        minutes=trainer.minutes,
        metrics=metrics,
    ):
        print(file)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
