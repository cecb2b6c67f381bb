/* The operators as C functions: of libdetforge_cpu, and of libdetforge_cuda where that was built.

   Tensors are contiguous and row-major. The result's dims may be left 0: they are filled in, and with data == NULL
   nothing else happens, so a first call tells the shape to allocate. Attributes are the node's integers, one after
   the other in the order of detforge_attribute. */
#ifndef DETFORGE_ABI_H
#define DETFORGE_ABI_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define DETFORGE_API __attribute__((visibility("default")))
#else
#define DETFORGE_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    void* data;
    int64_t dims[4];
    int32_t rank;
} detforge_tensor;

enum { DETFORGE_FLOAT = 0, DETFORGE_HALF = 1, DETFORGE_BFLOAT16 = 2 };

/* The i-th operator's name, NULL after the last. */
DETFORGE_API const char* detforge_op(int i);

/* Both return NULL, or what was wrong with the call: a text that stays valid.
   dtype: of every tensor, except the inputs that an operator always takes in float. The CPU takes float and half, CUDA bfloat16 as well. */
DETFORGE_API const char* detforge_run_cpu(const char* op, int dtype, const detforge_tensor* inputs, int input_count,
                                          detforge_tensor* output, const int64_t* attributes, int attribute_count,
                                          int threads);
/* On the current device, in order on `stream` (a cudaStream_t), with *workspace_bytes of `workspace` on it: as many as
   the first call, whose output->data is NULL, filled in. */
DETFORGE_API const char* detforge_run_cuda(const char* op, int dtype, const detforge_tensor* inputs, int input_count,
                                           detforge_tensor* output, const int64_t* attributes, int attribute_count,
                                           void* workspace, size_t* workspace_bytes, void* stream);

/* A picture on a GPU, and where and how it lies on a network's canvas. Sizes are (height, width), `offset` is (top,
   left) in px of the canvas; mean, std and fill are those of the canvas's planes, which `swap` puts in the reverse order
   of the pixels' channels. */
typedef struct {
    const void* pixels; /* (height, width, 3) uint8 */
    int64_t size[2], resized[2], canvas[2], offset[2];
    float mean[3], std[3], fill[3];
    int32_t swap;
} detforge_picture;

/* Fills a canvas (3, h, w) of a dtype on the current device, in order on `stream`; gives NULL or what was wrong. */
DETFORGE_API const char* detforge_preprocess_cuda(const detforge_picture* picture, int dtype, void* canvas,
                                                  void* stream);

#ifdef __cplusplus
}
#endif
#endif
