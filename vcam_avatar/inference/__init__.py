"""ONNX models and their sidecars."""
