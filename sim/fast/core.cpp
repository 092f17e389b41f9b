// The compiled model: one run of a core, compiled for a number of lanes.
//
// Each function has the name and arithmetic of its counterpart in sim/golden; the constants come from opzo.spec through
// a generated header. Loops over lanes have fixed trip counts and 32-bit integers, so that the compiler vectorizes them.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "error.h"
#include "hidden.h"
#include "lanes.h"
#include "traces.h"

// State kept between runs; Python owns the arrays.
struct State {
    int16_t* memory;         // (rows, P)
    uint32_t* lfsrs;         // (P)
    int64_t* membrane;       // (words, P)
    uint8_t* negative;       // (words, P)
    uint8_t* trace;          // (words, P)
    uint8_t* history;        // (words, P)
    uint8_t* input_trace;    // (inputs)
    uint8_t* input_history;  // (inputs)
    int64_t* last_outputs;   // (classes)
    int64_t* output_sums;    // (classes)
    int64_t* registers;      // by address
    uint64_t* counters;      // by Counter
};

// Input of a run.
struct Events {
    const uint16_t* addresses;
    const uint8_t* values;
    const int32_t* ends;  // number of events up to the end of each time step, for event input
    int32_t count, steps;
};

struct Answer {
    int32_t prediction;
    int32_t loss;
    int32_t outputs[MAX_CLASSES];
};

namespace {

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
    std::vector<int> rows, values;  // of a frame
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

    bool odd(int step) const { return (phase + step) & 1; }
    bool rule_has(int rules) const { return rules >> rule & 1; }
    bool kind_has(int kinds) const { return kinds >> kind & 1; }
    Layer layer(int slot) const;
    void begin(bool fresh, bool decision);
    void forward();
    void learn();
    void finish(Answer& answer);
    bool integrate_values(const int* rows, const int* values, size_t count, int word, Word& current) const;
    bool integrate_spikes(const Layer& to, const int* list, size_t count, int word, Word& current) const;
    void integrate_frame();
    void fire_events(int step);
    void fire(int index, int step);
    void draw_signs(Hidden& h, int step);
    void fire_word(Hidden& h, int step, int word, const Word& current, bool saturated);
    void sum_readouts(int step);
    void local_readout(int index, int step);
    void feedback(int index, int step);
    Word local_feedback(Hidden& h, int step, int word);
    void filter(const std::vector<Word>& credits, int words, int word);
    void learn_spikes(const Layer& to, const Traces& below, bool graded, const std::vector<Word>& credits);
    void learn_frame(const Hidden& h);
};

Layer Engine::layer(int slot) const {
    const int64_t* r = core->registers + LAYER_REGISTERS + LAYER_STRIDE * slot;
    auto field = [r](int n) { return static_cast<int>(r[n]); };
    return {field(LAYER_ROWS),          field(LAYER_WORDS),         field(LAYER_TAIL), field(LAYER_WEIGHT_BASE),
            field(LAYER_FEEDBACK_BASE), field(LAYER_WORD_BASE),     field(LAYER_LOCAL_SHIFT), slot};
}

// Input current of one word of layer 1 from rows with values; returns whether it saturated for any neuron.
bool Engine::integrate_values(const int* rows, const int* values, size_t count, int word, Word& current) const {
    const Layer& to = hidden[0].layer;
    const int16_t* base = row(to.weight_base + word * to.rows);
    Word sum{};
    for (size_t n = 0; n < count; n++) {
        const int16_t* w = base + rows[n] * P;
        if (n + AHEAD < count) prefetch(base + rows[n + AHEAD] * P);
        const int32_t x = values[n];
        for (int j = 0; j < P; j++) sum[j] += w[j] * x >> PRODUCT_SHIFT;
    }
    for (int j = 0; j < P; j++) sum[j] >>= ACCUMULATOR_FRAC - MEMBRANE_FRAC;
    return saturate_word<MEMBRANE_WIDTH>(sum, current, to.valid_lanes(word));
}

