"""Deferred renderer on moderngl + EGL: headless, on the CPU (llvmpipe) or a GPU alike."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vcam_avatar.errors import DeviceError
from vcam_avatar.factory import shaders
from vcam_avatar.factory.mesh import FloatArray, IntArray
from vcam_avatar.media import ByteArray

EGL_PACKAGES = "libegl1 libgl1-mesa-dri"
"""Debian packages that bring headless OpenGL."""


def perspective(fov_rad: float, aspect: float, near: float, far: float) -> FloatArray:
    """OpenGL projection ``(4, 4)``; ``fov_rad`` is vertical."""
    t = 1 / np.tan(fov_rad / 2)
    depth = near - far
    return np.array(
        [
            [t / aspect, 0, 0, 0],
            [0, t, 0, 0],
            [0, 0, (far + near) / depth, 2 * far * near / depth],
            [0, 0, -1, 0],
        ],
        np.float32,
    )


def look_at(eye: Any, at: Any) -> FloatArray:
    """View matrix ``(4, 4)`` from ``eye`` towards ``at``, y up."""
    z = np.asarray(eye, np.float64) - np.asarray(at, np.float64)
    z /= np.linalg.norm(z)
    x = np.cross((0, 1, 0), z)
    x /= np.linalg.norm(x)
    out = np.eye(4)
    out[0, :3], out[1, :3], out[2, :3] = x, np.cross(z, x), z
    out[:3, 3] = -out[:3, :3] @ np.asarray(eye, np.float64)
    return out.astype(np.float32)


def project(points: FloatArray, matrix: FloatArray, width: int, height: int) -> FloatArray:
    """Picture position in px (x, y) and depth 0..1 of points ``(n, 3)`` -> ``(n, 3)``."""
    h = np.concatenate([points, np.ones((len(points), 1))], 1) @ matrix.T.astype(np.float64)
    ndc = h[:, :3] / h[:, 3:]
    scale, shift = np.array([0.5 * width, -0.5 * height, 0.5]), np.array([0.5 * width, 0.5 * height, 0.5])
    places: FloatArray = (ndc * scale + shift).astype(np.float32)
    return places


def crop_projection(matrix: FloatArray, width: int, height: int, crop: FloatArray) -> FloatArray:
    """Projection that draws straight into a crop of the picture.

    Args:
        matrix: projection of the whole ``width`` x ``height`` picture.
        crop: ``(2, 3)``, unit crop coordinates -> picture px (as ``media.face_crop_matrix``).
    """
    to_ndc = np.array([[2 / width, 0, -1], [0, -2 / height, 1], [0, 0, 1]])
    crop_to_ndc = to_ndc @ np.vstack([crop, [0, 0, 1]]) @ np.array([[0.5, 0, 0.5], [0, -0.5, 0.5], [0, 0, 1]])
    inverse = np.linalg.inv(crop_to_ndc)
    warp = np.eye(4)
    warp[np.ix_((0, 1, 3), (0, 1, 3))] = inverse
    return (warp @ matrix).astype(np.float32)


_TILE = 16
_GROUP_BIT = (1 << shaders.GROUP_OF.astype(np.int64)).astype(np.uint8)


def _tile_corners(tiles: tuple[int, int], size: tuple[int, int]) -> FloatArray:
    """Two triangles per tile in clip coordinates: float32 ``(rows, columns, 6, 2)``; row 0 is the lowest."""
    row, column = np.mgrid[0 : tiles[0], 0 : tiles[1]]
    corner = np.array([(0, 0), (1, 0), (0, 1), (0, 1), (1, 0), (1, 1)])
    place = (np.stack([column, row], 2)[:, :, None] + corner) * _TILE
    clip: FloatArray = (np.minimum(place, size) / np.array(size) * 2 - 1).astype(np.float32)
    return clip


@dataclass(slots=True)
class _Program:
    """A compiled program, the uniforms it has and what they were last set to."""

    program: Any
    names: frozenset[str]
    last: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Picture:
    """What one rendering gives; all arrays are ``(H, W, ...)``."""

    rgba: ByteArray
    """Straight alpha."""
    canonical: FloatArray
    """Canonical position (3) of the surface at the centre sample."""
    part: ByteArray
    """Part class at the centre sample, see ``truth.PARTS``; 0 is background."""
    depth: FloatArray
    """Depth buffer 0 near .. 1 far at the centre sample."""
    flow: FloatArray | None
    """x and y in source px (pixel centres at .5), source depth 0..1, and 1 where something is drawn."""


class Renderer:
    """One OpenGL context and its buffers, for one picture size at a time."""

    def __init__(self, width: int, height: int, samples: int = 3) -> None:
        """``samples``: supersampling per axis (3 = 9 samples per pixel).

        Raises:
            DeviceError: no EGL.
        """
        try:
            import moderngl

            self._gl = moderngl
            self.context = moderngl.create_context(standalone=True, backend="egl")
        except ImportError as exc:
            raise DeviceError(f"the factory needs {exc.name}: pip install 'vcam-avatar[factory]'") from exc
        except Exception as exc:  # moderngl/glcontext raise bare Exception when libEGL is absent
            raise DeviceError(f"no headless OpenGL: apt install {EGL_PACKAGES} ({exc})") from exc
        self._programs: dict[tuple[bool, int, shaders.Constants], _Program] = {}
        self._geometry: list[_Program] = []
        self._shade: list[_Program] = []
        self._shading: dict[int, Any] = {}
        self._textures: dict[tuple[Path, int], Any] = {}
        self._blank = self.context.texture((1, 1), 4, b"\xff\xff\xff\xff")
        self._bound: dict[str, Any] = {}
        self._mesh: list[Any] = []
        self._targets: list[Any] = []
        self.resize(width, height, samples)

    def resize(self, width: int, height: int, samples: int = 3) -> None:
        """Change the picture size in px."""
        for target in (*self._targets, *self._shading.values()):
            target.release()
        self.width, self.height, self.samples = width, height, samples
        size = (width * samples, height * samples)
        ctx = self.context
        self._colour = ctx.texture(size, 4)
        self._aux = ctx.texture(size, 4, dtype="f2")
        g = [ctx.texture(size, 4, dtype="f2") for _ in range(3)]
        g.append(ctx.texture(size, 4))
        for texture in g:
            texture.filter = (self._gl.NEAREST, self._gl.NEAREST)
        self._g = g
        self._depth = ctx.depth_texture(size)
        tiles = (-(-size[1] // _TILE), -(-size[0] // _TILE))
        self._quads = ctx.buffer(reserve=tiles[0] * tiles[1] * 48, dynamic=True)
        self._shading = {}
        self._corners = _tile_corners(tiles, size)
        self._geometry_target = ctx.framebuffer(g, self._depth)
        self._shade_target = ctx.framebuffer([self._colour, self._aux])
        self._flow = ctx.texture(size, 4, dtype="f4")
        self._flow_target = ctx.framebuffer([*g, self._flow], self._depth)
        self._targets = [
            self._geometry_target, self._shade_target, self._flow_target, self._colour, self._aux, *g,
            self._depth, self._flow, self._quads,
        ]  # fmt: skip

    def load(
        self,
        faces: IntArray,
        line_faces: IntArray,
        canonical: FloatArray,
        extra: FloatArray,
        material: FloatArray,
        uv: FloatArray,
        textures: Mapping[str, Path | None],
        shading: Mapping[str, Any],
    ) -> None:
        """Take a person's fixed data: triangles and per-vertex values.

        Args:
            textures: files for 'skin', 'hair' and 'cloth'; None draws procedurally.
            shading: the person's shader values; style, garment, pattern and the like must stay as they are
                in every ``draw``, as they are compiled in.
        """
        for item in self._mesh:
            item.release()
        ctx = self.context
        count = len(canonical)
        fixed = np.concatenate([canonical, extra, material[:, None], uv], 1).astype("f4")
        self._moving = ctx.buffer(reserve=count * 36, dynamic=True)
        static = ctx.buffer(np.ascontiguousarray(fixed).tobytes())
        layout = [
            (self._moving, "3f 3f 3f", "pos", "nrm", "src"),
            (static, "3f 4f 1f 2f", "can", "ext", "mat", "uv"),
        ]
        self._mesh = [self._moving, static]

        has = {f"{k}tex": int(textures.get(k) is not None) for k in ("skin", "hair", "cloth")}
        fixed_values = {**shading, **has}
        used: dict[int, _Program] = {}

        def split(triangles: IntArray, *, line: bool = False) -> list[Any]:
            """One vertex array per group of materials that occurs."""
            group = shaders.GROUP_OF[material[triangles[:, 0]].astype(np.int64) + 1]
            arrays = []
            for number in range(1, shaders.GROUPS + 1):
                mine = triangles[group == number]
                if len(mine):
                    index = ctx.buffer(np.ascontiguousarray(mine, np.int32).tobytes())
                    constants = shaders.geometry_constants(number, fixed_values, line=line)
                    program = self._program(True, number, constants)
                    used[id(program)] = program
                    arrays.append(ctx.vertex_array(program.program, layout, index, 4, skip_errors=True))
                    self._mesh += [arrays[-1], index]
            return arrays

        # What the shaders would throw away behind its back need not be filled at all.
        kind = material[faces]
        one_sided = (kind == shaders.SKIN).all(1)
        closed = canonical[faces, 1].max(1) < shaders.TWO_SIDED_FROM
        closed &= extra[faces, 1].max(1) < float(shading["sleeve"]) - shaders.SLEEVE_INSIDE
        one_sided |= (kind == shaders.TIGHTS).all(1) & closed
        self._one_sided, self._solid = split(faces[one_sided]), split(faces[~one_sided])
        self._lines = split(line_faces, line=True)
        self._geometry = list(used.values())
        self._shade = [
            self._program(False, n, shaders.shade_constants(n, fixed_values))
            for n in range(1, shaders.GROUPS + 1)
        ]
        self._bound = {k: self._texture(f) for k, f in textures.items() if f is not None}

    def _program(self, geometry: bool, group: int, constants: shaders.Constants) -> "_Program":
        key = (geometry, group, constants)
        if key not in self._programs:
            vertex = shaders.VERTEX if geometry else shaders.SHADE_VERTEX
            source = shaders.geometry_fragment if geometry else shaders.shade_fragment
            made = self.context.program(vertex_shader=vertex, fragment_shader=source(group, constants))
            self._programs[key] = _Program(made, frozenset(made))
        return self._programs[key]

    def _texture(self, file: Path) -> Any:
        limit_px = 2048 if self.height * self.samples >= 1500 else 1024
        key = (file, limit_px)
        if key not in self._textures:
            picture = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
            if picture is None:
                raise FileNotFoundError(file)
            if max(picture.shape[:2]) > limit_px:
                picture = cv2.resize(picture, (limit_px, limit_px), interpolation=cv2.INTER_AREA)
            if picture.ndim == 2:
                picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
            code = cv2.COLOR_BGRA2RGBA if picture.shape[2] == 4 else cv2.COLOR_BGR2RGBA
            flipped = np.ascontiguousarray(cv2.cvtColor(picture, code)[::-1])
            texture = self.context.texture((flipped.shape[1], flipped.shape[0]), 4, flipped.tobytes())
            texture.build_mipmaps()
            texture.filter = (self._gl.LINEAR_MIPMAP_LINEAR, self._gl.LINEAR)
            if len(self._textures) > 48:
                self._textures.pop(next(iter(self._textures))).release()
            self._textures[key] = texture
        return self._textures[key]

    def _put(self, values: Mapping[str, Any]) -> None:
        for one in (*self._geometry, *self._shade):
            for name in one.names & values.keys():
                value = values[name]
                plain = tuple(np.ravel(value).tolist()) if np.ndim(value) else value
                if one.last.get(name) != plain:
                    one.program[name] = one.last[name] = plain

    def draw(
        self,
        positions: FloatArray,
        normals: FloatArray,
        matrix: FloatArray,
        values: Mapping[str, Any],
        *,
        outline_px: float = 0.0,
        view: Any = (0.0, 0.0, 1.0),
        source: tuple[FloatArray, FloatArray] | None = None,
        box_px: tuple[int, int, int, int] | None = None,
    ) -> Picture:
        """Draw the loaded person.

        Args:
            positions, normals: ``(n, 3)`` of the render vertices.
            matrix: projection ``(4, 4)``.
            values: uniforms of the shaders; unknown names are ignored by design (one set, two programs).
            outline_px: width of contour lines; 0 draws none.
            view: unit vector from the scene to the camera.
            source: positions ``(n, 3)`` and projection of another pose of the same person: the picture then
                says where each of its pixels lies there.
            box_px: left, top, right, bottom: nothing is drawn outside; None is the whole picture.
        """
        gl, ctx = self._gl, self.context
        there, there_matrix = (positions, matrix) if source is None else source
        self._moving.write(np.concatenate([positions, normals, there], 1).astype("f4").tobytes())
        target = self._geometry_target if source is None else self._flow_target
        target.use()
        target.clear(0, 0, 0, 0, depth=1.0)
        if box_px is not None:
            left, top, right, bottom = (v * self.samples for v in box_px)
            target.scissor = (left, self.height * self.samples - bottom, right - left, bottom - top)
        ctx.enable(gl.DEPTH_TEST)
        self._put(values)
        aspect = self.width / self.height
        self._put({"MVP": matrix.T, "SMVP": there_matrix.T, "aspect": aspect, "outline": 0.0})
        for slot, kind in enumerate(("skin", "hair", "cloth"), 4):
            self._bound.get(kind, self._blank).use(slot)
            self._put({f"s{kind}": slot})
        ctx.enable(gl.CULL_FACE)
        ctx.cull_face = "back"
        for array in self._one_sided:
            array.render()
        ctx.disable(gl.CULL_FACE)
        for array in self._solid:
            array.render()
        if outline_px > 0:
            self._put({"outline": outline_px * 2 / self.height})
            ctx.enable(gl.CULL_FACE)
            ctx.cull_face = "front"
            for array in self._lines:
                array.render()
            ctx.disable(gl.CULL_FACE)
        ctx.disable(gl.DEPTH_TEST)
        target.scissor = None
        self._put({"viewdir": view})
        self._colour_in()
        return self._read(source is not None)

    def _colour_in(self) -> None:
        """Second pass: each group of materials by its own program, only over the tiles where it occurs.

        Software renderers run every branch of a shader for every pixel; this way they do not.
        """
        s = self.samples
        height, width = self.height * s, self.width * s
        kind = np.frombuffer(self._g[3].read(), np.uint8).reshape(height, width, 4)[..., 3]
        rows, columns = self._corners.shape[:2]
        padded = np.zeros((rows * _TILE, columns * _TILE), np.uint8)
        np.take(_GROUP_BIT, kind, out=padded[:height, :width])
        tiles = np.bitwise_or.reduce(padded.reshape(rows, _TILE, columns * _TILE), 1)
        tiles = np.bitwise_or.reduce(tiles.reshape(rows, columns, _TILE), 2)
        self._shade_target.use()
        self._shade_target.clear(0, 0, 0, 0)
        self._put({"ga": 0, "gb": 1, "ge": 2, "gt": 3})
        for slot in range(4):
            self._g[slot].use(slot)
        for number, one in enumerate(self._shade, 1):
            present = (tiles & (1 << number)) > 0
            if not present.any():
                continue
            if id(one) not in self._shading:
                self._shading[id(one)] = self.context.vertex_array(one.program, [(self._quads, "2f", "p")])
            quads = self._corners[present].reshape(-1, 2)
            self._quads.write(quads.tobytes())
            self._shading[id(one)].render(vertices=len(quads))

    def _read(self, with_flow: bool) -> Picture:
        s = self.samples
        shape = (self.height * s, self.width * s)
        colour: Any = np.frombuffer(self._colour.read(), np.uint8).reshape(*shape, 4)[::-1]
        if s > 1:
            colour = cv2.resize(colour, (self.width, self.height), interpolation=cv2.INTER_AREA)
        middle = slice(s // 2, None, s)
        aux = np.frombuffer(self._aux.read(), np.float16).reshape(*shape, 4)[::-1][middle, middle]
        depth = np.frombuffer(self._depth.read(), np.float32).reshape(*shape)[::-1][middle, middle]
        flow = None
        if with_flow:
            raw = np.frombuffer(self._flow.read(), np.float32).reshape(*shape, 4)[::-1][middle, middle]
            flow = raw * np.array([0.5 * self.width, -0.5 * self.height, 0.5, 1], np.float32)
            flow[..., :3] += np.array([0.5 * self.width, 0.5 * self.height, 0.5], np.float32)
            flow[raw[..., 3] == 0] = 0
        return Picture(
            straight_alpha(colour),
            aux[..., :3].astype(np.float32),
            np.rint(aux[..., 3]).astype(np.uint8),
            depth.copy(),
            flow,
        )

    def close(self) -> None:
        """Free the context."""
        self.context.release()


def straight_alpha(premultiplied: ByteArray) -> ByteArray:
    """Premultiplied RGBA ``(H, W, 4)`` to straight alpha."""
    alpha = premultiplied[..., 3:].astype(np.uint16)
    colour = np.minimum(
        (premultiplied[..., :3].astype(np.uint16) * 255 + alpha // 2) // np.maximum(alpha, 1), 255
    )
    return np.concatenate([colour.astype(np.uint8), premultiplied[..., 3:]], 2)
