// OUT out = condition ? A a : B b, all three broadcast.

extern "C" __global__ void select(
    const bool8* condition, const A* a, const B* b, OUT* out, Walk<3> walk, Index count) {
    FOR_EACH(at, count) {
        Index from[3];
        walk.offsets(at, from);
        out[at] = condition[from[0]].byte != 0 ? (OUT)a[from[1]] : (OUT)b[from[2]];
    }
}
