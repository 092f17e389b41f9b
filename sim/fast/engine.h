// Runs through a core; each function has the name and arithmetic of its counterpart in sim/golden/run.py.
#pragma once

#if defined(__AVX512BW__) && !defined(__clang__)
#pragma GCC target("prefer-vector-width=512")  // most of the time goes into rows, which are whole vectors
#endif

#include <cstdint>
#include <vector>

#include "credit.h"
#include "hidden.h"
#include "lanes.h"
#include "layer.h"
#include "lfsr.h"
#include "state.h"
#include "traces.h"
#include "update.h"

// One of the feedback matrices of a layer.
struct Matrix {
    int set;                // number in the entry sets
    const int32_t* errors;  // that it carries, scaled
    int32_t differences[MAX_CLASSES];  // o[t-1] - o[t] of their readouts, in units of updates
};

class Engine {
  public:
    void run(State& state, const Events& input, int label, int flags, Answer& answer);
    void clear_traces();

  private:
    State* core;
    Events input;
    int kind, steps, classes, depth, label, rule, rate;
    bool train, noise, refresh;
    // State kept between runs in addition to State.
    Traces traces[MAX_HIDDEN], input_traces;
    bool begun = false;
    int last_steps = 0, phase = 0, bias_trace = 0, loss_sum = 0;
    Hidden hidden[MAX_HIDDEN];
    Layer readout;
    Geometry geometries[MAX_HIDDEN + 1];
    std::vector<int> rows, values;  // of a frame
    int32_t outputs[HISTORY_STEPS][MAX_CLASSES];
    int32_t errors[HISTORY_STEPS][MAX_CLASSES];
    int32_t intermediate_outputs[HISTORY_STEPS][MAX_CLASSES];  // their errors are the local errors of their layer
    int losses[HISTORY_STEPS];
    std::vector<Word> readout_credits;
    Filtered filtered;
    SpikeUpdates spike_updates;
    LaneLFSRs lfsrs;
    uint64_t work;
    // Of convolutions, and of dense layers behind one.
    Windows windows;
    std::vector<int> neurons, factors, order;
    std::vector<uint8_t> spiked;
    std::vector<Word> currents, sign_sums, shared;
    std::vector<uint8_t> saturations;

    int64_t reg(int address) const { return core->registers[address]; }
    int mse_shift() const { return static_cast<int>(reg(REG_MSE_SHIFT)); }
    void count(int counter, uint64_t amount) { core->counters[counter] += amount; }
    void count_work(int counter, uint64_t amount) { count(counter, amount), work += amount; }
    int16_t* row(int address) const { return core->memory + static_cast<size_t>(address) * P; }

    bool feeds_back() const { return train && rule_has(RULES_LEARNS_HIDDEN); }
    bool odd(int step) const { return (phase + step) & 1; }
    bool rule_has(int rules) const { return rules >> rule & 1; }
    bool kind_has(int kinds) const { return kinds >> kind & 1; }
    Layer layer(int index);
    void begin(bool fresh, bool decision);
    void forward();
    void learn();
    void finish(Answer& answer);
    const int16_t* weights(const Layer& to, int word) const { return row(to.weight_base + word * to.rows); }
    bool integrate_values(int word, Word& current) const;
    bool integrate_spikes(const Layer& to, const std::vector<int>& list, int word, Word& current) const;
    void integrate_frame();
    void fire_events(int step);
    void fire(int index, int step);
    void fire_currents(Hidden& h, int step);
    void draw_signs(Hidden& h, int step);
    void fire_word(Hidden& h, int step, int word, const Word& current, bool saturated);
    void sum_readouts(int step);
    void local_readout(int index, int step);
    void feedback(int index, int step);
    void local_errors(int index, int step, const int32_t* o);
    int find_matrices(const Layer& from, int step, Matrix* found) const;
    Word local_feedback(Hidden& h, int step, int word, SaturatedRows& saturated);
    void learn_spikes(const Layer& to, const Traces& below, bool graded, const std::vector<Word>& credits);
    void learn_frame(const Hidden& h);
    int stride(int index) const;
    void integrate_windows(int index, const std::vector<int>& list, const std::vector<int>* factors, int bias);
    void list_neurons(int index);
    bool prepare_updates(const Word* credits, int words, bool frame, Word& credit, Word& bias);
    void update_of(int n, bool frame, const Word& credit, Word& update) const;
    template <bool Frame, bool Saturates>
    uint64_t accumulate_window(const Geometry& geometry, int p, const Word& credit, int32_t* gradients) const;
    bool may_saturate(const Geometry& geometry, int64_t most) const;
    void accumulate_windows(int index, const std::vector<Word>& credits);
    void learn_map(int index, const std::vector<Word>& credits);
    void apply_gradients(const Layer& to);
    template <typename Values>
    void block_sums(const Layer& layer, const Values* values, Word* sums) const;
    void readout_of_blocks(const Layer& layer, const Word* spike_sums, int64_t* totals) const;
    void local_readout_of_blocks(int index, int step);
    void local_feedback_of_block(const Hidden& h, int step, int word, Word& total, SaturatedRows& saturated);
    void move_entries(int16_t* entry, const Layer& layer, const Word& signs, const int32_t* differences,
                      SaturatedRows& saturated);
    void share_feedback(int index, int step);
    void feedback_of_blocks(int index, int step);
};
