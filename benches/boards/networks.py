#!/usr/bin/env python3
"""Writes networks that published Jetson benchmarks ran as frozen graphs, with weights of no meaning.

usage: networks.py DIR NAME...      writes DIR/NAME.pb
       networks.py --list

The architectures are those of the papers and of the repositories that the benchmarks name (TF-Slim,
torchvision, Darknet, the TensorFlow detection models), at the sizes of the benchmarks. Detectors end
before their post-processing.
"""
import sys
from pathlib import Path

from layers import (activate, average_pool, batch_norm, channels, concat, conv, dense,
                    depthwise, flatten, global_pool, image, max_pool, pad, tf, weights)

NETWORKS = {}


def network(name, *args):
    """Registers a function as the network of a name; `args` go to it."""

    def register(function):
        NETWORKS[name] = (function, args)
        return function

    return register


# ResNet


def bottleneck(x, width, stride):
    shortcut = x
    if channels(x) != 4 * width:
        shortcut = conv(x, 4 * width, 1, stride, relu=False)
    elif stride > 1:
        shortcut = max_pool(x, 1, stride)
    x = conv(x, width, 1)
    x = conv(x, width, 3, stride, "BOTH")
    x = conv(x, 4 * width, 1, relu=False)
    return tf.nn.relu(x + shortcut)


def basic_block(x, width, stride):
    shortcut = x
    if stride > 1 or channels(x) != width:
        shortcut = conv(x, width, 1, stride, relu=False)
    x = conv(x, width, 3, stride, "BOTH")
    x = conv(x, width, 3, 1, "BOTH", relu=False)
    return tf.nn.relu(x + shortcut)


DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def stem(x):
    x = conv(x, 64, 7, 2, "BOTH")
    return tf.nn.max_pool2d(pad(x, 1, 1), 3, 2, "VALID")


def torch_trunk(x, depth, strides=(1, 2, 2, 2)):
    block = basic_block if depth < 50 else bottleneck
    x = stem(x)
    for blocks, width, stride in zip(DEPTHS[depth], (64, 128, 256, 512), strides):
        for index in range(blocks):
            x = block(x, width, stride if index == 0 else 1)
    return x


@network("resnet18_224", 18, 224)
@network("resnet34_224", 34, 224)
@network("resnet50_224", 50, 224)
@network("resnet101_224", 101, 224)
@network("resnet152_224", 152, 224)
@network("resnet18_256", 18, 256)
@network("resnet34_256", 34, 256)
@network("resnet50_256", 50, 256)
def resnet(depth, size):
    return tf.nn.softmax(dense(global_pool(torch_trunk(image(size), depth)), 1000))


@network("slim_resnet_v1_50", 50)
@network("slim_resnet_v1_101", 101)
@network("slim_resnet_v1_152", 152)
def slim_resnet_v1(depth):
    """TF-Slim puts a stage's stride into its last block, others into the first."""
    x = stem(image(224))
    for blocks, width, stride in zip(DEPTHS[depth], (64, 128, 256, 512), (2, 2, 2, 1)):
        for index in range(blocks):
            x = bottleneck(x, width, stride if index == blocks - 1 else 1)
    return tf.nn.softmax(dense(global_pool(x), 1000))


@network("slim_resnet_v2_50", 50)
@network("slim_resnet_v2_101", 101)
@network("slim_resnet_v2_152", 152)
def slim_resnet_v2(depth):
    x = conv(image(299), 64, 7, 2, "BOTH", relu=False, norm=False)
    x = max_pool(x, 3, 2)
    for blocks, width, stride in zip(DEPTHS[depth], (64, 128, 256, 512), (2, 2, 2, 1)):
        for index in range(blocks):
            step = stride if index == blocks - 1 else 1
            before = tf.nn.relu(batch_norm(x))
            if channels(x) != 4 * width:
                x = conv(before, 4 * width, 1, step, relu=False, norm=False)
            elif step > 1:
                x = max_pool(x, 1, step)
            y = conv(before, width, 1)
            y = conv(y, width, 3, step, "BOTH")
            x = x + conv(y, 4 * width, 1, relu=False, norm=False)
    return tf.nn.softmax(dense(global_pool(tf.nn.relu(batch_norm(x))), 1001))


