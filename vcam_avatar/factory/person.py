"""A person: one look on the base mesh, ready to be posed and drawn."""

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vcam_avatar.factory import accessories
from vcam_avatar.factory.clothing import never_seen
from vcam_avatar.factory.human import HumanModel, human_model
from vcam_avatar.factory.mesh import FloatArray, IntArray, skin, vertex_normals
from vcam_avatar.factory.proxy import Proxy, asset_proxy, hair_shell, hood, shirt_collar, smooth_garment
from vcam_avatar.factory.skeleton import Rotations

SKIN, EYE, TEETH, TONGUE, LASHES, HAIR, TIGHTS, MOUTH, CLOTH, FRAME, COLLAR, GEAR, LENS = range(13)
"""Materials of the shaders."""

NO_GARMENT, TSHIRT, VNECK, TURTLENECK, HOODIE, BLAZER = range(6)


@dataclass(slots=True)
class Look:
    """Everything that makes a person look the way it does, whatever the pose."""

    shape: dict[str, Any]
    """Arguments of ``HumanModel.shape``."""
    local: dict[str, float] = field(default_factory=dict)
    """Local targets (nose, chin ...) and amounts."""
    shading: dict[str, Any] = field(default_factory=dict)
    """Uniforms of the shaders."""
    style: float = 1.0
    """0 photo-like .. 1 toon; also in ``shading['toon']``."""
    garment: int = TSHIRT
    looseness: float = 0.05
    """How far the garment stands off the skin, dm."""
    hair: Path | str | None = "shell"
    """A ``.mhclo`` file, 'shell', or None for bald."""
    hair_volume: float = 0.05
    """dm added to the hair shell."""
    hair_rounds: int = 1
    """Loop subdivisions of a hair mesh."""
    outfit: Path | None = None
    """A ``.mhclo`` file worn instead of ``garment``."""
    textures: dict[str, Path | None] = field(default_factory=dict)
    """'skin', 'hair', 'cloth' -> texture file."""
    eye_size: float = 0.0
    """0 natural .. 0.9 very big eyes."""
    head_scale: float = 1.0
    outline_px: float = 0.0
    """Contour width in px of a 512 px high picture."""
    fine: bool = False
    """Round silhouettes of the garment, for large pictures; costs a third more time."""
    gear: tuple[str, ...] = ()
    """Of ``accessories.GEAR``."""


@lru_cache(maxsize=1)
def arm_parameter() -> FloatArray:
    """0 at the shoulder, 1 at the elbow, 2 at the wrist, up to 4 in the hand; -1 off the arms."""
    model = human_model()
    v = model.vertices.astype(np.float64)
    joints = model.joints(model.vertices)
    out = np.full(model.count, -1.0, np.float32)
    kinds = ("upperarm", "lowerarm", "wrist", "finger", "metacarpal")
    for side, sign in (("L", 1), ("R", -1)):
        a, b, c = (joints[model.bone[f"{n}.{side}"]] for n in ("upperarm01", "lowerarm01", "wrist"))
        t1 = ((v - a) @ (b - a)) / ((b - a) @ (b - a))
        t2 = ((v - b) @ (c - b)) / ((c - b) @ (c - b))
        t = np.where(t1 < 1, t1, 1 + np.clip(t2, 0, 3))
        bones = [i for n, i in model.bone.items() if n.endswith(f".{side}") and n.startswith(kinds)]
        share = model.weights[:, bones].sum(1)
        on_upper = np.linalg.norm(v - a - np.outer(t1, b - a), axis=1)
        on_lower = np.linalg.norm(v - b - np.outer(t2, c - b), axis=1)
        distance = np.where(t1 < 1, on_upper, on_lower)
        arm = (v[:, 0] * sign > 1.0) & ((share > 0.5) | ((distance < 1.0) & (t > 0))) & (v[:, 1] > -1.5)
        out[arm] = np.maximum(out[arm], t[arm]).astype(np.float32)
    return out