// Input current from the spikes of a step and the bias; returns whether it saturated for any neuron.
bool Engine::integrate_spikes(const Layer& to, const int* list, size_t count, int word, Word& current) const {
    static_assert(SPIKE_INPUT >> PRODUCT_SHIFT == 1 << (ACCUMULATOR_FRAC - MEMBRANE_FRAC),
                  "a spike adds exactly the weight");
    const int16_t* base = row(to.weight_base + word * to.rows);
    Word sum;
    const int16_t* bias = base + (to.rows - 1) * P;
    for (int j = 0; j < P; j++) sum[j] = bias[j];
    for (size_t n = 0; n < count; n++) {
        const int16_t* w = base + list[n] * P;
        if (n + AHEAD < count) prefetch(base + list[n + AHEAD] * P);
        for (int j = 0; j < P; j++) sum[j] += w[j];
    }
    return saturate_word<MEMBRANE_WIDTH>(sum, current, to.valid_lanes(word));
}

// Input current of all steps; its saturation is not counted.
void Engine::integrate_frame() {
    const Layer& to = hidden[0].layer;
    rows.assign(input.addresses, input.addresses + input.count);
    values.assign(input.values, input.values + input.count);
    rows.push_back(to.rows - 1);
    values.push_back(BIAS_INPUT);
    for (int w = 0; w < to.words; w++) integrate_values(rows.data(), values.data(), rows.size(), w, hidden[0].current[w]);
    count_work(COUNT_INTEGRATE, to.words * rows.size());
}

// One time step of layer 1 in a chunk.
void Engine::fire_events(int step) {
    Hidden& h = hidden[0];
    const int begin = step ? input.ends[step - 1] : 0, end = input.ends[step];
    rows.assign(input.addresses + begin, input.addresses + end);
    values.assign(input.values + begin, input.values + end);
    const bool graded = kind_has(INPUTS_GRADED);
    for (size_t n = 0; n < rows.size(); n++) {
        if (graded)
            input_traces.mark_graded(rows[n], values[n]);
        else
            input_traces.mark(rows[n], step);
    }
    const size_t count = rows.size();
    if (graded) {
        rows.push_back(h.layer.rows - 1);
        values.push_back(SPIKE_INPUT);
    }
    draw_signs(h, step);
    for (int w = 0; w < h.layer.words; w++) {
        Word current;
        const bool saturated = graded ? integrate_values(rows.data(), values.data(), count + 1, w, current)
                                      : integrate_spikes(h.layer, rows.data(), count, w, current);
        fire_word(h, step, w, current, saturated);
    }
    count_work(COUNT_INTEGRATE, h.layer.words * (count + 1));
}

// One time step of a hidden layer: the first one from the frame's current, others from the spikes of the layer below.
void Engine::fire(int index, int step) {
    Hidden& h = hidden[index];
    draw_signs(h, step);
    if (index == 0) {
        for (int w = 0; w < h.layer.words; w++) fire_word(h, step, w, h.current[w], false);
        count(COUNT_FIRE, h.layer.words);
        return;
    }
    const auto& list = hidden[index - 1].listed[step];
    for (int w = 0; w < h.layer.words; w++) {
        Word current;
        const bool saturated = integrate_spikes(h.layer, list.data(), list.size(), w, current);
        fire_word(h, step, w, current, saturated);
    }
    count_work(COUNT_INTEGRATE, h.layer.words * (list.size() + 1));
}

void Engine::draw_signs(Hidden& h, int step) {
    for (int w = 0; w < h.layer.words; w++) {
        if (noise && !odd(step)) {
            const Word fresh = draw(lfsrs);
            for (int j = 0; j < P; j++) h.sign[w][j] = 2 * (fresh[j] >> (DRAW_BITS - 1)) - 1;
        }
        h.signs[step * h.layer.words + w] = h.sign[w];
    }
}

