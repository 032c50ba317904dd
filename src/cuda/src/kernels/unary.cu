// OUT y = OPERATION(IN x), computed in IN's wide type and rounded once.

namespace operation {

#define REAL(name, expression) \
    __device__ inline float name(float x, float) { return expression; }
#define INTEGERS(name, expression)                                   \
    __device__ inline i32 name(i32 x, float) { return expression; }  \
    __device__ inline i64 name(i64 x, float) { return expression; }
#define TEST(name, expression) \
    __device__ inline i32 name(float x, float) { return expression; }

REAL(abs, fabsf(x))
INTEGERS(abs, x < 0 ? minus(x - x, x) : x)
REAL(negate, -x)
INTEGERS(negate, minus(x - x, x))
REAL(sign, x > 0 ? 1.0f : x < 0 ? -1.0f : x)
INTEGERS(sign, x > 0 ? 1 : x < 0 ? -1 : 0)
REAL(square, x * x)
INTEGERS(square, times(x, x))
REAL(round, rintf(x))
INTEGERS(round, x)
REAL(ceil, ceilf(x))
REAL(floor, floorf(x))
REAL(exp, expf(x))
REAL(expm1, expm1f(x))
REAL(log, logf(x))
REAL(log1p, log1pf(x))
REAL(sqrt, sqrtf(x))
REAL(rsqrt, 1.0f / sqrtf(x))
REAL(reciprocal, 1.0f / x)
REAL(sin, sinf(x))
REAL(cos, cosf(x))
REAL(tan, tanf(x))
REAL(asin, asinf(x))
REAL(acos, acosf(x))
REAL(atan, atanf(x))
REAL(sinh, sinhf(x))
REAL(cosh, coshf(x))
REAL(asinh, asinhf(x))
REAL(acosh, acoshf(x))
REAL(atanh, atanhf(x))
REAL(erf, erff(x))

REAL(relu, greater_of(x, 0.0f))
INTEGERS(relu, x > 0 ? x : 0)
REAL(relu6, lesser_of(greater_of(x, 0.0f), 6.0f))
INTEGERS(relu6, x > 6 ? 6 : x > 0 ? x : 0)
__device__ inline float leaky_relu(float x, float alpha) {
    return alpha <= 1.0f ? greater_of(x, x * alpha) : x > 0 ? x : x * alpha;
}
REAL(elu, x < 0 ? expf(x) - 1.0f : x)
REAL(selu, x < 0 ? 1.7580993408473769f * (expf(x) - 1.0f) : 1.0507009873554805f * x)
REAL(sigmoid, 1.0f / (1.0f + expf(-x)))
REAL(tanh, tanhf(x))
// Beyond ln(epsilon) + 2 one of the terms no longer counts.
REAL(softplus, x > 13.942385f ? x : x < -13.942385f ? expf(x) : log1pf(expf(x)))
REAL(softsign, x / (1.0f + fabsf(x)))

TEST(is_finite, fabsf(x) < INFINITY_F32)
TEST(is_infinite, fabsf(x) == INFINITY_F32)
TEST(is_nan, x != x)
__device__ inline i32 logical_not(i32 x, float) { return x == 0; }

}

extern "C" __global__ void unary(const IN* x, OUT* y, float alpha, Index count) {
    FOR_EACH(at, count) y[at] = Narrow<OUT>::of(operation::OPERATION(wide(x[at]), alpha));
}