@lru_cache(maxsize=1)
def nail_mask() -> FloatArray:
    """1 on finger nails, from the base mesh's own nail map when present; 0 elsewhere."""
    import cv2

    model = human_model()
    out = np.zeros(model.count, np.float32)
    picture = cv2.imread(
        str(model.data / "mpfb2" / "textures" / "mpfb_fingernails.jpg"), cv2.IMREAD_GRAYSCALE
    )
    if picture is None:
        return out
    faces, uv_faces = model.faces["body"]
    h, w = picture.shape
    uv = np.zeros((model.count, 2), np.float32)
    uv[faces.ravel()] = model.uv[uv_faces.ravel()]
    value = picture[
        np.clip(((1 - uv[:, 1]) * h).astype(int), 0, h - 1), np.clip((uv[:, 0] * w).astype(int), 0, w - 1)
    ]
    used = np.unique(faces)
    out[used] = value[used] / 255.0
    return out


def _lining(canonical: FloatArray, faces: IntArray, count: int) -> NDArray[np.bool_]:
    """Base-mesh faces in eye sockets, nostrils and mouth that must not get contour lines."""
    a, b, c = canonical[faces[:, 0]], canonical[faces[:, 1]], canonical[faces[:, 2]]
    normal = np.cross(b - a, c - a)
    facing = normal[:, 2] / (np.linalg.norm(normal, axis=1) + 1e-9)
    m = (a + b + c) / 3
    face = (faces.max(1) < count) & (m[:, 1] > 6.15) & (m[:, 1] < 7.7) & (np.abs(m[:, 0]) < 0.78)
    deep = (m[:, 2] < 1.0) & (np.abs(m[:, 0]) < 0.62) & (m[:, 2] > -0.1)
    out: NDArray[np.bool_] = face & (((facing < 0.12) & (m[:, 2] > 0.45)) | deep)
    return out


