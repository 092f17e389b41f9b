// The compiled model: one run of a core, compiled for a number of lanes.
//
// Headers and functions have the names and arithmetic of their counterparts in sim/golden; the constants come from
// opzo.spec through a generated header.

#include "engine.h"

#include <algorithm>

// Weight layer ``index``, after those below it; the readout for index = depth.
Layer Engine::layer(int index) {
    const auto field = [this](int index, int n) {
        return static_cast<int>(reg(LAYER_REGISTERS + LAYER_STRIDE * (index < depth ? index : MAX_HIDDEN) + n));
    };
    const auto of = [&](int n) { return field(index, n); };
    Layer found;
    found.slot = index < depth ? index : MAX_HIDDEN;
    found.rows = of(LAYER_ROWS), found.position_words = found.words = of(LAYER_WORDS), found.tail = of(LAYER_TAIL);
    found.weight_base = of(LAYER_WEIGHT_BASE), found.feedback_base = of(LAYER_FEEDBACK_BASE);
    found.word_base = of(LAYER_WORD_BASE), found.local_shift = of(LAYER_LOCAL_SHIFT);
    found.leak = of(LAYER_NEURON) & ((1 << LEAK_BITS) - 1), found.reset = of(LAYER_NEURON) >> LEAK_BITS;
    found.kernel = of(LAYER_KERNEL), found.gradient_base = of(LAYER_GRADIENT_BASE), found.geometry = nullptr;
    found.entry_sets = 1 + found.first_matrix() + (index + 1 < reg(REG_INTERMEDIATE));
    found.block_shift = found.kernel ? of(LAYER_BLOCK_SHIFT) : 0;
    found.begin();
    Shape shape;
    if (index) {
        const Layer& below = hidden[index - 1].layer;
        shape.below.channels = (below.position_words - 1) * P + below.tail;
        if (below.kernel) shape.below.height = field(index - 1, LAYER_HEIGHT), shape.below.width = field(index - 1, LAYER_WIDTH);
    } else {
        shape.below.channels = static_cast<int>(reg(found.kernel ? REG_INPUT_CHANNELS : REG_INPUTS));
        if (found.kernel) shape.below.height = of(LAYER_HEIGHT), shape.below.width = of(LAYER_WIDTH);
    }
    shape.kernel = found.kernel, shape.words = found.words, shape.block_shift = found.block_shift;
    shape.pool = of(LAYER_POOL), shape.cells = index < depth && field(index + 1, LAYER_POOL);
    if (found.kernel) shape.map.height = of(LAYER_HEIGHT), shape.map.width = of(LAYER_WIDTH);
    if (found.kernel || (index && hidden[index - 1].layer.kernel)) {
        geometries[index].of(shape);
        found.geometry = &geometries[index];
        found.words *= shape.map.positions();
    }
    return found;
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
                h.v[w][j] = fresh ? 0 : core->membrane[n];
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
    readout = layer(depth);
    readout_credits.assign(steps * readout.words, Word{});
    lfsrs.begin(core->lfsrs);
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
    lfsrs.end(core->lfsrs);
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
        if (feeds_back() && reg(REG_INTERMEDIATE)) core->last_intermediate[k] = intermediate_outputs[steps - 1][k];
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

#define EXPORTED extern "C" __attribute__((visibility("default")))

EXPORTED void* opzo_fast_new() { return new Engine; }
EXPORTED void opzo_fast_delete(void* engine) { delete static_cast<Engine*>(engine); }
EXPORTED void opzo_fast_clear_traces(void* engine) { static_cast<Engine*>(engine)->clear_traces(); }

EXPORTED void opzo_fast_run(void* engine, State* state, const Events* input, int label, int flags, Answer* answer) {
    static_cast<Engine*>(engine)->run(*state, *input, label, flags, *answer);
}
