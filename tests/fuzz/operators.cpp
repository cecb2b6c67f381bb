// The operators' C functions on the CPU, against their formulas value by value.
#include <algorithm>
#include <cmath>
#include <deque>
#include <string>
#include <vector>

#include "../../deploy/native/nms.h"
#include "../../plugins/bezier_align/kernel.h"
#include "../../plugins/border_align/kernel.h"
#include "../../plugins/core/abi.h"
#include "../../plugins/core/half.h"
#include "../../plugins/deform_conv/kernel.h"
#include "../../plugins/deform_roi_pool/kernel.h"
#include "../../plugins/prroi_pool/kernel.h"
#include "../../plugins/roi_align/kernel.h"
#include "fuzz.h"

namespace {

using namespace detforge;
using fuzz::Draw;
using fuzz::require;
using Dims = std::vector<int64_t>;

bool are_moderate(const std::vector<float>& values) {
    return std::all_of(values.begin(), values.end(), [](float value) { return std::abs(value) <= 4; });
}

// One run of an operator.
struct Node {
    struct Input {
        Dims dims;
        std::vector<float> values;
        bool is_float = false;  // whatever the type of the others
    };

    // Adds an input and gives its values.
    const std::vector<float>& add(Draw& draw, const Dims& dims, float least, float most) {
        inputs.push_back({dims, draw.values<float>(size_of(dims), least, most)});
        return inputs.back().values;
    }

    static size_t size_of(const Dims& dims) {
        size_t size = 1;
        for (const int64_t dim : dims) size *= static_cast<size_t>(dim);
        return size;
    }

    // Another length of one axis, or another attribute: what does not fit is refused, what happens to fit runs.
    void spoil(Draw& draw) {
        if (!attributes.empty() && draw.flag()) {
            attributes[draw.whole(0, attributes.size() - 1)] =
                draw.pick<int64_t>({0, -1, 1, 2, 1 << 16, 1 << 24, INT64_MAX, INT64_MIN});
        } else {
            Input& input = inputs[draw.whole(0, inputs.size() - 1)];
            input.dims[draw.whole(0, input.dims.size() - 1)] = draw.whole<int64_t>(0, 20);
            input.values.resize(size_of(input.dims));
        }
    }

    // The result, empty where the call is refused.
    template <typename T>
    std::vector<T> run(int threads) const {
        std::deque<std::vector<T>> values;
        std::vector<detforge_tensor> tensors;
        const auto convert = [](const std::vector<float>& from, auto& to) {
            if constexpr (std::is_same_v<T, float>) {
                to = from;
            } else {
                to.resize(from.size());
                to_half(from.data(), to.data(), static_cast<int64_t>(from.size()));
            }
        };
        for (const Input& input : inputs) {
            void* data = const_cast<float*>(input.values.data());
            if (!input.is_float) {
                convert(input.values, values.emplace_back());
                data = values.back().data();
            }
            tensors.push_back({data, {}, static_cast<int32_t>(input.dims.size())});
            std::copy(input.dims.begin(), input.dims.end(), tensors.back().dims);
        }
        detforge_tensor output{};
        const auto call = [&] {
            const int dtype = std::is_same_v<T, float> ? DETFORGE_FLOAT : DETFORGE_HALF;
            return detforge_run_cpu(op.c_str(), dtype, tensors.data(), static_cast<int>(tensors.size()), &output,
                                    attributes.data(), static_cast<int>(attributes.size()), threads);
        };
        if (call() != nullptr) return {};
        std::vector<T> result(size_of({output.dims, output.dims + output.rank}));
        output.data = result.data();
        require(result.empty() || call() == nullptr, "what fits runs");
        return result;
    }

    // Runs as it is, spoilt or in half precision; gives true with the result where it can be compared.
    bool compares(Draw& draw, std::vector<float>& result) {
        const int threads = draw.pick({1, 1, 1, 3});
        const uint8_t kind = draw.byte();
        if (kind < 32) {
            run<Half>(threads);
        } else if (kind < 96) {
            spoil(draw);
            run<float>(threads);
        } else {
            result = run<float>(threads);
        }
        return kind >= 96;
    }

