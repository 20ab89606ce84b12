"""Build ManTra-Net's five variants in TensorFlow, with random weights, and keep what they compute.

    python parity/mantranet_golden.py tests/models/mantranet/golden

Needs tensorflow and tf_keras (extra `parity`) and nothing of this package: the graph is written from the description
of the original a second time, with Keras's own layers where it has them. For each variant the folder receives
`variant-N.h5`, the weights as Keras saves them, and `variant-N.npz`, a picture and what every part of the network
makes of it. Widths are reduced so that both stay small; nothing in either depends on the authors' files.
"""

import argparse
import os
from pathlib import Path

import numpy as np

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # plain kernels, so that the figures repeat
import tensorflow as tf
import tf_keras
from tf_keras import layers

WIDTHS = {"b1c2": 6, "b2c1": 7, "b2c2": 7, "b3c1": 8, "b3c2": 8, "b3c3": 8} | dict.fromkeys(
    ("b4c1", "b4c2", "b4c3"), 9
)
WIDTHS |= {"b5c1": 10, "b5c2": 10, "transform": 12}
ADAPTED, HIDDEN = 5, 3
SIZE_HW = (37, 29)  # odd, and smaller than the largest window in one direction


def srm_kernels() -> np.ndarray:
    """(5, 5, 3, 9): three filters, each on one colour at a time."""
    bases = np.zeros((3, 5, 5), np.float32)
    bases[0, 1:4, 1:4] = np.array([[-1, 2, -1], [2, -4, 2], [-1, 2, -1]]) / 4
    bases[1] = (
        np.array(
            [
                [-1, 2, -2, 2, -1],
                [2, -6, 8, -6, 2],
                [-2, 8, -12, 8, -2],
                [2, -6, 8, -6, 2],
                [-1, 2, -2, 2, -1],
            ]
        )
        / 12
    )
    bases[2, 2, 1:4] = np.array([1, -2, 1]) / 2
    kernels = np.zeros((5, 5, 3, 9), np.float32)
    for number, base in enumerate(bases):
        for colour in range(3):
            kernels[:, :, colour, 3 * number + colour] = base
    return kernels


def symmetric(x: tf.Tensor, pad: int) -> tf.Tensor:
    return tf.pad(x, [[0, 0], [pad, pad], [pad, pad], [0, 0]], mode="SYMMETRIC")


class CombinedConv2D(layers.Layer):
    """Plain, SRM and Bayar filters in one convolution; SRM is a constant and thus not among the weights."""

    def __init__(self, plain: int, **options):
        super().__init__(**options)
        self.plain = plain

    def build(self, input_shape):
        self.regular_kernel = self.add_weight("regular_kernel", (5, 5, 3, self.plain))
        self.bayar_kernel = self.add_weight("bayar_kernel", (5, 5, 3, 3))

    def call(self, x):
        kernel = tf.concat([self.regular_kernel, tf.constant(srm_kernels()), self.bayar_kernel], axis=3)
        return tf.nn.relu(tf.nn.conv2d(symmetric(x, 2), kernel, 1, "VALID"))


class SymmetricConv2D(layers.Conv2D):
    """3 x 3 with symmetric padding."""

    def call(self, x):
        return super().call(symmetric(x, 1))


class NestedAverages(layers.Layer):
    """Window means and the global mean, each less the map, by integral images of the values and of ones."""

    def __init__(self, windows: tuple[int, ...], **options):
        super().__init__(**options)
        self.windows = windows

    def call(self, x):
        # In float64: the original's float32 sums are its one known inaccuracy.
        wide = tf.cast(x, tf.float64)
        means = [self._mean(wide, window) for window in self.windows]
        means.append(tf.reduce_mean(wide, axis=(1, 2), keepdims=True) + tf.zeros_like(wide))
        return tf.cast(tf.stack([mean - wide for mean in means], axis=1), tf.float32)

    @staticmethod
    def _mean(x, window):
        half = window // 2

        def sums(values):
            padded = tf.pad(values, [[0, 0], [half + 1, half], [half + 1, half], [0, 0]])
            total = tf.cumsum(tf.cumsum(padded, axis=1), axis=2)
            size = 2 * half + 1
            return (
                total[:, size:, size:]
                - total[:, :-size, size:]
                - total[:, size:, :-size]
                + total[:, :-size, :-size]
            )

        return sums(x) / sums(tf.ones_like(x))


class GlobalStd2D(layers.Layer):
    """Population standard deviation of each channel, with a learned floor."""

    def build(self, input_shape):
        self.min_std = self.add_weight("min_std", (1, 1, 1, input_shape[-1]))

    def call(self, x):
        return tf.maximum(tf.math.reduce_std(x, axis=(1, 2), keepdims=True), self.min_std + 1e-6)


