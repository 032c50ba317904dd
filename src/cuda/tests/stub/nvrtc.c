/* An NVRTC whose PTX is the source. A source with the word "wrong" does not compile. Options are
 * written to the file STUB_LOG.
 *
 * -DSTUB_NVRTC=10,2        what nvrtcVersion says
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef STUB_NVRTC
#define STUB_NVRTC 10, 2
#endif

static const char log_text[] =
    "wrong.cu(1): warning #177-D: variable \"unused\" was declared but never referenced\n"
    "\n"
    "wrong.cu(2): error: identifier \"wrong\" is undefined\n"
    "1 error detected in the compilation of \"wrong.cu\".\n";

int nvrtcVersion(int *major, int *minor) {
    int version[] = { STUB_NVRTC };
    *major = version[0];
    *minor = version[1];
    return 0;
}
int nvrtcCreateProgram(void **program, const char *source, const char *name, int count,
                       const char *const *headers, const char *const *names) {
    *program = strdup(source);
    return 0;
}
int nvrtcCompileProgram(char *program, int count, const char *const *options) {
    FILE *log = fopen(STUB_LOG, "a");
    if (log) {
        fprintf(log, "nvrtcCompileProgram");
        for (int i = 0; i < count; i++) fprintf(log, " %s", options[i]);
        fprintf(log, "\n");
        fclose(log);
    }
    return strstr(program, "wrong") ? 6 : 0;
}
int nvrtcGetPTXSize(char *program, size_t *size) { *size = strlen(program) + 1; return 0; }
int nvrtcGetPTX(char *program, char *ptx) { strcpy(ptx, program); return 0; }
int nvrtcGetProgramLogSize(void *program, size_t *size) { *size = sizeof log_text; return 0; }
int nvrtcGetProgramLog(void *program, char *log) { strcpy(log, log_text); return 0; }
int nvrtcDestroyProgram(void **program) { free(*program); *program = NULL; return 0; }
