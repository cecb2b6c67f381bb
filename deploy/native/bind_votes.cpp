// Python bindings for the votes of pixels: check shapes and indices, release the GIL, call the kernel.
#include <stdexcept>

#include "bind.h"
#include "line_votes.h"

namespace {

void vote_lines(Array<const float, nb::shape<-1, 2>> places, Array<const float, nb::shape<-1, -1, 2>> vectors,
                Array<const int64_t, nb::shape<-1, -1, 2>> pairs, float cosine,
                Array<float, nb::shape<-1, -1, 2>> hypotheses, Array<int32_t, nb::ndim<2>> counts) {
    const size_t pixels = places.shape(0), points = vectors.shape(1), rounds = pairs.shape(0);
    if (vectors.shape(0) != pixels) throw std::invalid_argument("places and vectors differ in length");
    if (pairs.shape(1) != points || hypotheses.shape(1) != points || counts.shape(1) != points ||
        hypotheses.shape(0) != rounds || counts.shape(0) != rounds) {
        throw std::invalid_argument("pairs, hypotheses and counts do not fit the vectors");
    }
    for (size_t i = 0; i < 2 * rounds * points; ++i) {
        const int64_t pixel = pairs.data()[i];
        if (pixel < 0 || pixel >= static_cast<int64_t>(pixels)) throw std::invalid_argument("a pair names no pixel");
    }
    nb::gil_scoped_release release;
    for (size_t k = 0; k < points; ++k) {
        detforge::vote_lines(places.data(), vectors.data() + 2 * k, pixels, points, pairs.data() + 2 * k, rounds, cosine,
                             hypotheses.data() + 2 * k, counts.data() + k);
    }
}

}  // namespace

void bind_votes(nb::module_& m) {
    m.def("vote_lines", &vote_lines, "places"_a, "vectors"_a, "pairs"_a, "cosine"_a, "hypotheses"_a, "counts"_a);
}
