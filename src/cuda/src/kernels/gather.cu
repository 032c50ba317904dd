// Slices of `params` (elements of type FROM) along an axis, at `indices`; 0 where an index is
// outside the axis.

struct Sizes {
    // Slices' positions before the axis, for each position of the batch dimensions.
    Index outer;
    // Indices for each position of the batch dimensions.
    Index indices;
    // Size of the axis.
    Index axis;
    // Elements behind the axis.
    Index inner;
    Index count;
};

extern "C" __global__ void gather(
    const FROM* params, const INDICES* indices, TO* out, Sizes sizes) {
    FOR_EACH(at, sizes.count) {
        Index row = at / sizes.inner;
        Index within = at - row * sizes.inner;
        Index block = row / sizes.indices;
        Index which = block / sizes.outer * sizes.indices + (row - block * sizes.indices);
        i64 index = indices[which];
        bool inside = index >= 0 && index < (i64)sizes.axis;
        Index from = (block * sizes.axis + (Index)index) * sizes.inner + within;
        out[at] = inside ? (TO)params[from] : (TO)0;
    }
}
