/* A driver whose device is the host: memory is malloc's, work is done when it is enqueued, and every
 * call is written to the file STUB_LOG.
 *
 * -DSTUB_VERSION=10020     what cuDriverGetVersion says
 * -DSTUB_INIT=100          what cuInit returns
 * -DNO_name                leaves the function out
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef STUB_VERSION
#define STUB_VERSION 12020
#endif
#ifndef STUB_INIT
#define STUB_INIT 0
#endif

enum { OUT_OF_MEMORY = 2, INVALID_HANDLE = 400, NOT_FOUND = 500, TOTAL = 1 << 20 };

static size_t used;
static int capturing, nodes, crashed;

static void say(const char *call) {
    FILE *log = fopen(STUB_LOG, "a");
    if (log) {
        fprintf(log, "%s\n", call);
        fclose(log);
    }
}
#define CALL say(__func__)
#define WORK CALL; if (capturing) { nodes++; return 0; }

int cuInit(unsigned flags) { CALL; return STUB_INIT; }
int cuDriverGetVersion(int *version) { *version = STUB_VERSION; return 0; }
int cuDeviceGetCount(int *count) { *count = 1; return 0; }
int cuDeviceGet(int *device, int index) { *device = index; return index ? 101 : 0; }
int cuDeviceGetName(char *name, int len, int device) { strcpy(name, "Stub"); return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    switch (attribute) {
    case 75: *value = 6; return 0;
    case 76: *value = 2; return 0;
    case 16: *value = 2; return 0;
    case 18: case 19: *value = 1; return 0;
    case 13: *value = 1300000; return 0;
    default: return 1;
    }
}
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = TOTAL; return 0; }
int cuDevicePrimaryCtxRetain(void **context, int device) { CALL; *context = &used; return 0; }
#ifndef NO_cuDevicePrimaryCtxRelease
int cuDevicePrimaryCtxRelease(int device) { CALL; return 0; }
#endif
#ifndef NO_cuDevicePrimaryCtxRelease_v2
int cuDevicePrimaryCtxRelease_v2(int device) { CALL; return 0; }
#endif
int cuCtxSetCurrent(void *context) { return 0; }
#ifndef NO_cuGetErrorName
int cuGetErrorName(int code, const char **name) {
    *name = code == 2 ? "CUDA_ERROR_OUT_OF_MEMORY" : code == 100 ? "CUDA_ERROR_NO_DEVICE"
        : code == 700 ? "CUDA_ERROR_ILLEGAL_ADDRESS" : code == 803
        ? "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH" : NULL;
    return 0;
}
#endif
int cuMemGetInfo_v2(size_t *free, size_t *total) { *total = TOTAL; *free = TOTAL - used; return 0; }
int cuMemAlloc_v2(uint64_t *address, size_t len) {
    CALL;
    if (len > TOTAL - used) return OUT_OF_MEMORY;
    uint64_t *memory = aligned_alloc(256, (len + 511) / 256 * 256);
    *memory = len;
    used += len;
    *address = (uint64_t)(uintptr_t)memory + 256;
    return 0;
}
int cuMemFree_v2(uint64_t address) {
    CALL;
    uint64_t *memory = (uint64_t *)(uintptr_t)(address - 256);
    used -= *memory;
    free(memory);
    return 0;
}
#ifndef NO_cuMemHostAlloc
int cuMemHostAlloc(void **memory, size_t len, unsigned flags) {
    CALL;
    if (len > TOTAL) return OUT_OF_MEMORY;
    *memory = malloc(len);
    memset(*memory, 0xab, len);
    return 0;
}
#endif
int cuMemHostGetDevicePointer_v2(uint64_t *address, void *memory, unsigned flags) {
    *address = (uint64_t)(uintptr_t)memory;
    return 0;
}
int cuMemFreeHost(void *memory) { CALL; free(memory); return 0; }
int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t len, void *stream) {
    WORK;
    memcpy((void *)(uintptr_t)to, from, len);
    return 0;
}
int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t len, void *stream) {
    WORK;
    memcpy(to, (void *)(uintptr_t)from, len);
    return 0;
}
int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t len, void *stream) {
    WORK;
    memcpy((void *)(uintptr_t)to, (void *)(uintptr_t)from, len);
    return 0;
}
int cuMemsetD8Async(uint64_t to, unsigned char value, size_t len, void *stream) {
    WORK;
    memset((void *)(uintptr_t)to, value, len);
    return 0;
}
int cuStreamCreate(void **stream, unsigned flags) { CALL; *stream = malloc(1); return 0; }
int cuStreamSynchronize(void *stream) { CALL; return crashed ? 700 : 0; }
int cuStreamWaitEvent(void *stream, void *event, unsigned flags) { CALL; return 0; }
int cuStreamDestroy_v2(void *stream) { CALL; free(stream); return 0; }
int cuEventCreate(void **event, unsigned flags) { *event = calloc(1, 1); return 0; }
int cuEventRecord(char *event, void *stream) { CALL; *event = 1; return 0; }
int cuEventSynchronize(void *event) { CALL; return 0; }
int cuEventElapsedTime(float *elapsed, char *since, char *event) {
    *elapsed = 1.5f;
    return *since && *event ? 0 : INVALID_HANDLE;
}
int cuEventDestroy_v2(void *event) { free(event); return 0; }
int cuModuleLoadData(void **module, const void *image) { CALL; *module = strdup(image); return 0; }
int cuModuleGetFunction(void **function, char *module, const char *name) {
    *function = strstr(module, name);
    return *function ? 0 : NOT_FOUND;
}
int cuModuleUnload(void *module) { CALL; free(module); return 0; }
int cuLaunchKernel(const char *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                   unsigned by, unsigned bz, unsigned shared, void *stream, void **arguments,
                   void **extra) {
    WORK;
    if (!strncmp(function, "crash", 5)) {
        crashed = 1;
    } else if (!strncmp(function, "fill", 4)) {
        /* fill(out, { first, step }, count) */
        uint32_t *out = *(uint32_t **)arguments[0], *rule = arguments[1];
        for (unsigned i = 0; i < *(uint32_t *)arguments[2]; i++) out[i] = rule[0] + i * rule[1];
    }
    return 0;
}

