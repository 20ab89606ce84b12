"""Build Constrained R-CNN in TF-slim, with random weights, and keep what it computes.

    python parity/constrained_rcnn_golden.py tests/models/constrained_rcnn/golden

Needs tensorflow, tf_keras and tf-slim (extra `parity`) and nothing of this package: the graph is written from the
description of the original a second time, with TF-slim's own residual units and TensorFlow's own cropping and
suppression. The folder receives `released.index` and `released.data-00000-of-00001`, a checkpoint with the original's
names, and `released.npz`, a picture and what every part of the network makes of it. Depth and widths are reduced so
that all stays small; full-resolution maps are kept at every few pixels.
"""

import argparse
import os
import sys
from pathlib import Path

import numpy as np

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # plain kernels, so that the figures repeat
import tf_keras.src.legacy_tf_layers as legacy_layers
from tf_keras.src.legacy_tf_layers import base, convolutional, core, normalization, pooling

# TF-slim looks for these under a name that tf_keras no longer has.
sys.modules["tf_keras.legacy_tf_layers"] = legacy_layers
for module in (base, convolutional, core, normalization, pooling):
    sys.modules[f"tf_keras.legacy_tf_layers.{module.__name__.rsplit('.', 1)[1]}"] = module

import tensorflow as tf2
import tensorflow.compat.v1 as tf
import tf_slim as slim
from tf_slim.nets import resnet_utils, resnet_v1

tf.disable_eager_execution()

UNITS, WIDTHS, STEM, CLASSES = (2, 3, 2, 2), (16, 32, 32, 32), 8, 4
SIZE_HW = (167, 214)  # odd, and no multiple of 16
BGR_MEAN = np.array([102.9801, 115.9465, 122.7717], np.float32)
SCALES, RATIOS = (8, 16, 32, 64), (0.5, 1, 2)
DELTA_STDS = np.array([0.1, 0.1, 0.2, 0.2], np.float32)
PROPOSALS, MASK_ROIS = 100, 8
KEPT_EVERY = {"noise": 7, "conv1": 4, "conv_1x": 2}


def anchors(grid_hw: tuple[int, int]) -> np.ndarray:
    """(N, 4), inclusive: ratio by ratio, scale by scale, at every cell row by row."""
    boxes = []
    for ratio in RATIOS:
        width = np.round(np.sqrt(256 / ratio))
        height = np.round(width * ratio)
        for scale in SCALES:
            half_width, half_height = width * scale / 2, height * scale / 2
            boxes.append([8 - half_width, 8 - half_height, 7 + half_width, 7 + half_height])
    rows, columns = np.meshgrid(*(np.arange(count) * 16 for count in grid_hw), indexing="ij")
    shifts = np.stack([columns, rows, columns, rows], axis=-1).reshape(-1, 1, 4)
    return (shifts + np.array(boxes)).reshape(-1, 4).astype(np.float32)


def decode(boxes, deltas):
    """The original's box coder: widths count both ends, and right and bottom come out one too far."""
    sizes = boxes[..., 2:] - boxes[..., :2] + 1
    centres = boxes[..., :2] + 0.5 * sizes + deltas[..., :2] * sizes
    half = 0.5 * tf.exp(deltas[..., 2:]) * sizes
    return tf.concat([centres - half, centres + half], axis=-1)


def clip(boxes, size_hw):
    limits = np.array([size_hw[1] - 1, size_hw[0] - 1] * 2, np.float32)
    return tf.minimum(tf.maximum(boxes, 0.0), limits)


def crop(features, boxes):
    """One bilinear sample in the middle of each of 7 x 7 bins; zero outside the outermost cells' middles."""
    height, width = features.shape[1], features.shape[2]
    left, top, right, bottom = tf.unstack(boxes / 16, axis=1)
    half_bin_x, half_bin_y = (right - left) / 14, (bottom - top) / 14
    edges = [
        (top + half_bin_y) / (height - 1),
        (left + half_bin_x) / (width - 1),
        (bottom - half_bin_y) / (height - 1),
        (right - half_bin_x) / (width - 1),
    ]
    return tf.image.crop_and_resize(
        features, tf.stack(edges, axis=1), tf.zeros_like(left, tf.int32), (7, 7), extrapolation_value=0
    )


def frozen_resnet():
    """Slim's scope for ResNets whose BatchNorms keep their stored statistics."""
    with_norm = resnet_utils.resnet_arg_scope()
    with slim.arg_scope(with_norm), slim.arg_scope([slim.batch_norm], is_training=False) as scope:
        return scope


