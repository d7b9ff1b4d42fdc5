"""ONNX networks: one session set-up for all of them, and their sidecars."""

from vcam_avatar.inference.provider import ProviderReport, choose_provider
from vcam_avatar.inference.session import Network, load_network
from vcam_avatar.inference.sidecar import Sidecar, TensorInfo, read_sidecar, write_sidecar

__all__ = [
    "Network",
    "ProviderReport",
    "Sidecar",
    "TensorInfo",
    "choose_provider",
    "load_network",
    "read_sidecar",
    "write_sidecar",
]
