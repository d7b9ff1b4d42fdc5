"""Triangle meshes: reading, skinning, normals, subdivision."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vcam_avatar.stages.kernels import njit

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int32]
Corner = tuple[int, int]
Faces = list[list[Corner]]


def load_obj(file: Path) -> tuple[FloatArray, FloatArray, dict[str, Faces]]:
    """Read a Wavefront file.

    Returns:
        Vertices ``(n, 3)``, texture coordinates ``(m, 2)``, and per group the polygons as lists of
        (vertex, texture) indices from 0; texture is -1 when the file gives none.
    """
    vertices: list[list[float]] = []
    uvs: list[list[float]] = []
    groups: dict[str, Faces] = {}
    current = groups.setdefault("", [])
    for line in file.read_text().splitlines():
        parts = line.split()
        if not parts:
            continue
        if parts[0] == "v":
            vertices.append([float(x) for x in parts[1:4]])
        elif parts[0] == "vt":
            uvs.append([float(x) for x in parts[1:3]])
        elif parts[0] == "g":
            current = groups.setdefault(parts[1], [])
        elif parts[0] == "f":
            corners: list[Corner] = []
            for part in parts[1:]:
                fields = part.split("/")
                uv = int(fields[1]) - 1 if len(fields) > 1 and fields[1] else -1
                corners.append((int(fields[0]) - 1, uv))
            current.append(corners)
    return (
        np.array(vertices, np.float32),
        np.array(uvs, np.float32).reshape(-1, 2),
        {name: faces for name, faces in groups.items() if faces},
    )


def triangulate(faces: Faces) -> tuple[IntArray, IntArray]:
    """Fan polygons into triangles: vertex indices ``(t, 3)`` and texture indices ``(t, 3)``."""
    corners = [(face[0], face[k], face[k + 1]) for face in faces for k in range(1, len(face) - 1)]
    both = np.array(corners, np.int32).reshape(-1, 3, 2)
    return np.ascontiguousarray(both[..., 0]), np.ascontiguousarray(both[..., 1])


def load_target(file: Path) -> tuple[IntArray, FloatArray]:
    """Read a MakeHuman ``.target``: vertex indices ``(n,)`` and offsets ``(n, 3)`` in dm."""
    raw = file.read_bytes()
    text = (gzip.decompress(raw) if file.suffix == ".gz" else raw).decode()
    rows = [line for line in text.splitlines() if line and not line.startswith("#")]
    table = np.array(" ".join(rows).split(), np.float64).reshape(-1, 4)
    return table[:, 0].astype(np.int32), table[:, 1:].astype(np.float32)


@njit(fastmath=True, cache=True)  # type: ignore[untyped-decorator]
def skin(vertices: Any, bone_index: Any, bone_weight: Any, matrices: Any, out: Any) -> None:
    """Linear blend skinning into ``out`` ``(n, 3)``: matrices float32 ``(bones, 3, 4)``."""
    for i in range(vertices.shape[0]):
        x = 0.0
        y = 0.0
        z = 0.0
        for k in range(bone_index.shape[1]):
            w = bone_weight[i, k]
            if w == 0:
                continue
            m = matrices[bone_index[i, k]]
            x += w * (
                m[0, 0] * vertices[i, 0] + m[0, 1] * vertices[i, 1] + m[0, 2] * vertices[i, 2] + m[0, 3]
            )
            y += w * (
                m[1, 0] * vertices[i, 0] + m[1, 1] * vertices[i, 1] + m[1, 2] * vertices[i, 2] + m[1, 3]
            )
            z += w * (
                m[2, 0] * vertices[i, 0] + m[2, 1] * vertices[i, 1] + m[2, 2] * vertices[i, 2] + m[2, 3]
            )
        out[i, 0] = x
        out[i, 1] = y
        out[i, 2] = z


@njit(fastmath=True, cache=True)  # type: ignore[untyped-decorator]
def vertex_normals(vertices: Any, faces: Any, out: Any) -> None:
    """Area-weighted unit normals into ``out`` ``(n, 3)``."""
    out[:] = 0
    for i in range(faces.shape[0]):
        a = faces[i, 0]
        b = faces[i, 1]
        c = faces[i, 2]
        ux = vertices[b, 0] - vertices[a, 0]
        uy = vertices[b, 1] - vertices[a, 1]
        uz = vertices[b, 2] - vertices[a, 2]
        wx = vertices[c, 0] - vertices[a, 0]
        wy = vertices[c, 1] - vertices[a, 1]
        wz = vertices[c, 2] - vertices[a, 2]
        nx = uy * wz - uz * wy
        ny = uz * wx - ux * wz
        nz = ux * wy - uy * wx
        for q in (a, b, c):
            out[q, 0] += nx
            out[q, 1] += ny
            out[q, 2] += nz
    for i in range(out.shape[0]):
        length = (out[i, 0] ** 2 + out[i, 1] ** 2 + out[i, 2] ** 2) ** 0.5 + 1e-9
        out[i, 0] /= length
        out[i, 1] /= length
        out[i, 2] /= length


@njit(cache=True)  # type: ignore[untyped-decorator]
def chain(heads: Any, parent: Any, local: Any, out: Any) -> None:
    """Bone matrices into ``out`` float32 ``(bones, 3, 4)``.

    Args:
        heads: rest joints float64 ``(bones, 3)``.
        parent: index of each bone's parent, -1 for none; parents come before their children.
        local: turns float64 ``(bones, 3, 3)``.
    """
    count = heads.shape[0]
    turn = np.empty((count, 3, 3))
    place = np.empty((count, 3))
    for i in range(count):
        p = parent[i]
        for r in range(3):
            if p < 0:
                place[i, r] = heads[i, r]
            else:
                place[i, r] = place[p, r]
                for k in range(3):
                    place[i, r] += turn[p, r, k] * (heads[i, k] - heads[p, k])
            for c in range(3):
                value = 0.0
                if p < 0:
                    value = local[i, r, c]
                else:
                    for k in range(3):
                        value += turn[p, r, k] * local[i, k, c]
                turn[i, r, c] = value
        for r in range(3):
            shift = place[i, r]
            for k in range(3):
                shift -= turn[i, r, k] * heads[i, k]
                out[i, r, k] = turn[i, r, k]
            out[i, r, 3] = shift


def top_weights(weights: FloatArray, count: int) -> tuple[IntArray, FloatArray]:
    """The ``count`` largest bone weights of each vertex, renormalised: ``(n, count)`` each."""
    index = np.argsort(-weights, 1)[:, :count].astype(np.int32)
    chosen = np.take_along_axis(weights, index, 1)
    chosen = chosen / np.maximum(chosen.sum(1, keepdims=True), 1e-9)
    return index, chosen.astype(np.float32)


def loop_subdivision(faces: IntArray, count: int, rounds: int) -> tuple[Any, IntArray]:
    """Loop subdivision as a sparse linear operator.

    Returns:
        scipy CSR ``(new, count)`` with new = operator @ old, for positions, weights or texture
        coordinates alike; and the refined faces.
    """
    import scipy.sparse as sp

    f = faces.astype(np.int64)
    total = sp.eye(count).tocsr()
    for _ in range(rounds):
        n = total.shape[0]
        edges = np.sort(np.concatenate([f[:, [0, 1]], f[:, [1, 2]], f[:, [2, 0]]]), 1)
        opposite = np.concatenate([f[:, 2], f[:, 0], f[:, 1]])
        unique, inverse = np.unique(edges, axis=0, return_inverse=True)
        inverse = inverse.ravel()
        m = len(unique)
        border = np.bincount(inverse, minlength=m) == 1
        half = np.where(border, 0.5, 0.375)
        row = np.arange(m)
        edge_rule = sp.csr_matrix(
            (np.r_[half, half], (np.r_[row, row], np.r_[unique[:, 0], unique[:, 1]])), shape=(m, n)
        )
        inner = ~border[inverse]
        edge_rule = edge_rule + sp.csr_matrix(
            (np.full(inner.sum(), 0.125), (inverse[inner], opposite[inner])), shape=(m, n)
        )
        rim = unique[border]
        on_rim = np.zeros(n, bool)
        on_rim[np.unique(rim)] = True
        both = (np.r_[unique[:, 0], unique[:, 1]], np.r_[unique[:, 1], unique[:, 0]])
        neighbours = sp.csr_matrix((np.ones(2 * m), both), shape=(n, n))
        degree = np.asarray(neighbours.sum(1)).ravel()
        beta = np.where(degree > 3, 3 / (8 * np.maximum(degree, 1)), 3 / 16)
        vertex_rule = sp.diags(np.where(on_rim, 0, beta)) @ neighbours + sp.diags(
            np.where(on_rim, 0, 1 - degree * beta)
        )
        rim_pairs = (np.r_[rim[:, 0], rim[:, 1]], np.r_[rim[:, 1], rim[:, 0]])
        along = sp.csr_matrix((np.ones(2 * len(rim)), rim_pairs), shape=(n, n)) * 0.125
        weight = np.asarray(along.sum(1)).ravel() + 0.75
        rim_rule = sp.diags(np.where(on_rim, 1 / weight, 0)) @ (along + sp.diags(np.where(on_rim, 0.75, 0)))
        e = inverse.reshape(3, -1)
        a, b, c = n + e[0], n + e[1], n + e[2]
        f = np.concatenate(
            [
                np.stack([f[:, 0], a, c], 1),
                np.stack([f[:, 1], b, a], 1),
                np.stack([f[:, 2], c, b], 1),
                np.stack([a, b, c], 1),
            ]
        )
        total = sp.vstack([vertex_rule + rim_rule, edge_rule]).tocsr() @ total
    return total.tocsr().astype(np.float32), f.astype(np.int32)