# Inception


def mix_v1(x, a, b0, b1, c0, c1, d):
    return concat(
        conv(x, a, 1),
        conv(conv(x, b0, 1), b1, 3),
        conv(conv(x, c0, 1), c1, 3),
        conv(max_pool(x, 3, 1), d, 1),
    )


@network("inception_v1_224")
def inception_v1():
    x = max_pool(conv(image(224), 64, 7, 2), 3, 2)
    x = max_pool(conv(conv(x, 64, 1), 192, 3), 3, 2)
    x = mix_v1(x, 64, 96, 128, 16, 32, 32)
    x = max_pool(mix_v1(x, 128, 128, 192, 32, 96, 64), 3, 2)
    x = mix_v1(x, 192, 96, 208, 16, 48, 64)
    x = mix_v1(x, 160, 112, 224, 24, 64, 64)
    x = mix_v1(x, 128, 128, 256, 24, 64, 64)
    x = mix_v1(x, 112, 144, 288, 32, 64, 64)
    x = max_pool(mix_v1(x, 256, 160, 320, 32, 128, 128), 2, 2)
    x = mix_v1(x, 256, 160, 320, 32, 128, 128)
    x = mix_v1(x, 384, 192, 384, 48, 128, 128)
    return tf.nn.softmax(dense(global_pool(x), 1001))


def mix_v2(x, a, b0, b1, c0, c1, d):
    c = conv(conv(conv(x, c0, 1), c1, 3), c1, 3)
    pooled = conv(average_pool(x, 3, 1), d, 1)
    return concat(conv(x, a, 1), conv(conv(x, b0, 1), b1, 3), c, pooled)


def reduce_v2(x, a0, a1, b0, b1):
    a = conv(conv(x, a0, 1), a1, 3, 2)
    b = conv(conv(conv(x, b0, 1), b1, 3), b1, 3, 2)
    return concat(a, b, max_pool(x, 3, 2))


def inception_v2_trunk(x):
    """Up to the two feature maps that a detector takes."""
    # A separable convolution of seven: eight filters for each channel, then 64.
    x = tf.nn.depthwise_conv2d(x, weights(7, 7, 3, 8), [1, 2, 2, 1], "SAME")
    x = conv(x, 64, 1)
    x = max_pool(x, 3, 2)
    x = max_pool(conv(conv(x, 64, 1), 192, 3), 3, 2)
    x = mix_v2(x, 64, 64, 64, 64, 96, 32)
    x = mix_v2(x, 64, 64, 96, 64, 96, 64)
    x = reduce_v2(x, 128, 160, 64, 96)
    x = mix_v2(x, 224, 64, 96, 96, 128, 128)
    x = mix_v2(x, 192, 96, 128, 96, 128, 128)
    x = mix_v2(x, 160, 128, 160, 128, 160, 96)
    middle = mix_v2(x, 96, 128, 192, 160, 192, 96)
    x = reduce_v2(middle, 128, 192, 192, 256)
    x = mix_v2(x, 352, 192, 320, 160, 224, 128)
    return middle, mix_v2(x, 352, 192, 320, 192, 224, 128)


@network("inception_v2_224")
def inception_v2():
    return tf.nn.softmax(dense(global_pool(inception_v2_trunk(image(224))[1]), 1001))


