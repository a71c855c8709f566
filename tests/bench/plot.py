"""Bars in SVG: cycles a second of each contestant, one panel for each place, one group for each load."""

COLOURS = {
    "bare hiredis": "#9aa0a6",
    "jansson echo": "#9aa0a6",
    "bare table": "#9aa0a6",
    "redlockd": "#c5221f",
    "node-redlock 4.2.0": "#1a73e8",
    "node-redlock 5.0.0-beta.2": "#8ab4f8",
    "redis-semaphore 5.8.0": "#188038",
    "live-mutex 0.2.25": "#b06000",
}
PANELS = [
    (("distinct", 1), "distinct keys, 1 node"),
    (("distinct", 3), "distinct keys, 3 nodes"),
    (("distinct", 5), "distinct keys, 5 nodes"),
    (("distinct", 0), "distinct keys, memory:"),
    (("one", 3), "one key for all, 3 nodes"),
    (("one", 0), "one key for all, memory:"),
]
WIDTH, HEIGHT, LEFT, TOP, BAR, GROUP_GAP = 420, 200, 60, 40, 14, 16


def rate(turns):
    values = sorted(turn["rate"] for turn in turns)
    return values[len(values) // 2], values[0], values[-1]


def text(x, y, words, size=11, anchor="start", extra=""):
    return f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" text-anchor="{anchor}"{extra}>{words}</text>'


def panel(results, key, words, x0, y0):
    scenes = {scene[2]: by_name for scene, by_name in results.items() if scene[:2] == key}
    if not scenes:
        return []
    greatest = max(rate(turns)[2] for by_name in scenes.values() for turns in by_name.values())
    step = next(s * 10**e for e in range(7) for s in (1, 2, 5) if greatest / (s * 10**e) <= 5)
    scale = HEIGHT / (step * -(-greatest // step))
    base = y0 + TOP + HEIGHT
    out = [text(x0 + LEFT, y0 + 20, words, 13, extra=' font-weight="bold"')]
    for i in range(int(-(-greatest // step)) + 1):
        y = base - i * step * scale
        out.append(f'<line x1="{x0 + LEFT}" x2="{x0 + WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        out.append(text(x0 + LEFT - 6, y + 4, f"{i * step:,}", 10, "end"))
    x = x0 + LEFT + 8
    for n, by_name in scenes.items():
        begin = x
        for name, turns in by_name.items():
            middle, least, most = rate(turns)
            out.append(f'<rect x="{x}" y="{base - middle * scale:.1f}" width="{BAR - 2}" height="{middle * scale:.1f}" fill="{COLOURS[name]}">'
                       f"<title>{name}, {n} at a time: {middle:,.0f} a second ({least:,.0f}..{most:,.0f})</title></rect>")
            centre = x + BAR / 2 - 1
            out.append(f'<line x1="{centre}" x2="{centre}" y1="{base - least * scale:.1f}" y2="{base - most * scale:.1f}" stroke="#000"/>')
            x += BAR
        out.append(text((begin + x) / 2, base + 14, n, 11, "middle"))
        x += GROUP_GAP
    return out


def draw(results, machine):
    """Medians as bars; the line in each is from the least to the greatest turn."""
    out, rows = [], 0
    for i, (key, words) in enumerate(PANELS):
        out += panel(results, key, words, (i % 2) * (WIDTH + 30), (i // 2) * (HEIGHT + TOP + 40))
        rows = i // 2 + 1
    height = rows * (HEIGHT + TOP + 40)
    shown = {name for by_name in results.values() for name in by_name}
    x = LEFT
    for name, colour in COLOURS.items():
        if name in shown:
            out.append(f'<rect x="{x}" y="{height}" width="10" height="10" fill="{colour}"/>')
            out.append(text(x + 14, height + 9, name, 10))
            x += 24 + 6.2 * len(name)
    out.append(text(LEFT, height + 28, "Cycles a second (take and free) by how many at a time: medians, and least to greatest.", 10))
    out.append(text(LEFT, height + 42, machine, 10))
    width = max(2 * WIDTH + 50, x)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height + 52}" font-family="sans-serif">\n'
            f'<rect width="100%" height="100%" fill="#fff"/>\n' + "\n".join(out) + "\n</svg>\n")