    std::string op;
    std::vector<Input> inputs;
    Dims attributes;
};

void corner_pool(Draw& draw) {
    const std::string op = draw.pick({"TopPool", "BottomPool", "LeftPool", "RightPool"});
    const int64_t n = draw.whole(0, 2), c = draw.whole(0, 3), h = draw.whole(0, 40), w = draw.whole(0, 40);
    Node node{op, {}, {}};
    node.add(draw, {n, c, h, w}, -1, 1);
    std::vector<float> y;
    if (!node.compares(draw, y)) return;
    const bool from_end = op == "TopPool" || op == "LeftPool", rows = op == "TopPool" || op == "BottomPool";
    std::vector<float> expected = node.inputs[0].values;
    const int64_t count = static_cast<int64_t>(expected.size()), step = (rows ? w : 1) * (from_end ? 1 : -1);
    for (int64_t i = 0; i < count; ++i) {
        const int64_t at = from_end ? count - 1 - i : i, place = rows ? at / w % h : at % w;
        if (place == (from_end ? (rows ? h : w) - 1 : 0)) continue;
        const float before = expected[at + step];
        if (std::isnan(before) || before >= expected[at]) expected[at] = before;
    }
    for (int64_t i = 0; i < count; ++i) {
        require(y[i] == expected[i] || (std::isnan(y[i]) && std::isnan(expected[i])), "the largest from one end on");
    }
}

void dfl(Draw& draw) {
    const int64_t n = draw.whole(0, 3), a = draw.whole(0, 40), bins = draw.whole(1, 20);
    const bool boxes = draw.flag();
    Node node{boxes ? "DflBoxes" : "Dfl", {}, {}};
    node.add(draw, {n, a, 4 * bins}, -4, 4);
    if (boxes) node.add(draw, {a, 2}, 0, 4), node.add(draw, {a, 1}, 1, 4);
    std::vector<float> y;
    if (!node.compares(draw, y)) return;
    for (const Node::Input& input : node.inputs) {
        if (!are_moderate(input.values)) return;
    }
    for (size_t i = 0; i < y.size(); ++i) {
        double sum = 0, expected = 0;
        for (int64_t bin = 0; bin < bins; ++bin) {
            const double power = std::exp(static_cast<double>(node.inputs[0].values[i * bins + bin]));
            sum += power;
            expected += power * static_cast<double>(bin);
        }
        expected /= sum;
        if (boxes) {
            const size_t point = i / 4 % a, side = i % 4;
            const double reach = expected * node.inputs[2].values[point];
            expected = node.inputs[1].values[2 * point + side % 2] + (side < 2 ? -reach : reach);
        }
        require(std::abs(y[i] - expected) < 1e-3, "a distance is its distribution's mean");
    }
}

void border_align(Draw& draw) {
    const int64_t n = draw.whole(0, 2), c = draw.whole(0, 20), k = draw.whole(0, 70);
    const int64_t h = draw.whole(1, 12), w = draw.whole(1, 12);
    Node node{"BorderAlign", {}, {draw.whole<int64_t>(1, 12)}};
    node.add(draw, {n, 4 * c, h, w}, -1, 1);
    node.add(draw, {n, k, 4}, -2, 14);
    node.inputs.back().is_float = true;
    std::vector<float> y;
    const float pool = static_cast<float>(node.attributes[0]);
    if (!node.compares(draw, y) || !are_moderate(node.inputs[0].values)) return;
    for (int64_t i = 0; i < static_cast<int64_t>(y.size()); ++i) {
        const int64_t side = i % 4, box = i / 4 % k, channel = i / 4 / k % c, image = i / 4 / k / c;
        const Border border = border_of(&node.inputs[1].values[(image * k + box) * 4], static_cast<int>(side));
        const float* plane = &node.inputs[0].values[((image * 4 + side) * c + channel) * h * w];
        float expected = -HUGE_VALF;
        for (float t = 0; t <= pool; ++t) {
            const float at_x = along_border(border.start_x, border.run_x, t / pool);
            const float at_y = along_border(border.start_y, border.run_y, t / pool);
            float sample = 0;
            if (is_inside(at_x, static_cast<int>(w)) && is_inside(at_y, static_cast<int>(h))) {
                const Neighbours u = neighbours(at_x, static_cast<int>(w)), v = neighbours(at_y, static_cast<int>(h));
                const float *upper = plane + v.low * w, *lower = plane + v.high * w;
                const float above = upper[u.low] + (upper[u.high] - upper[u.low]) * u.fraction;
                const float below = lower[u.low] + (lower[u.high] - lower[u.low]) * u.fraction;
                sample = above + (below - above) * v.fraction;
            }
            expected = std::max(expected, sample);
        }
        require(std::abs(y[i] - expected) < 1e-4, "the largest sample of a border");
    }
}

void deform_conv(Draw& draw) {
    const int64_t group = draw.whole(1, 3), offset_group = draw.whole(1, 3), n = draw.whole(0, 2);
    const int64_t c = group * offset_group * draw.whole<int64_t>(0, 4), outputs = group * draw.whole<int64_t>(0, 6);
    const int64_t h = draw.whole(1, 10), w = draw.whole(1, 10), kh = draw.whole(1, 3), kw = draw.whole(1, 3);
    const int64_t out_h = draw.whole(0, 10), out_w = draw.whole(0, 10), taps = kh * kw;
    const bool modulated = draw.flag();
    Node node{modulated ? "ModulatedDeformConv" : "DeformConv", {}, {}};
    for (int i = 0; i < 8; ++i) node.attributes.push_back(draw.whole<int64_t>(i >= 2 && i < 6 ? 0 : 1, 3));
    node.attributes.insert(node.attributes.end(), {group, offset_group});
    node.add(draw, {n, c, h, w}, -1, 1);
    node.add(draw, {n, 2 * offset_group * taps, out_h, out_w}, -3, 3);
    if (modulated) node.add(draw, {n, offset_group * taps, out_h, out_w}, 0, 1);
    node.add(draw, {outputs, c / group, kh, kw}, -1, 1);
    node.add(draw, {outputs}, -1, 1);
    std::vector<float> y;
    if (!node.compares(draw, y)) return;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
        if (i != 1 && !are_moderate(node.inputs[i].values)) return;  // offsets may be anything
    }
    const auto of = [&](size_t input) { return node.inputs[input].values.data(); };
    const float *x = of(0), *offset = of(1), *mask = of(2), *weight = of(2 + modulated), *bias = of(3 + modulated);
    const int64_t *stride = &node.attributes[0], *pad = &node.attributes[2], *dilation = &node.attributes[6];
    const int64_t points = out_h * out_w, part = c / group;
    for (int64_t i = 0; i < static_cast<int64_t>(y.size()); ++i) {
        const int64_t point = i % points, output = i / points % outputs, image = i / points / outputs;
        double expected = bias[output];
        for (int64_t j = 0; j < part * taps; ++j) {
            const int64_t tap = j % taps, channel = output / (outputs / group) * part + j / taps;
            const int64_t plane = (image * offset_group + channel / (c / offset_group)) * taps + tap;
            const float *dy = offset + 2 * plane * points + point, *dx = dy + points;
            const BilinearSample sample =
                bilinear_sample(tap_position(point / out_w, tap / kw, stride[0], pad[0], dilation[0]) + *dy,
                                tap_position(point % out_w, tap % kw, stride[1], pad[1], dilation[1]) + *dx,
                                static_cast<int>(h), static_cast<int>(w));
            double value = 0;
            for (int corner = 0; corner < 4; ++corner) {
                if (sample.pixel[corner] < 0) continue;
                value += sample.weight[corner] * x[(image * c + channel) * h * w + sample.pixel[corner]];
            }
            expected += weight[output * part * taps + j] * value * (modulated ? mask[plane * points + point] : 1);
        }
        require(std::abs(y[i] - expected) < 1e-2, "a convolution is the sum of its products");
    }
}

