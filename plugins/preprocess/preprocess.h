// uint8 pixels on a GPU to a network's input, in one pass: not an operator, but what comes before the network.
//
// The bytes of the resize are those of the CPU's (deploy/native/resize.h): OpenCV's 8-bit bilinear one, with weights of
// 1/2048, columns first, whose sums lose their last 4 bits, then rows, whose products lose 16 bits each.
#pragma once

#include "../core/abi.h"
#include "../core/op.h"

namespace detforge {

// Fills a canvas (3, h, w) of a dtype; gives a cudaError_t.
int preprocess_cuda(const detforge_picture& picture, DType dtype, void* canvas, void* stream);

}  // namespace detforge
