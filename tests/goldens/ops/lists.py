"""TensorList ops. A list has no array: it goes in as the tensor of its elements, and comes out so.

An element that was not written is a row of zeros, since that is what reading it gives.
"""

import numpy as np
import tensorflow as tf

from .cases import F32, F16, add, i32, i64, integers, normal, run

raw = tf.raw_ops
UNKNOWN = np.int32(-1)


def attrs(dtype, **more):
    return {"element_dtype": {"type": np.dtype(dtype).name}, **more}


def listed(x):
    return raw.TensorListFromTensor(tensor=x, element_shape=i32(*x.shape[1:]))


def stacked(handle, dtype, shape=UNKNOWN):
    return raw.TensorListStack(input_handle=handle, element_shape=shape, element_dtype=dtype)


def made():
    kind = {"shape_type": {"type": "int32"}}
    for name, shape, count in [("known", i32(2, 3), 4), ("scalars", i32(), 3), ("none", i32(2), 0)]:
        y = run(lambda s, n: stacked(raw.TensorListReserve(
            element_shape=s, num_elements=n, element_dtype=tf.float32), tf.float32, s),
            shape, np.int32(count))
        add(name, "TensorListReserve", attrs(F32, **kind), [shape, np.int32(count)], [y])
    for name, shape in [("unknown_rank", UNKNOWN), ("unknown_size", i32(-1, 3))]:
        add(name, "TensorListReserve", attrs(np.int64, **kind), [shape, np.int32(3)],
            [np.zeros((3, 0), np.int64)])
    for name, shape, y in [("known", i32(2, 3), np.zeros((0, 2, 3), F16)),
                           ("unknown", UNKNOWN, np.zeros((0, 0), F16))]:
        add(name, "EmptyTensorList", attrs(F16, **kind), [shape, np.int32(8)], [y])


def items():
    x = normal(4, 2, 3)
    for i in [0, 3]:
        y = run(lambda x: raw.TensorListGetItem(
            input_handle=listed(x), index=i, element_shape=UNKNOWN, element_dtype=tf.float32), x)
        add(f"element_{i}", "TensorListGetItem", attrs(F32), [x, np.int32(i), UNKNOWN], [y])
    y = run(lambda s: raw.TensorListGetItem(
        input_handle=raw.TensorListReserve(element_shape=UNKNOWN, num_elements=3,
                                           element_dtype=tf.float32),
        index=1, element_shape=s, element_dtype=tf.float32), i32(2, 2))
    add("not_written", "TensorListGetItem", attrs(F32),
        [np.zeros((3, 0), F32), np.int32(1), i32(2, 2)], [y])

    item = normal(2, 3)
    grown = {"resize_if_index_out_of_bounds": {"b": True}}
    for name, i, more in [("first", 0, {}), ("last", 3, {}), ("behind_the_end", 6, grown)]:
        y = run(lambda x, item: stacked(raw.TensorListSetItem(
            input_handle=listed(x), index=i, item=item,
            resize_if_index_out_of_bounds=bool(more)), tf.float32), x, item)
        add(name, "TensorListSetItem", attrs(F32, **more), [x, np.int32(i), item], [y])
    y = run(lambda item: stacked(raw.TensorListSetItem(
        input_handle=raw.TensorListReserve(element_shape=UNKNOWN, num_elements=3,
                                           element_dtype=tf.float32),
        index=1, item=item), tf.float32), item)
    add("into_unknown", "TensorListSetItem", attrs(F32),
        [np.zeros((3, 0), F32), np.int32(1), item], [y])
    flags = np.array([True, False, True])
    y = run(lambda x, item: stacked(raw.TensorListSetItem(
        input_handle=listed(x), index=1, item=item), tf.bool), flags, np.array(True))
    add("scalar_bool", "TensorListSetItem", attrs(np.bool_), [flags, np.int32(1), np.array(True)],
        [y])


def ends():
    x, item = normal(3, 2), normal(2)
    y = run(lambda x, item: stacked(raw.TensorListPushBack(
        input_handle=listed(x), tensor=item), tf.float32), x, item)
    add("element", "TensorListPushBack", attrs(F32), [x, item], [y])
    y = run(lambda item: stacked(raw.TensorListPushBack(
        input_handle=raw.EmptyTensorList(element_shape=UNKNOWN, max_num_elements=-1,
                                         element_dtype=tf.float32), tensor=item),
        tf.float32), item)
    add("first_of_unknown", "TensorListPushBack", attrs(F32), [np.zeros((0, 0), F32), item], [y])

    def popped(x):
        handle, last = raw.TensorListPopBack(
            input_handle=listed(x), element_shape=UNKNOWN, element_dtype=tf.float32)
        return stacked(handle, tf.float32), last

    add("element", "TensorListPopBack", attrs(F32), [x, UNKNOWN], run(popped, x))
    add("only_element", "TensorListPopBack", attrs(F32), [x[:1], i32(2)], run(popped, x[:1]))