@network("inception_v3_299")
def inception_v3():
    x = conv(image(299), 32, 3, 2, "VALID")
    x = conv(conv(x, 32, 3, 1, "VALID"), 64, 3)
    x = conv(max_pool(x, 3, 2, "VALID"), 80, 1, 1, "VALID")
    x = max_pool(conv(x, 192, 3, 1, "VALID"), 3, 2, "VALID")
    for pooled in (32, 64, 64):
        b = conv(conv(x, 48, 1), 64, 5)
        c = conv(conv(conv(x, 64, 1), 96, 3), 96, 3)
        x = concat(conv(x, 64, 1), b, c, conv(average_pool(x, 3, 1), pooled, 1))
    b = conv(conv(conv(x, 64, 1), 96, 3), 96, 3, 2, "VALID")
    x = concat(conv(x, 384, 3, 2, "VALID"), b, max_pool(x, 3, 2, "VALID"))
    for width in (128, 160, 160, 192):
        b = conv(conv(conv(x, width, 1), width, (1, 7)), 192, (7, 1))
        c = conv(conv(conv(x, width, 1), width, (7, 1)), width, (1, 7))
        c = conv(conv(c, width, (7, 1)), 192, (1, 7))
        x = concat(conv(x, 192, 1), b, c, conv(average_pool(x, 3, 1), 192, 1))
    a = conv(conv(x, 192, 1), 320, 3, 2, "VALID")
    b = conv(conv(conv(x, 192, 1), 192, (1, 7)), 192, (7, 1))
    x = concat(a, conv(b, 192, 3, 2, "VALID"), max_pool(x, 3, 2, "VALID"))
    for _ in range(2):
        b = conv(x, 384, 1)
        c = conv(conv(x, 448, 1), 384, 3)
        b = concat(conv(b, 384, (1, 3)), conv(b, 384, (3, 1)))
        c = concat(conv(c, 384, (1, 3)), conv(c, 384, (3, 1)))
        x = concat(conv(x, 320, 1), b, c, conv(average_pool(x, 3, 1), 192, 1))
    return tf.nn.softmax(dense(global_pool(x), 1001))


def stem_v4(x):
    x = conv(conv(conv(x, 32, 3, 2, "VALID"), 32, 3, 1, "VALID"), 64, 3)
    x = concat(max_pool(x, 3, 2, "VALID"), conv(x, 96, 3, 2, "VALID"))
    a = conv(conv(x, 64, 1), 96, 3, 1, "VALID")
    b = conv(conv(conv(x, 64, 1), 64, (1, 7)), 64, (7, 1))
    x = concat(a, conv(b, 96, 3, 1, "VALID"))
    return concat(conv(x, 192, 3, 2, "VALID"), max_pool(x, 3, 2, "VALID"))


@network("inception_v4_299")
def inception_v4():
    x = stem_v4(image(299))
    for _ in range(4):
        c = conv(conv(conv(x, 64, 1), 96, 3), 96, 3)
        pooled = conv(average_pool(x, 3, 1), 96, 1)
        x = concat(conv(x, 96, 1), conv(conv(x, 64, 1), 96, 3), c, pooled)
    b = conv(conv(conv(x, 192, 1), 224, 3), 256, 3, 2, "VALID")
    x = concat(conv(x, 384, 3, 2, "VALID"), b, max_pool(x, 3, 2, "VALID"))
    for _ in range(7):
        b = conv(conv(conv(x, 192, 1), 224, (1, 7)), 256, (7, 1))
        c = conv(conv(conv(x, 192, 1), 192, (7, 1)), 224, (1, 7))
        c = conv(conv(c, 224, (7, 1)), 256, (1, 7))
        x = concat(conv(x, 384, 1), b, c, conv(average_pool(x, 3, 1), 128, 1))
    a = conv(conv(x, 192, 1), 192, 3, 2, "VALID")
    b = conv(conv(conv(x, 256, 1), 256, (1, 7)), 320, (7, 1))
    x = concat(a, conv(b, 320, 3, 2, "VALID"), max_pool(x, 3, 2, "VALID"))
    for _ in range(3):
        b = conv(x, 384, 1)
        c = conv(conv(conv(x, 384, 1), 448, (3, 1)), 512, (1, 3))
        b = concat(conv(b, 256, (1, 3)), conv(b, 256, (3, 1)))
        c = concat(conv(c, 256, (1, 3)), conv(c, 256, (3, 1)))
        x = concat(conv(x, 256, 1), b, c, conv(average_pool(x, 3, 1), 256, 1))
    return tf.nn.softmax(dense(global_pool(x), 1001))


def residual(x, branches, relu=True):
    """TF-Slim's block: x + 0.2 (a convolution of the joined branches)."""
    up = conv(concat(*branches), channels(x), 1, relu=False, norm=False)
    return activate(x + 0.2 * up, relu)