void suppression(Draw& draw) {
    const int64_t n = draw.whole(0, 2), k = draw.whole(0, 60);
    const size_t limit = draw.whole(1, 70);
    Node node{"Nms", {}, {3, static_cast<int64_t>(limit)}};
    node.add(draw, {n, k, 4}, 0, 9);
    node.add(draw, {n, k}, 0, 1);
    node.inputs.push_back({{n, k}, {}});
    for (int64_t i = 0; i < n * k; ++i) node.inputs[2].values.push_back(draw.whole<float>(0, 2));
    node.inputs.push_back({{1}, {draw.pick({0.f, 0.3f, 0.6f, 1.f})}});
    std::vector<float> y;
    if (!node.compares(draw, y)) return;
    for (int64_t image = 0; image < n; ++image) {
        const std::vector<float>& labels = node.inputs[2].values;
        const std::vector<int64_t> numbers(labels.begin() + image * k, labels.begin() + (image + 1) * k);
        const auto* boxes = reinterpret_cast<const Box*>(node.inputs[0].values.data()) + image * k;
        const float *scores = node.inputs[1].values.data() + image * k, iou = node.inputs[3].values[0];
        std::vector<int64_t> kept = nms(boxes, scores, numbers.data(), static_cast<size_t>(k), iou, limit);
        kept.erase(std::find_if(kept.begin(), kept.end(), [&](int64_t i) { return !(scores[i] > 0); }), kept.end());
        for (int64_t i = 0; i < k; ++i) {
            const bool stays = i < static_cast<int64_t>(kept.size());
            const float *found = &y[(image * k + i) * 2], score = stays ? scores[kept[i]] : 0;
            const float place = stays ? static_cast<float>(kept[i]) : 0;
            require(found[0] == score && found[1] == place, "the operator suppresses as the runtime does");
        }
    }
}

