// Pictures on canvases: images, spike rasters, weights and curves.

export const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#4d4d4d"];

/** Bytes of a base64 text, 0..255. */
export const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

/** Context of a canvas whose units are CSS pixels, cleared; width and height are those of its place unless given. */
function cleared(canvas, width = canvas.clientWidth, height = canvas.clientHeight) {
  const scale = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  return [context, width, height];
}

/** An image of grey pixels, white on black as the network gets it. */
export function drawImage(canvas, image) {
  canvas.width = image.width;
  canvas.height = image.height;
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(image.width, image.height);
  bytes(image.data).forEach((value, index) => pixels.data.set([value, value, value, 255], 4 * index));
  context.putImageData(pixels, 0, 0);
}

/** A spike raster: a column for each time step, a row for each neuron, or for several in a large layer. */
export function drawSpikes(canvas, layer, steps, colour) {
  const column = Math.max(8, Math.min(22, 132 / steps));
  const height = canvas.clientHeight;
  canvas.style.width = `${column * steps}px`;
  const [context] = cleared(canvas, column * steps, height);
  const row = height / layer.rows;
  const gap = row >= 3 ? 1 : 0;
  context.fillStyle = colour;
  bytes(layer.data).forEach((share, index) => {
    if (share === 0) return;
    context.globalAlpha = 0.15 + (0.85 * share) / 255;
    context.fillRect((index % steps) * column + 1, Math.floor(index / steps) * row, column - 2, row - gap);
  });
  context.globalAlpha = 1;
  context.strokeStyle = "#e4e8ed";
  for (let step = 1; step < steps; step++) context.strokeRect(step * column, -1, 0, height + 2);
}

/** Colour of a weight in -127..127: blue is negative, white is 0, red is positive. */
function colourOf(value) {
  const strength = Math.min(1, Math.abs(value) / 127) ** 0.8;
  const end = value < 0 ? [5, 80, 170] : [190, 40, 10];
  return end.map((channel) => 255 + (channel - 255) * strength);
}

/** Pictures of weights side by side, as large as fits. */
export function drawWeights(canvas, weights) {
  const [context, width, height] = cleared(canvas);
  const values = new Int8Array(bytes(weights.data).buffer);
  const size = weights.height * weights.width;
  const fits = (scale) => {
    const columns = Math.floor((width + 2) / (weights.width * scale + 2));
    return columns > 0 && Math.ceil(weights.count / columns) * (weights.height * scale + 2) <= height + 2 ? columns : 0;
  };
  let scale = 24;
  while (scale > 0.25 && !fits(scale)) scale -= scale > 1 ? 0.5 : 0.05;
  const columns = Math.max(1, fits(scale));
  const tile = new OffscreenCanvas(weights.width, weights.height);
  const pixels = new ImageData(weights.width, weights.height);
  context.imageSmoothingEnabled = scale < 1;
  for (let number = 0; number < weights.count; number++) {
    for (let index = 0; index < size; index++) {
      pixels.data.set([...colourOf(values[number * size + index]), 255], 4 * index);
    }
    tile.getContext("2d").putImageData(pixels, 0, 0);
    const x = (number % columns) * (weights.width * scale + 2);
    const y = Math.floor(number / columns) * (weights.height * scale + 2);
    context.drawImage(tile, x, y, weights.width * scale, weights.height * scale);
    context.strokeStyle = "#dfe4ea";
    context.lineWidth = 0.5;
    context.strokeRect(x, y, weights.width * scale, weights.height * scale);
  }
}

/** Curves over the epochs. Each series has points [epoch, value], a colour and, for rough values, `faint`. */
export function drawCurves(canvas, series, epochs, top, text) {
  const [context, width, height] = cleared(canvas);
  const [left, right, above, below] = [44, 10, 8, 18];
  const x = (epoch) => left + ((width - left - right) * epoch) / Math.max(1, epochs);
  const y = (value) => height - below - ((height - above - below) * Math.min(value, top)) / top;
  context.font = "11px system-ui, sans-serif";
  context.fillStyle = "#5c6875";
  context.strokeStyle = "#e4e8ed";
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (let part = 0; part <= 4; part += height > 120 ? 1 : 2) {
    const value = (top * part) / 4;
    context.strokeRect(left, y(value), width - left - right, 0);
    context.fillText(text(value), left - 6, y(value));
  }
  context.textAlign = "center";
  const step = Math.max(1, Math.ceil(epochs / 8));
  for (let epoch = 0; epoch <= epochs; epoch += step) context.fillText(epoch, x(epoch), height - 7);
  for (const { points, colour, faint } of series) {
    context.strokeStyle = context.fillStyle = colour;
    context.globalAlpha = faint ? 0.45 : 1;
    context.lineWidth = faint ? 1 : 1.8;
    context.beginPath();
    points.forEach(([epoch, value]) => context.lineTo(x(epoch), y(value)));
    context.stroke();
    if (!faint || points.length === 1) {
      points.forEach(([epoch, value]) => {
        context.beginPath();
        context.arc(x(epoch), y(value), 2.2, 0, 7);
        context.fill();
      });
    }
    context.globalAlpha = 1;
  }
}
