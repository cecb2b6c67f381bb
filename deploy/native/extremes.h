// Boxes from extreme points: a topmost, leftmost, bottommost and rightmost point of one class, around a likely centre
// (ExtremeNet, arXiv 1901.08043, section 4.1).
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace detforge {

// The k best points of one side: cells (k, 2) xy, scores and labels (k).
struct SidePoints {
    const float* cells;
    const float* scores;
    const int64_t* labels;
    size_t count;
};

struct CentreMaps {
    const float* values;  // (classes, height, width)
    ptrdiff_t classes, height, width;
};

struct ExtremeRules {
    float least, least_centre, conf;  // of a point, of a centre, and of a box
    size_t top_k;
};

struct ExtremeBox {
    float score;
    std::array<int64_t, 4> points;  // indices of the top, left, bottom and right point
};

inline bool better(const ExtremeBox& a, const ExtremeBox& b) {
    return a.score != b.score ? a.score > b.score : a.points < b.points;
}

// The `top_k` best boxes, best first. A box's score is (t + l + b + r + 2 c) / 6.
//
// Not all k^4 combinations are tried. The column of a centre depends on the left and right point only, its row on the
// top and bottom point only. So pairs are made first, sorted by their scores, and joined where a centre is likely; a
// bound of the score ends each loop as soon as `top_k` better boxes are known.
class ExtremeGrouping {
  public:
    ExtremeGrouping(const std::array<SidePoints, 4>& sides, const CentreMaps& maps, const ExtremeRules& rules)
        : sides_(sides), maps_(maps), rules_(rules) {}

    std::vector<ExtremeBox> operator()() {
        for (ptrdiff_t label = 0; label < maps_.classes; ++label) group(label);
        std::sort_heap(best_.begin(), best_.end(), better);
        return std::move(best_);
    }

  private:
    struct Point {
        int32_t x, y, index;
        float score;
    };
    // A left and a right point, or a top and a bottom one: their range along the own axis and along the other one.
    struct Pair {
        float score;
        int32_t from, to, least, most, first, second;
    };

    std::vector<Point> points_of(size_t side, ptrdiff_t label) const {
        std::vector<Point> points;
        const SidePoints& all = sides_[side];
        const float width = static_cast<float>(maps_.width), height = static_cast<float>(maps_.height);
        for (size_t i = 0; i < all.count; ++i) {
            const float x = all.cells[2 * i], y = all.cells[2 * i + 1];
            const bool inside = x >= 0 && y >= 0 && x < width && y < height;
            if (all.labels[i] != label || !inside || !(all.scores[i] >= rules_.least)) continue;
            points.push_back({static_cast<int32_t>(x), static_cast<int32_t>(y), static_cast<int32_t>(i), all.scores[i]});
        }
        return points;
    }

    static void sort(std::vector<Pair>& pairs) {
        std::sort(pairs.begin(), pairs.end(), [](const Pair& a, const Pair& b) { return a.score > b.score; });
    }

    // The sum of scores (t + l + b + r + 2 c) that a further box must exceed, less a little for rounding.
    float bar() const {
        return 5.99999f * (best_.size() < rules_.top_k ? rules_.conf : std::max(rules_.conf, best_.front().score));
    }

    void group(ptrdiff_t label) {
        std::array<std::vector<Point>, 4> points;
        for (size_t side = 0; side < 4; ++side) {
            points[side] = points_of(side, label);
            if (points[side].empty()) return;
        }
        std::vector<Pair> columns;
        std::vector<std::vector<Pair>> rows(static_cast<size_t>(maps_.height));
        for (const Point& left : points[1]) {
            for (const Point& right : points[3]) {
                if (left.x > right.x) continue;
                const auto [least, most] = std::minmax(left.y, right.y);
                columns.push_back({left.score + right.score, left.x, right.x, least, most, left.index, right.index});
            }
        }
        for (const Point& top : points[0]) {
            for (const Point& bottom : points[2]) {
                if (top.y > bottom.y) continue;
                const auto [least, most] = std::minmax(top.x, bottom.x);
                rows[static_cast<size_t>((top.y + bottom.y) / 2)].push_back(
                    {top.score + bottom.score, top.y, bottom.y, least, most, top.index, bottom.index});
            }
        }
        sort(columns);
        float best_row = 0;
        for (std::vector<Pair>& row : rows) {
            sort(row);
            if (!row.empty()) best_row = std::max(best_row, row.front().score);
        }
        const float* map = maps_.values + label * maps_.height * maps_.width;
        const float best_centre = *std::max_element(map, map + maps_.height * maps_.width);
        for (const Pair& column : columns) {
            if (column.score + best_row + 2 * best_centre <= bar()) break;
            const float* centres = map + (column.from + column.to) / 2;
            for (size_t y = 0; y < rows.size(); ++y) {
                const float centre = centres[static_cast<ptrdiff_t>(y) * maps_.width];
                if (!rows[y].empty() && centre >= rules_.least_centre) join(column, rows[y], centre);
            }
        }
    }

    void join(const Pair& column, const std::vector<Pair>& rows, float centre) {
        float least = bar() - column.score - 2 * centre;
        for (const Pair& row : rows) {
            if (row.score <= least) break;
            if (row.from > column.least || row.to < column.most || column.from > row.least || column.to < row.most) continue;
            const float score = (row.score + column.score + 2 * centre) / 6;
            if (score > rules_.conf) keep({score, {row.first, column.first, row.second, column.second}});
            least = bar() - column.score - 2 * centre;
        }
    }

    void keep(const ExtremeBox& box) {
        if (best_.size() == rules_.top_k) {
            if (!better(box, best_.front())) return;
            std::pop_heap(best_.begin(), best_.end(), better);
            best_.pop_back();
        }
        best_.push_back(box);
        std::push_heap(best_.begin(), best_.end(), better);
    }

    const std::array<SidePoints, 4>& sides_;
    const CentreMaps& maps_;
    const ExtremeRules& rules_;
    std::vector<ExtremeBox> best_;  // a heap with the worst in front
};

}  // namespace detforge
