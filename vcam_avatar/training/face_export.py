"""Write the face networks for the runtime: ``vcam-avatar train face-export --work DIR --people N``.

Refuses when onnxruntime and torch disagree by more than 1e-3 on any output.
"""

import argparse
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vcam_avatar.errors import ModelError
from vcam_avatar.inference.sidecar import write_sidecar
from vcam_avatar.stages.face_picture import CROP_PX, MAP_PX, MOUTH_WINDOW
from vcam_avatar.training.face import FaceTrainer
from vcam_avatar.training.face_net import ACTIONS, Decoder, Encoder
from vcam_avatar.training.face_runtime import CODE, RuntimeDecoder, RuntimeEncoder

TOLERANCE = 1e-3
OPSET = 17
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
    _export(RuntimeEncoder(encoder, decoder), inputs, files[0], ["picture", "landmark_maps"], list(CODE))
    _export(RuntimeDecoder(decoder), (*code, wanted), files[1], [*CODE, "expression"], ["whole", "mouth"])
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


def _export(
    module: nn.Module, inputs: tuple[Tensor, ...], file: Path, names: list[str], outputs: list[str]
) -> None:
    import onnxruntime

    module.eval()
    partial = file.with_suffix(".part")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            inputs,
            str(partial),
            input_names=names,
            output_names=outputs,
            opset_version=OPSET,
            dynamo=False,
        )
    session = onnxruntime.InferenceSession(str(partial), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        expected = module(*inputs)
    got: list[Any] = session.run(outputs, {n: t.numpy() for n, t in zip(names, inputs, strict=True)})
    for name, ours, theirs in zip(outputs, expected, got, strict=True):
        difference = float(np.abs(ours.numpy() - theirs).max())
        if not difference <= TOLERANCE:
            partial.unlink()
            raise ModelError(f"{file.name}: {name} differs by {difference:.2e} after export; do not use it")
    os.replace(partial, file)


def main(argv: list[str] | None = None) -> int:
    """Export the averaged weights of a checkpoint."""
    parser = argparse.ArgumentParser(prog="vcam-avatar train face-export", description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--people", type=int, required=True, help="how many people were trained on")
    args = parser.parse_args(argv)
    trainer = FaceTrainer(1e-3)
    trainer.load(args.work / "checkpoint.pt")
    encoder, decoder = trainer.averaged()
    export_face(
        encoder, decoder, args.models, people=args.people, minutes=trainer.minutes, metrics=trainer.held_out
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
