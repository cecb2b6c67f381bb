// The overlap and suppression of polygons, the growth of regions, and masks, against plain definitions of them.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "../../deploy/native/grow.h"
#include "../../deploy/native/masks.h"
#include "../../deploy/native/polygons.h"
#include "fuzz.h"

namespace {

using namespace detforge;
using fuzz::Draw;
using fuzz::require;

Polygon any(Draw& draw) {
    const float reach = draw.pick({8.f, 1000.f, 1e-21f, 1e19f});
    const std::vector<float> values = draw.values<float>(2 * draw.whole(0, 9), -reach, reach);
    std::vector<Point> corners;
    for (size_t i = 0; i < values.size(); i += 2) corners.push_back({values[i], values[i + 1]});
    return Polygon(corners);
}

// A rectangle at any angle, in either direction.
std::vector<Point> rotated(Draw& draw) {
    const auto number = [&](double least, double most) { return least + (most - least) * draw.whole(0, 1000) / 1000.0; };
    const double x = number(-20, 20), y = number(-20, 20), w = number(1, 20), h = number(1, 20), turn = number(0, 7);
    std::vector<Point> corners;
    for (const auto& [u, v] : {std::pair{-w, -h}, {w, -h}, {w, h}, {-w, h}}) {
        corners.push_back({x + u * std::cos(turn) - v * std::sin(turn), y + u * std::sin(turn) + v * std::cos(turn)});
    }
    if (draw.flag()) std::reverse(corners.begin(), corners.end());
    return corners;
}

double cross(const Point& a, const Point& b, const Point& p) {
    return (b.x - a.x) * (p.y - a.y) - (b.y - a.y) * (p.x - a.x);
}

double signed_area(const std::vector<Point>& corners) {
    double sum = 0;
    for (size_t i = 0; i < corners.size(); ++i) {
        const Point &a = corners[i], &b = corners[(i + 1) % corners.size()];
        sum += a.x * b.y - b.x * a.y;
    }
    return sum / 2;
}

// The definition for convex polygons: one is cut at the sides of the other.
double cut(std::vector<Point> one, std::vector<Point> other) {
    if (signed_area(other) < 0) std::reverse(other.begin(), other.end());
    for (size_t i = 0; i < other.size(); ++i) {
        const Point &a = other[i], &b = other[(i + 1) % other.size()];
        std::vector<Point> left;
        for (size_t k = 0; k < one.size(); ++k) {
            const Point &p = one[k], &q = one[(k + 1) % one.size()];
            const double from = cross(a, b, p), to = cross(a, b, q);
            if (from >= 0) left.push_back(p);
            if ((from < 0) != (to < 0)) {
                const double part = from / (from - to);
                left.push_back({p.x + part * (q.x - p.x), p.y + part * (q.y - p.y)});
            }
        }
        one = left;
    }
    return std::abs(signed_area(one));
}

void overlap(Draw& draw) {
    const std::vector<Point> one = rotated(draw), other = rotated(draw);
    const double shared = cut(one, other), all = std::abs(signed_area(one)) + std::abs(signed_area(other)) - shared;
    require(std::abs(iou(Polygon(one), Polygon(other)) - shared / all) < 1e-9, "the overlap is that of a cut polygon");
    const Polygon a = any(draw), b = any(draw);
    const double share = iou(a, b);
    require(share >= 0 && share <= 1, "an overlap is 0..1");
}

void hard(Draw& draw) {
    std::vector<Polygon> given;
    const bool clean = draw.flag();
    for (size_t left = draw.whole(0, 20); left > 0; --left) given.push_back(clean ? Polygon(rotated(draw)) : any(draw));
    const std::vector<float> scores = draw.values<float>(given.size(), 0, 1);
    std::vector<int64_t> labels;
    for (size_t i = 0; i < given.size(); ++i) labels.push_back(draw.whole<int64_t>(0, 1));
    const double most_iou = draw.pick({0.0, 0.02, 1.0 / 3, 0.5, 0.9});
    const size_t most = draw.pick<size_t>({0, 1, 7, SIZE_MAX});
    const std::vector<int64_t> kept = polygon_nms(given, scores.data(), labels.data(), most_iou, most);
    require(fuzz::are_some_of(kept, given.size(), most), "what NMS keeps are some of the polygons");
    const auto meet = [&](int64_t a, int64_t b) { return labels[a] == labels[b] && iou(given[a], given[b]) > most_iou; };
    for (size_t i = 0; i < kept.size(); ++i) {
        for (size_t k = 0; k < i; ++k) require(!meet(kept[k], kept[i]), "no two that NMS keeps overlap");
    }
    if (kept.size() == most) return;
    for (size_t i = 0; i < given.size(); ++i) {
        const auto is_reason = [&](int64_t k) { return k == static_cast<int64_t>(i) || meet(k, static_cast<int64_t>(i)); };
        require(std::any_of(kept.begin(), kept.end(), is_reason), "what NMS drops overlaps what it keeps");
    }
}

void merged(Draw& draw) {
    Quads given;
    const bool clean = draw.flag();
    for (size_t left = draw.whole(0, 20); left > 0; --left) {
        const std::vector<float> values = draw.values<float>(8, -30, 30);
        const std::vector<Point> corners = rotated(draw);
        given.corners.emplace_back();
        for (size_t i = 0; i < 8; ++i) {
            given.corners.back()[i] = !clean ? values[i] : i % 2 == 0 ? corners[i / 2].x : corners[i / 2].y;
        }
        given.scores.push_back(static_cast<float>(draw.whole(1, 100)) / 100);
    }
    const double most_iou = draw.pick({0.0, 0.2, 0.5, 1.0});
    const size_t most = draw.pick<size_t>({0, 1, 7, SIZE_MAX});
    const Quads best = locality_nms(given, most_iou, most);
    require(best.corners.size() == best.scores.size() && best.scores.size() <= std::min(most, given.scores.size()),
            "at most `limit` quads are left, each with its score");
    require(std::is_sorted(best.scores.rbegin(), best.scores.rend()), "the best come first");
    if (most_iou >= 1 && most == SIZE_MAX) require(best.scores.size() == given.scores.size(), "no two are merged");
}

void growth(Draw& draw) {
    const size_t height = draw.whole(0, 12), width = draw.whole(0, 12), n = height * width, far = n + 1;
    std::vector<int32_t> labels(n);
    std::vector<uint8_t> mask(n);
    std::vector<size_t> distance(n, far);
    for (size_t i = 0; i < n; ++i) {
        mask[i] = draw.flag();
        if (draw.whole(0, 9) == 0) labels[i] = draw.pick({1, 2, 3, -1, INT32_MAX}), distance[i] = 0;
    }
    const std::vector<int32_t> seeds = labels;
    const auto near = [&](size_t i) {
        std::vector<size_t> found;
        if (i >= width) found.push_back(i - width);
        if (i + width < n) found.push_back(i + width);
        if (i % width > 0) found.push_back(i - 1);
        if (i % width + 1 < width) found.push_back(i + 1);
        return found;
    };
    for (size_t round = 0; round < n; ++round) {
        for (size_t i = 0; i < n; ++i) {
            if (!mask[i] || distance[i] == 0) continue;
            for (const size_t k : near(i)) distance[i] = std::min(distance[i], distance[k] + 1);
        }
    }
    grow(labels.data(), mask.data(), height, width);
    for (size_t i = 0; i < n; ++i) {
        if (distance[i] == 0 || distance[i] >= far) {
            require(labels[i] == seeds[i], "kernels stay, and what they do not reach");
            continue;
        }
        const std::vector<size_t> around = near(i);
        const auto gives = [&](size_t k) { return distance[k] + 1 == distance[i] && labels[k] == labels[i]; };
        require(std::any_of(around.begin(), around.end(), gives), "a pixel belongs to a kernel that reaches it first");
    }
}

// What a reader of COCO's run lengths makes of a text.
std::vector<uint8_t> pixels_of(const std::string& text, ptrdiff_t height, ptrdiff_t width) {
    std::vector<ptrdiff_t> runs;
    for (size_t at = 0; at < text.size();) {
        int64_t value = 0;
        int shift = 0, bits = 32;
        while (bits & 32) {
            bits = text[at++] - 48;
            value |= int64_t(bits & 31) << shift;
            shift += 5;
        }
        if (bits & 16) value -= int64_t(1) << shift;
        if (runs.size() > 2) value += runs[runs.size() - 2];
        runs.push_back(value);
    }
    std::vector<uint8_t> columns, rows(height * width);
    for (size_t i = 0; i < runs.size(); ++i) columns.insert(columns.end(), runs[i], i % 2);
    require(columns.size() == rows.size(), "runs have as many pixels as the image");
    for (ptrdiff_t i = 0; i < height * width; ++i) rows[i] = columns[i % width * height + i / width];
    return rows;
}

void masks(Draw& draw) {
    const ptrdiff_t h = draw.whole(1, 9), w = draw.whole(1, 9), height = draw.whole(0, 40), width = draw.whole(0, 40);
    const std::vector<float> mask = draw.values<float>(h * w, 0, 1), box = draw.values<float>(4, -20, 60);
    const auto rule = draw.pick({Paste::exact, Paste::whole, Paste::cells});
    const PixelCells across(rule, box[0], box[2], width, w), down(rule, box[1], box[3], height, h);
    std::vector<uint8_t> part(down.count() * across.count()), whole(height * width);
    paste(mask.data(), h, w, down, across, part.data());
    for (ptrdiff_t y = 0; y < down.count(); ++y) {
        for (ptrdiff_t x = 0; x < across.count(); ++x) {
            whole[(down.first + y) * width + across.first + x] = part[y * across.count() + x];
        }
    }
    const std::string text = run_text(part.data(), down.count(), across.count(), down.first, across.first, height, width);
    require(pixels_of(text, height, width) == whole, "run lengths give the mask back");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    Draw draw(data, size);
    draw.pick({overlap, overlap, hard, merged, growth, masks})(draw);
    return 0;
}
