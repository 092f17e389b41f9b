// The fast twin of the golden model: one sample through a core, compiled for a number of lanes.
//
// Every function has the name and the arithmetic of its twin in sim/golden; the constants come from opzo.spec by way of
// a generated header. Loops over lanes have fixed trip counts and 32-bit integers, so that the compiler makes vector
// code of them.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "error.h"
#include "hidden.h"
#include "lanes.h"

// State that stays from sample to sample; the arrays belong to Python.
struct State {
    int16_t* memory;      // (rows, P)
    uint32_t* lfsrs;      // (P)
    int64_t* membrane;    // (words, P)
    uint8_t* history;     // (words, P)
    int64_t* registers;   // by address
    uint64_t* counters;   // by Counter
};

struct Answer {
    int32_t prediction;
    int32_t loss;
    int32_t outputs[MAX_CLASSES];
};

namespace {

class Sample {
  public:
    void run(State& state, const uint16_t* addresses, const uint8_t* values, int count, int label, bool train,
             Answer& answer);

  private:
    State* core;
    int steps, classes, depth, label, rule, rate;
    bool train, refresh;
    Hidden hidden[MAX_HIDDEN];
    Layer readout;
    std::vector<int> rows, values;
    int32_t outputs[HISTORY_STEPS][MAX_CLASSES];
    int32_t errors[HISTORY_STEPS][MAX_CLASSES];
    int losses[HISTORY_STEPS];
    std::vector<Word> readout_credits, filtered;
    Word lfsrs;
    uint64_t work;

    int64_t reg(int address) const { return core->registers[address]; }
    int mse_shift() const { return static_cast<int>(reg(REG_MSE_SHIFT)); }
    void count(int counter, uint64_t amount) { core->counters[counter] += amount; }
    void count_work(int counter, uint64_t amount) { count(counter, amount), work += amount; }
    int16_t* row(int address) const { return core->memory + static_cast<size_t>(address) * P; }

