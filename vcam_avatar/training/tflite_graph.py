"""A TensorFlow Lite graph while it becomes an ONNX graph: tensors, weights and nodes.

Needs the packages ``tflite`` (the schema) and ``onnx``; no TensorFlow. Four-dimensional tensors are
held in NCHW order inside the ONNX graph; inputs and outputs keep the NHWC order of the original.
"""

from pathlib import Path
from typing import Any

import numpy as np
import tflite
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[Any]

TO_NCHW, TO_NHWC = [0, 3, 1, 2], [0, 2, 3, 1]
DTYPES = {
    tflite.TensorType.FLOAT32: np.float32,
    tflite.TensorType.FLOAT16: np.float16,
    tflite.TensorType.INT32: np.int32,
}


class Graph:
    """One TensorFlow Lite graph, and the nodes and weights made of it so far."""

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
                value = value.transpose(TO_NCHW)
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
        values = np.frombuffer(data.DataAsNumpy().tobytes(), DTYPES[entry.Type()])
        if entry.Sparsity() is not None:
            return None
        self.constants[tensor] = values.reshape(self.shape(tensor))
        return self.constants[tensor]

    def nhwc(self, tensor: int) -> str:
        """``tensor`` in its original order of axes."""
        if len(self.shape(tensor)) == 4:
            return self.node("Transpose", [self.name(tensor)], perm=TO_NHWC)
        return self.name(tensor)

    @staticmethod
    def _code(code: Any) -> int:
        return max(int(code.BuiltinCode()), int(code.DeprecatedBuiltinCode()))

    @staticmethod
    def _options(op: Any, kind: Any) -> Any:
        options = kind()
        table = op.BuiltinOptions()
        options.Init(table.Bytes, table.Pos)
        return options

    def _inputs(self, op: Any) -> list[int]:
        return [int(tensor) for tensor in op.InputsAsNumpy()]

    def _output(self, op: Any) -> tuple[int, str]:
        tensor = int(op.Outputs(0))
        return tensor, f"t{tensor}"

    def _ints(self, *values: int) -> str:
        return self.weight(np.array(values, np.int64))