@network("inception_resnet_v2_299")
def inception_resnet_v2():
    x = conv(conv(conv(image(299), 32, 3, 2, "VALID"), 32, 3, 1, "VALID"), 64, 3)
    x = conv(max_pool(x, 3, 2, "VALID"), 80, 1, 1, "VALID")
    x = max_pool(conv(x, 192, 3, 1, "VALID"), 3, 2, "VALID")
    c = conv(conv(conv(x, 64, 1), 96, 3), 96, 3)
    pooled = conv(average_pool(x, 3, 1), 64, 1)
    x = concat(conv(x, 96, 1), conv(conv(x, 48, 1), 64, 5), c, pooled)
    for _ in range(10):
        c = conv(conv(conv(x, 32, 1), 48, 3), 64, 3)
        x = residual(x, (conv(x, 32, 1), conv(conv(x, 32, 1), 32, 3), c))
    b = conv(conv(conv(x, 256, 1), 256, 3), 384, 3, 2, "VALID")
    x = concat(conv(x, 384, 3, 2, "VALID"), b, max_pool(x, 3, 2, "VALID"))
    for _ in range(20):
        x = residual(x, (conv(x, 192, 1), conv(conv(conv(x, 128, 1), 160, (1, 7)), 192, (7, 1))))
    a = conv(conv(x, 256, 1), 384, 3, 2, "VALID")
    b = conv(conv(x, 256, 1), 288, 3, 2, "VALID")
    c = conv(conv(conv(x, 256, 1), 288, 3), 320, 3, 2, "VALID")
    x = concat(a, b, c, max_pool(x, 3, 2, "VALID"))
    for _ in range(10):
        x = residual(x, (conv(x, 192, 1), conv(conv(conv(x, 192, 1), 224, (1, 3)), 256, (3, 1))))
    x = conv(x, 1536, 1)
    return tf.nn.softmax(dense(global_pool(x), 1001))


# MobileNet


def mobilenet_v1_trunk(x, alpha):
    """Up to the two feature maps that a detector takes."""
    wide = lambda n: max(int(n * alpha), 8)
    x = conv(x, wide(32), 3, 2, relu=6)
    plan = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)] + [(512, 1)] * 5
    for filters, stride in plan:
        x = conv(depthwise(x, 3, stride), wide(filters), 1, relu=6)
    middle = x
    for filters, stride in [(1024, 2), (1024, 1)]:
        x = conv(depthwise(x, 3, stride), wide(filters), 1, relu=6)
    return middle, x


@network("mobilenet_v1_025_128", 0.25, 128)
@network("mobilenet_v1_05_160", 0.5, 160)
@network("mobilenet_v1_10_224", 1.0, 224)
def mobilenet_v1(alpha, size):
    return tf.nn.softmax(dense(global_pool(mobilenet_v1_trunk(image(size), alpha)[1]), 1001))


def inverted(x, filters, stride, factor):
    y = conv(x, factor * channels(x), 1, relu=6) if factor > 1 else x
    expanded = y
    y = conv(depthwise(y, 3, stride), filters, 1, relu=False)
    return (x + y if stride == 1 and channels(x) == filters else y), expanded


def mobilenet_v2_trunk(x):
    x = conv(x, 32, 3, 2, relu=6)
    middle = None
    for factor, filters, repeats, stride in [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2),
                                             (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
                                             (6, 320, 1, 1)]:
        for index in range(repeats):
            x, expanded = inverted(x, filters, stride if index == 0 else 1, factor)
            if filters == 160 and index == 0:
                middle = expanded
    return middle, conv(x, 1280, 1, relu=6)


@network("mobilenet_v2_224")
def mobilenet_v2():
    return tf.nn.softmax(dense(global_pool(mobilenet_v2_trunk(image(224))[1]), 1000))


# VGG, AlexNet, SqueezeNet, DenseNet


def vgg_trunk(x, convolutions, norm=False):
    for count, filters in zip(convolutions, (64, 128, 256, 512, 512)):
        for _ in range(count):
            x = conv(x, filters, 3, norm=norm)
        x = max_pool(x, 2, 2, "VALID")
    return x


