// A canvas to draw on: strokes as points 0..1.

const CLOSEST = 0.008; // Points nearer than this to the last one are left out.
const POINTS_MAX = 1500; // Less than the server takes.

export class Pad {
  /** `changed` is called after each stroke. */
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed;
    this.pen = 0.09;
    this.clear();
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.draw(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => this.finish());
  }

  get empty() {
    return this.strokes.length === 0;
  }

  clear() {
    this.strokes = [];
    this.drawing = false;
    this.points = 0;
    this.paint();
  }

  begin(event) {
    if (event.button !== 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.drawing = true;
    this.strokes.push([]);
    this.draw(event);
  }

  draw(event) {
    if (!this.drawing || this.points >= POINTS_MAX) return;
    const box = this.canvas.getBoundingClientRect();
    const limited = (value) => Math.round(1000 * Math.min(1, Math.max(0, value))) / 1000;
    const point = [limited((event.clientX - box.left) / box.width), limited((event.clientY - box.top) / box.height)];
    const stroke = this.strokes.at(-1);
    const last = stroke.at(-1);
    if (last && Math.hypot(point[0] - last[0], point[1] - last[1]) < CLOSEST) return;
    stroke.push(point);
    this.points++;
    this.paint();
  }

  finish() {
    if (!this.drawing) return;
    this.drawing = false;
    this.changed();
  }

  paint() {
    const size = this.canvas.clientWidth;
    const scale = window.devicePixelRatio || 1;
    this.canvas.width = this.canvas.height = Math.round(size * scale);
    const context = this.canvas.getContext("2d");
    context.scale(size * scale, size * scale);
    context.strokeStyle = "#fff";
    context.lineWidth = this.pen;
    context.lineCap = context.lineJoin = "round";
    for (const stroke of this.strokes) {
      context.beginPath();
      context.moveTo(...stroke[0]);
      stroke.forEach((point) => context.lineTo(...point));
      context.stroke();
    }
  }
}
