// Runs many cycles of a verilated chip per call, as a byte stream in and a byte stream out.

#include <cstddef>
#include <cstdint>
#include <string>

#include "Vtop.h"
#include "verilated.h"
#if VM_TRACE
#include <memory>

#include "verilated_fst_c.h"
#endif

namespace {

constexpr std::uint8_t END = 0xC0;
#if VM_TRACE
constexpr std::uint64_t HALF_PERIOD = 5;  // nanoseconds
#endif

struct Chip {
    VerilatedContext context;
    Vtop top{&context};
    bool in_frame = false;
    bool failed = false;
    std::string failure;
#if VM_TRACE
    std::unique_ptr<VerilatedFstC> waveform;
    std::uint64_t time = 0;

    // A cycle is two half periods of the clock: it falls in the first one, and rises in the second.
    void dump() {
        if (waveform) waveform->dump(HALF_PERIOD * time);
        ++time;
    }
#else
    void dump() {}
#endif
};

// The chip that this thread runs.
thread_local Chip* running = nullptr;

}  // namespace

// As in opzo.sim.rtl.transport.
enum Stop : int { CYCLES = 0, OUTPUT_FULL = 1, IDLE = 2, REPLY = 3, FAILED = 4 };

#define EXPORT extern "C" __attribute__((visibility("default")))

// A check in the gateware failed; the first one counts.
extern "C" void opzo_check_failed(const char* text) {
    if (!running->failed) running->failure = text;
    running->failed = true;
}

EXPORT Chip* opzo_new() {
    auto* chip = new Chip;
#if VM_TRACE
    chip->context.traceEverOn(true);
    chip->context.timeunit(-9);
    chip->context.timeprecision(-9);
#endif
    chip->top.clk = 0;
    chip->top.eval();
    return chip;
}

EXPORT void opzo_delete(Chip* chip) {
    // The design leaves the lists of the thread's context. That is the context of the chip which was made last, perhaps
    // one that is deleted already.
    Verilated::threadContextp(&chip->context);
    chip->top.final();
    delete chip;
}

#if VM_TRACE
// Writes the waveform from the present cycle on to a file, until a null pointer ends it.
EXPORT void opzo_trace(Chip* chip, const char* path) {
    if (chip->waveform) chip->waveform->close();
    chip->waveform.reset();
    if (!path) return;
    chip->time = 0;
    chip->waveform = std::make_unique<VerilatedFstC>();
    chip->top.trace(chip->waveform.get(), 99);
    chip->waveform->open(path);
}
#endif

// Text of the check that failed.
EXPORT const char* opzo_failure(const Chip* chip) {
    return chip->failure.c_str();
}

// Runs until max_cycles have passed, the output is full, a frame is complete, all input is taken and the chip is idle,
// or a check of the gateware has failed, after which the chip does not run any more. Returns why; *consumed, *produced
// and *cycles are what it took, emitted and ran.
EXPORT int opzo_run(Chip* chip, const std::uint8_t* in, std::size_t in_size, std::uint8_t* out, std::size_t out_size,
                    std::uint64_t max_cycles, std::size_t* consumed, std::size_t* produced, std::uint64_t* cycles) {
    Vtop& top = chip->top;
    std::size_t taken = 0, given = 0;
    std::uint64_t cycle = 0;
    int stop = chip->failed ? FAILED : CYCLES;
    running = chip;
    while (cycle < max_cycles && !chip->failed) {
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
        chip->dump();
        top.clk = 1;
        top.eval();
        chip->dump();
        ++cycle;
        if (chip->failed) {
            stop = FAILED;
            break;
        }
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
