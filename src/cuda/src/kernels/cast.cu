// OUT y = IN x after TensorFlow's `Cast` on a CPU: floats truncate towards zero, by way of the
// smallest integer where they do not fit; integers keep the low bits.

template <class T> struct Cast {
    static __device__ i32 truncated(float x) {
        return x >= -2147483648.0f && x < 2147483648.0f ? (i32)x : I32_MIN;
    }
    static __device__ T of(float x) { return (T)truncated(x); }
    static __device__ T of(i32 x) { return (T)x; }
    static __device__ T of(i64 x) { return (T)x; }
};
template <> struct Cast<i64> {
    static __device__ i64 of(float x) {
        return x >= -9223372036854775808.0f && x < 9223372036854775808.0f ? (i64)x : I64_MIN;
    }
    static __device__ i64 of(i32 x) { return x; }
    static __device__ i64 of(i64 x) { return x; }
};
template <> struct Cast<float> {
    template <class W> static __device__ float of(W x) { return (float)x; }
};
template <> struct Cast<f16> {
    template <class W> static __device__ f16 of(W x) { return Narrow<f16>::of((float)x); }
};
template <> struct Cast<bool8> : Narrow<bool8> {};

extern "C" __global__ void cast(const IN* x, OUT* y, Index count) {
    FOR_EACH(at, count) y[at] = Cast<OUT>::of(wide(x[at]));
}