#ifndef NO_GRAPHS
int cuStreamBeginCapture_v2(void *stream, unsigned mode) {
    CALL;
    capturing = 1;
    nodes = 0;
    return 0;
}
int cuStreamEndCapture(void *stream, void **graph) {
    CALL;
    capturing = 0;
    *graph = malloc(1);
    return 0;
}
int cuThreadExchangeStreamCaptureMode(unsigned *mode) {
    static unsigned current;
    unsigned before = current;
    current = *mode;
    *mode = before;
    return 0;
}
int cuGraphInstantiate(void **exec, void *graph, void **node, char *log, size_t len) {
    CALL;
    *exec = malloc(1);
    return 0;
}
#ifndef NO_cuGraphInstantiate_v2
int cuGraphInstantiate_v2(void **exec, void *graph, void **node, char *log, size_t len) {
    CALL;
    *exec = malloc(1);
    return 0;
}
#endif
#ifndef NO_cuGraphInstantiateWithFlags
int cuGraphInstantiateWithFlags(void **exec, void *graph, unsigned long long flags) {
    CALL;
    *exec = malloc(1);
    return 0;
}
#endif
int cuGraphGetNodes(void *graph, void **array, size_t *count) { *count = nodes; return 0; }
int cuGraphLaunch(void *exec, void *stream) { CALL; return 0; }
int cuGraphExecDestroy(void *exec) { CALL; free(exec); return 0; }
int cuGraphDestroy(void *graph) { CALL; free(graph); return 0; }
#endif
