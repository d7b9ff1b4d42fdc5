import numpy as np
import pytest

from vcam_avatar.stages import pose_layout as L
from vcam_avatar.stages.pose_retarget import (
    TIP_GAP,
    Gains,
    Retargeter,
    limit_pose,
    spread_fingers,
    steady_shoulders,
)


def avatar(seed: int = 0) -> np.ndarray:
    """A plausible avatar in pixels: the rest pose with other proportions and raised hands."""
    rng = np.random.default_rng(seed)
    pose = np.array(L.rest_pose())
    pose[list(L.HEAD), :2] *= 1.15
    pose[L.MID_HIP : L.LEFT_HIP + 1, 1] *= 1.1
    for _, elbow, wrist, hand in L.ARMS:
        move = rng.normal(0, 0.05, 2).astype(np.float32) - [0, 0.2]
        pose[elbow, :2] += move / 3
        pose[wrist, :2] += move
        pose[hand : hand + 21, :2] += move
    pose[:, :2] = pose[:, :2] * 210 + [400, 300]
    return pose


def lengths(xy: np.ndarray, bones) -> np.ndarray:
    return np.array([np.linalg.norm(xy[a] - xy[b]) for a, b in bones])


def test_layout_sizes_names_and_fingertips():
    assert L.UPPER_BODY.size == 57
    assert L.FULL_BODY.size == 67
    assert [L.UPPER_BODY.keypoints[i][-1] for i in L.UPPER_BODY.fingertips] == ["4"] * 10
    assert L.UPPER_BODY.fingertips[:5] == tuple(15 + i for i in (4, 8, 12, 16, 20))
    for layout in L.LAYOUTS.values():
        assert np.array_equal(np.array(layout.mirror)[list(layout.mirror)], np.arange(layout.size))
        np.testing.assert_allclose(L.mirrored(L.rest_pose(layout), layout), L.rest_pose(layout), atol=1e-6)
    with pytest.raises(ValueError, match="58"):
        L.layout_of(58)


