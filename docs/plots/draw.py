"""Draws docs/plots/*.svg from what the command measured.

    laminar replay mainnet-prestate.tar.zst --threads 2 --repeat 5 --json >none.jsonl
    laminar replay mainnet-prestate.tar.zst --threads 2 --repeat 5 --json --predict ahead >ahead.jsonl
    laminar bench --simulate 2,4,8,16 mainnet/none --json >simulated.jsonl
    python3 docs/plots/draw.py none.jsonl ahead.jsonl simulated.jsonl

Needs Python 3 and nothing else.
"""

import json
import pathlib
import sys

FOLDER = pathlib.Path(__file__).parent
WIDTH, HEIGHT = 860, 300
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 30, 44
# Legible on white and on black.
TEXT, GRID, FIRST, SECOND = "#7d8590", "#7d859055", "#2f81f7", "#db6d28"


def lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.startswith("{")]


class Chart:
    """A frame with a vertical axis from 0 to `top`, marked at each whole speed-up."""

    def __init__(self, title, top, below):
        self.top = top
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12" fill="{TEXT}">',
            f'<text x="{LEFT}" y="16" font-size="14">{title}</text>',
            f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{below}</text>',
        ]
        for mark in range(int(top) + 1):
            y = self.y(mark)
            weight = 2 if mark == 1 else 1
            self.parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{GRID}" stroke-width="{weight}"/>')
            self.parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">x{mark}</text>')

    def y(self, value):
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(value, self.top) / self.top

    def legend(self, names):
        x = WIDTH - RIGHT
        for name, colour in reversed(names):
            x -= 7 * len(name)
            self.parts.append(f'<text x="{x}" y="16">{name}</text>')
            x -= 14
            self.parts.append(f'<rect x="{x}" y="7" width="10" height="10" fill="{colour}"/>')
            x -= 16

    def write(self, name):
        (FOLDER / name).write_text("\n".join([*self.parts, "</svg>", ""]), encoding="utf-8")


def per_block(none, ahead):
    """A bar for each block in the order of gas used, one colour for each prediction."""
    ahead = {block["block"]: block for block in ahead if "speed_up" in block}
    blocks = sorted((block for block in none if block.get("speed_up")), key=lambda block: block["gas_used"])
    top = max(block["speed_up"] for block in [*blocks, *ahead.values()])
    chart = Chart("Speed-up of each block on two cores", int(top) + 1, "mainnet blocks in the order of gas used")
    chart.legend([("nothing predicted", FIRST), ("simulated before the block came", SECOND)])
    step = (WIDTH - LEFT - RIGHT) / len(blocks)
    for at, block in enumerate(blocks):
        x = LEFT + at * step
        known = ahead.get(block["block"], {}).get("speed_up") or 0
        for value, colour, shift in [(known, SECOND, 0.5), (block["speed_up"], FIRST, 0.1)]:
            y = chart.y(value)
            chart.parts.append(
                f'<rect x="{x + shift * step:.1f}" y="{y:.1f}" width="{0.38 * step:.1f}" height="{chart.y(0) - y:.1f}" fill="{colour}">'
                f"<title>{block['block']}: x{value:.2f}</title></rect>"
            )
    chart.write("per-block.svg")


def scaling(row):
    """The simulated speed-up over the number of cores, beside the best schedule that knows all conflicts."""
    on = row["simulated"]
    chart = Chart("Speed-up over cores, simulated, nothing predicted", int(max(core["critical_path"] for core in on)) + 1, "cores")
    chart.legend([("Laminar", FIRST), ("best schedule that knows all conflicts", SECOND)])
    place = {core["cores"]: LEFT + 60 + at * (WIDTH - LEFT - RIGHT - 120) / max(len(on) - 1, 1) for at, core in enumerate(on)}
    for key, colour in [("list_schedule", SECOND), ("speed_up", FIRST)]:
        points = [(place[core["cores"]], chart.y(core[key]), core[key]) for core in on]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y, _ in points)
        chart.parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for x, y, value in points:
            chart.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"><title>x{value:.2f}</title></circle>')
    for cores, x in place.items():
        chart.parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{cores}</text>')
    chart.write("scaling.svg")


if __name__ == "__main__":
    none, ahead, simulated = (lines(path) for path in sys.argv[1:])
    per_block(none, ahead)
    scaling(simulated[0])
