// Model of a PLL whose feedback is its output: EHXPLLL of the ECP5 with feedback from CLKOP, rPLL of Gowin's devices with
// internal feedback. FPGA-TN-02200 (ECP5 and ECP5-5G sysCLOCK PLL/DLL Design and Usage Guide), UG286 (Gowin Clock User
// Guide), "rPLL": input and output, each behind its divider, get the same frequency, so the output runs at
// input * feedback / reference; the VCO runs `post` times as fast. Outside the ranges of comparator and VCO, or if the
// output does not come back to the feedback's input, the model never locks. It measures the frequency of the input. A
// device takes up to 15 ms to lock, the model LOCK_PERIODS periods of the comparator.

#pragma once

class Pll {
public:
    // Lowest and highest frequency in MHz. A measured frequency at one of them is in the range.
    struct Range {
        double low, high;
        bool holds(double hertz) const { return hertz > low * (1e6 - 1) && hertz < high * (1e6 + 1); }
    };

    Pll(int reference, int feedback, int post, Range comparator, Range vco)
        : reference_{reference}, feedback_{feedback}, post_{post}, comparator_range_{comparator}, vco_range_{vco} {}

    // Level of the input at a time in ps.
    void reference(bool level, double now) {
        if (level && !input_level_) {
            period_ = now - last_rise_;
            last_rise_ = now;
            // Two rises measure a period.
            if (++rises_ == 2) next_ = now + half();
        }
        input_level_ = level;
    }

    // Level of the feedback's input after an edge of the output.
    void feedback(bool level) {
        feedback_rises_ += level && !feedback_level_;
        feedback_level_ = level;
    }

    // Time of the next edge of the output in ps; late if the input has not moved.
    double next() const { return next_; }

    // The level of the output after that edge.
    bool toggle() {
        next_ += half();
        return output_level_ = !output_level_;
    }

    bool locked() const { return rises_ > LOCK_PERIODS * reference_ && feedback_rises_ >= LOCK_PERIODS && in_range(); }

    double frequency() const { return 1e12 / (2 * half()); }

    // Time in ps within which it locks, if at all, to a clock of some period.
    double patience(double period) const { return (LOCK_PERIODS + 4) * (reference_ + feedback_ + 1) * period; }

private:
    static constexpr int LOCK_PERIODS = 16;

    double comparator() const { return 1e12 / period_ / reference_; }
    double half() const { return period_ > 0 ? period_ * reference_ / feedback_ / 2 : 1e12; }
    bool in_range() const {
        return comparator_range_.holds(comparator()) && vco_range_.holds(frequency() * post_);
    }

    int reference_, feedback_, post_;
    Range comparator_range_, vco_range_;
    int rises_ = 0, feedback_rises_ = 0;
    double period_ = 0, last_rise_ = 0, next_ = 1e300;
    bool input_level_ = false, feedback_level_ = false, output_level_ = false;
};
