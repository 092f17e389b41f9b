// Runs many cycles of a verilated chip per call, as a byte stream in and a byte stream out.

#include <cstddef>
#include <cstdint>

#include "Vtop.h"
#include "verilated.h"

namespace {

constexpr std::uint8_t END = 0xC0;

struct Chip {
    VerilatedContext context;
    Vtop top{&context};
    bool in_frame = false;
};

}  // namespace

// As in opzo.sim.rtl.transport.
enum Stop : int { CYCLES = 0, OUTPUT_FULL = 1, IDLE = 2, REPLY = 3 };

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT Chip* opzo_new() {
    auto* chip = new Chip;
    chip->top.clk = 0;
    chip->top.eval();
    return chip;
}

EXPORT void opzo_delete(Chip* chip) {
    chip->top.final();
    delete chip;
}

// Runs until max_cycles have passed, the output is full, a whole frame has come out, or all input is taken and nothing
// is going on any more. Returns why; *consumed, *produced and *cycles tell how far it got.
EXPORT int opzo_run(Chip* chip, const std::uint8_t* in, std::size_t in_size, std::uint8_t* out, std::size_t out_size,
                    std::uint64_t max_cycles, std::size_t* consumed, std::size_t* produced, std::uint64_t* cycles) {
    Vtop& top = chip->top;
    std::size_t taken = 0, given = 0;
    std::uint64_t cycle = 0;
    int stop = CYCLES;
    while (cycle < max_cycles) {
        if (given == out_size) {
            stop = OUTPUT_FULL;
            break;
        }
        const bool offer = taken < in_size;
        top.rx_valid = offer;
        top.rx_payload = offer ? in[taken] : 0;
        top.tx_ready = 1;
        top.clk = 0;
        top.eval();
        const bool accepted = offer && top.rx_ready;
        const bool emitted = top.tx_valid;
        const std::uint8_t byte = top.tx_payload;
        if (!offer && !emitted && !top.busy) {
            stop = IDLE;
            break;
        }
        top.clk = 1;
        top.eval();
        ++cycle;
        taken += accepted;
        if (emitted) {
            out[given++] = byte;
            const bool whole = byte == END && chip->in_frame;
            chip->in_frame = byte != END;
            if (whole) {
                stop = REPLY;
                break;
            }
        }
    }
    *consumed = taken;
    *produced = given;
    *cycles = cycle;
    return stop;
}