def sizes():
    x = normal(3, 2)
    y = run(lambda x: raw.TensorListLength(input_handle=listed(x)), x)
    add("three", "TensorListLength", {}, [x], [y])
    add("of_unknown", "TensorListLength", {}, [np.zeros((5, 0), F32)], [np.int32(5)])
    for count in [2, 5, 3]:
        def resized(x, n):
            return stacked(raw.TensorListResize(input_handle=listed(x), size=n), tf.float32)
        add(f"to_{count}", "TensorListResize", {}, [x, np.int32(count)],
            [run(resized, x, np.int32(count))])
    for dtype in [tf.int32, tf.int64]:
        y = run(lambda x: raw.TensorListElementShape(
            input_handle=listed(x), shape_type=dtype), normal(4, 2, 3))
        add(dtype.name, "TensorListElementShape", {"shape_type": {"type": dtype.name}},
            [normal(4, 2, 3), ], [y])
    y = run(lambda n: raw.TensorListElementShape(input_handle=raw.TensorListReserve(
        element_shape=UNKNOWN, num_elements=n, element_dtype=tf.float32),
        shape_type=tf.int32), np.int32(2))
    add("unknown", "TensorListElementShape", {"shape_type": {"type": "int32"}},
        [np.zeros((2, 0), F32)], [y])


def tensors():
    x = normal(3, 2, 2)
    count = {"num_elements": {"i": -1}}
    for name, shape in [("unknown", UNKNOWN), ("known", i32(2, 2)), ("partly", i32(-1, 2))]:
        y = run(lambda x: stacked(listed(x), tf.float32, shape), x)
        add(name, "TensorListStack", attrs(F32, **count), [x, shape], [y])
    y = run(lambda s: stacked(raw.TensorListReserve(
        element_shape=UNKNOWN, num_elements=3, element_dtype=tf.int32), tf.int32, s), i32(2))
    add("not_written", "TensorListStack", attrs(np.int32, **count),
        [np.zeros((3, 0), np.int32), i32(2)], [y])
    add("empty", "TensorListStack", attrs(F32, num_elements={"i": 0}),
        [np.zeros((0, 2), F32), UNKNOWN],
        [run(lambda x: stacked(listed(x), tf.float32), np.zeros((0, 2), F32))])
    for name, value, shape in [("matrix", x, i32(2, 2)), ("vector", i64(4, 5), UNKNOWN)]:
        y = run(lambda v: stacked(raw.TensorListFromTensor(
            tensor=v, element_shape=shape), v.dtype), value)
        add(name, "TensorListFromTensor",
            attrs(value.dtype, shape_type={"type": "int32"}), [value, shape], [y])


def picks():
    x = normal(4, 2)
    for name, indices in [("some", i32(3, 0, 3)), ("none", i32())]:
        y = run(lambda x, i: raw.TensorListGather(
            input_handle=listed(x), indices=i, element_shape=UNKNOWN,
            element_dtype=tf.float32), x, indices)
        add(name, "TensorListGather", attrs(F32), [x, indices, UNKNOWN], [y])
    rows, kind = normal(2, 3), {"shape_type": {"type": "int32"}}
    for name, indices, count in [("inferred", i32(3, 1), -1), ("counted", i32(0, 1), 3)]:
        y = run(lambda x, i, n: stacked(raw.TensorListScatterV2(
            tensor=x, indices=i, element_shape=i32(3), num_elements=n), tf.float32, i32(3)),
            rows, indices, np.int32(count))
        add(name, "TensorListScatterV2", attrs(F32, **kind),
            [rows, indices, i32(3), np.int32(count)], [y])
    y = run(lambda x, i: stacked(raw.TensorListScatter(
        tensor=x, indices=i, element_shape=i32(3)), tf.float32, i32(3)), rows, i32(2, 0))
    add("rows", "TensorListScatter", attrs(F32, **kind), [rows, i32(2, 0), i32(3)], [y])
    for name, indices in [("inside", i32(1, 0)), ("behind_the_end", i32(4, 2))]:
        y = run(lambda x, r, i: stacked(raw.TensorListScatterIntoExistingList(
            input_handle=listed(x), tensor=r, indices=i), tf.float32, i32(2)),
            x, rows[:, :2], indices)
        add(name, "TensorListScatterIntoExistingList", attrs(F32), [x, rows[:, :2], indices], [y])


def joins():
    x = integers(0, 9, 3, 2, 4)
    y = run(lambda x: raw.TensorListConcatV2(
        input_handle=listed(x), element_shape=i32(-1, 4), leading_dims=np.zeros(0, np.int64),
        element_dtype=tf.int32), x)
    add("matrices", "TensorListConcatV2",
        attrs(np.int32, shape_type={"type": "int32"}),
        [x, i32(-1, 4), np.zeros(0, np.int64)], list(y))
    y = run(lambda x: raw.TensorListConcat(
        input_handle=listed(x), element_dtype=tf.int32, element_shape=[2, 4]), x)
    add("matrices", "TensorListConcat", attrs(np.int32, element_shape={"shape": [2, 4]}), [x],
        list(y))
    x = normal(6, 2)
    y = run(lambda x, n: stacked(raw.TensorListSplit(
        tensor=x, element_shape=i32(-1, 2), lengths=n), tf.float32), x, i64(2, 2, 2))
    add("thirds", "TensorListSplit", attrs(F32, shape_type={"type": "int32"}),
        [x, i32(-1, 2), i64(2, 2, 2)], [y])


FAMILIES = [made, items, ends, sizes, tensors, picks, joins]
