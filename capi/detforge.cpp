// The C functions of detforge.h: checks, batches, and errors as text.
#pragma GCC visibility push(default)
#include "detforge.h"
#pragma GCC visibility pop

#include <algorithm>
#include <cmath>
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "canvas.h"
#include "card.h"
#include "find.h"
#include "session.h"

namespace {

using namespace detforge;

// The largest batch; its values take 16 GB.
constexpr size_t kMostValues = size_t{1} << 32;

std::string& last_error() {
    thread_local std::string text;
    return text;
}

// Calls a function that may throw; an error becomes a text and nullptr.
template <class Body>
auto guarded(const std::string& what, const Body& body) -> decltype(body()) {
    try {
        return body();
    } catch (const std::bad_alloc&) {
        last_error() = what + ": out of memory";
    } catch (const std::exception& error) {
        last_error() = what + ": " + error.what();
    }
    for (char& letter : last_error()) letter = letter == '\n' || letter == '\r' ? ' ' : letter;
    return nullptr;
}

// Replaces values that are not finite with 0, as deploy/backends/guarded.py does.
void guard(float* values, size_t count) {
    for (size_t i = 0; i < count; ++i) values[i] = std::isfinite(values[i]) ? values[i] : 0.0f;
}

size_t values_of(const std::vector<int64_t>& shape, size_t first) {
    size_t count = 1;
    for (size_t axis = first; axis < shape.size(); ++axis) count *= static_cast<size_t>(shape[axis]);
    return count;
}

// The part of a tensor (n, ...) that belongs to each image of the batch.
std::vector<Output> rows_of(const Tensor& tensor, const std::string& name, size_t batch) {
    const Port port = tensor.port();
    if (port.shape.empty() || port.shape[0] != static_cast<int64_t>(batch)) {
        throw std::runtime_error("the model gives " + name + " of another number of images; export it again");
    }
    const size_t each = values_of(port.shape, 1);
    void* data = tensor.data();
    std::vector<Output> rows(batch);
    if (port.type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) guard(static_cast<float*>(data), batch * each);
    for (size_t i = 0; i < batch; ++i) {
        rows[i].shape.assign(port.shape.begin() + 1, port.shape.end());
        const auto copy = [&](const auto* first) { rows[i].whole.assign(first + i * each, first + (i + 1) * each); };
        if (port.type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) {
            static constexpr float kNone = 0;  // a tensor without values may have no data
            rows[i].values = each == 0 ? &kNone : static_cast<const float*>(data) + i * each;
        } else if (port.type == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64) {
            copy(static_cast<const int64_t*>(data));
        } else if (port.type == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32) {
            copy(static_cast<const int32_t*>(data));
        } else {
            throw std::runtime_error("the model gives " + name + " in a type that this library does not read; use detforge in Python");
        }
    }
    return rows;
}

// The picture's pixels without a gap between rows; `own` holds them if there were any.
const uint8_t* packed(const detforge_image& image, std::vector<uint8_t>& own) {
    const size_t row = 3 * image.width, stride = image.stride == 0 ? row : image.stride;
    if (stride == row) return image.rgb;
    own.resize(row * image.height);
    for (size_t y = 0; y < image.height; ++y) std::memcpy(own.data() + y * row, image.rgb + y * stride, row);
    return own.data();
}

Size checked(const detforge_image& image) {
    constexpr size_t kLongest = 1 << 20;
    if (image.rgb == nullptr || image.width == 0 || image.height == 0 || image.width > kLongest || image.height > kLongest) {
        throw std::runtime_error("an image has no pixels, or a side above 1048576 px");
    }
    if (image.stride != 0 && image.stride < 3 * image.width) throw std::runtime_error("the stride of an image is less than its row");
    return {static_cast<int64_t>(image.height), static_cast<int64_t>(image.width)};
}

// The detections of one call, and what their pointers point to.
struct Answer {
    std::vector<detforge_detections> each;
    std::vector<Found> found;
};

}  // namespace

struct detforge_detector {
    detforge_detector(const char* path, const char* runtime, int threads)
        : session(path, runtime, threads), threads(threads > 0 ? static_cast<size_t>(threads) : std::max(1u, std::thread::hardware_concurrency())) {
        const std::string text = session.metadata("detforge_card");
        if (text.empty()) throw std::runtime_error("not a detforge model; it holds no Card; export it with detexport");
        card = read_card(text);
        for (const std::string& name : outputs_read(card)) {
            if (session.outputs().count(name) != 0) outputs.push_back(name);
        }
        const ImageInput& image = card.images[0];
        for (const auto& [name, port] : session.inputs()) {
            const bool is_size = std::find(card.sizes.begin(), card.sizes.end(), name) != card.sizes.end();
            const bool is_image = name == image.name && port.shape.size() == 4;
            const bool is_float = port.type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
            const bool is_pixels = is_float || port.type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16 || port.type == ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8;
            if (!(is_image && is_pixels) && !(is_size && is_float && port.shape.size() == 2)) {
                throw std::runtime_error("its input " + name + " is not as its Card says; export it again with detexport");
            }
        }
        if (session.inputs().size() != 1 + card.sizes.size()) {
            throw std::runtime_error("it lacks an input that its Card names; export it again with detexport");
        }
    }

