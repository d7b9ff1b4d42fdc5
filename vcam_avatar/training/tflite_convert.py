"""TensorFlow Lite files -> ONNX graphs, for the few operators that small vision networks use."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import tflite
from onnx import TensorProto, helper

from vcam_avatar.training.tflite_graph import TO_NCHW
from vcam_avatar.training.tflite_landmarks import LandmarkOperators
from vcam_avatar.training.tflite_operators import Operators

OPSET = 17
_OPERATOR_NAMES = {
    value: name for name, value in vars(tflite.BuiltinOperator).items() if isinstance(value, int)
}


class GraphConverter(Operators, LandmarkOperators):
    """Translates one TensorFlow Lite graph operator by operator."""

    def __init__(self, path: Path) -> None:
        """Read ``path``.

        Raises:
            ValueError: more than one subgraph.
        """
        super().__init__(path)
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
        self.node("Transpose", ["image"], f"t{entry}", perm=TO_NCHW)
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

    def _plain_outputs(self) -> list[tuple[str, list[int]]]:
        finals = []
        for index, tensor in enumerate(self.graph.OutputsAsNumpy()):
            self.node("Identity", [self.nhwc(int(tensor))], f"output{index}")
            finals.append((f"output{index}", self.shape(int(tensor))))
        return finals