def residual_block(number: int, features):
    """Of TF-slim; the last units of the first two blocks halve the map."""
    unit = {"depth": WIDTHS[number - 1], "depth_bottleneck": WIDTHS[number - 1] // 4, "stride": 1}
    units = [unit] * UNITS[number - 1]
    if number <= 2:
        units = [*units[:-1], unit | {"stride": 2}]
    block = resnet_utils.Block(f"block{number}", resnet_v1.bottleneck, units)
    return resnet_utils.stack_blocks_dense(features, [block])


def perceptron(pooled, hidden: int, channels: int, reuse):
    """Slim's fully connected layers end in a ReLU, both of them."""
    narrow = slim.fully_connected(pooled, hidden, scope="mlp_1", reuse=reuse)
    return slim.fully_connected(narrow, channels, scope="mlp_2", reuse=reuse)


def attention(features):
    channels = features.shape[3]
    with tf.variable_scope("cbam_rpn_conv1"):
        most = perceptron(tf.reduce_max(features, axis=(1, 2)), channels // 2, channels, None)
        mean = perceptron(tf.reduce_mean(features, axis=(1, 2)), channels // 2, channels, True)
        channel_map = tf.sigmoid(most + mean)[:, None, None]
        stacked = tf.concat(
            [tf.reduce_max(features, axis=3, keepdims=True), tf.reduce_mean(features, axis=3, keepdims=True)],
            axis=3,
        )
        spatial = slim.conv2d(stacked, 1, [7, 7], activation_fn=None, scope="conv_layer")
    return features * channel_map * tf.sigmoid(spatial)


def build(pixels) -> dict[str, tf.Tensor]:
    """Everything on the way, by the names of the npz file."""
    parts = {}
    with tf.variable_scope("noise"):
        parts["noise"] = slim.conv2d(pixels, 3, [5, 5], activation_fn=None, scope="constrained_conv")
    with slim.arg_scope(frozen_resnet()), tf.variable_scope("resnet_v1_101"):
        parts["conv1"] = resnet_utils.conv2d_same(parts["noise"], STEM, 7, stride=2, scope="conv1")
        padded = tf.pad(parts["conv1"], [[0, 0], [1, 1], [1, 1], [0, 0]])
        parts["conv_1x"] = slim.max_pool2d(padded, [3, 3], stride=2, padding="VALID")
        parts["conv_2x"] = residual_block(1, parts["conv_1x"])
        parts["conv_3x"] = residual_block(2, parts["conv_2x"])
        parts["conv_4x"] = residual_block(3, parts["conv_3x"])
    grid_hw = (parts["conv_4x"].shape[1], parts["conv_4x"].shape[2])
    with tf.variable_scope("resnet_v1_101"):
        rpn = slim.conv2d(parts["conv_4x"], WIDTHS[1], [3, 3], scope="rpn_conv/3x3")
        parts["attended"] = attended = attention(rpn)
        count = len(SCALES) * len(RATIOS)
        scores = slim.conv2d(attended, 2 * count, [1, 1], activation_fn=None, scope="rpn_cls_score")
        deltas = slim.conv2d(attended, 4 * count, [1, 1], activation_fn=None, scope="rpn_bbox_pred")
    pairs = tf.stack([scores[..., :count], scores[..., count:]], axis=-1)
    parts["rpn_probability"] = probability = tf.reshape(tf.nn.softmax(pairs)[..., 1], [-1])
    boxes = clip(decode(tf.constant(anchors(grid_hw)), tf.reshape(deltas, [-1, 4])), SIZE_HW)
    closed = tf.gather(boxes + np.array([0, 0, 1, 1], np.float32), [1, 0, 3, 2], axis=1)
    kept = tf.image.non_max_suppression(closed, probability, PROPOSALS, 0.7)
    parts["proposals"] = rois = tf.gather(boxes, kept)

    parts["roi_crops"] = crops = crop(parts["conv_4x"], rois)
    with slim.arg_scope(frozen_resnet()), tf.variable_scope("resnet_v1_101"):
        vector = tf.reduce_mean(residual_block(4, crops), axis=(1, 2))
    with tf.variable_scope("resnet_v1_101"):
        logits = slim.fully_connected(vector, CLASSES, activation_fn=None, scope="cls_score")
        box_deltas = slim.fully_connected(vector, 4 * CLASSES, activation_fn=None, scope="bbox_pred")
    parts["vector"], parts["cls_score"], parts["bbox_pred"] = vector, logits, box_deltas

    moves = tf.reshape(box_deltas, [-1, CLASSES, 4])[:, 1:] * DELTA_STDS
    candidates = tf.reshape(clip(decode(rois[:, None] + tf.zeros_like(moves), moves), SIZE_HW), [-1, 4])
    candidate_scores = tf.reshape(tf.nn.softmax(logits)[:, 1:], [-1])
    parts["scores"], order = tf.nn.top_k(candidate_scores, MASK_ROIS)
    parts["boxes"] = mask_rois = tf.gather(candidates, order)
    parts["labels"] = order % (CLASSES - 1) + 1

    with tf.variable_scope("feature_fuse"):
        fused = slim.conv2d(0.5 * parts["conv_3x"] + 0.5 * attended, WIDTHS[2], [1, 1], scope="mask_fuse")
    parts["fused"] = fused
    with slim.arg_scope(frozen_resnet()), tf.variable_scope("mask_conv"):
        mask_features = residual_block(4, crop(fused, mask_rois))
    with tf.variable_scope("mask_predict"):
        enlarged = slim.conv2d_transpose(mask_features, 256, [2, 2], stride=2, activation_fn=None)
        narrow = slim.conv2d(
            enlarged, 64, [1, 1], activation_fn=None, normalizer_fn=slim.batch_norm, biases_initializer=None
        )
        parts["mask_logits"] = slim.conv2d(
            slim.batch_norm(narrow, activation_fn=tf.nn.relu), 2, [1, 1], activation_fn=None
        )
    return parts


def randomize(variable: tf.Variable, rng: np.random.Generator) -> np.ndarray:
    """A value of a size at which every layer matters, obeying the constraint of the first one."""
    name, shape = variable.op.name, variable.shape.as_list()
    if name.startswith("noise/"):
        if name.endswith("biases"):
            return np.zeros(shape, np.float32)
        plane = rng.uniform(0.2, 1.8, shape)
        plane[2, 2] = 0
        plane /= plane.sum(axis=(0, 1))
        plane[2, 2] = -1
        return plane.astype(np.float32)
    if name.endswith("moving_variance"):
        value = rng.uniform(0.5, 1.5, shape)
    elif name.endswith("gamma"):
        value = rng.uniform(0.5, 1.2, shape)
    elif len(shape) == 1:
        value = rng.normal(0, 0.2, shape)
    else:
        fan_in = np.prod(shape[:-1]) if "Conv2d_transpose" not in name else shape[3]
        value = rng.normal(0, (2 / fan_in) ** 0.5, shape)
    if name.endswith("conv1/weights") and "unit" not in name:
        value /= 10  # residuals reach some tens of grey levels
    if "bbox_pred/" in name or "cls_score/" in name:
        value = value * 0.2  # boxes move by a part of their size, and no softmax saturates
    return value.astype(np.float32)


def pasted(boxes: np.ndarray, mask_logits: np.ndarray, session) -> np.ndarray:
    """The picture's mask: each region's softmax stretched over its whole-pixel box, maximum wherever two meet."""
    likely = np.exp(mask_logits[..., 1]) / np.exp(mask_logits).sum(axis=-1)
    image_mask = np.zeros(SIZE_HW, np.float32)
    for box, mask in zip(boxes, likely, strict=True):
        left, top, right, bottom = (int(edge) for edge in box)
        if right <= left or bottom <= top:
            continue
        # Version 2's, since version 1's bilinear sampling is not half-pixel.
        stretched = tf2.image.resize(mask[..., None], (bottom - top, right - left))
        area = image_mask[top:bottom, left:right]
        image_mask[top:bottom, left:right] = np.maximum(area, session.run(stretched)[..., 0])
    return image_mask


def picture(rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) RGB uint8: smooth colours with noise, less of it in a rectangle."""
    height, width = SIZE_HW
    ramp = np.add.outer(np.linspace(30, 110, height), np.linspace(0, 100, width))[..., None]
    noise = rng.normal(0, 20, (height, width, 3))
    noise[40:110, 60:150] *= 0.2
    return np.clip(ramp + noise, 0, 255).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    pixels = picture(rng)
    blob = (pixels[None, ..., ::-1].astype(np.float32) - BGR_MEAN).astype(np.float32)
    parts = build(tf.constant(blob))
    with tf.Session() as session:
        for variable in sorted(tf.global_variables(), key=lambda variable: variable.op.name):
            variable.load(randomize(variable, rng), session)
        outputs = {name: np.squeeze(value) for name, value in session.run(parts).items()}
        outputs["map"] = pasted(outputs["boxes"], outputs["mask_logits"], session)
        saver = tf.train.Saver(tf.global_variables())
        saver.save(session, str(folder / "released"), write_meta_graph=False, write_state=False)
        count = len(tf.global_variables())
    for name, every in KEPT_EVERY.items():
        outputs[name] = outputs[name][::every, ::every]
    np.savez_compressed(folder / "released.npz", pixels=pixels, **outputs)
    print(f"{count} variables, {len(outputs['proposals'])} proposals, scores {outputs['scores']}")


if __name__ == "__main__":
    main()
