// Every kernel has the same parameters: where it writes, up to four operands, and sizes. Each thread computes its values
// by itself, in a fixed order: no shared memory, no atomics. A kernel is written for one `thread` of
// `s.threads`, in what C and CUDA C++ have in common, so that a C compiler can make loops of it for the tests.

typedef struct {
    int threads;
    // Values of one operand over those of a channel, and how many channels it has.
    int rows, channels;
    // A map and what a window yields of it.
    int height, width, out_height, out_width, out_channels;
    int kernel_height, kernel_width, stride, padding_height, padding_width;
    // Rows that one thread adds up, where that is not fixed.
    int part;
    // 1 where max(x, 0) follows.
    int relu;
    double epsilon;
    // Stochastic gradient descent; look_ahead is 1 for Nesterov's.
    float learning_rate, momentum, weight_decay;
    int look_ahead;
    // Of others in a mixture.
    float share;
} Sizes;

#define PARAMETERS void *out, const void *a, const void *b, const void *c, const void *d, const Sizes s
#define UNUSED (void)out, (void)a, (void)b, (void)c, (void)d, (void)s

#ifdef __CUDACC__
#define FUNCTION static __device__
#define UNROLL _Pragma("unroll")
#define KERNEL(name)                                                         \
    FUNCTION void name##_of(const int thread, PARAMETERS);                   \
    extern "C" __global__ void name(PARAMETERS) {                            \
        const unsigned thread = blockIdx.x * blockDim.x + threadIdx.x;       \
        if (thread < (unsigned)s.threads)                                    \
            name##_of((int)thread, out, a, b, c, d, s);                      \
    }                                                                        \
    FUNCTION void name##_of(const int thread, PARAMETERS)
#else
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
typedef struct { float x, y, z, w; } float4;
#define FUNCTION static
#define UNROLL
#define KERNEL(name)                                                         \
    FUNCTION void name##_of(const int thread, PARAMETERS);                   \
    void name(PARAMETERS) {                                                  \
        for (int thread = 0; thread < s.threads; thread++)                   \
            name##_of(thread, out, a, b, c, d, s);                           \
    }                                                                        \
    FUNCTION void name##_of(const int thread, PARAMETERS)
#endif

// An operand or the output as values of a type.
#define IN(type, operand) ((const type *)(operand))
#define OUT(type) ((type *)out)
