// Stands in for zlib where Verilator's FST writer wants it: few machines have its header. Stored blocks only.
#pragma once

#include <cstring>
#include <initializer_list>

using uLong = unsigned long;
using uLongf = uLong;
using Bytef = unsigned char;
constexpr int Z_OK = 0;
constexpr uLong STORED_MAX = 65535;

inline uLong compressBound(uLong size) {
    return size + 5 * (size / STORED_MAX + 1) + 6;
}

inline int compress2(Bytef* out, uLongf* out_size, const Bytef* in, uLong size, int) {
    Bytef* end = out;
    *end++ = 0x78;
    *end++ = 0x01;
    uLong low = 1, high = 0, at = 0;
    do {
        const uLong length = size - at < STORED_MAX ? size - at : STORED_MAX;
        *end++ = at + length == size;
        for (const uLong half : {length, ~length}) {
            *end++ = half & 0xFF;
            *end++ = half >> 8 & 0xFF;
        }
        if (length) std::memcpy(end, in + at, length);
        end += length;
        at += length;
    } while (at < size);
    for (uLong n = 0; n < size; ++n) {
        low = (low + in[n]) % 65521;
        high = (high + low) % 65521;
    }
    for (const uLong half : {high, low}) {
        *end++ = half >> 8;
        *end++ = half & 0xFF;
    }
    *out_size = end - out;
    return Z_OK;
}