def test_normalise_and_back():
    rng = np.random.default_rng(0)
    sequence = avatar()[None] + rng.normal(0, 2, (5, 57, 3)).astype(np.float32)
    pose, origin, unit = L.normalise(sequence)
    assert np.abs(pose[:, L.NECK, :2]).max() < 1e-6
    assert L.shoulder_width(pose) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(L.denormalise(pose, origin, unit), sequence, atol=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_the_avatars_picture_comes_back_from_its_start_pose(seed):
    keypoints = avatar(seed)
    retargeter = Retargeter(keypoints)
    np.testing.assert_allclose(retargeter.to_pixels(retargeter.start_pose), keypoints[:, :2], atol=0.05)


def test_bones_never_grow_beyond_the_avatars_own():
    rng = np.random.default_rng(1)
    retargeter = Retargeter(avatar())
    bones = [(2, 3), (3, 4), (5, 6), (6, 7)]
    longest = 1.11 * retargeter.unit_px
    for _ in range(50):
        pose = np.array(L.rest_pose())
        pose[:, :2] += rng.normal(0, 0.6, (57, 2))
        xy = retargeter.to_pixels(pose)
        assert np.isfinite(xy).all()
        assert (lengths(xy, bones) <= longest).all()
        np.testing.assert_allclose(xy[15], xy[7], atol=1e-3)
        np.testing.assert_allclose(xy[36], xy[4], atol=1e-3)


def test_limits_hold_for_wild_poses_and_leave_good_ones_alone():
    rng = np.random.default_rng(2)
    np.testing.assert_allclose(limit_pose(L.rest_pose()), L.rest_pose(), atol=1e-6)
    wild = np.array(L.rest_pose())[None].repeat(200, 0)
    wild[..., :2] += rng.normal(0, 0.8, (200, 57, 2))
    before = wild.copy()
    out = limit_pose(wild)
    assert np.array_equal(wild, before)
    limits = {(2, 3): L.UPPER_ARM, (5, 6): L.UPPER_ARM, (3, 4): L.FOREARM, (6, 7): L.FOREARM}
    for start in (L.LEFT_HAND, L.RIGHT_HAND):
        limits |= {(start + a, start + b): length for (a, b), length in L.finger_limits().items()}
    for (a, b), length in limits.items():
        assert np.linalg.norm(out[:, a, :2] - out[:, b, :2], axis=-1).max() <= length * 1.001
    np.testing.assert_allclose(limit_pose(out)[:, 1:8], out[:, 1:8], atol=1e-4)


def test_gains():
    keypoints = avatar()
    pose = np.array(L.rest_pose())
    pose[list(L.HEAD), 0] += 0.1
    pose[36:57, 1] -= 0.4
    pose[L.RIGHT_WRIST, 1] -= 0.4
    still = Retargeter(keypoints, Gains(liveliness=0))
    np.testing.assert_allclose(still.to_pixels(pose), keypoints[:, :2], atol=0.05)
    normal = Retargeter(keypoints).to_pixels(pose)
    calm = Retargeter(keypoints, Gains(head=0.5)).to_pixels(pose)
    assert calm[0, 0] - keypoints[0, 0] == pytest.approx((normal[0, 0] - keypoints[0, 0]) / 2, rel=1e-3)
    np.testing.assert_allclose(calm[36:], normal[36:], atol=1e-2)
    quiet = Retargeter(keypoints, Gains(hands=0)).to_pixels(pose)
    np.testing.assert_allclose(quiet[36:], keypoints[36:, :2], atol=0.05)
    assert quiet[0, 0] == pytest.approx(normal[0, 0], abs=1e-2)


def test_missing_hands_are_replaced_and_shoulders_are_needed():
    keypoints = avatar()
    keypoints[[3, 4, 6, 7], 2] = 0
    keypoints[15:, 2] = 0
    keypoints[15:, :2] = np.nan
    retargeter = Retargeter(keypoints)
    assert np.isfinite(retargeter.to_pixels(retargeter.start_pose)).all()
    np.testing.assert_allclose(retargeter.start_pose, L.rest_pose(), atol=1e-5)
    keypoints[2, 2] = 0
    with pytest.raises(ValueError, match="shoulders"):
        Retargeter(keypoints)
    with pytest.raises(ValueError, match="shape"):
        Retargeter(keypoints[:, :2])


def test_fingertips_of_open_hands_are_kept_apart():
    pose = np.array(L.rest_pose())
    hand = L.LEFT_HAND
    apart = spread_fingers(pose)
    np.testing.assert_allclose(apart, pose, atol=0.02)
    # Lay middle and ring finger on each other.
    for middle, ring in zip(L.FINGERS[2], L.FINGERS[3], strict=True):
        if middle != L.FINGERS[2][0]:
            pose[hand + ring, :2] = pose[hand + middle, :2]
    before = pose.copy()
    out = spread_fingers(pose)
    assert np.array_equal(pose, before)
    tips = out[[hand + f[-1] for f in L.FINGERS[1:]], :2]
    assert np.linalg.norm(np.diff(tips, axis=0), axis=1).min() > 0.9 * TIP_GAP
    # A hand seen edge-on stays as it is.
    pose[hand : hand + 21, 0] = pose[hand, 0]
    np.testing.assert_array_equal(spread_fingers(pose)[hand : hand + 21, 0], pose[hand : hand + 21, 0])


def test_shoulders_keep_their_width_and_take_the_arms_along():
    pose = np.tile(np.array(L.rest_pose()), (3, 1, 1))
    pose[1, L.LEFT_SHOULDER, :2] += [0.15, -0.05]
    pose[2, L.RIGHT_SHOULDER, 0] += 0.2
    before = pose.copy()
    out = steady_shoulders(pose)
    np.testing.assert_array_equal(pose, before)
    np.testing.assert_allclose(out[0], pose[0], atol=1e-6)
    width = np.linalg.norm(out[:, L.LEFT_SHOULDER, :2] - out[:, L.RIGHT_SHOULDER, :2], axis=-1)
    np.testing.assert_allclose(width, [1.0, 1.02, 0.98], atol=1e-5)
    both = [L.LEFT_SHOULDER, L.RIGHT_SHOULDER]
    np.testing.assert_allclose(out[:, both].mean(1), pose[:, both].mean(1), atol=1e-6)
    for shoulder, elbow, wrist, hand in L.ARMS:
        points = [elbow, wrist, *range(hand, hand + 21)]
        np.testing.assert_allclose(
            out[:, points] - out[:, [shoulder]], pose[:, points] - pose[:, [shoulder]], atol=1e-6
        )
