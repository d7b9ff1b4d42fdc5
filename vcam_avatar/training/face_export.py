"""Write the face networks for the runtime: ``vcam-avatar train face-export --work DIR --people N``.

Refuses when onnxruntime and torch disagree by more than 1e-3 on any output.
"""

import argparse
from pathlib import Path

import torch

from vcam_avatar.errors import ModelError
from vcam_avatar.inference.sidecar import write_sidecar
from vcam_avatar.stages.face_picture import CROP_PX, MAP_PX, MOUTH_WINDOW
from vcam_avatar.training.checkpoint import export_onnx
from vcam_avatar.training.face_net import ACTIONS, Decoder, Encoder
from vcam_avatar.training.face_runtime import CODE, RuntimeDecoder, RuntimeEncoder
from vcam_avatar.training.face_trainer import FaceTrainer

TOLERANCE = 1e-3
RECIPE = (
    "vcam-avatar factory faces -n {samples} -o FACES; "
    "vcam-avatar train face --faces FACES --work WORK --minutes {minutes:.0f}; "
    "vcam-avatar train face-export --work WORK --people {people}"
)
TRAINING_DATA = [
    {
        "name": "vcam-avatar factory: synthetic faces (MakeHuman meshes, targets, skins, hair and teeth)",
        "licence": "CC0-1.0",
        "amount": "{people} people with 6 expressions each",
    }
]


def export_face(
    encoder: Encoder,
    decoder: Decoder,
    folder: Path,
    *,
    people: int,
    minutes: float,
    metrics: dict[str, float],
) -> list[Path]:
    """Export both networks with their sidecars.

    Returns:
        The two ``.onnx`` files.

    Raises:
        ModelError: the exported network does not agree with the trained one; nothing is left behind.
    """
    encoder.eval(), decoder.eval()
    inputs = (torch.rand(1, 3, CROP_PX, CROP_PX), torch.rand(1, 3, CROP_PX, CROP_PX))
    wanted = torch.rand(1, ACTIONS)
    with torch.no_grad():
        code = RuntimeEncoder(encoder, decoder)(*inputs)
        trained = decoder(*encoder(*inputs), wanted)
        split = RuntimeDecoder(decoder)(*code, wanted)
    if max(float((a - b).abs().max()) for a, b in zip(trained, split, strict=True)) > TOLERANCE:
        raise ModelError("the networks for the runtime do not agree with the trained ones")
    files = [folder / "face_encoder.onnx", folder / "face_decoder.onnx"]
    export_onnx(
        RuntimeEncoder(encoder, decoder), inputs, files[0],
        input_names=["picture", "landmark_maps"], output_names=CODE, tolerance=TOLERANCE,
    )  # fmt: skip
    export_onnx(
        RuntimeDecoder(decoder), (*code, wanted), files[1],
        input_names=[*CODE, "expression"], output_names=["whole", "mouth"], tolerance=TOLERANCE,
    )  # fmt: skip
    data = [{**entry, "amount": entry["amount"].format(people=people)} for entry in TRAINING_DATA]
    descriptions = (
        "Face picture and landmark maps -> identity code and the picture's own expression; once per avatar",
        "Identity code and expression -> flow, paint mask and paint of crop and mouth; once per frame",
    )
    for file, description in zip(files, descriptions, strict=True):
        write_sidecar(
            file,
            description=description,
            training_data=data,
            recipe=RECIPE.format(minutes=minutes, people=people, samples=round(people * 20 / 19)),
            metrics=metrics,
            values={"crop_px": CROP_PX, "map_px": MAP_PX, "mouth_window": list(MOUTH_WINDOW)},
        )
    return files


def main(argv: list[str] | None = None) -> int:
    """Export the averaged weights of a checkpoint."""
    parser = argparse.ArgumentParser(prog="vcam-avatar train face-export", description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--people", type=int, required=True, help="how many people were trained on")
    parser.add_argument("--earlier", type=Path, help="folder of an earlier checkpoint of the same training")
    parser.add_argument("--share", type=float, default=0.4, help="share of the earlier weights in the mean")
    args = parser.parse_args(argv)
    trainer = FaceTrainer(1e-3)
    trainer.load(args.work / "checkpoint.pt")
    if args.earlier:
        earlier = FaceTrainer(1e-3)
        earlier.load(args.earlier / "checkpoint.pt")
        for name, value in trainer.average.items():
            value.lerp_(earlier.average[name], args.share)
        trainer.held_out = {}  # measured for the later weights alone
    encoder, decoder = trainer.averaged()
    export_face(
        encoder, decoder, args.models, people=args.people, minutes=trainer.minutes, metrics=trainer.held_out
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
