"""Draw docs/machine.svg, the picture of the machine: python docs/machine_picture.py

Fill colour says how often a part exists, arrow colour what it carries. The picture has an opaque background, in light
and in dark, so that it can be read on any page.
"""

from pathlib import Path
from xml.sax.saxutils import escape

TARGET = Path(__file__).with_name("machine.svg")
WIDTH, HEIGHT = 1000, 716
MINUS, TIMES = "\u2212", "\u00d7"
FONT = "system-ui, 'Segoe UI', Helvetica, Arial, 'DejaVu Sans', sans-serif"

LIGHT = {
    "page": "#ffffff",
    "text": "#1b1f24",
    "dim": "#4d5661",
    "line": "#6b7480",
    "card": "#f4f5f7",
    "lane": "#dfe9f7",
    "group": "#e4f2dc",
    "chip": "#ffffff",
    "forward": "#1663c7",
    "feedback": "#c2510a",
    "learning": "#1a7f37",
    "noise": "#8b35b8",
}
DARK = {
    "page": "#14181e",
    "text": "#e8ecf1",
    "dim": "#aab4c0",
    "line": "#7d8794",
    "card": "#1c222a",
    "lane": "#223654",
    "group": "#2a4026",
    "chip": "#14181e",
    "forward": "#69aaf7",
    "feedback": "#f5954f",
    "learning": "#59c878",
    "noise": "#cf8ff0",
}
FLOWS = ("forward", "feedback", "learning", "line")
FILLS = ("card", "lane", "group", "chip")

SEQUENCER = ("starts each pass once its inputs are complete;", "one command a cycle, to all lanes")
FEEDBACK = ("g = sum of M e;", "M learns from noise and", "change of the readouts")
ERROR_UNIT = ("softmax, loss,", f"e = p {MINUS} y;", "prediction and loss", "go to the host")


def style(colours: dict[str, str]) -> str:
    """CSS of one colour scheme."""
    rules = [
        f"text {{ fill: {colours['text']} }}",
        f".dim {{ fill: {colours['dim']} }}",
        f".page {{ fill: {colours['page']} }}",
        f".badge {{ fill: {colours['noise']} }}",
        f".badge + text {{ fill: {colours['page']} }}",
        f"rect {{ stroke: {colours['line']} }}",
    ]
    for name in FILLS:
        rules.append(f".{name} {{ fill: {colours[name]} }}")
    for name in FLOWS:
        rules.append(f"path.{name} {{ stroke: {colours[name]} }}")
        rules.append(f".{name}-tip, text.{name} {{ fill: {colours[name]} }}")
    rules.append(f"text.noise {{ fill: {colours['noise']} }}")
    return "\n".join(f"    {rule}" for rule in rules)


def text(
    x: int, y: int, words: str, kind: str = "", *, size: int = 13, anchor: str = "middle", bold: bool = False
) -> str:
    """One line of text; ``y`` is its base line."""
    attributes = f'class="{kind}" ' if kind else ""
    weight = ' font-weight="600"' if bold else ""
    return f'<text {attributes}x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}"{weight}>{escape(words)}</text>'