    Layer layer(int slot) const;
    bool integrate_events(int word, Word& current) const;
    bool integrate_spikes(const Layer& to, const std::vector<int>& list, int word, Word& current) const;
    void fire(int index, int step);
    void fire_word(Hidden& h, int step, int word, const Word& current, bool saturated);
    void read_out(int step);
    void local_read_out(int index, int step);
    void feedback(int index, int step);
    Word local_feedback(Hidden& h, int step, int word);
    void filter(const std::vector<Word>& credits, int words, int word);
    void learn_spikes(const Layer& to, const Hidden& below, const std::vector<Word>& credits);
    void learn_events(const Hidden& h);
};

Layer Sample::layer(int slot) const {
    const int64_t* r = core->registers + LAYER_REGISTERS + LAYER_STRIDE * slot;
    auto field = [r](int n) { return static_cast<int>(r[n]); };
    return {field(LAYER_ROWS),          field(LAYER_WORDS),         field(LAYER_TAIL), field(LAYER_WEIGHT_BASE),
            field(LAYER_FEEDBACK_BASE), field(LAYER_WORD_BASE),     field(LAYER_LOCAL_SHIFT), slot};
}

// Input current of one word of layer 1; whether a lane saturated.
bool Sample::integrate_events(int word, Word& current) const {
    const Layer& to = hidden[0].layer;
    const int16_t* base = row(to.weight_base + word * to.rows);
    Word sum{};
    for (size_t n = 0; n < rows.size(); n++) {
        const int16_t* w = base + rows[n] * P;
        if (n + AHEAD < rows.size()) prefetch(base + rows[n + AHEAD] * P);
        const int32_t x = values[n];
        for (int j = 0; j < P; j++) sum[j] += w[j] * x >> PRODUCT_SHIFT;
    }
    for (int j = 0; j < P; j++) sum[j] >>= ACCUMULATOR_FRAC - MEMBRANE_FRAC;
    return saturate_word<MEMBRANE_WIDTH>(sum, current);
}

// Input current from the spikes of a step and the bias.
bool Sample::integrate_spikes(const Layer& to, const std::vector<int>& list, int word, Word& current) const {
    static_assert(SPIKE_INPUT >> PRODUCT_SHIFT == 1 << (ACCUMULATOR_FRAC - MEMBRANE_FRAC),
                  "a spike adds exactly the weight");
    const int16_t* base = row(to.weight_base + word * to.rows);
    Word sum;
    const int16_t* bias = base + (to.rows - 1) * P;
    for (int j = 0; j < P; j++) sum[j] = bias[j];
    for (size_t n = 0; n < list.size(); n++) {
        const int16_t* w = base + list[n] * P;
        if (n + AHEAD < list.size()) prefetch(base + list[n + AHEAD] * P);
        for (int j = 0; j < P; j++) sum[j] += w[j];
    }
    return saturate_word<MEMBRANE_WIDTH>(sum, current);
}

void Sample::fire(int index, int step) {
    Hidden& h = hidden[index];
    if (train && (rule == RULE_OPZO || rule == RULE_ZO) && step % 2 == 0)
        for (int w = 0; w < h.layer.words; w++) {
            const Word fresh = draw(lfsrs);
            Word& noise = h.noise[step / 2 * h.layer.words + w];
            for (int j = 0; j < P; j++) noise[j] = 2 * (fresh[j] >> (DRAW_BITS - 1)) - 1;
        }
    if (index == 0) {
        for (int w = 0; w < h.layer.words; w++) fire_word(h, step, w, h.current[w], false);
        count(COUNT_FIRE, h.layer.words);
        return;
    }
    const auto& list = hidden[index - 1].listed[step];
    for (int w = 0; w < h.layer.words; w++) {
        Word current;
        const bool saturated = integrate_spikes(h.layer, list, w, current);
        fire_word(h, step, w, current, saturated);
    }
    count_work(COUNT_INTEGRATE, h.layer.words * (list.size() + 1));
}

void Sample::fire_word(Hidden& h, int step, int word, const Word& current, bool current_saturated) {
    const int amplitude = static_cast<int>(step % 2 ? -reg(REG_ALPHA) : reg(REG_ALPHA));
    const int valid = h.layer.valid_lanes(word);
    auto& spikes = h.spikes[step * h.layer.words + word];
    auto& surrogate = h.surrogate[step * h.layer.words + word];
    Word& v = h.v[word];
    const Word& noise = h.noise[step / 2 * h.layer.words + word];
    int32_t saturated = 0;
    for (int j = 0; j < P; j++) {
        const int32_t exact = (v[j] >> 1) + current[j];
        const int32_t u = saturate<MEMBRANE_WIDTH>(exact);
        saturated |= u ^ exact;
        const int32_t distance = u - THRESHOLD;
        const int32_t spike = (distance + noise[j] * amplitude >= 0) & (j < valid);
        const int32_t quarters = (distance < 0 ? -distance : distance) >> SURROGATE_SHIFT;
        v[j] = spike ? distance : u;
        spikes[j] = spike;
        surrogate[j] = quarters < SURROGATE_OFF ? quarters : SURROGATE_OFF;
    }
    uint8_t* history = core->history + (h.layer.word_base + word) * P;
    int fired = 0, first = 0;
    for (int j = 0; j < valid; j++) {
        if (!spikes[j]) continue;
        fired++;
        h.listed[step].push_back(word * P + j);
        if (!h.seen[word][j]) {
            first++;
            h.seen[word][j] = 1;
            h.active.push_back(word * P + j);
            history[j] = 0;
        }
        history[j] |= 1 << step;
    }
    const int index = h.layer.slot;
    count(COUNT_SPIKES_1 + index, fired);
    if (train) count(COUNT_ACTIVE_1 + index, first);
    if (saturated || current_saturated) count(COUNT_MEMBRANE_SATURATIONS, 1);
}

void Sample::read_out(int step) {
    const auto& list = hidden[depth - 1].listed[step];
    for (int w = 0; w < readout.words; w++) {
        Word current;
        if (integrate_spikes(readout, list, w, current)) count(COUNT_MEMBRANE_SATURATIONS, 1);
        for (int j = 0; j < P && w * P + j < classes; j++) outputs[step][w * P + j] = current[j];
    }
    count_work(COUNT_INTEGRATE, readout.words * (list.size() + 1));
    losses[step] = error_step(outputs[step], classes, label, mse_shift(), errors[step]);
    for (int k = 0; k < classes; k++) {
        errors[step][k] *= rate;
        readout_credits[step * readout.words + k / P][k % P] = saturate<CREDIT_WIDTH>(errors[step][k]);
    }
}

// Error of a layer's own read-out.
void Sample::local_read_out(int index, int step) {
    Hidden& h = hidden[index];
    int32_t o[MAX_CLASSES];
    for (int k = 0; k < classes; k++) {
        int64_t total = 0;
        for (const int i : h.listed[step]) total += row(h.layer.feedback_base + i / P * 2 * classes + k)[i % P];
        o[k] = static_cast<int32_t>(std::clamp(total, int64_t{-MEMBRANE_MAX - 1}, int64_t{MEMBRANE_MAX}));
    }
    error_step(o, classes, label, mse_shift(), h.local_errors[step]);
    for (int k = 0; k < classes; k++) h.local_errors[step][k] *= rate;
    count_work(COUNT_FEEDBACK, h.layer.words * classes);
}

// The local read-out's part of the feedback sum of one word; learns its entries.
Word Sample::local_feedback(Hidden& h, int step, int word) {
    Word total{};
    const auto& spikes = h.spikes[step * h.layer.words + word];
    int16_t* entry = row(h.layer.feedback_base + word * 2 * classes);
    for (int k = 0; k < classes; k++, entry += P) {
        const int32_t error = h.local_errors[step][k];
        Word update;
        for (int j = 0; j < P; j++) {
            total[j] += saturate<FEEDBACK_FACTOR_BITS>(entry[j] >> h.layer.local_shift) * error;
            update[j] = spikes[j] ? error : 0;
        }
        if (update_row(entry, update, 0, lfsrs)) count(COUNT_FEEDBACK_SATURATIONS, 1);
    }
    count_work(COUNT_FEEDBACK, classes);
    return total;
}

void Sample::feedback(int index, int step) {
    Hidden& h = hidden[index];
    const int shift = static_cast<int>(reg(LAYER_REGISTERS + LAYER_STRIDE * index + LAYER_FEEDBACK_SHIFT));
    const int sign = step % 2 ? -1 : 1;
    const int activity = static_cast<int>(reg(REG_ACTIVITY));
    const bool momentum = rule == RULE_OPZO && step % 2;
    int64_t size = 0;
    for (int w = 0; w < h.layer.words; w++) {
        const int valid = h.layer.valid_lanes(w);
        const Word& noise = h.noise[step / 2 * h.layer.words + w];
        const bool local = h.layer.local_shift;
        Word total = local ? local_feedback(h, step, w) : Word{};
        if (rule == RULE_ZO) {
            const int32_t loss = std::min(losses[step] >> ZO_LOSS_SHIFT, ERROR_MAX) * rate;
            for (int j = 0; j < P; j++) total[j] += sign * noise[j] * ZO_FACTOR * loss;
        } else {
            int16_t* entry = row(h.layer.feedback_base + (local ? 2 * w + 1 : w) * classes);
            for (int k = 0; k < classes; k++, entry += P) {
                const int32_t error = errors[step][k];
                for (int j = 0; j < P; j++)
                    total[j] += saturate<FEEDBACK_FACTOR_BITS>(entry[j] >> shift) * error;
                if (refresh && step == 0) size += entry[0] < 0 ? -entry[0] : entry[0];
                if (!momentum) continue;
                // M += z (o[t-1] - o[t]) (paper eq. 7), z of the even step.
                const int32_t difference = (outputs[step - 1][k] - outputs[step][k]) << DIFFERENCE_SHIFT;
                Word update;
                for (int j = 0; j < P; j++) update[j] = j < valid ? -noise[j] * difference : 0;
                if (update_row(entry, update, static_cast<int>(reg(REG_LEAK_SHIFT)), lfsrs))
                    count(COUNT_FEEDBACK_SATURATIONS, 1);
            }
        }
        const auto& spikes = h.spikes[step * h.layer.words + w];
        const auto& surrogate = h.surrogate[step * h.layer.words + w];
        Word& credit = h.credits[step * h.layer.words + w];
        int32_t saturated = 0;
        for (int j = 0; j < P; j++) {
            const int32_t code = surrogate[j];
            const int32_t rounded = ((total[j] >> (DELTA_SHIFT - 1 + (code & 7))) + 1) >> 1;
            const int32_t exact = code == SURROGATE_OFF ? 0 : rounded;
            const int32_t scaled = saturate<CREDIT_WIDTH>(exact);
            const int32_t costly = scaled + spikes[j] * activity;
            const int32_t result = saturate<CREDIT_WIDTH>(costly);
            credit[j] = j < valid ? result : 0;
            saturated |= j < valid ? (scaled ^ exact) | (result ^ costly) : 0;
        }
        if (saturated) count(COUNT_CREDIT_SATURATIONS, 1);
    }
    const int entries = h.layer.words * (rule == RULE_ZO ? 1 : classes);
    count_work(COUNT_FEEDBACK, entries);
    if (rule != RULE_ZO && refresh && step == 0) {
        h.shift = 0;
        while (size >> h.shift >= int64_t{FEEDBACK_MEAN_MAX} * entries && h.shift < FEEDBACK_SHIFT_MAX) h.shift++;
    }
}

// E[k] of one word, all steps.
void Sample::filter(const std::vector<Word>& credits, int words, int word) {
    filtered.resize(steps);
    filtered[steps - 1] = credits[(steps - 1) * words + word];
    for (int k = steps - 2; k >= 0; k--)
        for (int j = 0; j < P; j++) filtered[k][j] = credits[k * words + word][j] + filtered[k + 1][j] / 2;
}

void Sample::learn_spikes(const Layer& to, const Hidden& below, const std::vector<Word>& credits) {
    const uint8_t* history = core->history + below.layer.word_base * P;
    const int decay_shift = static_cast<int>(reg(REG_DECAY_SHIFT));
    uint64_t saturated = 0;
    for (int w = 0; w < to.words; w++) {
        filter(credits, to.words, w);
        int16_t* base = row(to.weight_base + w * to.rows);
        auto learn = [&](int i, unsigned spiked) {
            Word update{};
            for (; spiked; spiked &= spiked - 1) {
                const Word& credit = filtered[std::countr_zero(spiked)];
                for (int j = 0; j < P; j++) update[j] += credit[j];
            }
            saturated += update_row(base + i * P, update, decay_shift, lfsrs);
        };
        for (size_t n = 0; n < below.active.size(); n++) {
            const int i = below.active[n];
            if (n + AHEAD < below.active.size()) prefetch(base + below.active[n + AHEAD] * P);
            learn(i, history[i]);
        }
        learn(to.rows - 1, (1u << steps) - 1);
    }
    count_work(COUNT_LEARN, to.words * (below.active.size() + 1));
    count(COUNT_WEIGHT_SATURATIONS, saturated);
}

void Sample::learn_events(const Hidden& h) {
    const Layer& to = h.layer;
    const int decay_shift = static_cast<int>(reg(REG_DECAY_SHIFT));
    uint64_t saturated = 0;
    for (int w = 0; w < to.words; w++) {
        filter(h.credits, to.words, w);
        Word total{};
        for (const Word& credit : filtered)
            for (int j = 0; j < P; j++) total[j] += credit[j];
        for (int j = 0; j < P; j++) total[j] = saturate<FRAME_CREDIT_WIDTH>(total[j]);
        int16_t* base = row(to.weight_base + w * to.rows);
        for (size_t n = 0; n < rows.size(); n++) {
            if (n + AHEAD < rows.size()) prefetch(base + rows[n + AHEAD] * P);
            Word update;
            for (int j = 0; j < P; j++) update[j] = (total[j] * values[n] + (1 << (INPUT_BITS - 1))) >> INPUT_BITS;
            saturated += update_row(base + rows[n] * P, update, decay_shift, lfsrs);
        }
    }
    count_work(COUNT_LEARN, to.words * rows.size());
    count(COUNT_WEIGHT_SATURATIONS, saturated);
}

void Sample::run(State& state, const uint16_t* addresses, const uint8_t* event_values, int events, int of_label,
                 bool of_train, Answer& answer) {
    core = &state;
    label = of_label, train = of_train, work = 0;
    steps = static_cast<int>(reg(REG_STEPS)), classes = static_cast<int>(reg(REG_CLASSES));
    depth = static_cast<int>(reg(REG_HIDDEN_LAYERS)), rule = static_cast<int>(reg(REG_RULE));
    rate = static_cast<int>(reg(REG_RATE));
    refresh = train && reg(REG_SAMPLES) % FEEDBACK_REFRESH == 0;
    for (int index = 0; index < depth; index++) hidden[index].begin(layer(index), steps);
    readout = layer(MAX_HIDDEN);
    readout_credits.assign(steps * readout.words, Word{});
    for (int j = 0; j < P; j++) lfsrs[j] = core->lfsrs[j];
    rows.assign(addresses, addresses + events);
    values.assign(event_values, event_values + events);
    rows.push_back(hidden[0].layer.rows - 1);
    values.push_back(BIAS_INPUT);

    for (int w = 0; w < hidden[0].layer.words; w++) integrate_events(w, hidden[0].current[w]);
    count_work(COUNT_INTEGRATE, hidden[0].layer.words * rows.size());
    count(COUNT_EVENTS, events);
    const bool feeds_back = train && rule != RULE_READOUT;
    for (int macro = 0; macro <= steps + depth; macro++) {
        const auto exists = [&](int step) { return 0 <= step && step < steps; };
        if (exists(macro)) fire(0, macro);
        if (exists(macro - depth)) read_out(macro - depth);
        for (int index = 1; index < depth; index++)
            if (exists(macro - index)) fire(index, macro - index);
        for (int index = 0; feeds_back && index < depth; index++) {
            if (hidden[index].layer.local_shift && exists(macro - index - 1)) local_read_out(index, macro - index - 1);
            if (macro > depth) feedback(index, macro - depth - 1);
        }
    }
    if (train) {
        learn_spikes(readout, hidden[depth - 1], readout_credits);
        if (rule != RULE_READOUT)
            for (int index = depth - 1; index >= 0; index--) {
                if (index)
                    learn_spikes(hidden[index].layer, hidden[index - 1], hidden[index].credits);
                else
                    learn_events(hidden[0]);
                if (hidden[index].shift >= 0)
                    core->registers[LAYER_REGISTERS + LAYER_STRIDE * index + LAYER_FEEDBACK_SHIFT] = hidden[index].shift;
            }
        core->registers[REG_SAMPLES] = (reg(REG_SAMPLES) + 1) & 0xFFFFFFFF;
    }

    for (int index = 0; index < depth; index++) {
        const Hidden& h = hidden[index];
        for (int w = 0; w < h.layer.words; w++)
            for (int j = 0; j < P; j++) core->membrane[(h.layer.word_base + w) * P + j] = h.v[w][j];
    }
    for (int j = 0; j < P; j++) core->lfsrs[j] = lfsrs[j];
    count(train ? COUNT_TRAIN_SAMPLES : COUNT_TEST_SAMPLES, 1);
    count(train ? COUNT_TRAIN_CYCLES : COUNT_TEST_CYCLES, work);
    answer = {};
    for (int t = 0; t < steps; t++) {
        answer.loss += losses[t];
        for (int k = 0; k < classes; k++) answer.outputs[k] += outputs[t][k];
    }
    answer.prediction = static_cast<int>(std::max_element(answer.outputs, answer.outputs + classes) - answer.outputs);
}

}  // namespace

extern "C" {

void* opzo_fast_new() { return new Sample; }
void opzo_fast_delete(void* sample) { delete static_cast<Sample*>(sample); }

void opzo_fast_run(void* sample, State* state, const uint16_t* addresses, const uint8_t* values, int events, int label,
                   int train, Answer* answer) {
    static_cast<Sample*>(sample)->run(*state, addresses, values, events, label, train, *answer);
}
}
