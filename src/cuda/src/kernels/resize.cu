// Resizes NHWC images by SAMPLE, `nearest` or `bilinear`. CENTERS is 1 for half-pixel centers, ALIGN
// is 1 for aligned corners.

struct Sizes {
    Index height;
    Index width;
    Index channels;
    Index out_height;
    Index out_width;
    Index count;
};

struct Place {
    Index image;
    Index row;
    Index column;
    Index channel;

    __device__ Place(Index at, const Sizes& sizes) {
        Index rest = at / sizes.channels;
        channel = at - rest * sizes.channels;
        row = rest / sizes.out_width;
        column = rest - row * sizes.out_width;
        image = row / sizes.out_height;
        row = row - image * sizes.out_height;
    }

    __device__ Index source(Index row, Index column, const Sizes& sizes) const {
        return ((image * sizes.height + row) * sizes.width + column) * sizes.channels + channel;
    }
};

__device__ inline Index clamped(float position, Index size) {
    Index index = position > 0 ? (Index)position : 0;
    return index < size ? index : size - 1;
}

__device__ inline Index nearest_to(Index at, float scale, Index size) {
    float position = CENTERS ? floorf(((float)at + 0.5f) * scale)
                   : ALIGN   ? roundf((float)at * scale)
                             : floorf((float)at * scale);
    return clamped(position, size);
}

template <class T> __device__ inline T nearest(
    const T* x, const Place& place, const Sizes& sizes, float row_scale, float column_scale) {
    Index row = nearest_to(place.row, row_scale, sizes.height);
    Index column = nearest_to(place.column, column_scale, sizes.width);
    return x[place.source(row, column, sizes)];
}

// The two elements along a dimension between which a result lies.
struct Between {
    Index lower;
    Index upper;
    // Weight of the upper one.
    float fraction;

    __device__ Between(Index at, float scale, Index size) {
        float position = CENTERS ? ((float)at + 0.5f) * scale - 0.5f : (float)at * scale;
        float below = floorf(position);
        lower = clamped(below, size);
        upper = clamped(ceilf(position), size);
        fraction = position - below;
    }
};

__device__ inline float blend(float low, float high, float fraction) {
    return low + (high - low) * fraction;
}

template <class T> __device__ inline float bilinear(
    const T* x, const Place& place, const Sizes& sizes, float row_scale, float column_scale) {
    Between rows(place.row, row_scale, sizes.height);
    Between columns(place.column, column_scale, sizes.width);
    float top = blend((float)wide(x[place.source(rows.lower, columns.lower, sizes)]),
                      (float)wide(x[place.source(rows.lower, columns.upper, sizes)]),
                      columns.fraction);
    float bottom = blend((float)wide(x[place.source(rows.upper, columns.lower, sizes)]),
                         (float)wide(x[place.source(rows.upper, columns.upper, sizes)]),
                         columns.fraction);
    return blend(top, bottom, rows.fraction);
}

extern "C" __global__ void resize(
    const IN* x, OUT* y, Sizes sizes, float row_scale, float column_scale) {
    FOR_EACH(at, sizes.count) {
        Place place(at, sizes);
        y[at] = (OUT)SAMPLE<IN>(x, place, sizes, row_scale, column_scale);
    }
}
