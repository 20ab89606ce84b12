"""Write tests/predict/fixtures/tiny-bundle: a checkpoint by TensorFlow itself, of two shards and many types.

Needs `doctored[parity]`: python parity/make_tiny_bundle.py
"""

import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

FIXTURE = Path(__file__).parents[1] / "tests" / "predict" / "fixtures" / "tiny-bundle"


def main() -> None:
    """Save two checkpoints of one shard each and merge them."""
    first = {
        "layer/weights": np.arange(60, dtype=np.float32).reshape(3, 4, 5) / 7,
        "layer/biases": np.arange(5, dtype=np.float64) / 3,
        "layer/half": np.array([[0.5, -2], [65504, 0]], np.float16),
        "step": np.array(123_456_789_012),
    }
    second = {
        "indices": np.arange(-3, 3, dtype=np.int32).reshape(2, 3),
        "flags": np.array([True, False]),
        "pixels": np.arange(250, 256, dtype=np.uint8),
        "nothing": np.zeros((0, 3), np.float32),
        "brain": tf.constant([1.5, 2.5], tf.bfloat16),
        "words": tf.constant(["one", "two"]),
        "part": tf.zeros([2, 2]),
    }
    with tempfile.TemporaryDirectory() as folder:
        prefixes = [f"{folder}/{number}" for number in range(2)]
        for prefix, values in zip(prefixes, (first, second), strict=True):
            tf.raw_ops.SaveV2(
                prefix=prefix,
                tensor_names=list(values),
                # Rows 0 and 1 of a variable of 4 rows.
                shape_and_slices=["4 2 0,2:-" if name == "part" else "" for name in values],
                tensors=[tf.constant(value) for value in values.values()],
            )
        tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=prefixes, destination_prefix=str(FIXTURE))


if __name__ == "__main__":
    main()
