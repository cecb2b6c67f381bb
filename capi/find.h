// The detections in one image, from the outputs of the network: deploy/forms/ and deploy/suppress/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "card.h"
#include "frame.h"

namespace detforge {

// An output of the network for one image, without the axis of the batch. `whole` are its values if it holds whole
// numbers, else `values`.
struct Output {
    std::vector<int64_t> shape;
    const float* values = nullptr;
    std::vector<int64_t> whole;
};
using Outputs = std::map<std::string, Output>;

// Rows of detections, best first. Keypoints have x, y and a score.
struct Found {
    std::vector<float> boxes, scores, keypoints;
    std::vector<int64_t> labels;
    std::vector<float> quality;  // empty if the network has none
};

// The names of the outputs that the Card's form reads, if the network has them.
std::vector<std::string> outputs_read(const Card& card);

// The final detections in px of the image. Throws std::runtime_error if the outputs do not fit the Card.
Found find_detections(const Card& card, const Frame& frame, const Outputs& outputs);

}  // namespace detforge