@network("vgg11_224", (1, 1, 2, 2, 2))
@network("vgg13_224", (2, 2, 2, 2, 2))
@network("vgg16_224", (2, 2, 3, 3, 3))
@network("vgg19_224", (2, 2, 4, 4, 4))
def vgg(convolutions):
    x = flatten(vgg_trunk(image(224), convolutions))
    return tf.nn.softmax(dense(dense(dense(x, 4096, True), 4096, True), 1000))


@network("alexnet_224")
def alexnet():
    x = conv(pad(image(224), 2, 2), 64, 11, 4, "VALID", norm=False)
    x = conv(max_pool(x, 3, 2, "VALID"), 192, 5, norm=False)
    x = conv(max_pool(x, 3, 2, "VALID"), 384, 3, norm=False)
    x = conv(conv(x, 256, 3, norm=False), 256, 3, norm=False)
    x = flatten(max_pool(x, 3, 2, "VALID"))
    return tf.nn.softmax(dense(dense(dense(x, 4096, True), 4096, True), 1000))


def fire(x, squeeze, expand):
    x = conv(x, squeeze, 1, norm=False)
    return concat(conv(x, expand, 1, norm=False), conv(x, expand, 3, norm=False))


@network("squeezenet1_0_224", (96, 7), (3, 7))
@network("squeezenet1_1_224", (64, 3), (2, 4))
def squeezenet(first, pooled_before):
    x = max_pool(conv(image(224), first[0], first[1], 2, "VALID", norm=False), 3, 2, "VALID")
    fires = [(16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)]
    for index, (squeeze, expand) in enumerate(fires):
        if index in pooled_before:
            x = max_pool(x, 3, 2, "VALID")
        x = fire(x, squeeze, expand)
    return global_pool(conv(x, 1000, 1, norm=False))