void Engine::fire_word(Hidden& h, int step, int word, const Word& current, bool current_saturated) {
    const int amplitude = !noise ? 0 : static_cast<int>(odd(step) ? -reg(REG_ALPHA) : reg(REG_ALPHA));
    const int valid = h.layer.valid_lanes(word);
    auto& spikes = h.spikes[step * h.layer.words + word];
    auto& surrogate = h.surrogate[step * h.layer.words + word];
    Word& v = h.v[word];
    const Word& sign = h.sign[word];
    int32_t saturated = 0;
    for (int j = 0; j < P; j++) {
        const int32_t exact = (v[j] >> 1) + current[j];
        const int32_t u = saturate<MEMBRANE_WIDTH>(exact);
        saturated |= j < valid ? u ^ exact : 0;
        const int32_t distance = u - THRESHOLD;
        const int32_t spike = (distance + sign[j] * amplitude >= 0) & (j < valid);
        const int32_t quarters = (distance < 0 ? -distance : distance) >> SURROGATE_SHIFT;
        v[j] = spike ? distance : u;
        spikes[j] = spike;
        surrogate[j] = quarters < SURROGATE_OFF ? quarters : SURROGATE_OFF;
    }
    const int index = h.layer.slot;
    int fired = 0, first = 0;
    for (int j = 0; j < valid; j++) {
        if (!spikes[j]) continue;
        fired++;
        h.listed[step].push_back(word * P + j);
        first += traces[index].mark(word * P + j, step);
    }
    count(COUNT_SPIKES_1 + index, fired);
    if (train) count(COUNT_ACTIVE_1 + index, first);
    if (saturated || current_saturated) count(COUNT_MEMBRANE_SATURATIONS, 1);
}

void Engine::sum_readouts(int step) {
    const auto& list = hidden[depth - 1].listed[step];
    for (int w = 0; w < readout.words; w++) {
        Word current;
        if (integrate_spikes(readout, list.data(), list.size(), w, current)) count(COUNT_MEMBRANE_SATURATIONS, 1);
        for (int j = 0; j < P && w * P + j < classes; j++) outputs[step][w * P + j] = current[j];
    }
    count_work(COUNT_INTEGRATE, readout.words * (list.size() + 1));
    losses[step] = error_step(outputs[step], classes, label, mse_shift(), errors[step]);
    for (int k = 0; k < classes; k++) {
        errors[step][k] *= rate;
        readout_credits[step * readout.words + k / P][k % P] = saturate<CREDIT_WIDTH>(errors[step][k]);
    }
}

