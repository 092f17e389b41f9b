// Runs many cycles of a verilated chip per call, as a byte stream in and a byte stream out.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "Vtop.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_fst_c.h"
#endif

namespace {

constexpr std::uint8_t END = 0xC0;
#if VM_TRACE
constexpr std::uint64_t HALF_PERIOD = 5;  // nanoseconds
#endif

// The memory behind the sample store: words of 16 bits, which take memory of this machine only where they are written.
// It answers at once, or a few cycles later, in a sequence that is always the same.
class Store {
  public:
    explicit Store(std::size_t bytes, unsigned address_bits)
        : words(static_cast<std::uint16_t*>(std::calloc(bytes / 2 + 1, 2)), std::free), bits(address_bits) {}

    // What the chip sees in the next cycle.
    void offer(Vtop& top) {
        stalls = next() % 8 == 0;
        top.memory_command_ready = !stalls && left == 0;
        top.memory_write_ready = !stalls && left != 0 && writes;
        // A word that was offered stays.
        offered = left != 0 && !writes && (offered || !stalls);
        top.memory_read_valid = offered;
        top.memory_read = offered ? words.get()[address] : 0xDEAD;
    }

    // What the chip did in the cycle; false where a command is none.
    bool take(const Vtop& top, std::size_t size) {
        if (top.memory_command_valid && top.memory_command_ready) {
            const std::uint64_t command = top.memory_command;
            address = command & ((1ULL << bits) - 1);
            left = command >> bits & 0x3FF;
            writes = command >> bits >> 10 & 1;
            return left != 0 && address + left <= size / 2;
        }
        const bool written = top.memory_write_valid && top.memory_write_ready;
        if (written) words.get()[address] = top.memory_write;
        if (written || (top.memory_read_valid && top.memory_read_ready)) {
            ++address;
            --left;
            offered = false;
        }
        return true;
    }

  private:
    std::unique_ptr<std::uint16_t, decltype(&std::free)> words;
    unsigned bits;
    std::size_t address = 0;
    unsigned left = 0;
    bool writes = false, stalls = false, offered = false;
    std::uint32_t state = 1;

    std::uint32_t next() {
        state ^= state << 13;
        state ^= state >> 17;
        return state ^= state << 5;
    }
};

struct Chip {
    Chip(std::size_t bytes, unsigned address_bits) : store(bytes, address_bits), store_bytes(bytes) {}

    VerilatedContext context;
    Vtop top{&context};
    Store store;
    std::size_t store_bytes;
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

// A chip with a sample store of that many bytes, 0 for none, and the bits of an address of its words.
EXPORT Chip* opzo_new(std::size_t store, unsigned address_bits) {
    auto* chip = new Chip(store, address_bits);
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
        if (chip->store_bytes) chip->store.offer(top);
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
        if (chip->store_bytes && !chip->store.take(top, chip->store_bytes)) {
            opzo_check_failed("a command beyond the memory of the sample store");
        }
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