def box(x: int, y: int, width: int, height: int, kind: str, title: str, *lines: str) -> str:
    """A part: a box with a title and lines below it, centred."""
    shapes = [f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="6"/>']
    middle = x + width // 2
    top = y + height // 2 - 8 * len(lines) + 5
    shapes.append(text(middle, top, title, size=15, bold=True))
    shapes += [text(middle, top + 17 * n, line, "dim", size=12) for n, line in enumerate(lines, 1)]
    return "\n".join(shapes)


def arrow(kind: str, *points: tuple[int, int], both: bool = False) -> str:
    """A line through ``points`` with a tip at its end."""
    way = "M" + " L".join(f"{x},{y}" for x, y in points)
    start = f' marker-start="url(#{kind})"' if both else ""
    return f'<path class="{kind}" d="{way}"{start} marker-end="url(#{kind})"/>'


def badge(x: int, y: int) -> str:
    """Mark of a place where random bits enter."""
    return f'<circle class="badge" cx="{x}" cy="{y}" r="9"/>' + text(x, y + 4, "r", size=12, bold=True)


def markers() -> str:
    """Tips of the arrows."""
    return "\n".join(
        f'<marker id="{name}" markerWidth="9" markerHeight="8" refX="7" refY="4" orient="auto-start-reverse" '
        f'markerUnits="userSpaceOnUse"><path class="{name}-tip" stroke="none" d="M0,0 L9,4 L0,8 z"/></marker>'
        for name in FLOWS
    )


def parts() -> list[str]:
    """Boxes, from the host round to the weight memory."""
    stack = [
        f'<rect class="card" x="{156 + shift}" y="{206 + shift}" width="612" height="394" rx="9"/>'
        for shift in (16, 8, 0)
    ]
    return [
        *stack,
        text(491, 230, "P lanes, in groups of 2, 4 or 8", size=15, bold=True),
        text(491, 248, "one multiplier in each lane", "dim", size=12),
        box(20, 22, 120, 62, "chip", "host", "driver, trainer"),
        box(200, 22, 130, 62, "chip", "link", "frames, CRC"),
        box(390, 22, 140, 62, "chip", "event buffer", "input of two runs"),
        box(610, 22, 370, 62, "chip", "sequencer", *SEQUENCER),
        box(191, 124, 305, 54, "chip", "active rows", "spike lists, histories, traces"),
        box(256, 262, 170, 68, "lane", "Integrate", "I = sum of w x,", "a row a cycle"),
        box(546, 262, 190, 68, "group", "Fire", "leak, noise, threshold,", "reset"),
        box(256, 380, 170, 84, "lane", "row memory", "weights w,", "feedback matrices M,", "local readouts"),
        box(546, 380, 190, 84, "lane", "Feedback", *FEEDBACK),
        box(256, 514, 170, 68, "lane", "Learn", f"w {MINUS} credit {TIMES} trace,", "rounded at random"),
        box(546, 514, 190, 68, "group", "Credit", f"g {TIMES} surrogate derivative,", "filtered over the steps"),
        box(846, 330, 134, 130, "chip", "error unit", *ERROR_UNIT),
    ]


def flows() -> list[str]:
    """Arrows and their labels."""
    return [
        arrow("line", (140, 46), (200, 46)),
        arrow("line", (200, 62), (140, 62)),
        arrow("forward", (330, 53), (390, 53)),
        text(360, 44, "events", "forward", size=12),
        arrow("forward", (440, 84), (440, 124)),
        arrow("line", (761, 84), (761, 206)),
        text(751, 110, "commands", "dim", size=12, anchor="end"),
        arrow("forward", (341, 178), (341, 262)),
        text(350, 200, "x: events or spikes", "forward", size=12, anchor="start"),
        arrow("forward", (341, 380), (341, 330)),
        text(350, 362, "w", "forward", anchor="start"),
        arrow("forward", (426, 296), (546, 296)),
        text(482, 288, "sums", "forward", size=12),
        arrow("forward", (641, 262), (641, 151), (496, 151)),
        text(568, 143, "spikes", "forward", size=12),
        arrow("forward", (486, 296), (486, 357), (846, 357)),
        text(656, 350, "readouts o, of the last layer", "forward", size=12),
        arrow("feedback", (846, 421), (736, 421)),
        text(817, 413, "errors e", "feedback", size=12),
        arrow("feedback", (426, 406), (546, 406)),
        text(486, 398, "M", "feedback"),
        arrow("learning", (546, 438), (426, 438)),
        text(486, 455, "new M", "learning", size=12),
        arrow("feedback", (641, 464), (641, 514)),
        text(650, 492, "g", "feedback", anchor="start"),
        arrow("feedback", (913, 460), (913, 548), (736, 548)),
        text(905, 566, "errors: credits", "feedback", size=12),
        text(905, 581, "of the readout", "feedback", size=12),
        arrow("learning", (546, 548), (426, 548)),
        text(486, 540, "credits", "learning", size=12),
        arrow("learning", (211, 178), (211, 548), (256, 548)),
        text(203, 372, "traces", "learning", size=12, anchor="end"),
        arrow("learning", (311, 464), (311, 514)),
        text(302, 492, "old w", "learning", size=12, anchor="end"),
        arrow("learning", (371, 514), (371, 464)),
        text(380, 492, "new w", "learning", size=12, anchor="start"),
        badge(736, 262),
        badge(736, 380),
        badge(256, 582),
    ]


def legend() -> list[str]:
    """What the colours mean."""
    shapes = []
    for x, kind, words in (
        (30, "lane", "in each of the P lanes"),
        (290, "group", "once in a group of lanes"),
        (580, "chip", "once in the chip (host: a computer)"),
    ):
        shapes.append(f'<rect class="{kind}" x="{x}" y="636" width="26" height="16" rx="3"/>')
        shapes.append(text(x + 36, 649, words, size=12, anchor="start"))
    for x, kind, words in (
        (30, "forward", "data: inputs to readouts"),
        (290, "feedback", "feedback: errors to credits"),
        (580, "learning", "learning"),
    ):
        shapes.append(arrow(kind, (x, 676), (x + 28, 676)))
        shapes.append(text(x + 36, 680, words, size=12, anchor="start"))
    shapes.append(badge(43, 700))
    words = (
        "random bits of the lane's generator: noise of the neurons, its sign in the update of M, rounding of w and M"
    )
    shapes.append(text(66, 704, words, size=12, anchor="start"))
    return shapes


def svg(dark: bool | None = None) -> str:
    """The picture; ``dark`` fixes the colours, without it they follow the reader's."""
    css = style(DARK if dark else LIGHT)
    if dark is None:
        css += f"\n    @media (prefers-color-scheme: dark) {{\n{style(DARK)}\n    }}"
    body = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="{FONT}">',
        f"<style>\n{css}\n</style>",
        f"<defs>\n{markers()}\n</defs>",
        f'<rect class="page" width="{WIDTH}" height="{HEIGHT}" rx="8" stroke="none"/>',
        f'<g stroke-width="1.2">\n{chr(10).join(parts())}\n</g>',
        f'<g fill="none" stroke-width="2">\n{chr(10).join(flows())}\n</g>',
        f'<g stroke-width="2">\n{chr(10).join(legend())}\n</g>',
        "</svg>",
    ]
    return "\n".join(body) + "\n"


if __name__ == "__main__":
    TARGET.write_text(svg())
