"""``models/hand_mesh.npz``: a left hand with its forearm, small enough to be drawn in every frame.

Canonical space: origin at the wrist, unit = wrist to the root of the middle finger ("palm length"),
x right, y down, z away from the viewer; fingers up, palm towards the viewer. The right hand is its
mirror image. Bones: 0 forearm, 1 palm, then three per finger from the thumb to the little finger.
"""

import argparse
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vcam_avatar.factory.assets import AssetFolder
from vcam_avatar.factory.human import HumanModel, human_model
from vcam_avatar.factory.mesh import FloatArray, IntArray, top_weights, vertex_normals
from vcam_avatar.stages.kernels import njit

BONES = ("forearm", "palm", *(f"finger{f}-{j}" for f in range(1, 6) for j in range(1, 4)))
ATLAS_U, ATLAS_V = (0.560, 0.780), (0.800, 1.000)
"""Where the left hand lies in the base mesh's texture, v downwards."""
ATLAS_PX = 384
NEUTRAL = 128
"""Texel value of the detail texture that leaves the skin colour as it is."""


@njit(cache=True)  # type: ignore[untyped-decorator]
def _visibility(points: Any, normals: Any, faces: Any, vertices: Any, directions: Any, reach: float) -> Any:
    """Share of ``directions`` above each point's tangent plane that leave without hitting the mesh."""
    out = np.zeros(len(points), np.float32)
    for i in range(len(points)):
        total, free = 0.0, 0.0
        for k in range(len(directions)):
            d = directions[k]
            cosine = d[0] * normals[i, 0] + d[1] * normals[i, 1] + d[2] * normals[i, 2]
            if cosine <= 0.05:
                continue
            total += cosine
            o = points[i] + normals[i] * 0.01 + d * 0.01
            hit = False
            for f in range(len(faces)):
                a = vertices[faces[f, 0]]
                e1, e2 = vertices[faces[f, 1]] - a, vertices[faces[f, 2]] - a
                p = np.cross(d, e2)
                det = e1[0] * p[0] + e1[1] * p[1] + e1[2] * p[2]
                if abs(det) < 1e-9:
                    continue
                t = o - a
                u = (t[0] * p[0] + t[1] * p[1] + t[2] * p[2]) / det
                if u < 0 or u > 1:
                    continue
                q = np.cross(t, e1)
                v = (d[0] * q[0] + d[1] * q[1] + d[2] * q[2]) / det
                if v < 0 or u + v > 1:
                    continue
                distance = (e2[0] * q[0] + e2[1] * q[1] + e2[2] * q[2]) / det
                if 0 < distance < reach:
                    hit = True
                    break
            if not hit:
                free += cosine
        out[i] = free / max(total, 1e-6)
    return out


