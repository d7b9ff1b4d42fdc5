import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vcam_avatar.stages.raster import (
    draw_triangles,
    grid_points,
    grid_triangles,
    premultiply,
    unpremultiply,
)

RNG = np.random.default_rng(3)


def noise(height: int, width: int, alpha: int | None = 255) -> np.ndarray:
    texture = RNG.integers(0, 256, (height, width, 4), dtype=np.uint8)
    if alpha is not None:
        texture[..., 3] = alpha
    return texture


@pytest.mark.parametrize("channels", [3, 4])
def test_an_identity_mesh_copies_every_pixel_exactly(channels: int) -> None:
    texture = noise(48, 80)
    target = np.zeros((48, 80, channels), np.uint8)
    grid = grid_points(7, 9, 80, 48)
    assert draw_triangles(target, texture, grid, grid, grid_triangles(7, 9)) == 48 * 80
    np.testing.assert_array_equal(target, texture[..., :channels])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_bent_mesh_draws_each_covered_pixel_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    flat = grid_points(6, 6, 100, 100)
    bent = flat + rng.uniform(-4, 4, flat.shape).astype(np.float32) + np.float32(14.3)
    target = np.zeros((128, 128, 3), np.uint8)
    white = np.full((100, 100, 4), 255, np.uint8)
    draw_triangles(target, white, bent, flat, grid_triangles(6, 6), opacity=0.5)
    assert set(np.unique(target)) <= {0, 128}, "a pixel drawn twice would be brighter than half"
    inner = np.zeros((128, 128), np.uint8)
    cv2.fillPoly(inner, [np.int32([[20, 20], [108, 20], [108, 108], [20, 108]])], 1)
    assert (target[inner > 0] == 128).all(), "a gap between triangles"


def test_sub_pixel_shifts_agree_with_an_independent_warp() -> None:
    texture = cv2.GaussianBlur(noise(96, 96), (0, 0), 2.5)
    texture[..., 3] = 255
    grid = grid_points(5, 5, 96, 96)
    for shift in ([0.3, 0.6], [-1.75, 2.5], [0.01, -0.49]):
        target = np.zeros((96, 96, 3), np.uint8)
        draw_triangles(target, texture, grid + np.float32(shift), grid, grid_triangles(5, 5))
        matrix = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float32)
        expected = cv2.warpAffine(texture[..., :3], matrix, (96, 96))
        assert np.abs(target[4:-4, 4:-4].astype(int) - expected[4:-4, 4:-4]).max() <= 2


def test_alpha_mask_and_opacity_blend_as_they_should() -> None:
    texture = premultiply(noise(32, 32, None))
    background = RNG.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    mask = RNG.integers(0, 256, (32, 32), dtype=np.uint8)
    grid = grid_points(2, 2, 32, 32)
    for occlusion, opacity in ((None, 1.0), (mask, 1.0), (mask, 0.3)):
        target = background.copy()
        draw_triangles(target, texture, grid, grid, grid_triangles(2, 2), mask=occlusion, opacity=opacity)
        share = opacity * (1 - mask / 255.0 if occlusion is not None else np.ones((32, 32)))[..., None]
        expected = texture[..., :3] * share + background * (1 - share * texture[..., 3:] / 255.0)
        assert np.abs(target - expected).max() <= 2.5


def test_hidden_or_far_meshes_change_nothing_and_do_not_crash() -> None:
    target = RNG.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    before = target.copy()
    grid, texture = grid_points(3, 3, 40, 40), noise(40, 40)
    draw_triangles(target, texture, grid, grid, grid_triangles(3, 3), mask=np.full((40, 40), 255, np.uint8))
    for corners in (grid + 1e7, grid - 500, np.full_like(grid, np.nan), np.zeros_like(grid)):
        draw_triangles(target, texture, corners.astype(np.float32), grid, grid_triangles(3, 3))
    np.testing.assert_array_equal(target, before)


def test_the_border_of_a_texture_is_drawn_when_magnified() -> None:
    texture = np.full((4, 4, 4), 255, np.uint8)
    target = np.zeros((40, 40, 3), np.uint8)
    draw_triangles(target, texture, grid_points(2, 2, 40, 40), grid_points(2, 2, 4, 4), grid_triangles(2, 2))
    assert (target == 255).all()


def test_caller_bugs_are_named() -> None:
    grid, triangles = grid_points(2, 2, 8, 8), grid_triangles(2, 2)
    target, texture = np.zeros((8, 8, 3), np.uint8), noise(8, 8)
    with pytest.raises(ValueError, match="corners outside"):
        draw_triangles(target, texture, grid, grid, triangles + 1)
    with pytest.raises(ValueError, match="contiguous"):
        draw_triangles(target[:, ::2], texture, grid, grid, triangles)
    with pytest.raises(ValueError, match="texture must be"):
        draw_triangles(target, texture[..., :3].copy(), grid, grid, triangles)


def test_premultiplying_and_back_keeps_opaque_colours() -> None:
    texture = noise(16, 16)
    np.testing.assert_array_equal(unpremultiply(premultiply(texture)), texture)
