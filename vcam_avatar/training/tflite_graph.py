"""TensorFlow Lite files -> ONNX graphs, for the few operators that small vision networks use.

Needs the packages ``tflite`` (the schema) and ``onnx``; no TensorFlow. Four-dimensional tensors are
held in NCHW order inside the ONNX graph; inputs and outputs keep the NHWC order of the original.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tflite
from flatbuffers import flexbuffers
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[Any]

OPSET = 17
_TO_NCHW, _TO_NHWC = [0, 3, 1, 2], [0, 2, 3, 1]
_DTYPES = {
    tflite.TensorType.FLOAT32: np.float32,
    tflite.TensorType.FLOAT16: np.float16,
    tflite.TensorType.INT32: np.int32,
}


class GraphConverter:
    """Translate one TensorFlow Lite graph operator by operator."""

    def __init__(self, path: Path) -> None:
        """Read ``path``.

        Raises:
            ValueError: more than one subgraph.
        """
        self.model = tflite.Model.GetRootAsModel(path.read_bytes(), 0)
        if self.model.SubgraphsLength() != 1:
            raise ValueError(f"{path} has {self.model.SubgraphsLength()} subgraphs, expected 1")
        self.graph = self.model.Subgraphs(0)
        self.nodes: list[Any] = []
        self.weights: dict[str, Any] = {}
        self.constants: dict[int, Array] = {}
        """Constant tensors in their original layout."""
        self.custom_options: list[tuple[str, dict[str, Any]]] = []
        """Names and options of the custom operators met, in order."""
        self._fresh = 0
        self._operators: dict[str, Callable[[Any], None]] = {
            "ADD": lambda op: self._binary(op, "Add", tflite.AddOptions),
            "AVERAGE_POOL_2D": lambda op: self._pool(op, "AveragePool"),
            "CONCATENATION": self._concatenation,
            "CONV_2D": self._conv,
            "DENSIFY": self._densify,
            "DEPTHWISE_CONV_2D": self._depthwise,
            "DEPTH_TO_SPACE": self._depth_to_space,
            "DEQUANTIZE": self._dequantize,
            "FULLY_CONNECTED": self._fully_connected,
            "HARD_SWISH": lambda op: self._unary(op, "HardSwish"),
            "LOGISTIC": lambda op: self._unary(op, "Sigmoid"),
            "MAX_POOL_2D": lambda op: self._pool(op, "MaxPool"),
            "MEAN": self._mean,
            "MUL": lambda op: self._binary(op, "Mul", tflite.MulOptions),
            "PAD": self._pad,
            "PRELU": self._prelu,
            "RELU": lambda op: self._unary(op, "Relu"),
            "RESHAPE": self._reshape,
            "RESIZE_BILINEAR": self._resize,
            "STRIDED_SLICE": self._strided_slice,
            "Convolution2DTransposeBias": self._transpose_conv,
            "Landmarks2TransformMatrix": self._landmarks_to_matrix,
            "TransformTensorBilinear": self._transform_tensor,
            "TransformLandmarks": self._transform_landmarks,
        }

    # Tensors

    def shape(self, tensor: int) -> list[int]:
        """Original shape of ``tensor``."""
        entry = self.graph.Tensors(tensor)
        return [int(size) for size in entry.ShapeAsNumpy()] if entry.ShapeLength() else []

    def name(self, tensor: int) -> str:
        """Name of ``tensor`` in the ONNX graph; a constant becomes a weight at first use."""
        name = f"t{tensor}"
        if tensor in self.constants and name not in self.weights:
            value = self.constants[tensor]
            if value.ndim == 4:
                value = value.transpose(_TO_NCHW)
            return self.weight(value, name)
        return name

    def weight(self, value: Array, name: str = "") -> str:
        """Store ``value`` as an initializer; half precision is cast to single at load."""
        name = name or self.fresh()
        if name not in self.weights:
            value = np.ascontiguousarray(value)
            if value.dtype == np.float16:
                self.weights[name + "_half"] = numpy_helper.from_array(value, name + "_half")
                self.nodes.append(helper.make_node("Cast", [name + "_half"], [name], to=TensorProto.FLOAT))
                self.weights[name] = None
            else:
                self.weights[name] = numpy_helper.from_array(value, name)
        return name

    def fresh(self) -> str:
        """A name nothing else has."""
        self._fresh += 1
        return f"v{self._fresh}"

    def node(self, kind: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        """Append a node; return the name of its output."""
        output = output or self.fresh()
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def _constant(self, tensor: int) -> Array | None:
        if tensor in self.constants:
            return self.constants[tensor]
        entry = self.graph.Tensors(tensor)
        data = self.model.Buffers(entry.Buffer())
        if not data.DataLength():
            return None
        values = np.frombuffer(data.DataAsNumpy().tobytes(), _DTYPES[entry.Type()])
        if entry.Sparsity() is not None:
            return None
        self.constants[tensor] = values.reshape(self.shape(tensor))
        return self.constants[tensor]

    # Conversion

    def convert(
        self, outputs: Callable[["GraphConverter"], list[tuple[str, list[int]]]] | None = None
    ) -> Any:
        """Build the ONNX model.

        Args:
            outputs: appends nodes of its own and returns names and shapes of the final outputs; by
                default those of the original, named ``output0``...

        Returns:
            A checked ``onnx.ModelProto`` with one input ``image``.

        Raises:
            NotImplementedError: an operator that is not known here.
        """
        for tensor in range(self.graph.TensorsLength()):
            self._constant(tensor)
        entry = int(self.graph.Inputs(0))
        self.node("Transpose", ["image"], f"t{entry}", perm=_TO_NCHW)
        for index in range(self.graph.OperatorsLength()):
            op = self.graph.Operators(index)
            code = self.model.OperatorCodes(op.OpcodeIndex())
            kind = code.CustomCode().decode() if code.CustomCode() else _OPERATOR_NAMES[self._code(code)]
            if kind not in self._operators:
                raise NotImplementedError(f"operator {kind}")
            self._operators[kind](op)
        finals = outputs(self) if outputs else self._plain_outputs()
        graph = helper.make_graph(
            self.nodes,
            "converted",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, self.shape(entry))],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in finals],
            [value for value in self.weights.values() if value is not None],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        return model

    def nhwc(self, tensor: int) -> str:
        """``tensor`` in its original order of axes."""
        if len(self.shape(tensor)) == 4:
            return self.node("Transpose", [self.name(tensor)], perm=_TO_NHWC)
        return self.name(tensor)

    def _plain_outputs(self) -> list[tuple[str, list[int]]]:
        finals = []
        for index, tensor in enumerate(self.graph.OutputsAsNumpy()):
            self.node("Identity", [self.nhwc(int(tensor))], f"output{index}")
            finals.append((f"output{index}", self.shape(int(tensor))))
        return finals

    @staticmethod
    def _code(code: Any) -> int:
        return max(int(code.BuiltinCode()), int(code.DeprecatedBuiltinCode()))

    @staticmethod
    def _options(op: Any, kind: Any) -> Any:
        options = kind()
        table = op.BuiltinOptions()
        options.Init(table.Bytes, table.Pos)
        return options

    def _activate(self, name: str, function: int, output: str) -> None:
        kinds = tflite.ActivationFunctionType
        if function == kinds.NONE:
            self.node("Identity", [name], output)
        elif function == kinds.RELU:
            self.node("Relu", [name], output)
        elif function == kinds.RELU6:
            low, high = (
                self.weight(np.array(0, np.float32), "zero"),
                self.weight(np.array(6, np.float32), "six"),
            )
            self.node("Clip", [name, low, high], output)
        else:
            raise NotImplementedError(f"activation {function}")

    # Operators

    def _inputs(self, op: Any) -> list[int]:
        return [int(tensor) for tensor in op.InputsAsNumpy()]

    def _output(self, op: Any) -> tuple[int, str]:
        tensor = int(op.Outputs(0))
        return tensor, f"t{tensor}"

    def _unary(self, op: Any, kind: str) -> None:
        self.node(kind, [self.name(self._inputs(op)[0])], self._output(op)[1])

    def _binary(self, op: Any, kind: str, options: Any) -> None:
        function = int(self._options(op, options).FusedActivationFunction())
        result = self.node(kind, [self.name(tensor) for tensor in self._inputs(op)])
        self._activate(result, function, self._output(op)[1])

    def _dequantize(self, op: Any) -> None:
        source, target = self._inputs(op)[0], int(op.Outputs(0))
        if source not in self.constants:
            raise NotImplementedError("dequantizing anything but half-precision constants")
        self.constants[target] = self.constants[source]

    def _densify(self, op: Any) -> None:
        source, target = self._inputs(op)[0], int(op.Outputs(0))
        entry = self.graph.Tensors(source)
        values = np.frombuffer(
            self.model.Buffers(entry.Buffer()).DataAsNumpy().tobytes(), _DTYPES[entry.Type()]
        )
        self.constants[target] = densify(values, self.shape(source), entry.Sparsity())

    def _prelu(self, op: Any) -> None:
        source, slope = self._inputs(op)
        value = self.constants[slope]
        self.node("PRelu", [self.name(source), self.weight(value.transpose(2, 0, 1))], self._output(op)[1])

    def _same_pads(
        self, size: list[int], kernel: list[int], stride: list[int], dilation: list[int]
    ) -> list[int]:
        before, after = [], []
        for length, window, step, spread in zip(size, kernel, stride, dilation, strict=True):
            reach = (window - 1) * spread + 1
            total = max(0, (math.ceil(length / step) - 1) * step + reach - length)
            before.append(total // 2)
            after.append(total - total // 2)
        return before + after

    def _convolve(self, op: Any, weights: Array, group: int, options: Any) -> None:
        tensors = self._inputs(op)
        kernel = list(weights.shape[2:])
        stride = [options.StrideH(), options.StrideW()]
        dilation = [options.DilationHFactor(), options.DilationWFactor()]
        pads = [0, 0, 0, 0]
        if options.Padding() == tflite.Padding.SAME:
            pads = self._same_pads(self.shape(tensors[0])[1:3], kernel, stride, dilation)
        inputs = [self.name(tensors[0]), self.weight(weights)]
        if len(tensors) > 2 and tensors[2] >= 0:
            inputs.append(self.weight(self.constants[tensors[2]]))
        result = self.node(
            "Conv", inputs, group=group, kernel_shape=kernel, strides=stride, dilations=dilation, pads=pads
        )
        self._activate(result, int(options.FusedActivationFunction()), self._output(op)[1])

    def _conv(self, op: Any) -> None:
        weights = self.constants[self._inputs(op)[1]].transpose(0, 3, 1, 2)
        self._convolve(op, weights, 1, self._options(op, tflite.Conv2DOptions))

    def _depthwise(self, op: Any) -> None:
        tensors = self._inputs(op)
        weights = self.constants[tensors[1]].transpose(3, 0, 1, 2)
        options = self._options(op, tflite.DepthwiseConv2DOptions)
        self._convolve(op, weights, self.shape(tensors[0])[3], options)

    def _transpose_conv(self, op: Any) -> None:
        source, weights, bias = self._inputs(op)
        target, output = self._output(op)
        kernel = self.constants[weights].transpose(3, 0, 1, 2)
        stride = [a // b for a, b in zip(self.shape(target)[1:3], self.shape(source)[1:3], strict=True)]
        if stride != list(kernel.shape[2:]):
            raise NotImplementedError("transposed convolution with overlap")
        inputs = [self.name(source), self.weight(kernel), self.weight(self.constants[bias])]
        self.node("ConvTranspose", inputs, output, kernel_shape=list(kernel.shape[2:]), strides=stride)

    def _fully_connected(self, op: Any) -> None:
        source, weights, bias = self._inputs(op)
        output = self._output(op)[1]
        flat = self.node("Flatten", [self.nhwc(source)], axis=1)
        inputs = [flat, self.weight(self.constants[weights]), self.weight(self.constants[bias])]
        options = self._options(op, tflite.FullyConnectedOptions)
        self._activate(self.node("Gemm", inputs, transB=1), int(options.FusedActivationFunction()), output)

    def _pool(self, op: Any, kind: str) -> None:
        options = self._options(op, tflite.Pool2DOptions)
        source = self._inputs(op)[0]
        kernel, stride = (
            [options.FilterHeight(), options.FilterWidth()],
            [options.StrideH(), options.StrideW()],
        )
        pads = [0, 0, 0, 0]
        if options.Padding() == tflite.Padding.SAME:
            pads = self._same_pads(self.shape(source)[1:3], kernel, stride, [1, 1])
        result = self.node(kind, [self.name(source)], kernel_shape=kernel, strides=stride, pads=pads)
        self._activate(result, int(options.FusedActivationFunction()), self._output(op)[1])

    def _pad(self, op: Any) -> None:
        source, amounts = self._inputs(op)[:2]
        pairs = self.constants[amounts][_TO_NCHW].astype(np.int64)
        pads = np.concatenate([pairs[:, 0], pairs[:, 1]])
        self.node("Pad", [self.name(source), self.weight(pads)], self._output(op)[1])

    def _reshape(self, op: Any) -> None:
        target, output = self._output(op)
        shape = self.shape(target)
        flat = self.node("Reshape", [self.nhwc(self._inputs(op)[0]), self.weight(np.array(shape, np.int64))])
        if len(shape) == 4:
            self.node("Transpose", [flat], output, perm=_TO_NCHW)
        else:
            self.node("Identity", [flat], output)

    def _concatenation(self, op: Any) -> None:
        target, output = self._output(op)
        rank = len(self.shape(target))
        axis = int(self._options(op, tflite.ConcatenationOptions).Axis()) % rank
        if rank == 4:
            axis = _TO_NCHW.index(axis)
        self.node("Concat", [self.name(tensor) for tensor in self._inputs(op)], output, axis=axis)

    def _resize(self, op: Any) -> None:
        options = self._options(op, tflite.ResizeBilinearOptions)
        target, output = self._output(op)
        _, height, width, channels = self.shape(target)
        mode = "asymmetric"
        if options.AlignCorners():
            mode = "align_corners"
        elif options.HalfPixelCenters():
            mode = "half_pixel"
        sizes = self.weight(np.array([1, channels, height, width], np.int64))
        self.node(
            "Resize",
            [self.name(self._inputs(op)[0]), "", "", sizes],
            output,
            mode="linear",
            coordinate_transformation_mode=mode,
        )

    def _depth_to_space(self, op: Any) -> None:
        block = int(self._options(op, tflite.DepthToSpaceOptions).BlockSize())
        self.node(
            "DepthToSpace", [self.name(self._inputs(op)[0])], self._output(op)[1], blocksize=block, mode="DCR"
        )

    def _mean(self, op: Any) -> None:
        source, axes = self._inputs(op)
        keep = bool(self._options(op, tflite.ReducerOptions).KeepDims())
        order = [_TO_NCHW.index(int(axis)) for axis in np.atleast_1d(self.constants[axes])]
        if not keep and sorted(order) != [2, 3]:
            raise NotImplementedError("a mean that reorders axes")
        self.node(
            "ReduceMean", [self.name(source)], self._output(op)[1], axes=sorted(order), keepdims=int(keep)
        )

    def _strided_slice(self, op: Any) -> None:
        tensors = self._inputs(op)
        target, output = self._output(op)
        if self.shape(tensors[0]) != self.shape(target):
            raise NotImplementedError("a slice that drops something")
        self.node("Identity", [self.name(tensors[0])], output)

    # Custom operators of the face mesh: crop features around landmarks and map the result back

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

    def _ints(self, *values: int) -> str:
        return self.weight(np.array(values, np.int64))

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


_OPERATOR_NAMES = {
    value: name for name, value in vars(tflite.BuiltinOperator).items() if isinstance(value, int)
}


def densify(values: Array, shape: list[int], sparsity: Any) -> Array:
    """Expand a TensorFlow Lite sparse tensor (block-compressed rows).

    Args:
        values: the stored values, in traversal order.
        shape: of the dense tensor.
        sparsity: the schema's ``SparsityParameters``.

    Returns:
        The dense tensor of ``shape``, zero where nothing is stored.
    """
    rank = len(shape)
    order = [int(axis) for axis in sparsity.TraversalOrderAsNumpy()]
    blocks = [int(axis) for axis in sparsity.BlockMapAsNumpy()] if sparsity.BlockMapLength() else []
    levels: list[tuple[int, Array | None, Array | None]] = []
    for index in range(sparsity.DimMetadataLength()):
        level = sparsity.DimMetadata(index)
        if level.Format() == tflite.DimensionType.DENSE:
            levels.append((int(level.DenseSize()), None, None))
        else:
            levels.append((0, _vector(level, "ArraySegments"), _vector(level, "ArrayIndices")))
    # Walk the levels outside in, carrying the coordinates of every stored path.
    paths = np.zeros((1, 0), np.int64)
    positions = np.zeros(1, np.int64)
    for size, segments, indices in levels:
        if segments is None or indices is None:
            coordinate = np.tile(np.arange(size), len(paths))
            paths = np.concatenate([np.repeat(paths, size, 0), coordinate[:, None]], 1)
            positions = (positions[:, None] * size + np.arange(size)).ravel()
        else:
            counts = segments[positions + 1] - segments[positions]
            starts = np.repeat(segments[positions], counts)
            within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
            positions = starts + within
            paths = np.concatenate([np.repeat(paths, counts, 0), indices[positions][:, None]], 1)
    coordinates = np.zeros((len(paths), rank), np.int64)
    for column, axis in enumerate(order):
        if axis < rank:
            coordinates[:, axis] += paths[:, column] * _block_size(axis, order, blocks, levels, rank)
        else:
            coordinates[:, blocks[axis - rank]] += paths[:, column]
    dense = np.zeros(shape, values.dtype)
    dense[tuple(coordinates.T)] = values[positions]
    return dense


def _block_size(axis: int, order: list[int], blocks: list[int], levels: list[Any], rank: int) -> int:
    if axis not in blocks:
        return 1
    return int(levels[order.index(rank + blocks.index(axis))][0])


def _vector(level: Any, field: str) -> Array:
    kinds = {
        tflite.SparseIndexVector.Int32Vector: tflite.Int32Vector,
        tflite.SparseIndexVector.Uint16Vector: tflite.Uint16Vector,
        tflite.SparseIndexVector.Uint8Vector: tflite.Uint8Vector,
    }
    table = getattr(level, field)()
    vector = kinds[getattr(level, field + "Type")()]()
    vector.Init(table.Bytes, table.Pos)
    values: Array = vector.ValuesAsNumpy().astype(np.int64)
    return values
