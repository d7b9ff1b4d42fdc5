"""MediaPipe's own operators in the face mesh: crop features around landmarks and map the result back."""

from typing import Any

import numpy as np
from flatbuffers import flexbuffers

from vcam_avatar.training.tflite_graph import Graph


class LandmarkOperators(Graph):
    """One method for each operator; each takes the operator of the schema and appends nodes."""

    def _custom(self, op: Any, kind: str) -> dict[str, Any]:
        options = dict(flexbuffers.Loads(op.CustomOptionsAsNumpy().tobytes()))
        self.custom_options.append((kind, options))
        return options

    def _landmarks_to_matrix(self, op: Any) -> None:
        options = self._custom(op, "Landmarks2TransformMatrix")
        if options["target_rotation_radians"] != 0:
            raise NotImplementedError("a target rotation")
        points = self.node("Squeeze", [self.name(self._inputs(op)[0]), self._ints(0)])

        def pick(indices: list[int], axis: int, source: str) -> str:
            return self.node("Gather", [source, self.weight(np.array(indices, np.int64))], axis=axis)

        left = pick([options["left_rotation_idx"]], 0, points)
        right = pick([options["right_rotation_idx"]], 0, points)
        across = pick([0, 1], 1, self.node("Sub", [right, left]))
        unit = self.node("Div", [across, self.node("ReduceL2", [across], axes=[1], keepdims=1)])
        cos, sin = pick([0], 1, unit), pick([1], 1, unit)
        # Rows of the upright frame: (cos, sin) along the face, (-sin, cos) down.
        turn = self.node(
            "Concat",
            [
                self.node("Concat", [cos, sin], axis=1),
                self.node("Concat", [self.node("Neg", [sin]), cos], axis=1),
            ],
            axis=0,
        )
        subset = pick([0, 1], 1, pick([int(index) for index in options["subset_idxs"]], 0, points))
        upright = self.node("MatMul", [subset, self.node("Transpose", [turn], perm=[1, 0])])
        high = self.node("ReduceMax", [upright], axes=[0], keepdims=1)
        low = self.node("ReduceMin", [upright], axes=[0], keepdims=1)
        half = self.weight(np.array(0.5, np.float32), "half")
        middle = self.node("MatMul", [self.node("Mul", [self.node("Add", [high, low]), half]), turn])
        grid = np.array([[options["output_width"], options["output_height"]]], np.float32)
        gain = np.array([[options["scale_x"], options["scale_y"]]], np.float32) / grid
        scale = self.node("Mul", [self.node("Sub", [high, low]), self.weight(gain)])
        linear = self.node("Mul", [self.node("Transpose", [turn], perm=[1, 0]), scale])
        column = self.node("Transpose", [middle], perm=[1, 0])
        shift = self.node("Add", [column, self.node("MatMul", [linear, self.weight(-grid.T / 2)])])
        zero = self.weight(np.zeros((2, 1), np.float32))
        rows = self.node("Concat", [linear, zero, shift], axis=1)
        rest = self.weight(np.eye(4, dtype=np.float32)[2:])
        whole = self.node("Concat", [rows, rest], axis=0)
        self.node("Unsqueeze", [whole, self._ints(0)], self._output(op)[1])

    def _affine(self, matrix: int) -> tuple[str, str]:
        """The 2x2 part and the shift of a ``(1, 4, 4)`` tensor."""
        rows = self.node("Squeeze", [self.name(matrix), self._ints(0)])
        rows = self.node("Gather", [rows, self._ints(0, 1)], axis=0)
        linear = self.node("Gather", [rows, self._ints(0, 1)], axis=1)
        return linear, self.node("Gather", [rows, self._ints(3)], axis=1)

    def _transform_tensor(self, op: Any) -> None:
        options = self._custom(op, "TransformTensorBilinear")
        source, matrix = self._inputs(op)
        _, height, width, _ = self.shape(source)
        rows, columns = int(options["output_height"]), int(options["output_width"])
        y, x = np.mgrid[:rows, :columns]
        centres = np.stack([x + 0.5, y + 0.5]).reshape(2, -1).astype(np.float32)
        linear, shift = self._affine(matrix)
        where = self.node("Add", [self.node("MatMul", [linear, self.weight(centres)]), shift])
        # Pixel edges count from 0 to width: exactly GridSample's convention without aligned corners.
        scale = np.array([[2 / width], [2 / height]], np.float32)
        where = self.node("Mul", [where, self.weight(scale)])
        where = self.node("Sub", [where, self.weight(np.array(1, np.float32), "one")])
        grid = self.node("Transpose", [where], perm=[1, 0])
        grid = self.node("Reshape", [grid, self._ints(1, rows, columns, 2)])
        self.node(
            "GridSample",
            [self.name(source), grid],
            self._output(op)[1],
            mode="bilinear",
            padding_mode="zeros",
            align_corners=0,
        )

    def _transform_landmarks(self, op: Any) -> None:
        source, matrix = self._inputs(op)
        target, output = self._output(op)
        if self.shape(target)[2] != 2:
            raise NotImplementedError("transforming landmarks with depth")
        linear, shift = self._affine(matrix)
        turned = self.node("MatMul", [self.name(source), self.node("Transpose", [linear], perm=[1, 0])])
        self.node("Add", [turned, self.node("Transpose", [shift], perm=[1, 0])], output)
