"""Pose networks before and between trainings: new ones fitted to their data, or from a checkpoint."""

from typing import Any

import numpy as np
import torch

from vcam_avatar.media import FloatArray
from vcam_avatar.stages.pose_layout import NECK
from vcam_avatar.training.dataset import Sample
from vcam_avatar.training.pose_net import PoseNet, PoseNetConfig
from vcam_avatar.training.pose_space import LinearSpace, arm_space, bone_matrix, fit_space, to_bones


def combined_space(poses: FloatArray, components: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Linear pose space over flattened keypoints: mean ``(2K,)``, basis ``(2K, n)``, back ``(n, 2K)``.

    Args:
        poses: float ``(N, K, 2)`` normalised.
        components: n.
    """
    count = poses.shape[1]
    points = tuple(i for i in range(count) if i != NECK)
    space = fit_space(to_bones(poses), points, components)
    matrix = np.kron(bone_matrix(count), np.eye(2))
    picked = [2 * p + d for p in points for d in range(2)]
    basis = matrix[picked].T @ space.basis.astype(np.float64)
    bones_mean = np.zeros(2 * count)
    bones_mean[picked] = space.mean
    inverse = np.linalg.inv(matrix)
    mean = inverse @ bones_mean
    back_bones = np.zeros((space.size, 2 * count))
    back_bones[:, picked] = space.back
    back = back_bones @ inverse.T
    return mean.astype(np.float32), basis.astype(np.float32), back.astype(np.float32)


def new_net(samples: list[Sample], config: PoseNetConfig, arms: LinearSpace) -> PoseNet:
    """An untrained network whose fixed parts (pose space, MFCC scale) fit the samples; ``arms`` is the
    space in which their plans are told."""
    net = PoseNet(config)
    arm_basis, arm_offset = arm_space(arms, config.keypoints)
    rng = np.random.default_rng(0)
    real = [s.pose[..., :2] for s in samples if s.real]
    made = [s.pose[rng.integers(0, s.ticks, 150), :, :2] for s in samples if not s.real]
    poses = np.concatenate(real + made + [s.rest[None] for s in samples])
    mean, basis, back = combined_space(poses, config.components)
    rows = np.concatenate([s.rows[rng.integers(0, s.ticks, 60)].reshape(-1, 40) for s in samples])
    for buffer, value in (
        (net.pose_mean, mean), (net.pose_basis, basis), (net.pose_back, back),
        (net.mfcc_mean, rows.mean(0)), (net.mfcc_scale, 1 / (rows.std(0) + 1e-3)),
        (net.arm_basis, arm_basis), (net.arm_offset, arm_offset),
    ):  # fmt: skip
        buffer.copy_(torch.as_tensor(np.asarray(value, np.float32)))
    return net


def net_from(content: dict[str, Any]) -> PoseNet:
    """The network of a checkpoint."""
    config = dict(content["config"])
    config["leaks"] = tuple(config["leaks"])
    net = PoseNet(PoseNetConfig(**config))
    net.load_state_dict(content["net"])
    net.eval()
    return net