def build(variant: int) -> tuple[tf_keras.Model, tf_keras.Model]:
    """The network, and the same with everything on the way as outputs."""
    windows = (7, 15, 31) if variant == 4 else (7, 15, 31, 63)
    picture = layers.Input((None, None, 3))
    residuals = x = CombinedConv2D(20 if variant in (0, 1) else 4, name="b1c1")(picture)
    for name, width in WIDTHS.items():
        last = "tanh" if variant == 0 else None
        activation = last if name == "transform" else "relu"
        x = SymmetricConv2D(width, 3, padding="valid", activation=activation, name=name)(x)
    unit = layers.Lambda(lambda raw: tf.nn.l2_normalize(raw, axis=-1, epsilon=1e-12), name="L2")(x)
    featex = tf_keras.Model(picture, unit, name="Featex")
    if variant != 4:
        for layer in featex.layers[:5]:
            layer.trainable = False  # which puts their arrays last in the file

    image = layers.Input((None, None, 3), name="image_in")
    features = featex(image)
    adapted = layers.Conv2D(ADAPTED, 1, use_bias=False, name="outlierTrans")(features)
    adapted = layers.BatchNormalization(center=False, scale=False, epsilon=1e-3, name="bnorm")(adapted)
    deviations = NestedAverages(windows, name="nestedAvgFeatex")(adapted)
    sigma = GlobalStd2D(name="glbStd")(adapted)
    sigma = layers.Lambda(lambda std: std[:, None], name="expTime")(sigma)
    z_scores = layers.Lambda(lambda pair: tf.abs(pair[0] / pair[1]), name="divStd")([deviations, sigma])
    lstm = layers.ConvLSTM2D(
        HIDDEN, 7, padding="same", activation="tanh", recurrent_activation="hard_sigmoid", name="cLSTM"
    )
    hidden = lstm(z_scores)
    likelihood = layers.Conv2D(1, 7, padding="same", activation="sigmoid", name="pred")(hidden)
    network = tf_keras.Model(image, likelihood, name="sigNet")
    parts = tf_keras.Model(image, [features, adapted, z_scores, hidden, likelihood])
    return network, (tf_keras.Model(featex.input, residuals), parts)


def randomize(network: tf_keras.Model, rng: np.random.Generator) -> None:
    """Weights of a size at which every layer matters, obeying the constraints that the original keeps."""
    for variable in network.variables:
        name, shape = "/".join(variable.name.split("/")[-2:]).split(":")[0], tuple(variable.shape)
        fan_in = np.prod(shape[:-1])
        value = rng.normal(0, (2 / fan_in) ** 0.5, shape) if len(shape) > 1 else rng.normal(0, 0.1, shape)
        if name.endswith("bayar_kernel"):
            value = rng.uniform(0.5, 1.5, shape)
            value[2, 2] = 0
            value /= value.sum(axis=(0, 1))
            value[2, 2] = -1
        elif name == "outlierTrans/kernel":
            value /= np.sqrt((value**2).sum(axis=2, keepdims=True))
        elif name.endswith("moving_mean"):
            value = rng.normal(0, 0.1, shape)
        elif name.endswith("moving_variance"):
            value = rng.uniform(0.01, 0.02, shape)
        elif name.endswith("min_std"):
            # The adapted map deviates by about 0.7: the floor acts on some channels and not on others.
            value = np.linspace(0, 1.2, shape[-1]).reshape(shape)
        elif name == "cLSTM/bias":
            value = np.repeat([0.0, 1.0, 0.0, 0.0], HIDDEN) + rng.normal(0, 0.1, shape)
        elif name == "pred/kernel":
            value = rng.normal(0, 0.3, shape)
        variable.assign(value.astype(np.float32))


def picture(rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) uint8: a noisy ramp with a calm quarter."""
    height, width = SIZE_HW
    ramp = np.add.outer(np.linspace(0, 120, height), np.linspace(0, 90, width))[..., None]
    noise = rng.normal(0, 25, (height, width, 3))
    noise[height // 2 :, width // 2 :] *= 0.2
    return np.clip(ramp + noise, 0, 255).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for variant in range(5):
        tf_keras.backend.clear_session()
        rng = np.random.default_rng(variant)
        network, (residual_part, parts) = build(variant)
        randomize(network, rng)
        pixels = picture(rng)
        batch = pixels[None].astype(np.float32) / 255 * 2 - 1
        names = ("features", "adapted", "z_scores", "hidden", "map")
        outputs = dict(zip(names, (output.numpy()[0] for output in parts(batch)), strict=True))
        outputs["residuals"] = residual_part(batch).numpy()[0]
        outputs["map"] = outputs["map"][..., 0]
        network.save_weights(folder / f"variant-{variant}.h5")
        np.savez_compressed(folder / f"variant-{variant}.npz", pixels=pixels, **outputs)
        spread = outputs["map"].min(), outputs["map"].max()
        print(f"variant {variant}: {network.count_params()} parameters, map {spread[0]:.3f}..{spread[1]:.3f}")


if __name__ == "__main__":
    main()