    const Port& image_port() const { return session.inputs().at(card.images[0].name); }

    // Runs images of one canvas size, and writes what is found in each.
    void run(const std::vector<size_t>& members, const std::vector<Frame>& frames, const detforge_image* images, size_t batch,
             std::vector<Found>& found) const {
        switch (image_port().type) {
            case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16: return run_as<Half>(members, frames, images, batch, found);
            case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8: return run_as<uint8_t>(members, frames, images, batch, found);
            default: return run_as<float>(members, frames, images, batch, found);
        }
    }

    template <typename T>
    void run_as(const std::vector<size_t>& members, const std::vector<Frame>& frames, const detforge_image* images, size_t batch,
                std::vector<Found>& found) const {
        const ImageInput& input = card.images[0];
        const Size canvas = frames[members[0]].canvas;
        const size_t each = 3 * static_cast<size_t>(canvas[0]) * static_cast<size_t>(canvas[1]);
        if (batch > kMostValues / each) throw std::runtime_error("the batch does not fit into memory; give fewer images at once");
        std::vector<T> pixels(batch * each);
        std::vector<float> sizes(2 * batch);
        std::vector<uint8_t> own;
        for (size_t i = 0; i < members.size(); ++i) {
            const Frame& frame = frames[members[i]];
            fill_canvas(input, frame, packed(images[members[i]], own), pixels.data() + i * each, threads);
            for (size_t axis = 0; axis < 2; ++axis) sizes[2 * i + axis] = static_cast<float>(frame.resized[axis]);
        }
        const auto count = static_cast<int64_t>(batch);
        std::vector<std::string> names{input.name};
        std::vector<Tensor> fed;
        fed.push_back(session.tensor(pixels.data(), pixels.size() * sizeof(T), {count, 3, canvas[0], canvas[1]}, image_port().type));
        for (const std::string& name : card.sizes) {
            names.push_back(name);
            fed.push_back(session.tensor(sizes.data(), sizes.size() * sizeof(float), {count, 2}, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT));
        }
        const std::vector<Tensor> given = session.run(names, fed, outputs);
        std::vector<Outputs> rows(batch);
        for (size_t k = 0; k < outputs.size(); ++k) {
            std::vector<Output> parts = rows_of(given[k], outputs[k], batch);
            for (size_t i = 0; i < batch; ++i) rows[i].emplace(outputs[k], std::move(parts[i]));
        }
        for (size_t i = 0; i < members.size(); ++i) found[members[i]] = find_detections(card, frames[members[i]], rows[i]);
    }

    std::vector<Found> detect(const detforge_image* images, size_t count) const {
        std::vector<Frame> frames;
        std::map<Size, std::vector<size_t>> groups;
        for (size_t i = 0; i < count; ++i) {
            frames.push_back(frame_of(card.images[0].place, checked(images[i])));
            groups[frames[i].canvas].push_back(i);
        }
        std::vector<Found> found(count);
        const int64_t fixed = image_port().shape[0];
        for (const auto& [canvas, members] : groups) {
            const size_t step = fixed > 0 ? static_cast<size_t>(fixed) : members.size();
            for (size_t start = 0; start < members.size(); start += step) {
                const size_t end = std::min(start + step, members.size());
                const std::vector<size_t> part(members.begin() + static_cast<std::ptrdiff_t>(start), members.begin() + static_cast<std::ptrdiff_t>(end));
                run(part, frames, images, fixed > 0 ? step : part.size(), found);
            }
        }
        return found;
    }

    Session session;
    Card card;
    std::vector<std::string> outputs;
    size_t threads;
};

extern "C" {

detforge_detector* detforge_open(const char* path, const char* runtime, int threads) {
    return guarded(path == nullptr ? "NULL" : path, [&]() -> detforge_detector* {
        if (path == nullptr) throw std::runtime_error("no path of a model file");
        return new detforge_detector(path, runtime, threads);
    });
}

void detforge_close(detforge_detector* detector) { delete detector; }

const char* detforge_label(const detforge_detector* detector, int64_t label) {
    return guarded("label", [&]() -> const char* {
        if (detector == nullptr) throw std::runtime_error("no detector");
        if (label < 0 || label >= static_cast<int64_t>(detector->card.labels.size())) throw std::runtime_error("the model has none of this number");
        return detector->card.labels[static_cast<size_t>(label)].c_str();
    });
}

detforge_detections* detforge_detect(const detforge_detector* detector, const detforge_image* images, size_t count) {
    return guarded("images", [&]() -> detforge_detections* {
        if (detector == nullptr) throw std::runtime_error("no detector");
        if (images == nullptr || count == 0) throw std::runtime_error("none given");
        auto answer = std::make_unique<Answer>();
        answer->found = detector->detect(images, count);
        const size_t keypoints = detector->card.keypoints;
        for (const Found& found : answer->found) {
            answer->each.push_back({found.labels.size(), found.boxes.data(), found.scores.data(), found.labels.data(), keypoints,
                                    found.keypoints.data(), answer.get()});
        }
        return answer.release()->each.data();
    });
}

void detforge_free(detforge_detections* detections) {
    if (detections != nullptr) delete static_cast<Answer*>(detections->owner);
}

const char* detforge_error(void) { return last_error().c_str(); }

}
