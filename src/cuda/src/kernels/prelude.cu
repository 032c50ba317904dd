// Element types, the types they are computed in, and walks over strided tensors. Goes before every
// kernel. The program's options define INDEX: an unsigned type that holds every offset; offsets
// wrap, so strides may be negative.

typedef signed char i8;
typedef unsigned char u8;
typedef unsigned short u16;
typedef int i32;
typedef unsigned int u32;
typedef long long i64;
typedef unsigned long long u64;
typedef INDEX Index;

struct f16 { u16 bits; };
struct bool8 { u8 byte; };

#define MAX_DIMS 8
#define I32_MIN ((i32)0x80000000)
#define I64_MIN ((i64)0x8000000000000000ULL)
#define INFINITY_F32 __int_as_float(0x7f800000)

// What an element type is computed in, and its smallest and largest value there.
template <class T> struct Number;
template <> struct Number<float> {
    typedef float Wide;
    static __device__ float lowest() { return -INFINITY_F32; }
    static __device__ float highest() { return INFINITY_F32; }
};
template <> struct Number<f16> : Number<float> {};
#define INTEGER(T, WIDE, LOWEST, HIGHEST)                      \
    template <> struct Number<T> {                             \
        typedef WIDE Wide;                                     \
        static __device__ WIDE lowest() { return LOWEST; }     \
        static __device__ WIDE highest() { return HIGHEST; }   \
    };
INTEGER(i8, i32, -128, 127)
INTEGER(u8, i32, 0, 255)
INTEGER(bool8, i32, 0, 1)
INTEGER(i32, i32, I32_MIN, 0x7fffffff)
INTEGER(i64, i64, I64_MIN, 0x7fffffffffffffffLL)

__device__ inline float wide(float x) { return x; }
__device__ inline float wide(f16 x) {
    float y;
    asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
    return y;
}
__device__ inline i32 wide(i8 x) { return x; }
__device__ inline i32 wide(u8 x) { return x; }
__device__ inline i32 wide(i32 x) { return x; }
__device__ inline i64 wide(i64 x) { return x; }
__device__ inline i32 wide(bool8 x) { return x.byte != 0; }

// The element of a computed value: floats round to nearest even, integers keep the low bits.
template <class T> struct Narrow {
    template <class W> static __device__ T of(W x) { return (T)x; }
};
template <> struct Narrow<f16> {
    static __device__ f16 of(float x) {
        f16 y;
        asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
        return y;
    }
};
template <> struct Narrow<bool8> {
    template <class W> static __device__ bool8 of(W x) {
        bool8 y;
        y.byte = x != 0;
        return y;
    }
};

// A value as an element of type T holds it.
template <class T> __device__ inline typename Number<T>::Wide rounded(typename Number<T>::Wide x) {
    return wide(Narrow<T>::of(x));
}

__device__ inline float plus(float x, float y) { return x + y; }
__device__ inline i32 plus(i32 x, i32 y) { return (i32)((u32)x + (u32)y); }
__device__ inline i64 plus(i64 x, i64 y) { return (i64)((u64)x + (u64)y); }
__device__ inline float minus(float x, float y) { return x - y; }
__device__ inline i32 minus(i32 x, i32 y) { return (i32)((u32)x - (u32)y); }
__device__ inline i64 minus(i64 x, i64 y) { return (i64)((u64)x - (u64)y); }
__device__ inline float times(float x, float y) { return x * y; }
__device__ inline i32 times(i32 x, i32 y) { return (i32)((u32)x * (u32)y); }
__device__ inline i64 times(i64 x, i64 y) { return (i64)((u64)x * (u64)y); }

// NaN where either is.
template <class W> __device__ inline W greater_of(W x, W y) { return x > y || x != x ? x : y; }
template <class W> __device__ inline W lesser_of(W x, W y) { return x < y || x != x ? x : y; }

// Dimensions, outermost first, with a start and a stride in each of N tensors.
template <int N> struct Walk {
    Index rank;
    Index sizes[MAX_DIMS];
    struct { Index start; Index strides[MAX_DIMS]; } tensors[N];

    // Where point `at`, counted in row-major order, lies in each tensor.
    __device__ void offsets(Index at, Index* offsets) const {
        for (int n = 0; n < N; ++n) offsets[n] = tensors[n].start;
        for (Index dim = rank - 1; dim > 0; --dim) {
            Index rest = at / sizes[dim];
            Index position = at - rest * sizes[dim];
            for (int n = 0; n < N; ++n) offsets[n] += position * tensors[n].strides[dim];
            at = rest;
        }
        for (int n = 0; n < N; ++n) offsets[n] += at * tensors[n].strides[0];
    }
};

// A loop over [0, count) that the threads of the grid share.
#define FOR_EACH(at, count)                                               \
    for (Index at = blockIdx.x * (Index)blockDim.x + threadIdx.x; at < (count); \
         at += gridDim.x * (Index)blockDim.x)
