// Copies the elements of type FROM that a walk meets in one tensor to those that it meets in
// another, of type TO.

extern "C" __global__ void copy(const FROM* from, TO* to, Walk<2> walk, Index count) {
    FOR_EACH(at, count) {
        Index offsets[2];
        walk.offsets(at, offsets);
        to[offsets[1]] = (TO)from[offsets[0]];
    }
}
