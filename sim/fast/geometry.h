// Where the neurons of a layer are, and what the window of each position sees: opzo.spec.geometry, and
// sim/golden/windows.py.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "spec.h"

struct Span {
    int begin, end, base;
};

struct Map {
    int channels = 1, height = 1, width = 1;
    int positions() const { return height * width; }
    bool operator==(const Map&) const = default;
};

struct Shape {
    Map below, map;
    int kernel = 0, words = 0, block_shift = 0;
    bool pool = false, cells = false;
    bool operator==(const Shape&) const = default;
};

struct Geometry {
    Shape shape;
    std::vector<Span> spans;
    std::vector<int> first;  // first span of each position
    std::vector<int> block;  // of each position
    int blocks = 1;

    // Of the positions of the windows; kept while the shape stays.
    void of(const Shape& given) {
        if (!first.empty() && given == shape) return;
        shape = given;
        spans.clear(), first.assign(1, 0), block.clear();
        const int cell = shape.pool ? CELL_SIDE : 1, bits = shape.pool ? CELL_BITS : 0, pad = shape.kernel / 2;
        const int height = shape.below.height / cell, width = shape.below.width / cell;
        const int columns = ((shape.map.width - 1) >> shape.block_shift) + 1;
        blocks = (((shape.map.height - 1) >> shape.block_shift) + 1) * columns;
        for (int p = 0; p < shape.map.positions(); p++) {
            int y = p / shape.map.width, x = p % shape.map.width;
            if (shape.cells) {
                const int half = shape.map.width / CELL_SIDE, part = p % (CELL_SIDE * CELL_SIDE);
                y = (p >> CELL_BITS) / half * CELL_SIDE + part / CELL_SIDE;
                x = (p >> CELL_BITS) % half * CELL_SIDE + part % CELL_SIDE;
            }
            block.push_back((y >> shape.block_shift) * columns + (x >> shape.block_shift));
            if (!shape.kernel) spans.push_back({0, height * width << bits, 0});
            const int left = std::max(0, x - pad), right = std::min(width, x - pad + shape.kernel);
            for (int ky = 0; ky < shape.kernel; ky++) {
                const int row = y - pad + ky;
                if (row < 0 || row >= height) continue;
                spans.push_back({(row * width + left) << bits, (row * width + right) << bits,
                                 (row * width + x - pad - ky * shape.kernel) * shape.below.channels});
            }
            first.push_back(static_cast<int>(spans.size()));
        }
    }

    int positions() const { return shape.map.positions(); }
    int spans_of(int position) const { return first[position + 1] - first[position]; }
};

// Windows over a list of neurons, ascending where the map below has several positions.
struct Windows {
    std::vector<int> address, starts;

    void over(const Geometry& to, const int* neurons, size_t count, int stride) {
        const int positions = to.shape.below.positions(), channels = to.shape.below.channels;
        const int bits = to.shape.pool ? CELL_BITS : 0;
        address.resize(count), starts.resize(positions + 1);
        int next = 0, position = 0;
        for (size_t n = 0; n < count; n++) {
            while (positions > 1 && neurons[n] >= (position + 1) * stride) position++;
            while (next <= position) starts[next++] = static_cast<int>(n);
            address[n] = (position >> bits) * channels + neurons[n] - position * stride;
        }
        while (next <= positions) starts[next++] = static_cast<int>(count);
    }

    int count(const Geometry& to, int position) const {
        int total = 0;
        for (int s = to.first[position]; s < to.first[position + 1]; s++)
            total += starts[to.spans[s].end] - starts[to.spans[s].begin];
        return total;
    }
};
