// The live page: shows what the server sends, and sends drawings and their classes.

import { COLOURS, drawCurves, drawImage, drawSpikes, drawWeights } from "./pictures.js";
import { Pad } from "./pad.js";

const AGAIN_MS = 1500; // Pause before another attempt to connect.
const BARS_MAX = 10;
const find = (name) => document.getElementById(name);
const number = (value) => Math.round(value).toLocaleString("en");
const percent = (value) => `${(100 * value).toFixed(1)} %`;

let socket = null;
let hello = { classes: [], hidden: [], steps: 1, epochs: 1 };
let rows = []; // Curves: figures of complete epochs.
let running = []; // Curves: figures within the epochs.
let state = "";
const weights = new Map(); // By layer.
let waiting = false; // For the answer to a request.
let next = null; // Request to send after it.

const pad = new Pad(find("pad"), () => ask({ action: "classify", strokes: pad.strokes }));

function ask(request) {
  if (waiting || socket?.readyState !== WebSocket.OPEN) {
    next = request;
    return;
  }
  waiting = true;
  find("problem").hidden = true;
  socket.send(JSON.stringify(request));
}

function answered() {
  waiting = false;
  const request = next;
  next = null;
  if (request) ask(request);
}

function connect() {
  socket = new WebSocket(new URL("socket", document.baseURI.replace(/^http/, "ws")));
  socket.onmessage = (event) => {
    const message = JSON.parse(event.data);
    show[message.kind](message);
  };
  socket.onclose = () => {
    waiting = false;
    setState("not connected; is opzo live still running?");
    setTimeout(connect, AGAIN_MS);
  };
}

function setState(text) {
  find("state").textContent = text;
}

function problem(text) {
  find("problem").textContent = text;
  find("problem").hidden = false;
}

function element(tag, name, text) {
  const made = document.createElement(tag);
  made.className = name;
  made.textContent = text;
  return made;
}

const show = {
  hello(message) {
    hello = message;
    [rows, running] = [[], []];
    weights.clear();
    find("problem").hidden = true;
    find("network").textContent =
      `${message.network} on ${message.data}, rule ${message.rule}, device ${message.device} with ${message.lanes} lanes`;
    find("cycles-are").textContent = message.cycles_are;
    find("classes").replaceChildren(
      ...message.classes.map((name, label) => {
        const button = element("button", "", name);
        button.disabled = pad.empty;
        button.onclick = () => ask({ action: "teach", strokes: pad.strokes, label, rate: Number(find("rate").value) });
        return button;
      }),
    );
    find("classes").className = message.classes.some((name) => name.length > 2) ? "names" : "";
    find("layers").replaceChildren(
      ...message.hidden.map((neurons, layer) => {
        const figure = document.createElement("figure");
        figure.append(document.createElement("canvas"), element("figcaption", "", `layer ${layer + 1}: ${number(neurons)} neurons`));
        return figure;
      }),
    );
    find("layer").replaceChildren(
      ...[...message.hidden, 0].map((neurons, layer) => {
        const option = element("option", "", neurons ? `layer ${layer + 1}` : "readout");
        option.value = layer + 1;
        return option;
      }),
    );
    legend("accuracy-legend", ["test", "training, with noise", "so far in its epoch"], [COLOURS[0], COLOURS[1], "#e9b08a"]);
    legend("rates-legend", message.hidden.map((_, layer) => `layer ${layer + 1}`), COLOURS);
    pad.pen = message.pen;
    pad.paint();
  },

  status(message) {
    state = message.state;
    const words = { training: "training", paused: `paused in epoch ${message.epoch + 1}`, done: "ready" };
    setState(words[state]);
    find("pause").hidden = state === "done";
    find("pause").textContent = state === "paused" ? "Continue training" : "Pause training";
  },

  curves(message) {
    rows = message.rows;
    curves();
  },

  progress(message) {
    running.push(message);
    if (state === "training") {
      setState(`training: epoch ${Math.floor(message.epoch - 1e-9) + 1} of ${hello.epochs}, ${percent(message.accuracy)}`);
    }
    find("speed").textContent = `${number(message.samples_per_second)} training samples a second`;
    find("training-cycles").textContent = number(message.cycles / message.samples_done);
    find("training-operations").textContent = number(message.synaptic_operations / message.samples_done);
    curves();
  },

  sample(message) {
    if (!pad.empty) return;
    find("title").textContent = `Training sample ${number(message.number)}: class ${hello.classes[message.label]}`;
    find("answer").textContent = "";
    find("bars").replaceChildren();
    spikes(message);
  },

  answer(message) {
    answered();
    if (pad.empty) return;
    const share = message.probabilities[message.prediction];
    find("title").textContent = "Your drawing, as the chip sees it";
    find("answer").textContent = `${hello.classes[message.prediction]} (${percent(share)})`;
    find("answer-cycles").textContent = number(message.cycles);
    find("answer-operations").textContent = number(message.synaptic_operations);
    spikes(message);
    bars(message.probabilities, message.prediction);
    if (message.taught) {
      const { label, samples } = message.taught;
      const learned = message.prediction === label ? "learned" : "not learned yet: draw it more clearly, or raise the step size,";
      find("taught").textContent = `“${hello.classes[label]}” ${learned} after ${samples} training ${samples === 1 ? "sample" : "samples"}`;
    } else {
      find("taught").textContent = "Wrong? Press the right class, and the chip learns it.";
    }
    for (const button of find("classes").children) button.disabled = false;
  },

  taught(message) {
    find("taught-cycles").textContent = number(message.cycles);
    find("taught-operations").textContent = number(message.synaptic_operations);
  },

  tested(message) {
    answered();
    const all = message.samples === message.of ? "all" : "the first";
    find("tested").textContent = `${percent(message.accuracy)} right of ${all} ${number(message.samples)} test samples`;
  },

  weights(message) {
    weights.set(message.layer, message);
    if (message.layer === Number(find("layer").value)) fields();
  },

  done: answered,

  error(message) {
    answered();
    problem(message.text);
  },

  ended(message) {
    problem(`opzo live has ended: ${message.text}`);
  },
};