// Pools regions by a rule of regions.h, whose taps are summed one by one. They are numbers of px, `sizes` for each input.
template <class Rule>
void regions(Draw& draw, const std::string& op, const Dims& sizes, const Dims& more_attributes,
             bool has_shifts = false) {
    const int64_t levels = draw.whole(1, 5), n = draw.whole(0, 2), c = draw.whole(0, 20), k = draw.whole(0, 6);
    const int64_t h = draw.whole(1, 12), w = draw.whole(1, 12), rows = draw.whole(1, 6), columns = draw.whole(1, 6);
    Node node{op + std::to_string(levels), {}, {rows, columns, draw.whole<int64_t>(1, 4)}};
    node.attributes.insert(node.attributes.end(), more_attributes.begin(), more_attributes.end());
    node.attributes.push_back(draw.whole<int64_t>(1, 9));
    for (int64_t l = 0; l < levels; ++l) {
        node.add(draw, {n, c, std::max<int64_t>(h >> l, 1), std::max<int64_t>(w >> l, 1)}, -1, 1);
    }
    for (const int64_t size : sizes) {
        node.add(draw, {n, k, size}, -9, 50);
        node.inputs.back().is_float = true;
    }
    if (has_shifts) {
        node.add(draw, {n, k, 2, rows * columns}, -1, 1);
        node.inputs.back().is_float = true;
    }
    std::vector<float> y;
    if (!node.compares(draw, y)) return;
    std::vector<Tensor> tensors;
    for (Node::Input& input : node.inputs) {
        if (!input.is_float && !are_moderate(input.values)) return;  // boxes may be anything
        Tensor& tensor = tensors.emplace_back(Tensor{input.values.data(), {{}, static_cast<int>(input.dims.size())}});
        std::copy(input.dims.begin(), input.dims.end(), tensor.shape.dims.begin());
    }
    const Rule rule({tensors.data(), {}, node.attributes.data()}, static_cast<int>(levels));
    constexpr bool kOwnTaps = decltype(rule.region(0).rows)::kOwnTaps;
    const int64_t bins = rows * columns;
    const auto taps_of = [](const auto& axis, int64_t bin) {
        std::vector<Tap> taps(1);
        for (int64_t i = 0; i < axis.taps(); ++i) {
            if (axis.tap(static_cast<int>(bin), i, taps.back())) taps.emplace_back();
        }
        taps.pop_back();
        return taps;
    };
    for (int64_t i = 0; i < n * k * bins; ++i) {
        const int64_t index = i / bins, bin = i % bins;
        const auto region = rule.region(index);
        const std::vector<Tap> row_taps = taps_of(region.rows, kOwnTaps ? bin : bin / columns);
        const std::vector<Tap> column_taps = taps_of(region.columns, kOwnTaps ? bin : bin % columns);
        const Tensor& x = tensors[static_cast<size_t>(region.level)];
        for (int64_t channel = 0; channel < c; ++channel) {
            const float* plane = x.as<const float>() + (index / k * c + channel) * x[2] * x[3];
            double expected = 0;
            for (const Tap& row : row_taps) {
                for (const Tap& column : column_taps) {
                    const double weight = static_cast<double>(row.weight) * column.weight;
                    expected += weight * plane[row.place * x[3] + column.place];
                }
            }
            require(std::abs(y[(index * c + channel) * bins + bin] - expected) < 1e-4, "a bin is the sum of its taps");
        }
    }
}

const Dims kBoxes{4, 4};  // boxes and regions

void roi_align(Draw& draw) {
    const int64_t ratio = draw.whole(0, 3), aligned = draw.whole(0, 1);
    regions<RoiRule>(draw, "RoiAlign", kBoxes, {ratio, aligned, draw.whole<int64_t>(0, 1)});
}

void prroi_pool(Draw& draw) { regions<PrRoiRule>(draw, "PrRoiPool", kBoxes, {}); }

void deform_roi_pool(Draw& draw) {
    regions<DeformRoiRule>(draw, "DeformRoiPool", kBoxes, {draw.whole<int64_t>(1, 4)}, true);
}

void bezier_align(Draw& draw) { regions<BezierRule>(draw, "BezierAlign", {16}, {}); }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    Draw draw(data, size);
    draw.pick({corner_pool, dfl, border_align, deform_conv, suppression, roi_align, prroi_pool, deform_roi_pool,
               bezier_align})(draw);
    return 0;
}
