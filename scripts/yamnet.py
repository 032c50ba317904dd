"""A model of the shape of YAMNet: from a waveform to scores of sounds, with random weights."""

import keras
import numpy as np
import tensorflow as tf

RATE = 16000
CLASSES = 521
BANDS = 64
# Samples of a window of the spectrogram and between two, points of its transform.
WINDOW, HOP, POINTS = 400, 160, 512
# Rows of a patch and between two.
PATCH, PATCH_HOP = 96, 48
# Stride and channels of the separable convolutions of MobileNet v1.
BLOCKS = [(1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512), *[(1, 512)] * 5]
BLOCKS += [(2, 1024), (1, 1024)]


def body():
    """MobileNet v1 over patches of the spectrogram."""

    def normalized(x):
        return keras.layers.ReLU()(keras.layers.BatchNormalization(epsilon=1e-4)(x))

    patches = keras.Input((PATCH, BANDS))
    x = keras.layers.Reshape((PATCH, BANDS, 1))(patches)
    x = normalized(keras.layers.Conv2D(32, 3, 2, "same", use_bias=False)(x))
    for stride, channels in BLOCKS:
        x = normalized(keras.layers.DepthwiseConv2D(3, stride, "same", use_bias=False)(x))
        x = normalized(keras.layers.Conv2D(channels, 1, 1, "same", use_bias=False)(x))
    embeddings = keras.layers.GlobalAveragePooling2D()(x)
    logits = keras.layers.Dense(CLASSES)(embeddings)
    scores = keras.layers.Activation("sigmoid")(logits)
    return keras.Model(patches, [scores, embeddings])


def classify(layers, waveform):
    """The waveform is mono, of any length, in -1 to 1."""
    spectrogram = log_mel(padded(waveform))
    patches = tf.signal.frame(spectrogram, PATCH, PATCH_HOP, axis=0)
    scores, embeddings = layers(patches, training=False)
    return {"scores": scores, "embeddings": embeddings, "spectrogram": spectrogram}


def export(layers, directory):
    archive = keras.export.ExportArchive()
    archive.track(layers)
    archive.add_endpoint(
        "serve",
        lambda waveform: classify(layers, waveform),
        input_signature=[tf.TensorSpec([None], tf.float32, name="waveform")],
    )
    archive.write_out(directory, verbose=False)


def padded(waveform):
    """With zeros up to a whole number of patches, one or more."""
    patch = WINDOW + HOP * (PATCH - 1)
    samples = tf.shape(waveform)[0]
    beyond = tf.cast(tf.maximum(samples - patch, 0), tf.float32)
    hops = tf.cast(tf.math.ceil(beyond / (HOP * PATCH_HOP)), tf.int32)
    return tf.pad(waveform, [[0, patch + hops * HOP * PATCH_HOP - samples]])


def log_mel(waveform):
    magnitudes = tf.abs(tf.signal.stft(waveform, WINDOW, HOP, POINTS))
    bands = tf.signal.linear_to_mel_weight_matrix(BANDS, POINTS // 2 + 1, RATE, 125.0, 7500.0)
    return tf.math.log(tf.matmul(magnitudes, bands) + 0.001)


def sound(seconds, seed):
    """A rising tone and noise."""
    random = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    tone = 0.5 * np.sin(2 * np.pi * (100 + 900 * time) * time)
    return (tone + 0.1 * random.standard_normal(time.size)).clip(-1, 1).astype(np.float32)