def _detail(skins: list[Path]) -> Any:
    """Creases, knuckles and nails: skin colour over its own blur, the average of several skins.

    Returns:
        uint8 ``(ATLAS_PX, ATLAS_PX, 3)`` BGR, 128 = no change, 255 = twice as bright.
    """
    ratios = []
    for file in skins:
        picture = cv2.imread(str(file))
        if picture is None:
            continue
        size = picture.shape[0]
        part = picture[
            int(ATLAS_V[0] * size) : int(ATLAS_V[1] * size), int(ATLAS_U[0] * size) : int(ATLAS_U[1] * size)
        ]
        part = cv2.resize(part, (ATLAS_PX, ATLAS_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
        ratios.append(part / np.maximum(cv2.GaussianBlur(part, (0, 0), 22), 1))
    if not ratios:
        return np.full((ATLAS_PX, ATLAS_PX, 3), NEUTRAL, np.uint8)
    return np.clip(np.mean(ratios, 0) * NEUTRAL + 0.5, 0, 255).astype(np.uint8)


def build_hand_mesh(model: HumanModel, skins: list[Path]) -> dict[str, Any]:
    """The arrays of ``hand_mesh.npz``.

    Returns:
        ``vertices`` float32 (V, 3), ``faces`` int32 (F, 3), ``texture_faces`` int32 (F, 3) into ``uv``
        float32 (T, 2) in texels of ``detail`` (forearm: (-1, -1), no detail), ``bone_index`` uint8 and
        ``bone_weight`` float32 (V, 4), ``joints`` float32 (17, 3) bone heads (0: elbow), ``tips`` (5, 3),
        ``occlusion`` float32 (V,) share of ambient light, ``detail`` uint8 BGR.
    """
    body = model.shape(gender=0.5, age=0.6, muscle=0.5, weight=0.42, proportions=0.8, race=(0.2, 0.3, 0.5))
    heads = model.joints(body)
    bone = {name: heads[model.bone[f"{name}.L"]] for name in ("lowerarm01", "wrist", *BONES[2:])}
    wrist, middle = bone["wrist"], bone["finger3-1"]
    unit = float(np.linalg.norm(middle - wrist))
    up = (middle - wrist) / unit
    outward = np.cross(bone["finger2-1"] - wrist, bone["finger5-1"] - wrist)
    outward = outward - up * (outward @ up)
    outward /= np.linalg.norm(outward)
    # The palm faces the thumb's side of the fist: in the rest pose the thumb lies before the palm.
    if outward @ (bone["finger1-3"] - wrist) < 0:
        outward = -outward
    frame = np.stack([np.cross(-up, -outward), -up, -outward])

    def canonical(points: FloatArray) -> FloatArray:
        moved: FloatArray = ((points - wrist) @ frame.T / unit).astype(np.float32)
        return moved

    columns = np.zeros((model.count, len(BONES)), np.float32)
    for name in ("lowerarm01", "lowerarm02"):
        columns[:, 0] += model.weights[:, model.bone[f"{name}.L"]]
    for name in ("wrist", *(f"metacarpal{i}" for i in range(1, 5))):
        columns[:, 1] += model.weights[:, model.bone[f"{name}.L"]]
    for column, name in enumerate(BONES[2:], 2):
        columns[:, column] = model.weights[:, model.bone[f"{name}.L"]]
    faces, texture = model.faces["body"]
    chosen = np.asarray((columns.sum(1)[faces] > 0.5).all(1))
    faces, texture = faces[chosen], texture[chosen]
    used, faces = _renumber(faces)
    used_uv, texture = _renumber(texture)
    vertices = canonical(body[used])
    index, weight = top_weights(columns[used], 4)
    uv = model.uv[used_uv]
    texel = np.stack(
        [
            (uv[:, 0] - ATLAS_U[0]) / (ATLAS_U[1] - ATLAS_U[0]),
            (1 - uv[:, 1] - ATLAS_V[0]) / (ATLAS_V[1] - ATLAS_V[0]),
        ],
        1,
    )
    outside = np.asarray(((texel < 0) | (texel > 1)).any(1))
    texel = np.where(outside[:, None], -1, texel * ATLAS_PX).astype(np.float32)
    joints = np.stack([bone["lowerarm01"], wrist, *(bone[name] for name in BONES[2:])])
    tips = []
    for finger in range(5):
        mine = columns[used, 4 + 3 * finger] > 0.5
        axis = joints[4 + 3 * finger] - joints[3 + 3 * finger]
        axis = axis / np.linalg.norm(axis)
        along = (body[used] - joints[4 + 3 * finger]) @ axis
        # The bone of the thumb runs beside its middle: the end is where the flesh is.
        tips.append(body[used][mine & (along > 0.8 * along[mine].max())].mean(0))
    normals = np.zeros_like(vertices)
    vertex_normals(vertices, faces, normals)
    directions = _sphere(96)
    occlusion = _visibility(vertices, normals, faces, vertices, directions, 0.8)
    return {
        "vertices": vertices,
        "faces": faces,
        "uv": texel,
        "texture_faces": texture,
        "bone_index": index.astype(np.uint8),
        "bone_weight": weight,
        "joints": canonical(joints),
        "tips": canonical(np.stack(tips)),
        "occlusion": occlusion,
        "detail": _detail(skins),
    }


def _renumber(faces: IntArray) -> tuple[IntArray, IntArray]:
    used, inverse = np.unique(faces, return_inverse=True)
    return used.astype(np.int32), inverse.reshape(-1, 3).astype(np.int32)


def _sphere(count: int) -> FloatArray:
    i = np.arange(count) + 0.5
    z = 1 - 2 * i / count
    angle = np.pi * (1 + 5**0.5) * i
    radius = np.sqrt(1 - z * z)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], 1).astype(np.float32)


def export_hand_mesh(out: Path, model: HumanModel, assets: AssetFolder) -> IntArray:
    """Write ``out``; returns its faces."""
    skins = [file for file in assets.skins() if "lightskinned" in file.name]
    data = build_hand_mesh(model, skins)
    np.savez_compressed(out, **data)
    faces: IntArray = data["faces"]
    return faces


def main(argv: list[str] | None = None) -> int:
    """``python -m vcam_avatar.factory.handmesh OUT.npz [--assets DIR]``."""
    parser = argparse.ArgumentParser(description="Export the hand mesh.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--assets", type=Path)
    options = parser.parse_args(argv)
    faces = export_hand_mesh(options.out, human_model(), AssetFolder(options.assets))
    print(f"{options.out}: {len(faces)} triangles")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
