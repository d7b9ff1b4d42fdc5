"""Meshes that ride on the base mesh: hair, clothes, collars, the hair shell."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from vcam_avatar.factory.human import HumanModel, human_model
from vcam_avatar.factory.mesh import (
    FloatArray,
    IntArray,
    load_obj,
    loop_subdivision,
    top_weights,
    triangulate,
)

Fit = Callable[[FloatArray], FloatArray]


@dataclass(slots=True)
class Proxy:
    """A mesh bound to base-mesh vertices."""

    faces: IntArray
    """Triangles ``(t, 3)``."""
    canonical: FloatArray
    """Positions on the untouched base mesh ``(n, 3)``."""
    fit: Fit
    """Base vertices of a body shape -> positions ``(n, 3)``."""
    bone_index: IntArray
    bone_weight: FloatArray
    uv: FloatArray
    """Texture coordinates ``(m, 2)``; ``uv_faces`` points into it."""
    uv_faces: IntArray
    covers: IntArray = field(default_factory=lambda: np.zeros(0, np.int32))
    """Base vertices hidden under it."""
    anchor: IntArray = field(default_factory=lambda: np.zeros((0, 3), np.int32))
    anchor_weight: FloatArray = field(default_factory=lambda: np.zeros((0, 3), np.float32))
    part: IntArray = field(default_factory=lambda: np.zeros(0, np.int32))
    """Connected component of each vertex, biggest first."""

    def uv_per_vertex(self) -> FloatArray:
        """One texture coordinate per vertex (any one at seams)."""
        out = np.zeros((len(self.canonical), 2), np.float32)
        out[self.faces.ravel()] = self.uv[self.uv_faces.ravel()]
        return out


def _components(count: int, faces: IntArray, canonical: FloatArray) -> IntArray:
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    pairs = (np.r_[faces[:, 0], faces[:, 1]], np.r_[faces[:, 1], faces[:, 2]])
    graph = csr_matrix((np.ones(2 * len(faces)), pairs), shape=(count, count))
    total, label = connected_components(graph, directed=False)
    top = np.array([canonical[label == i, 1].max() for i in range(total)])
    order = np.argsort(-(np.bincount(label) * (top > 4.0)))
    rank = np.empty(total, np.int32)
    rank[order] = np.arange(total, dtype=np.int32)
    out: IntArray = rank[label]
    return out


def read_mhclo(model: HumanModel, file: Path) -> Proxy:
    """Read a MakeHuman ``.mhclo`` proxy and the mesh it names."""
    text = file.read_text()
    found = re.search(r"^obj_file\s+(\S+)", text, re.M)
    if found is None:
        raise ValueError(f"{file} names no obj_file")
    _, uv, groups = load_obj(file.parent / found[1])
    anchor: list[list[int]] = []
    weight: list[list[float]] = []
    offset: list[list[float]] = []
    hidden: set[int] = set()
    scale: dict[int, tuple[int, int, float]] = {}
    section = ""
    for line in text.splitlines():
        p = line.split()
        if not p:
            continue
        if p[0] in ("x_scale", "y_scale", "z_scale"):
            scale["xyz".index(p[0][0])] = (int(p[1]), int(p[2]), float(p[3]))
        elif p[0] in ("verts", "delete_verts"):
            section = p[0]
        elif section == "verts" and re.match(r"^-?\d", p[0]):
            if len(p) == 1:
                anchor.append([int(p[0])] * 3)
                weight.append([1, 0, 0])
                offset.append([0, 0, 0])
            elif len(p) >= 9:
                anchor.append([int(x) for x in p[:3]])
                weight.append([float(x) for x in p[3:6]])
                offset.append([float(x) for x in p[6:9]])
        elif section == "delete_verts":
            i = 0
            while i < len(p):
                if i + 2 < len(p) and p[i + 1] == "-":
                    hidden.update(range(int(p[i]), int(p[i + 2]) + 1))
                    i += 3
                else:
                    if p[i].isdigit():
                        hidden.add(int(p[i]))
                    i += 1
    a, w, o = np.array(anchor, np.int32), np.array(weight, np.float32), np.array(offset, np.float32)

    def fit(vertices: FloatArray) -> FloatArray:
        s = np.ones(3, np.float32)
        for axis, (i, j, d) in scale.items():
            s[axis] = abs(vertices[i, axis] - vertices[j, axis]) / d
        placed: FloatArray = np.einsum("vk,vkd->vd", w, vertices[a]) + o * s
        return placed.astype(np.float32)

    faces, uv_faces = triangulate([face for group in groups.values() for face in group])
    bones = np.einsum("vk,vkb->vb", np.abs(w), model.weights[a])
    index, bone_weight = top_weights(bones, 6)
    canonical = fit(model.vertices)
    covers = np.array(sorted(i for i in hidden if i < model.count), np.int32)
    if len(uv) == 0:
        uv, uv_faces = np.zeros((1, 2), np.float32), np.zeros_like(faces)
    return Proxy(
        faces, canonical, fit, index, bone_weight, uv, np.maximum(uv_faces, 0), covers, a, w,
        _components(len(canonical), faces, canonical),
    )  # fmt: skip


def refine(model: HumanModel, proxy: Proxy, rounds: int = 1) -> Proxy:
    """Loop-subdivided copy; fits like the coarse one. Texture seams keep one coordinate per vertex."""
    operator, faces = loop_subdivision(proxy.faces, len(proxy.canonical), rounds)
    weights = np.zeros((len(proxy.canonical), len(model.bones)), np.float32)
    np.put_along_axis(weights, proxy.bone_index.astype(np.int64), proxy.bone_weight, 1)
    index, bone_weight = top_weights(np.asarray(operator @ weights), 6)
    uv_operator, uv_faces = loop_subdivision(proxy.uv_faces, len(proxy.uv), rounds)
    canonical: FloatArray = operator @ proxy.canonical

    def fit(vertices: FloatArray) -> FloatArray:
        placed: FloatArray = operator @ proxy.fit(vertices)
        return placed

    return Proxy(faces, canonical, fit, index, bone_weight, uv_operator @ proxy.uv, uv_faces)


@lru_cache(maxsize=64)
def asset_proxy(file: Path, subdivisions: int = 0) -> Proxy:
    """A ``.mhclo`` on the shared model, read once; ``subdivisions`` Loop rounds."""
    proxy = read_mhclo(human_model(), file)
    return refine(human_model(), proxy, subdivisions) if subdivisions else proxy


@lru_cache(maxsize=2)
def helper_shell(group: str, rounds: int, widen: float = 0.0) -> Proxy:
    """A helper mesh of the base mesh, refined: the hair shell or the garment. Its ``fit`` is linear.

    The hair is made of strips of two columns; ``widen`` pushes their sides apart, in widths of a strip, so
    that they overlap as hair does.
    """
    model = human_model()
    faces = model.faces[group][0]
    used, inverse = np.unique(faces, return_inverse=True)
    faces = inverse.reshape(-1, 3).astype(np.int32)
    operator, fine = loop_subdivision(faces, len(used), rounds)
    index, weight = top_weights(np.asarray(operator @ model.weights[used]), 6)
    across = _across(faces, len(used)) if widen else np.arange(len(used))

    def fit(vertices: FloatArray) -> FloatArray:
        old = vertices[used]
        placed: FloatArray = operator @ (old + np.float32(widen) * (old - old[across]))
        return placed

    zero = np.zeros((1, 2), np.float32)
    return Proxy(fine, fit(model.vertices), fit, index, weight, zero, np.zeros_like(fine))


def _across(faces: IntArray, count: int) -> IntArray:
    """Of every vertex of strips of two columns, the one beside it in the other column, ``(count,)``.

    Pairs follow each other in a strip, but for its first four vertices, which are numbered the other way.
    """
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(count, count))
    strips = connected_components(graph, directed=False)[1]
    beside = np.arange(count) ^ 1
    for strip in range(strips.max() + 1):
        first = int(np.flatnonzero(strips == strip)[0])
        beside[first : first + 4] = first + np.array([2, 3, 0, 1])
    return beside


def hair_shell() -> Proxy:
    """Cut to any length by the shader."""
    return helper_shell("helper-hair", 2, widen=0.4)


def smooth_garment() -> Proxy:
    """The garment with a round silhouette."""
    return helper_shell("helper-tights", 1)


def _bind(points: FloatArray, faces: IntArray, *, rigid: bool = False) -> Proxy:
    """Tie free points to the nearest base vertices of neck and shoulders (or rigidly to the head)."""
    model = human_model()
    v = model.vertices
    if rigid:
        pool = model.group["body"][(v[model.group["body"], 1] > 6.8) & (v[model.group["body"], 2] > -1.2)]
    else:
        tights, body = model.group["helper-tights"], model.group["body"]
        near = (v[body, 1] > 4.9) & (v[body, 1] < 6.1) & (np.abs(v[body, 0]) < 1.3)
        pool = np.concatenate([tights[v[tights, 1] > 4.9], body[near]])
    distance = np.linalg.norm(points[:, None] - v[pool][None], axis=2)
    nearest = np.argsort(distance, 1)[:, :8]
    anchor = pool[nearest]
    w = 1 / (np.take_along_axis(distance, nearest, 1) + 0.15) ** 2
    w = (w / w.sum(1, keepdims=True)).astype(np.float32)
    offset = points - np.einsum("vk,vkd->vd", w, v[anchor])
    weights = np.einsum("vk,vkb->vb", w, model.weights[anchor])
    moving = [model.bone[n] for n in ("neck02", "neck03", "head")]
    if rigid:
        weights[:] = 0
        weights[:, model.bone["head"]] = 1
    else:
        weights[:, moving] *= 0.25
        weights /= weights.sum(1, keepdims=True)
    index, bone_weight = top_weights(weights, 6)

    def fit(vertices: FloatArray) -> FloatArray:
        placed: FloatArray = np.einsum("vk,vkd->vd", w, vertices[anchor]) + offset
        return placed.astype(np.float32)

    zero = np.zeros((1, 2), np.float32)
    return Proxy(faces, points, fit, index, bone_weight, zero, np.zeros_like(faces))


def _tube(rings: list[FloatArray], closed_along: bool) -> tuple[FloatArray, IntArray]:
    """Skin rings of equal point count with quads (as triangles); each ring is closed."""
    n = len(rings[0])
    faces: list[list[int]] = []
    for i in range(len(rings) if closed_along else len(rings) - 1):
        k = (i + 1) % len(rings)
        for j in range(n):
            a, b = i * n + j, k * n + j
            c, d = k * n + (j + 1) % n, i * n + (j + 1) % n
            faces += [[a, b, c], [a, c, d]]
    return np.concatenate(rings).astype(np.float32), np.array(faces, np.int32)


@lru_cache(maxsize=1)
def hood() -> Proxy:
    """A hood lying on the shoulders; ``part`` is 1 on its inner side."""
    rings: list[FloatArray] = []
    inner: list[int] = []
    t = 2 * np.pi * np.arange(14) / 14
    for u in 2 * np.pi * np.arange(48) / 48:
        back = 0.5 - 0.5 * np.cos(u)
        radius = 0.17 + 0.24 * back**1.5
        drop = 0.42 * np.cos(u) * (1 if np.cos(u) > 0 else 0.55)
        centre = np.array([np.sin(u), 5.50 - drop, 0.10 + 0.95 * np.cos(u)])
        out = np.array([np.sin(u), 0, np.cos(u)])
        up = np.array([0, 1, 0])
        rings.append(
            (centre + out * radius * 1.05 * np.cos(t)[:, None]
             + up * radius * (0.9 + 0.5 * back) * np.sin(t)[:, None]).astype(np.float32)
        )  # fmt: skip
        inner += [1 if c < -0.35 else 0 for c in np.cos(t)]
    points, faces = _tube(rings, closed_along=True)
    corner = points[faces]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    if (normal * (corner.mean(1) - np.array([0, 5.5, 0.1]))).sum(1).mean() < 0:
        faces = np.ascontiguousarray(faces[:, ::-1])
    proxy = _bind(points, faces)
    proxy.part = np.array(inner, np.int32)
    return proxy


@lru_cache(maxsize=1)
def shirt_collar() -> Proxy:
    """A turned-down shirt collar, open at the front."""
    around = np.linspace(0.13, 2 * np.pi - 0.13, 61)
    profile = ((0.86, 0.0), (0.84, 0.40), (0.87, 0.46), (0.93, 0.40), (1.06, 0.06), (1.13, -0.10))
    points: list[list[float]] = []
    for u in around:
        front = max(0.0, float(np.cos(u))) ** 6
        for k, (r, y) in enumerate(profile):
            level = 5.52 - 0.36 * np.cos(u) * (1 if np.cos(u) > 0 else 0.3)
            height = level + y * (1 - 0.15 * front) - (0.26 * front if k >= 4 else 0)
            points.append([0.98 * r * np.sin(u), height, 0.08 + (0.95 * r + 0.05) * np.cos(u)])
    n = len(profile)
    faces = []
    for i in range(len(around) - 1):
        for j in range(n - 1):
            a = i * n + j
            faces += [[a, a + n, a + n + 1], [a, a + n + 1, a + 1]]
    ideal = np.array(points, np.float32)
    proxy = _bind(ideal, np.array(faces, np.int32))
    bound = proxy.fit
    near = np.exp(-0.5 * (np.subtract.outer(np.arange(len(around)), np.arange(len(around))) / 5.0) ** 2)
    near = (near / near.sum(1, keepdims=True)).astype(np.float32)

    def fit(vertices: FloatArray) -> FloatArray:
        # Ironed: neighbours along the collar follow the body alike, else its edge is frayed.
        moved = (bound(vertices) - ideal).reshape(len(around), n, 3)
        ironed: FloatArray = ideal + np.einsum("ij,jkd->ikd", near, moved).reshape(-1, 3)
        return ironed

    proxy.fit = fit
    return proxy
