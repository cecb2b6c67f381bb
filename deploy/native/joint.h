// A keypoint of a person.
#pragma once

namespace detforge {

// A keypoint in px of its map. It is missing if its score is 0.
struct Joint {
    float x = 0, y = 0, score = 0;
};

}  // namespace detforge