@network("densenet121_224", 32, (6, 12, 24, 16), 64)
@network("densenet169_224", 32, (6, 12, 32, 32), 64)
@network("densenet201_224", 32, (6, 12, 48, 32), 64)
@network("densenet161_224", 48, (6, 12, 36, 24), 96)
def densenet(growth, blocks, first):
    x = max_pool(pad(conv(image(224), first, 7, 2, "BOTH"), 1, 1), 3, 2, "VALID")
    for index, layers in enumerate(blocks):
        for _ in range(layers):
            y = conv(tf.nn.relu(batch_norm(x)), 4 * growth, 1)
            y = tf.nn.conv2d(y, weights(3, 3, 4 * growth, growth), 1, "SAME")
            x = concat(x, y)
        if index < len(blocks) - 1:
            y = tf.nn.relu(batch_norm(x))
            y = tf.nn.conv2d(y, weights(1, 1, channels(x), channels(x) // 2), 1, "SAME")
            x = average_pool(y, 2, 2, "VALID")
    return tf.nn.softmax(dense(global_pool(tf.nn.relu(batch_norm(x))), 1000))


# Detection and segmentation


def ssd(maps, classes):
    """Heads on the feature maps and on four smaller ones."""
    x = maps[-1]
    maps = list(maps)
    for squeeze, filters in [(256, 512), (128, 256), (128, 256), (64, 128)]:
        x = conv(conv(x, squeeze, 1, relu=6), filters, 3, 2, relu=6)
        maps.append(x)
    boxes, scores = [], []
    for index, x in enumerate(maps):
        anchors = 3 if index == 0 else 6
        box = conv(x, 4 * anchors, 1, relu=False, norm=False)
        score = conv(x, (classes + 1) * anchors, 1, relu=False, norm=False)
        count = int(x.shape[1]) * int(x.shape[2]) * anchors
        boxes.append(tf.reshape(box, [-1, count, 4]))
        scores.append(tf.reshape(score, [-1, count, classes + 1]))
    tf.identity(tf.concat(boxes, axis=1), name="boxes")
    return tf.sigmoid(tf.concat(scores, axis=1))


@network("ssd_mobilenet_v1_300", 1.0)
@network("ssd_mobilenet_v1_075_300", 0.75)
def ssd_mobilenet_v1(alpha):
    return ssd(mobilenet_v1_trunk(image(300), alpha), 90)


@network("ssd_mobilenet_v2_300")
def ssd_mobilenet_v2():
    return ssd(mobilenet_v2_trunk(image(300)), 90)


@network("ssd_inception_v2_300")
def ssd_inception_v2():
    return ssd(inception_v2_trunk(image(300)), 90)


def yolo_head(x, name):
    return tf.identity(conv(x, 255, 1, relu=False, norm=False), name=name)


@network("yolov3_tiny_416")
def yolov3_tiny():
    x = image(416)
    for filters in (16, 32, 64, 128):
        x = max_pool(conv(x, filters, 3, relu="leaky"), 2, 2)
    route = conv(x, 256, 3, relu="leaky")
    x = conv(max_pool(route, 2, 2), 512, 3, relu="leaky")
    x = conv(max_pool(x, 2, 1), 1024, 3, relu="leaky")
    x = conv(x, 256, 1, relu="leaky")
    yolo_head(conv(x, 512, 3, relu="leaky"), "large")
    x = upsample(conv(x, 128, 1, relu="leaky"))
    return yolo_head(conv(concat(x, route), 256, 3, relu="leaky"), "small")


def upsample(x):
    return tf.raw_ops.ResizeNearestNeighbor(
        images=x, size=[2 * int(x.shape[1]), 2 * int(x.shape[2])])


@network("yolov3_416")
def yolov3():
    leaky = lambda x, filters, size, stride=1: conv(x, filters, size, stride, relu="leaky")
    x = leaky(image(416), 32, 3)
    routes = []
    for filters, blocks in ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4)):
        x = leaky(x, filters, 3, 2)
        for _ in range(blocks):
            x = x + leaky(leaky(x, filters // 2, 1), filters, 3)
        routes.append(x)
    for filters, route, name in ((512, routes[3], "large"), (256, routes[2], "middle"),
                                 (128, None, "small")):
        for _ in range(2):
            x = leaky(leaky(x, filters, 1), 2 * filters, 3)
        x = leaky(x, filters, 1)
        head = yolo_head(leaky(x, 2 * filters, 3), name)
        if route is not None:
            x = concat(upsample(leaky(x, filters // 2, 1)), route)
    return head


@network("yolov4_tiny_416")
def yolov4_tiny():
    leaky = lambda x, filters, size, stride=1: conv(x, filters, size, stride, relu="leaky")
    x = leaky(leaky(image(416), 32, 3, 2), 64, 3, 2)
    for filters in (64, 128, 256):
        whole = leaky(x, filters, 3)
        first = leaky(whole[..., filters // 2:], filters // 2, 3)
        second = leaky(first, filters // 2, 3)
        route = leaky(concat(second, first), filters, 1)
        x = max_pool(concat(whole, route), 2, 2)
    x = leaky(leaky(x, 512, 3), 256, 1)
    yolo_head(leaky(x, 512, 3), "large")
    x = upsample(leaky(x, 128, 1))
    return yolo_head(leaky(concat(x, route), 256, 3), "small")


@network("fcn_resnet18_512x256", 256, 512, 21)
@network("fcn_resnet18_1024x512", 512, 1024, 21)
@network("fcn_resnet18_576x320", 320, 576, 5)
@network("fcn_resnet18_320x320", 320, 320, 21)
@network("fcn_resnet18_640x512", 512, 640, 37)
@network("fcn_resnet18_640x360", 360, 640, 21)
def fcn_resnet18(height, width, classes):
    """The grid of 1/32 of the size that jetson-inference's segNet colours."""
    x = conv(torch_trunk(image(height, width), 18), 128, 3)
    return conv(x, classes, 1, relu=False, norm=False)


def main():
    if sys.argv[1:] == ["--list"]:
        print("\n".join(NETWORKS))
        return
    folder, names = sys.argv[1:2], sys.argv[2:]
    unknown = [name for name in names if name not in NETWORKS]
    if not names or unknown:
        sys.exit(f"networks.py: unknown: {', '.join(unknown)}" if unknown else
                 "usage: networks.py DIR NAME...")
    for name in names:
        function, args = NETWORKS[name]
        graph = tf.Graph()
        with graph.as_default():
            tf.identity(function(*args), name="output")
        file = Path(folder[0]) / f"{name}.pb"
        file.write_bytes(graph.as_graph_def().SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