// Error of a layer's local readout.
void Engine::local_readout(int index, int step) {
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

// Contribution of the local readout to the feedback sum of one word; also updates its entries.
Word Engine::local_feedback(Hidden& h, int step, int word) {
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

void Engine::feedback(int index, int step) {
    Hidden& h = hidden[index];
    const int shift = static_cast<int>(reg(LAYER_REGISTERS + LAYER_STRIDE * index + LAYER_FEEDBACK_SHIFT));
    const int turn = odd(step) ? -1 : 1;
    const int activity = static_cast<int>(reg(REG_ACTIVITY));
    const bool momentum = rule_has(RULES_MOMENTUM) && odd(step), from_loss = rule_has(RULES_FROM_LOSS);
    int64_t size = 0;
    for (int w = 0; w < h.layer.words; w++) {
        const int valid = h.layer.valid_lanes(w);
        const Word& sign = h.signs[step * h.layer.words + w];
        const bool local = h.layer.local_shift;
        Word total = local ? local_feedback(h, step, w) : Word{};
        if (from_loss) {
            const int32_t loss = std::min(losses[step] >> ZO_LOSS_SHIFT, ERROR_MAX) * rate;
            for (int j = 0; j < P; j++) total[j] += turn * sign[j] * ZO_FACTOR * loss;
        } else {
            int16_t* entry = row(h.layer.feedback_base + (local ? 2 * w + 1 : w) * classes);
            for (int k = 0; k < classes; k++, entry += P) {
                const int32_t error = errors[step][k];
                for (int j = 0; j < P; j++)
                    total[j] += saturate<FEEDBACK_FACTOR_BITS>(entry[j] >> shift) * error;
                if (refresh && step == 0) size += entry[0] < 0 ? -entry[0] : entry[0];
                if (!momentum) continue;
                // M += z (o[t-1] - o[t]) (paper eq. 7), z of the even step.
                const int32_t before = step ? outputs[step - 1][k] : static_cast<int32_t>(core->last_outputs[k]);
                const int32_t difference = (before - outputs[step][k]) << DIFFERENCE_SHIFT;
                Word update;
                for (int j = 0; j < P; j++) update[j] = j < valid ? -sign[j] * difference : 0;
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
    const int entries = h.layer.words * (from_loss ? 1 : classes);
    count_work(COUNT_FEEDBACK, entries);
    if (!from_loss && refresh && step == 0) {
        h.shift = 0;
        while (size >> h.shift >= int64_t{FEEDBACK_MEAN_MAX} * entries && h.shift < FEEDBACK_SHIFT_MAX) h.shift++;
    }
}

// E[k] of one word, all steps.
void Engine::filter(const std::vector<Word>& credits, int words, int word) {
    filtered.resize(steps);
    filtered[steps - 1] = credits[(steps - 1) * words + word];
    for (int k = steps - 2; k >= 0; k--)
        for (int j = 0; j < P; j++) filtered[k][j] = credits[k * words + word][j] + filtered[k + 1][j] / 2;
}

// Update the weights of the active rows below; the bias row spiked in every step.
void Engine::learn_spikes(const Layer& to, const Traces& below, bool graded, const std::vector<Word>& credits) {
    const int decay_shift = static_cast<int>(reg(REG_DECAY_SHIFT));
    uint64_t saturated = 0;
    for (int w = 0; w < to.words; w++) {
        filter(credits, to.words, w);
        int16_t* base = row(to.weight_base + w * to.rows);
        auto learn = [&](int i, unsigned spiked, int trace) {
            Word update;
            for (int j = 0; j < P; j++) update[j] = (filtered[0][j] * trace + (1 << (INPUT_BITS - 1))) >> INPUT_BITS;
            for (; spiked; spiked &= spiked - 1) {
                const Word& credit = filtered[std::countr_zero(spiked)];
                for (int j = 0; j < P; j++) update[j] += credit[j];
            }
            saturated += update_row(base + i * P, update, decay_shift, lfsrs);
        };
        for (size_t n = 0; n < below.active.size(); n++) {
            const int i = below.active[n];
            if (n + AHEAD < below.active.size()) prefetch(base + below.active[n + AHEAD] * P);
            if (graded)
                learn(i, 0, below.trace[i] + below.history[i]);
            else
                learn(i, below.history[i], below.trace[i]);
        }
        learn(to.rows - 1, (1u << steps) - 1, bias_trace);
    }
    count_work(COUNT_LEARN, to.words * (below.active.size() + 1));
    count(COUNT_WEIGHT_SATURATIONS, saturated);
}

void Engine::learn_frame(const Hidden& h) {
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

void Engine::clear_traces() {
    begun = false;
    for (auto& layer : traces) layer.active.clear();
    input_traces.active.clear();
}

void Engine::begin(bool fresh, bool decision) {
    for (int index = 0; index < depth; index++) {
        Hidden& h = hidden[index];
        h.begin(layer(index), steps);
        const size_t base = static_cast<size_t>(h.layer.word_base) * P;
        for (int w = 0; w < h.layer.words; w++)
            for (int j = 0; j < P; j++) {
                const size_t n = base + w * P + j;
                h.v[w][j] = fresh ? 0 : static_cast<int32_t>(core->membrane[n]);
                h.sign[w][j] = !fresh && core->negative[n] ? -1 : 1;
            }
        traces[index].trace = core->trace + base, traces[index].history = core->history + base;
        traces[index].begin(last_steps, fresh, false);
    }
    input_traces.trace = core->input_trace, input_traces.history = core->input_history;
    input_traces.begin(last_steps, fresh, kind_has(INPUTS_GRADED));
    bias_trace = fresh ? 0 : advance(bias_trace, (1 << last_steps) - 1, last_steps);
    if (fresh) phase = 0;
    if (decision) {
        loss_sum = 0;
        for (int k = 0; k < classes; k++) core->output_sums[k] = 0;
    }
    readout = layer(MAX_HIDDEN);
    readout_credits.assign(steps * readout.words, Word{});
    for (int j = 0; j < P; j++) lfsrs[j] = core->lfsrs[j];
}

void Engine::forward() {
    const bool frame = !kind_has(INPUTS_EVENTS);
    if (frame) integrate_frame();
    count(COUNT_EVENTS, input.count);
    count(COUNT_STEPS, steps);
    const bool feeds_back = train && rule_has(RULES_LEARNS_HIDDEN);
    for (int macro = 0; macro <= steps + depth; macro++) {
        const auto exists = [&](int step) { return 0 <= step && step < steps; };
        if (exists(macro)) {
            if (frame)
                fire(0, macro);
            else
                fire_events(macro);
        }
        for (int index = 1; index < depth; index++)
            if (exists(macro - index)) fire(index, macro - index);
        if (exists(macro - depth)) sum_readouts(macro - depth);
        for (int index = 0; feeds_back && index < depth; index++) {
            if (hidden[index].layer.local_shift && exists(macro - index - 1)) local_readout(index, macro - index - 1);
            if (macro > depth) feedback(index, macro - depth - 1);
        }
    }
}

void Engine::learn() {
    learn_spikes(readout, traces[depth - 1], false, readout_credits);
    for (int index = rule_has(RULES_LEARNS_HIDDEN) ? depth - 1 : -1; index >= 0; index--) {
        const Hidden& h = hidden[index];
        if (index)
            learn_spikes(h.layer, traces[index - 1], false, h.credits);
        else if (!kind_has(INPUTS_EVENTS))
            learn_frame(h);
        else
            learn_spikes(h.layer, input_traces, kind_has(INPUTS_GRADED), h.credits);
        if (h.shift >= 0) core->registers[LAYER_REGISTERS + LAYER_STRIDE * index + LAYER_FEEDBACK_SHIFT] = h.shift;
    }
    core->registers[REG_SAMPLES] = (reg(REG_SAMPLES) + 1) & 0xFFFFFFFF;
}

void Engine::finish(Answer& answer) {
    for (int index = 0; index < depth; index++) {
        const Hidden& h = hidden[index];
        for (int w = 0; w < h.layer.words; w++)
            for (int j = 0; j < P; j++) {
                core->membrane[(h.layer.word_base + w) * P + j] = h.v[w][j];
                core->negative[(h.layer.word_base + w) * P + j] = h.sign[w][j] < 0;
            }
    }
    for (int j = 0; j < P; j++) core->lfsrs[j] = lfsrs[j];
    last_steps = steps, phase = (phase + steps) & 1;
    count(train ? COUNT_TRAIN_RUNS : COUNT_TEST_RUNS, 1);
    count(train ? COUNT_TRAIN_CYCLES : COUNT_TEST_CYCLES, work);
    for (int t = 0; t < steps; t++) loss_sum = (loss_sum + losses[t]) & ((1 << LOSS_SUM_BITS) - 1);
    answer.loss = loss_sum;
    for (int k = 0; k < classes; k++) {
        uint32_t sum = static_cast<uint32_t>(core->output_sums[k]);
        for (int t = 0; t < steps; t++) sum += static_cast<uint32_t>(outputs[t][k]);
        answer.outputs[k] = static_cast<int32_t>(sum);
        core->output_sums[k] = answer.outputs[k];
        core->last_outputs[k] = outputs[steps - 1][k];
    }
    answer.prediction = static_cast<int>(std::max_element(answer.outputs, answer.outputs + classes) - answer.outputs);
}

void Engine::run(State& state, const Events& of_input, int of_label, int flags, Answer& answer) {
    core = &state, input = of_input, label = of_label, work = 0;
    kind = static_cast<int>(reg(REG_INPUT));
    steps = kind_has(INPUTS_EVENTS) ? input.steps : static_cast<int>(reg(REG_STEPS));
    classes = static_cast<int>(reg(REG_CLASSES)), depth = static_cast<int>(reg(REG_HIDDEN_LAYERS));
    rule = static_cast<int>(reg(REG_RULE)), rate = static_cast<int>(reg(REG_RATE));
    train = flags & FLAG_TRAIN;
    noise = train && rule_has(RULES_NOISE);
    refresh = train && reg(REG_SAMPLES) % FEEDBACK_REFRESH == 0;
    const bool fresh = !kind_has(INPUTS_EVENTS) || flags & FLAG_FRESH || !begun;
    begun = true;
    begin(fresh, fresh || flags & FLAG_DECISION);
    forward();
    if (train) learn();
    finish(answer);
}

}  // namespace

extern "C" {

void* opzo_fast_new() { return new Engine; }
void opzo_fast_delete(void* engine) { delete static_cast<Engine*>(engine); }
void opzo_fast_clear_traces(void* engine) { static_cast<Engine*>(engine)->clear_traces(); }

void opzo_fast_run(void* engine, State* state, const Events* input, int label, int flags, Answer* answer) {
    static_cast<Engine*>(engine)->run(*state, *input, label, flags, *answer);
}
}
