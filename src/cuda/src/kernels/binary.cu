// OUT out = OPERATION(A a, B b), broadcast, computed as elements of type NUMBER.

namespace operation {

#define ARITHMETIC(name)                                                            \
    template <class T> __device__ inline typename Number<T>::Wide name(             \
        typename Number<T>::Wide x, typename Number<T>::Wide y)
#define COMPARISON(name, operator)                                                  \
    template <class T> __device__ inline i32 name(                                  \
        typename Number<T>::Wide x, typename Number<T>::Wide y) { return x operator y; }

// An integer divided by 0 is 0.
__device__ inline float quotient(float x, float y) { return x / y; }
template <class W> __device__ inline W quotient(W x, W y) {
    return y == 0 ? 0 : y == -1 ? minus((W)0, x) : x / y;
}
__device__ inline float remainder(float x, float y) { return fmodf(x, y); }
template <class W> __device__ inline W remainder(W x, W y) {
    return y == 0 || y == -1 ? 0 : x % y;
}

ARITHMETIC(add) { return plus(x, y); }
ARITHMETIC(subtract) { return minus(x, y); }
ARITHMETIC(multiply) { return times(x, y); }
ARITHMETIC(divide) { return quotient(x, y); }
ARITHMETIC(divide_no_nan) { return y == 0 ? 0 : quotient(x, y); }
ARITHMETIC(truncate_mod) { return remainder(x, y); }
ARITHMETIC(floor_mod) {
    typename Number<T>::Wide r = remainder(x, y);
    return r != 0 && (r < 0) != (y < 0) ? plus(r, y) : r;
}
template <class T> __device__ inline float floor_quotient(float x, float y) {
    return floorf(rounded<T>(x / y));
}
template <class T, class W> __device__ inline W floor_quotient(W x, W y) {
    return floor_mod<T>(x, y) == remainder(x, y) ? quotient(x, y)
                                                 : minus(quotient(x, y), (W)1);
}
ARITHMETIC(floor_div) { return floor_quotient<T>(x, y); }
ARITHMETIC(minimum) { return lesser_of(x, y); }
ARITHMETIC(maximum) { return greater_of(x, y); }
ARITHMETIC(squared_difference) {
    typename Number<T>::Wide difference = rounded<T>(minus(x, y));
    return times(difference, difference);
}
// A negative power of an integer is 0.
template <class W> __device__ inline W power_of(W x, W exponent) {
    W power = 1;
    for (; exponent > 0; exponent >>= 1) {
        if (exponent & 1) power = times(power, x);
        x = times(x, x);
    }
    return exponent < 0 ? 0 : power;
}
__device__ inline float power_of(float x, float exponent) { return powf(x, exponent); }
ARITHMETIC(power) { return power_of(x, y); }
ARITHMETIC(prelu) { return x < 0 ? times(x, y) : x; }

COMPARISON(equal, ==)
COMPARISON(not_equal, !=)
COMPARISON(less, <)
COMPARISON(less_equal, <=)
COMPARISON(greater, >)
COMPARISON(greater_equal, >=)
COMPARISON(logical_and, &&)
COMPARISON(logical_or, ||)

}

extern "C" __global__ void binary(const A* a, const B* b, OUT* out, Walk<2> walk, Index count) {
    FOR_EACH(at, count) {
        Index from[2];
        walk.offsets(at, from);
        typedef Number<NUMBER>::Wide Wide;
        Wide x = wide(a[from[0]]);
        Wide y = wide(b[from[1]]);
        out[at] = Narrow<OUT>::of(operation::OPERATION<NUMBER>(x, y));
    }
}
