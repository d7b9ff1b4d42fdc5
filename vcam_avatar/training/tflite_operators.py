"""TensorFlow Lite's own operators as ONNX nodes."""

import math
from typing import Any

import numpy as np
import tflite

from vcam_avatar.training.tflite_graph import DTYPES, TO_NCHW, Array, Graph
from vcam_avatar.training.tflite_sparse import densify


class Operators(Graph):
    """One method for each operator; each takes the operator of the schema and appends nodes."""

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
            self.model.Buffers(entry.Buffer()).DataAsNumpy().tobytes(), DTYPES[entry.Type()]
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
        pairs = self.constants[amounts][TO_NCHW].astype(np.int64)
        pads = np.concatenate([pairs[:, 0], pairs[:, 1]])
        self.node("Pad", [self.name(source), self.weight(pads)], self._output(op)[1])

    def _reshape(self, op: Any) -> None:
        target, output = self._output(op)
        shape = self.shape(target)
        flat = self.node("Reshape", [self.nhwc(self._inputs(op)[0]), self.weight(np.array(shape, np.int64))])
        if len(shape) == 4:
            self.node("Transpose", [flat], output, perm=TO_NCHW)
        else:
            self.node("Identity", [flat], output)

    def _concatenation(self, op: Any) -> None:
        target, output = self._output(op)
        rank = len(self.shape(target))
        axis = int(self._options(op, tflite.ConcatenationOptions).Axis()) % rank
        if rank == 4:
            axis = TO_NCHW.index(axis)
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
        order = [TO_NCHW.index(int(axis)) for axis in np.atleast_1d(self.constants[axes])]
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