class Person:
    """Static geometry of a look; ``pose`` moves it."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self.model: HumanModel = human_model()
        m = self.model
        base = m.shape(**look.shape)
        m.apply(base, look.local, m.local)
        if look.eye_size > 0:
            base = self._enlarge_eyes(base, look.eye_size)
        self.base: FloatArray = base.astype(np.float32)
        self.joints = m.joints(self.base)
        self._assemble()
        self._settle()

    def _enlarge_eyes(self, base: FloatArray, amount: float) -> FloatArray:
        """Radial bulge about each eye: lids, lashes and eyeball together."""
        head = (self.model.vertices[:, 1] > 5.9)[:, None]
        for side in "lr":
            d = base - self.model.centre(base, f"helper-{side}-eye")
            r2 = d[:, 0] ** 2 + d[:, 1] ** 2 + (d[:, 2] * 0.8) ** 2
            k = amount * np.exp(-r2 / (2 * 0.30**2))
            base = base + d * k[:, None] * np.array([1, 1.12, 0.55]) * head
        return base

    def _assemble(self) -> None:
        m, look = self.model, self.look
        count = m.count
        extra = np.zeros((count, 4), np.float32)
        extra[:, 1] = arm_parameter()
        extra[:, 0] = nail_mask()
        material = np.zeros(count, np.float32)
        material[m.mouth_inside] = MOUTH
        body, body_uv = m.faces["body"]
        outfit = asset_proxy(look.outfit) if look.outfit else None
        if outfit is not None and len(outfit.covers):
            hidden = np.zeros(count, bool)
            hidden[outfit.covers] = True
            keep = ~hidden[body].all(1)
            body, body_uv = body[keep], body_uv[keep]
        faces, uv_faces, uvs = [body], [body_uv], [m.uv, np.zeros((1, 2), np.float32)]
        blank = len(m.uv)
        groups = [("helper-tongue", TONGUE), ("helper-upper-teeth", TEETH), ("helper-lower-teeth", TEETH)]
        for side, sign in (("l", 1), ("r", -1)):
            eye = m.group[f"helper-{side}-eye"]
            d = self.base[eye] - self.base[eye].mean(0)
            extra[eye, :3] = d / np.linalg.norm(d, axis=1, keepdims=True)
            extra[eye, 3] = sign
            groups += [(f"helper-{side}-eye", EYE), (f"helper-{side}-eyelashes-2", LASHES)]
        dressed = look.outfit is None and look.garment != NO_GARMENT
        if dressed and not look.fine:
            groups.append(("helper-tights", TIGHTS))
        for name, kind in groups:
            material[m.group[name]] = kind
            if kind in (TEETH, TONGUE, LASHES):
                extra[m.group[name], 0] = 0
            faces.append(m.faces[name][0])
            uv_faces.append(np.full_like(m.faces[name][0], blank))
        canonical, extras, materials = [m.vertices], [extra], [material]
        index, weight = m.skin_weights
        indices, weights = [index], [weight]
        self._riders: list[tuple[int, Proxy]] = []
        total, uv_total = count, blank + 1

        def add(proxy: Proxy, kind: int, more: FloatArray) -> None:
            nonlocal total, uv_total
            self._riders.append((total, proxy))
            canonical.append(proxy.canonical)
            extras.append(more)
            materials.append(np.full(len(more), kind, np.float32))
            faces.append(proxy.faces + np.int32(total))
            uv_faces.append(proxy.uv_faces + np.int32(uv_total))
            uvs.append(proxy.uv)
            indices.append(proxy.bone_index)
            weights.append(proxy.bone_weight)
            total += len(more)
            uv_total += len(proxy.uv)

        def none(proxy: Proxy) -> FloatArray:
            return np.zeros((len(proxy.canonical), 4), np.float32)

        self._garment: Any = m.group["helper-tights"] if dressed else slice(0, 0)
        if dressed and look.fine:
            self._garment = slice(total, total + len(smooth_garment().canonical))
            more = none(smooth_garment())
            more[:, 1] = smooth_garment().fit(np.repeat(arm_parameter()[:, None], 3, 1))[:, 0]
            add(smooth_garment(), TIGHTS, more)
        self._shell_range = slice(0, 0)
        if look.hair == "shell":
            self._shell_range = slice(total, total + len(hair_shell().canonical))
            add(hair_shell(), HAIR, none(hair_shell()))
        elif isinstance(look.hair, Path):
            hair = asset_proxy(look.hair, look.hair_rounds)
            add(hair, HAIR, none(hair))
        if outfit is not None:
            more = none(outfit)
            more[:, 1] = np.einsum("vk,vk->v", outfit.anchor_weight, extra[outfit.anchor, 1])
            more[:, 3] = 1 + outfit.part
            add(outfit, CLOTH, more)
        elif look.garment == HOODIE:
            more = none(hood())
            more[:, 2] = hood().part
            add(hood(), CLOTH, more)
        elif look.garment == BLAZER:
            add(shirt_collar(), COLLAR, none(shirt_collar()))
        for name in look.gear:
            for kind, proxy in accessories.build(name):
                more = none(proxy)
                more[:, 0] = proxy.part if len(proxy.part) else 0
                add(proxy, kind, more)

        all_faces = np.concatenate(faces).astype(np.int32)
        all_uv = np.concatenate(uv_faces).astype(np.int32)
        self.canonical = np.concatenate(canonical)
        self.extra = np.concatenate(extras)
        self.material = np.concatenate(materials)
        high = (self.canonical[all_faces, 1].max(1) > -3.0) | (self.extra[all_faces, 1].max(1) > 0)
        worn = int(look.shading.get("garment", NO_GARMENT))
        if worn != NO_GARMENT:
            arm = self.extra[:, 1]
            high &= ~never_seen(
                all_faces, self.canonical, arm, skin=self.material == SKIN, cloth=self.material == TIGHTS,
                garment=worn, sleeve=float(look.shading["sleeve"]),
            )  # fmt: skip
        self.faces, uv_index = all_faces[high], all_uv[high]
        self.count = total
        lined = self.material[self.faces[:, 0]]
        bare = m.mouth_rim
        rim = np.zeros(total, bool)
        rim[:count] = bare
        skip = rim[self.faces].any(1) | _lining(self.canonical, self.faces, count)
        skip |= np.isin(lined, [EYE, TEETH, TONGUE, MOUTH, LENS])
        uv_all = np.concatenate(uvs)
        # Vertices are doubled where the texture has a seam: (simulated vertex, texture coordinate) pairs.
        pair = self.faces.astype(np.int64) * len(uv_all) + uv_index
        unique, inverse = np.unique(pair, return_inverse=True)
        self.render_vertex = (unique // len(uv_all)).astype(np.int32)
        self.render_uv: FloatArray = uv_all[unique % len(uv_all)]
        self.render_faces: IntArray = inverse.reshape(-1, 3).astype(np.int32)
        self.line_faces: IntArray = self.render_faces[~skip]
        self._bone_index = np.zeros((total, 6), np.int32)
        self._bone_weight = np.zeros((total, 6), np.float32)
        start = 0
        for i, w in zip(indices, weights, strict=True):
            self._bone_index[start : start + len(i), : i.shape[1]] = i
            self._bone_weight[start : start + len(i), : w.shape[1]] = w
            start += len(i)

    def _settle(self) -> None:
        """Rest positions of everything, with the garment and the hair shell inflated."""
        m, look = self.model, self.look
        base = self.base.copy()
        for group, offset, narrow in (
            ("helper-tongue", (0, -0.03, -0.11), 0.92),
            ("helper-upper-teeth", (0, -0.055, -0.02), 0.90),
            ("helper-lower-teeth", (0, -0.065, -0.05), 0.86),
        ):
            index = m.group[group]
            base[index] += np.array(offset, np.float32)
            middle = base[index, 0].mean()
            base[index, 0] = middle + (base[index, 0] - middle) * narrow
            if group == "helper-tongue":  # the base mesh's tongue fills the mouth
                low = base[index, 1].min()
                base[index, 1] = low + (base[index, 1] - low) * 0.72
        rest = np.zeros((self.count, 3), np.float32)
        rest[: m.count] = base
        for start, proxy in self._riders:
            rest[start : start + len(proxy.canonical)] = proxy.fit(self.base)
        normals = np.zeros((self.count, 3), np.float32)
        vertex_normals(rest, self.faces, normals)
        cloth = self._garment
        fall = 1 - 0.6 * np.clip((self.canonical[cloth, 1] - 5.2) / 0.6, 0, 1)
        rest[cloth] += normals[cloth] * (look.looseness * fall).astype(np.float32)[:, None]
        rest[self._shell_range] += normals[self._shell_range] * np.float32(look.hair_volume + 0.04)
        self.rest = rest

    def pose(self, rotations: Rotations, actions: dict[str, float] | None = None) -> "Posed":
        """Move the person.

        Args:
            rotations: bone -> rotation, see ``skeleton``.
            actions: face actions 0..1; look directions move the lids only, the eyes follow the gaze.
        """
        m = self.model
        rest = self.rest
        if actions:
            rest = rest.copy()
            eyes = {n: a for n, a in actions.items() if n.startswith("eyeLook")}
            m.apply(rest, {n: a for n, a in actions.items() if n not in eyes}, m.actions)
            m.apply(rest, eyes, lid_targets())
            rest[m.group["helper-tongue"]] += np.array((0, 0.06, 0.14), np.float32) * np.float32(
                actions.get("tongueOut", 0.0)
            ) - np.array((0, 0.07, 0), np.float32) * np.float32(actions.get("jawOpen", 0.0))
        matrices = m.pose(self.joints, rotations, {"head": self.look.head_scale})
        positions = np.empty((self.count, 3), np.float32)
        normals = np.empty((self.count, 3), np.float32)
        skin(rest, self._bone_index, self._bone_weight, matrices, positions)
        vertex_normals(positions, self.faces, normals)
        return Posed(self, positions, normals)


@lru_cache(maxsize=1)
def lid_targets() -> dict[str, tuple[IntArray, FloatArray]]:
    """The look-direction actions without their effect on the eyeballs, which the shader turns."""
    model = human_model()
    eyes = np.concatenate([model.group[f"helper-{s}-eye"] for s in "lr"])
    out = {}
    for name, (index, offset) in model.actions.items():
        if name.startswith("eyeLook"):
            keep = ~np.isin(index, eyes)
            out[name] = (index[keep], offset[keep])
    return out


@dataclass(frozen=True, slots=True)
class Posed:
    """A person in a pose: positions and normals of the simulated vertices ``(n, 3)``."""

    person: Person
    positions: FloatArray
    normals: FloatArray

    @property
    def render_positions(self) -> FloatArray:
        """Positions of the render vertices."""
        out: FloatArray = self.positions[self.person.render_vertex]
        return out

    @property
    def render_normals(self) -> FloatArray:
        """Normals of the render vertices."""
        out: FloatArray = self.normals[self.person.render_vertex]
        return out
