// The assignment of rows to columns with the least total cost (Kuhn; Munkres), by shortest augmenting paths as in
// Crouse, "On implementing 2D rectangular assignment algorithms".
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

namespace detforge {

// If a tag is about equally close to several people, many assignments have the least cost, and the choice among them
// decides which person gets a keypoint. We choose as the Python package munkres 3.0 and later does, because the
// reference results were computed with it:
//
// - First, each row in order takes the first free column among those with its least cost.
// - Then each row without a column searches a path to a free column. It scans the remaining columns from the last to
//   the first; a column that is done is replaced by the last one of the list. Among equally near columns it prefers the
//   last free one, or the first if none is free.
// - Matrices of fewer than 16 costs are scanned from the first column on, and the first of the nearest is taken.
class Assignment {
public:
    // Costs (rows, cols) in row-major order. They and their sums must be finite, and rows <= cols.
    Assignment(const std::vector<double>& costs, size_t rows, size_t cols)
        : costs_(costs), rows_(rows), cols_(cols), is_small_(rows * cols < 16), row_price_(rows), col_price_(cols, 0.0),
          row_of_(cols, none), col_of_(rows, none), distance_(cols), via_(cols) {}

    // Returns the column of each row.
    std::vector<int64_t> solve() {
        for (size_t row = 0; row < rows_; ++row) take_first(row);
        for (size_t row = 0; row < rows_; ++row) {
            if (col_of_[row] == none) turn_path(row, find_path(row));
        }
        return {col_of_.begin(), col_of_.end()};
    }

private:
    static constexpr size_t none = std::numeric_limits<size_t>::max();

    double cost(size_t row, size_t col) const { return costs_[row * cols_ + col]; }

    void take_first(size_t row) {
        const double* own = &costs_[row * cols_];
        row_price_[row] = *std::min_element(own, own + cols_);
        for (size_t col = 0; col < cols_; ++col) {
            if (row_of_[col] != none || own[col] != row_price_[row]) continue;
            row_of_[col] = row;
            col_of_[row] = col;
            return;
        }
    }

    // Finds the free column nearest to a row along augmenting paths, and updates the prices.
    size_t find_path(size_t start) {
        std::vector<size_t> left(cols_), seen_rows, seen_cols;
        std::iota(left.begin(), left.end(), 0);
        if (!is_small_) std::reverse(left.begin(), left.end());
        std::fill(distance_.begin(), distance_.end(), std::numeric_limits<double>::infinity());
        double low = 0;
        size_t row = start, col = none;
        do {
            seen_rows.push_back(row);
            const size_t at = look_from(row, low, left);
            col = left[at];
            low = distance_[col];
            seen_cols.push_back(col);
            row = row_of_[col];
            if (is_small_) {
                left.erase(left.begin() + static_cast<ptrdiff_t>(at));
            } else {
                left[at] = left.back();
                left.pop_back();
            }
        } while (row != none);
        for (const size_t seen : seen_rows) row_price_[seen] += seen == start ? low : low - distance_[col_of_[seen]];
        for (const size_t seen : seen_cols) col_price_[seen] -= low - distance_[seen];
        return col;
    }

    // Updates the distances with paths through a row. Returns the index in `left` of the nearest column.
    size_t look_from(size_t row, double low, const std::vector<size_t>& left) {
        double nearest = std::numeric_limits<double>::infinity();
        size_t best = 0;
        for (size_t at = 0; at < left.size(); ++at) {
            const size_t col = left[at];
            const double way = low + cost(row, col) - row_price_[row] - col_price_[col];
            if (way < distance_[col]) {
                distance_[col] = way;
                via_[col] = row;
            }
            const bool is_free = !is_small_ && row_of_[col] == none;
            if (distance_[col] < nearest || (distance_[col] == nearest && is_free)) {
                nearest = distance_[col];
                best = at;
            }
        }
        return best;
    }

    // Assigns each row on the path its next column.
    void turn_path(size_t start, size_t col) {
        for (size_t row = none; row != start;) {
            row = via_[col];
            row_of_[col] = row;
            std::swap(col_of_[row], col);
        }
    }

    const std::vector<double>& costs_;
    size_t rows_, cols_;
    bool is_small_;
    std::vector<double> row_price_, col_price_;
    std::vector<size_t> row_of_, col_of_;
    std::vector<double> distance_;
    std::vector<size_t> via_;
};

}  // namespace detforge
