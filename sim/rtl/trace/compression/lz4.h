// Stands in for LZ4 where Verilator's FST writer wants it: few machines have its header. A block of literals only.
#pragma once

#include <cstring>

inline int LZ4_compressBound(int size) {
    return size + size / 255 + 16;
}

inline int LZ4_compress_default(const char* in, char* out, int size, int) {
    char* end = out;
    *end++ = static_cast<char>((size < 15 ? size : 15) << 4);
    if (size >= 15) {
        int left = size - 15;
        for (; left >= 255; left -= 255) *end++ = static_cast<char>(255);
        *end++ = static_cast<char>(left);
    }
    std::memcpy(end, in, size);
    return static_cast<int>(end - out) + size;
}
