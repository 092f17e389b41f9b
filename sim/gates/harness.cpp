// Runs a board's FPGA through its pins, for many clock cycles per call: a byte stream into its UART and one out of it.

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "Vtop.h"
#include "pll.h"
#include "verilated.h"

namespace {

constexpr std::uint8_t END = 0xC0;
constexpr int FRAME_BITS = 10;  // start, 8 data, stop

// Sends bytes, 8N1, to a pin. A byte after a pause begins at any time between two edges of the chip's clock, because the
// sender has a clock of its own.
class Sender {
public:
    explicit Sender(double bit) : bit_{bit} {}

    bool busy(double now) const { return now < end_; }

    // Begin a byte, at once after the one before or within the last clock cycle.
    void send(std::uint8_t byte, double now, double cycle) {
        phase_ = std::fmod(phase_ + 0.618, 1);
        begin_ = end_ > now - cycle ? end_ : now - (0.05 + 0.9 * phase_) * cycle;
        end_ = begin_ + FRAME_BITS * bit_;
        bits_ = 1U << 9 | std::uint32_t{byte} << 1;
    }

    bool level(double now) const { return !busy(now) || (bits_ >> static_cast<int>((now - begin_) / bit_) & 1U); }

private:
    double bit_, begin_ = 0, end_ = -1e12, phase_ = 0;
    std::uint32_t bits_ = 0;
};

// Receives bytes, 8N1, from a pin: samples the middle of each bit. A byte without a stop bit is dropped.
class Receiver {
public:
    explicit Receiver(double bit) : bit_{bit} {}

    bool busy() const { return number_ >= 0; }

    // The pin's level from `now` on; whether a byte is complete, which is then in `byte`.
    bool see(bool level, double now) {
        bool complete = false;
        while (number_ >= 0 && now > sample_) {
            if (number_ < 8) bits_ = static_cast<std::uint8_t>(bits_ >> 1 | last_ << 7);
            else complete = last_;
            number_ = number_ < 8 ? number_ + 1 : -1;
            sample_ += bit_;
        }
        if (complete) byte = bits_;
        if (number_ < 0 && last_ && !level) {
            number_ = 0;
            sample_ = now + 1.5 * bit_;
        }
        last_ = level;
        return complete;
    }

    std::uint8_t byte = 0;

private:
    double bit_, sample_ = 0;
    int number_ = -1;
    bool last_ = true;
    std::uint8_t bits_ = 0;
};

struct Board {
    VerilatedContext context;
    Vtop top{&context};
    Pll pll;
    Sender sender;
    Receiver receiver;
    double now = 0;
    std::uint64_t quiet = 0;
    bool in_frame = false;

    Board(double oscillator, double baud, const Pll& set_up) : pll{set_up}, sender{1e12 / baud}, receiver{1e12 / baud} {
        top.oscillator = 0;
        top.button = 0;
        top.rx = 1;
        top.pll_clkop = 0;
        top.pll_lock = 0;
        top.eval();
        start(1e12 / oscillator);
    }

    // The oscillator's pin to the PLL, and the PLL back to the chip, until the PLL has locked or had time to. Later the
    // oscillator is not simulated: nothing but the PLL uses it, as the first periods show.
    void start(double period) {
        double rise = period;
        while (!pll.locked() && rise < pll.patience(period)) {
            while (pll.next() < rise) core_edge();
            now = rise;
            for (const bool level : {true, false}) {
                top.oscillator = level;
                top.eval();
                pll.reference(top.pll_clki, now);
            }
            rise += period;
        }
        top.pll_lock = pll.locked();
        // A cycle begins with a rising edge.
        if (top.pll_clkop) core_edge();
    }

    // Next edge of the PLL's output.
    void core_edge() {
        now = pll.next();
        top.pll_clkop = pll.toggle();
        top.eval();
        pll.feedback(top.pll_clkfb);
    }
};

}  // namespace

// As in opzo.sim.gates.transport.
enum Stop : int { CYCLES = 0, OUTPUT_FULL = 1, QUIET = 2, REPLY = 3 };

#define EXPORT extern "C" __attribute__((visibility("default")))

// Frequencies in Hz; dividers of the PLL; ranges of its comparator and VCO in MHz.
EXPORT Board* opzo_new(double oscillator, double baud, int reference, int feedback, int post, double comparator_low,
                       double comparator_high, double vco_low, double vco_high) {
    return new Board(oscillator, baud, Pll{reference, feedback, post, {comparator_low, comparator_high}, {vco_low, vco_high}});
}

EXPORT void opzo_delete(Board* board) {
    board->top.final();
    delete board;
}

// Output frequency of the PLL in Hz, 0 if it has not locked.
EXPORT double opzo_clock(const Board* board) { return board->pll.locked() ? board->pll.frequency() : 0; }

// Levels of the pins of the lights: link, training, error from bit 0 on.
EXPORT int opzo_lights(const Board* board) { return board->top.link | board->top.training << 1 | board->top.error << 2; }

EXPORT void opzo_button(Board* board, int level) { board->top.button = level & 1; }

// Runs until max_cycles have passed, the output is full, a frame is complete, or both lines were quiet for quiet_cycles
// after the input. Returns why; *consumed, *produced and *cycles are what it took, emitted and ran.
EXPORT int opzo_run(Board* board, const std::uint8_t* in, std::size_t in_size, std::uint8_t* out, std::size_t out_size,
                    std::uint64_t max_cycles, std::uint64_t quiet_cycles, std::size_t* consumed, std::size_t* produced,
                    std::uint64_t* cycles) {
    Board& b = *board;
    std::size_t taken = 0, given = 0;
    std::uint64_t cycle = 0;
    int stop = CYCLES;
    while (cycle < max_cycles) {
        if (given == out_size) {
            stop = OUTPUT_FULL;
            break;
        }
        const double rise = b.pll.next();
        if (taken < in_size && !b.sender.busy(rise)) b.sender.send(in[taken++], rise, 1e12 / b.pll.frequency());
        b.top.rx = b.sender.level(rise);
        b.core_edge();
        const bool complete = b.receiver.see(b.top.tx, rise);
        b.core_edge();
        ++cycle;
        b.quiet = taken < in_size || b.sender.busy(rise) || b.receiver.busy() ? 0 : b.quiet + 1;
        if (complete) {
            const std::uint8_t byte = b.receiver.byte;
            out[given++] = byte;
            const bool whole = byte == END && b.in_frame;
            b.in_frame = byte != END;
            if (whole) {
                stop = REPLY;
                break;
            }
        }
        if (b.quiet >= quiet_cycles) {
            b.quiet = 0;
            stop = QUIET;
            break;
        }
    }
    *consumed = taken;
    *produced = given;
    *cycles = cycle;
    return stop;
}