function spikes(message) {
  drawImage(find("image"), message.image);
  [...find("layers").children].forEach((figure, layer) => {
    const { neurons, spikes } = message.spikes[layer];
    drawSpikes(figure.querySelector("canvas"), message.spikes[layer], hello.steps, COLOURS[layer % COLOURS.length]);
    figure.querySelector("figcaption").textContent = `layer ${layer + 1}: ${number(spikes)} spikes of ${number(neurons)} neurons`;
  });
}

function bars(probabilities, prediction) {
  const labels = [...probabilities.keys()];
  // With many classes only the likely ones.
  const shown = labels.length > BARS_MAX ? labels.sort((a, b) => probabilities[b] - probabilities[a]).slice(0, BARS_MAX) : labels;
  find("bars").replaceChildren(
    ...shown.map((label) => {
      const item = element("li", label === prediction ? "first" : "", "");
      const bar = element("span", "bar", "");
      bar.style.width = `${100 * probabilities[label]}%`;
      const cell = element("span", "", "");
      cell.append(bar);
      bar.style.display = "block";
      item.append(element("span", "name", hello.classes[label]), cell, element("span", "share", percent(probabilities[label])));
      return item;
    }),
  );
}

function legend(name, words, colours) {
  find(name).replaceChildren(
    ...words.map((word, index) => {
      const item = element("span", "", word);
      item.style.setProperty("--colour", colours[index % colours.length]);
      return item;
    }),
  );
}

function curves() {
  const last = running.at(-1)?.epoch ?? 0;
  const epochs = Math.max(hello.epochs, Math.ceil(last), rows.at(-1)?.epoch ?? 0);
  const of = (read) => rows.map((row) => [row.epoch, read(row)]);
  const within = running.map((point) => [point.epoch, point.accuracy]);
  drawCurves(
    find("accuracy"),
    [
      { points: within, colour: COLOURS[1], faint: true },
      { points: of((row) => row.train), colour: COLOURS[1] },
      { points: of((row) => row.test), colour: COLOURS[0] },
    ],
    epochs, 1, (value) => `${Math.round(100 * value)} %`,
  );
  const rates = hello.hidden.flatMap((_, layer) => {
    const colour = COLOURS[layer % COLOURS.length];
    const within = running.map((point) => [point.epoch, point.firing_rates[layer]]);
    return [{ points: within, colour, faint: true }, { points: of((row) => row.firing_rates[layer]), colour }];
  });
  const highest = Math.max(0.01, ...rates.flatMap((rate) => rate.points.map((point) => point[1])));
  drawCurves(find("rates"), rates, epochs, 1.15 * highest, (value) => value.toFixed(2));
}

function fields() {
  const message = weights.get(Number(find("layer").value));
  if (!message) return;
  drawWeights(find("fields"), message);
  const size = `${message.height} x ${message.width}`;
  const text = message.what === "matrix" ? `matrix, ${size}: a row for each neuron` : `${message.count} of ${number(message.of)} ${message.what}, ${size}`;
  find("fields-text").textContent = `${text}. White is 0, blue -${message.largest.toFixed(2)}, red ${message.largest.toFixed(2)}.`;
}

find("clear").onclick = () => {
  pad.clear();
  find("taught").textContent = "";
  find("answer").textContent = "";
  find("bars").replaceChildren();
  for (const button of find("classes").children) button.disabled = true;
};
find("rate").oninput = () => (find("rate-value").textContent = find("rate").value);
find("layer").onchange = fields;
find("pause").onclick = () => ask({ action: state === "paused" ? "continue" : "pause" });
find("test").onclick = () => ask({ action: "test" });
window.addEventListener("resize", () => {
  curves();
  fields();
});
connect();
