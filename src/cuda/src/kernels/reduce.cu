// OUT y = REDUCTION of the elements IN x that a walk meets. `group` threads, a power of two, share
// the elements of one result. Sums of floats are kept in 64 bits.

#define THREADS 256

struct Sizes {
    Index results;
    // Elements that make one result.
    Index elements;
    Index group;
};

// What sums of a computed type are kept in.
template <class W> struct Sum64 { typedef i64 Type; };
template <> struct Sum64<float> { typedef double Type; };

template <class T> struct Sum {
    typedef typename Number<T>::Wide Wide;
    typedef typename Sum64<Wide>::Type Folded;
    static __device__ Folded first() { return 0; }
    static __device__ Folded one(Wide x, Index) { return x; }
    static __device__ Folded join(Folded a, Folded b) { return a + b; }
    static __device__ Folded last(Folded sum, Index) { return sum; }
};
template <class T> struct Mean : Sum<T> {
    typedef typename Sum<T>::Folded Folded;
    static __device__ double last(double sum, Index elements) { return sum / (double)elements; }
    static __device__ i64 last(i64 sum, Index elements) {
        return elements == 0 ? 0 : sum / (i64)elements;
    }
};
template <class T> struct Max {
    typedef typename Number<T>::Wide Folded;
    static __device__ Folded first() { return Number<T>::lowest(); }
    static __device__ Folded one(Folded x, Index) { return x; }
    static __device__ Folded join(Folded a, Folded b) { return greater_of(a, b); }
    static __device__ Folded last(Folded x, Index) { return x; }
};
template <class T> struct Min {
    typedef typename Number<T>::Wide Folded;
    static __device__ Folded first() { return Number<T>::highest(); }
    static __device__ Folded one(Folded x, Index) { return x; }
    static __device__ Folded join(Folded a, Folded b) { return lesser_of(a, b); }
    static __device__ Folded last(Folded x, Index) { return x; }
};
template <class T> struct All {
    typedef i32 Folded;
    static __device__ i32 first() { return 1; }
    static __device__ i32 one(i32 x, Index) { return x; }
    static __device__ i32 join(i32 a, i32 b) { return a && b; }
    static __device__ i32 last(i32 x, Index) { return x; }
};
template <class T> struct Any : All<T> {
    static __device__ i32 first() { return 0; }
    static __device__ i32 join(i32 a, i32 b) { return a || b; }
};

// The first of equal values wins, NaN never does.
template <class W> struct Found {
    W value;
    Index at;
};
template <class T> struct ArgMax {
    typedef typename Number<T>::Wide Wide;
    typedef Found<Wide> Folded;
    static __device__ Folded first() {
        Folded found = {Number<T>::lowest(), 0};
        return found;
    }
    static __device__ Folded one(Wide x, Index at) {
        Folded found = {x, at};
        return x > Number<T>::lowest() ? found : first();
    }
    static __device__ Folded join(Folded a, Folded b) {
        return b.value > a.value || (b.value == a.value && b.at < a.at) ? b : a;
    }
    static __device__ i64 last(Folded found, Index) { return (i64)found.at; }
};
template <class T> struct ArgMin {
    typedef typename Number<T>::Wide Wide;
    typedef Found<Wide> Folded;
    static __device__ Folded first() {
        Folded found = {Number<T>::highest(), 0};
        return found;
    }
    static __device__ Folded one(Wide x, Index at) {
        Folded found = {x, at};
        return x < Number<T>::highest() ? found : first();
    }
    static __device__ Folded join(Folded a, Folded b) {
        return b.value < a.value || (b.value == a.value && b.at < a.at) ? b : a;
    }
    static __device__ i64 last(Folded found, Index) { return (i64)found.at; }
};

extern "C" __global__ void reduce(
    const IN* x, OUT* y, Walk<1> kept, Walk<1> reduced, Sizes sizes) {
    typedef REDUCTION<IN> Reduction;
    typedef Reduction::Folded Folded;
    __shared__ Folded folded[THREADS];
    Index lane = threadIdx.x % sizes.group;
    Index at_once = THREADS / sizes.group;
    for (Index first = blockIdx.x * at_once; first < sizes.results; first += gridDim.x * at_once) {
        Index result = first + threadIdx.x / sizes.group;
        Folded sum = Reduction::first();
        if (result < sizes.results) {
            Index start;
            kept.offsets(result, &start);
            for (Index at = lane; at < sizes.elements; at += sizes.group) {
                Index offset;
                reduced.offsets(at, &offset);
                sum = Reduction::join(sum, Reduction::one(wide(x[start + offset]), at));
            }
        }
        folded[threadIdx.x] = sum;
        __syncthreads();
        for (Index half = sizes.group / 2; half > 0; half /= 2) {
            if (lane < half) {
                sum = Reduction::join(sum, folded[threadIdx.x + half]);
                folded[threadIdx.x] = sum;
            }
            __syncthreads();
        }
        if (lane == 0 && result < sizes.results) {
            y[result] = Narrow<OUT>::of(Reduction::last(sum, sizes.elements));
        }
    }
}
