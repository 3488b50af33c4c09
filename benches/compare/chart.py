"""Bar charts as SVG, by hand: one bar per system, grouped by case, in light and dark."""

from html import escape

WIDTH, LEFT, RIGHT = 780, 150, 116
BAR, GAP, GROUP_GAP, HEAD, FOOT = 13, 3, 30, 64, 30
# Times so many times ours fill the width; what is slower is cut there and marked.
LONGEST = 3.0

STYLE = """
  svg { font: 11px system-ui, sans-serif; }
  .paper { fill: #ffffff; } .ink { fill: #1f2328; } .faint { fill: #59636e; } .rule { stroke: #d1d9e0; }
  .ours { fill: #c2410c; } .peer { fill: #6b8fb5; } .best { fill: #2f5f95; }
  .title { font-size: 15px; font-weight: 600; } .case { font-weight: 600; }
  .right { text-anchor: end; } .middle { text-anchor: middle; }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117; } .ink { fill: #e6edf3; } .faint { fill: #9198a1; } .rule { stroke: #3d444d; }
    .ours { fill: #f0803c; } .peer { fill: #4f6f94; } .best { fill: #79aee6; }
  }
"""


def _text(x, y, classes, content):
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{classes}">{escape(content)}</text>'


def _bar(y, kind, ratio, scale):
    """A bar of this length; cut with a slanted end if it is too long."""
    end = LEFT + min(ratio, LONGEST) * scale
    if ratio <= LONGEST:
        return f'<path class="{kind}" d="M{LEFT} {y}H{end:.1f}V{y + BAR}H{LEFT}Z"/>'
    return f'<path class="{kind}" d="M{LEFT} {y}H{end + 5:.1f}L{end - 5:.1f} {y + BAR}H{LEFT}Z"/>'


def _milliseconds(value):
    return f"{value:.0f} ms" if value >= 100 else f"{value:.1f} ms"


def draw(title, ours, groups):
    """An SVG of `groups`: pairs of a label and of (system, milliseconds or None).

    Bars show times relative to ours, or where we were not measured to the fastest, so that cases of very different
    sizes share one linear scale; the numbers beside them are absolute.
    """
    scale = (WIDTH - LEFT - RIGHT) / LONGEST
    shapes, y = [], HEAD
    for label, entries in groups:
        present = [(name, value) for name, value in entries if value is not None]
        if not present:
            continue
        unit = dict(present).get(ours) or min(value for _, value in present)
        fastest_peer = min((value for name, value in present if name != ours), default=None)
        y += 16
        shapes.append(_text(LEFT, y - 4, "case ink", label))
        for name, value in present:
            kind = "ours" if name == ours else "best" if value == fastest_peer else "peer"
            ratio = value / unit
            shapes.append(_text(LEFT - 8, y + BAR - 3, "ink right" if name == ours else "faint right", name))
            shapes.append(_bar(y, kind, ratio, scale))
            x = LEFT + min(ratio, LONGEST) * scale + (10 if ratio > LONGEST else 5)
            shapes.append(_text(x, y + BAR - 3, "ink", f"{_milliseconds(value)}, {ratio:.2f}"))
            y += BAR + GAP
        y += GROUP_GAP - 16
    bottom = y + 2
    rules = []
    for tick in range(int(LONGEST) + 1):
        x = LEFT + tick * scale
        rules.append(f'<line class="rule" x1="{x:.1f}" y1="{HEAD}" x2="{x:.1f}" y2="{bottom}"/>')
        rules.append(_text(x, bottom + 14, "faint middle", str(tick)))
    height = bottom + FOOT
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="paper" width="{WIDTH}" height="{height}"/>',
            _text(16, 24, "title ink", title),
            _text(16, 44, "faint", "Time per forward pass, ours = 1. Strong blue: the fastest of the others."),
            *rules,
            *shapes,
            "</svg>\n",
        ]
    )
