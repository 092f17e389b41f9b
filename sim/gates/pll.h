// Model of the PLL EHXPLLL with feedback from CLKOP. FPGA-TN-02200 (ECP5 and ECP5-5G sysCLOCK PLL/DLL Design and Usage
// Guide): CLKI divided by CLKI_DIV and CLKFB divided by CLKFB_DIV get the same frequency, so CLKOP runs at
// CLKI * CLKFB_DIV / CLKI_DIV; the VCO runs CLKOP_DIV times as fast. FPGA-DS-02012 (Family Data Sheet), "sysCLOCK PLL
// Timing": the comparator works from 3.125 to 400 MHz, the VCO from 400 to 800 MHz. Outside these ranges, or if CLKOP does
// not come back to CLKFB, the model never locks. It measures the frequency of CLKI. A device takes up to 15 ms to lock,
// the model LOCK_PERIODS periods of the comparator.

#pragma once

class Pll {
public:
    Pll(int clki, int clkfb, int clkop) : clki_{clki}, clkfb_{clkfb}, clkop_{clkop} {}

    // Level of CLKI at a time in ps.
    void reference(bool level, double now) {
        if (level && !clki_level_) {
            period_ = now - last_rise_;
            last_rise_ = now;
            // Two rises measure a period.
            if (++rises_ == 2) next_ = now + half();
        }
        clki_level_ = level;
    }

    // Level of CLKFB after an edge of CLKOP.
    void feedback(bool level) {
        feedback_rises_ += level && !clkfb_level_;
        clkfb_level_ = level;
    }

    // Time of the next edge of CLKOP in ps; late if CLKI has not moved.
    double next() const { return next_; }

    // The level of CLKOP after that edge.
    bool toggle() {
        next_ += half();
        return clkop_level_ = !clkop_level_;
    }

    bool locked() const { return rises_ > LOCK_PERIODS * clki_ && feedback_rises_ >= LOCK_PERIODS && in_range(); }

    double frequency() const { return 1e12 / (2 * half()); }

    // Time in ps within which it locks, if at all, to a clock of some period.
    double patience(double period) const { return (LOCK_PERIODS + 4) * (clki_ + clkfb_ + 1) * period; }

private:
    static constexpr int LOCK_PERIODS = 16;
    static constexpr double MHZ = 1e6;

    double comparator() const { return 1e12 / period_ / clki_; }
    double half() const { return period_ > 0 ? period_ * clki_ / clkfb_ / 2 : 1e12; }
    bool in_range() const {
        const double vco = frequency() * clkop_;
        return comparator() >= 3.125 * MHZ && comparator() <= 400 * MHZ && vco >= 400 * MHZ && vco <= 800 * MHZ;
    }

    int clki_, clkfb_, clkop_;
    int rises_ = 0, feedback_rises_ = 0;
    double period_ = 0, last_rise_ = 0, next_ = 1e300;
    bool clki_level_ = false, clkfb_level_ = false, clkop_level_ = false;
};
