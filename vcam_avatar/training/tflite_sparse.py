"""Sparse tensors of TensorFlow Lite."""

from typing import Any

import numpy as np
import tflite

from vcam_avatar.training.tflite_graph import Array


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
