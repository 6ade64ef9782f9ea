"""The chart of a run as SVG: bars on a logarithmic scale, readable on white and on black."""

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape

_WIDTH, _LEFT, _BAR, _GAP, _TITLE = 760, 170, 18, 6, 34
_COLOURS = ("#0a7d5a", "#8a93a3", "#3aa981", "#b0b7c3", "#c98a1b")  # ours green, others grey
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #333; } .title { font-weight: 600; }
@media (prefers-color-scheme: dark) { text { fill: #ddd; } }
"""


def draw(panels: Mapping[str, Sequence[tuple[str, float]]]) -> str:
    """Draw a panel for each title, with a bar for each name and figure; the scale starts at each panel's smallest."""
    rows = list(_rows(panels))
    height = rows[-1][0] + _TITLE if rows else _TITLE
    body = "\n".join(text for _, text in rows)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" role="img">'
    return f"{head}\n<style>{_STYLE}</style>\n{body}\n</svg>\n"


def _rows(panels: Mapping[str, Sequence[tuple[str, float]]]) -> Iterator[tuple[float, str]]:
    top = 0.0
    for title, bars in panels.items():
        top += _TITLE
        yield top, f'<text class="title" x="8" y="{top - 10:.0f}">{escape(title)}</text>'
        for number, (name, value) in enumerate(bars):
            length = _length(value, [figure for _, figure in bars])
            middle = top + _BAR * 0.75
            colour = _COLOURS[number % len(_COLOURS)]
            bar = f'<rect x="{_LEFT}" y="{top:.0f}" width="{length:.1f}" height="{_BAR}" rx="2" fill="{colour}"/>'
            figure = f'<text x="{_LEFT + length + 6:.0f}" y="{middle:.0f}">{_shown(value)}</text>'
            yield top, f'<text x="8" y="{middle:.0f}">{escape(name)}</text>{bar}{figure}'
            top += _BAR + _GAP
    yield top, ""


def _length(value: float, values: Sequence[float]) -> float:
    """Return a bar's length: the logarithm of its figure, over half a decade below the smallest."""
    low, high = math.log10(min(values)) - 0.5, math.log10(max(values))
    return (math.log10(value) - low) / (high - low) * (_WIDTH - _LEFT - 90)


def _shown(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"
