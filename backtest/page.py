"""The report as one HTML file: the text, and each strategy's sum of R with its fall from the highest point."""

from collections.abc import Sequence
from html import escape

import numpy as np

from backtest.report import Result, Tested, lines
from backtest.trades import gains
from common.indicators import F64

WIDTH, HEIGHT, FALL_HEIGHT = 640, 160, 60
_STYLE = (
    "body{font:14px system-ui;margin:2em;color:#222;background:#fff}"
    "pre{overflow-x:auto;background:#f5f5f5;padding:1em;font-size:12px}"
    "svg{display:block;max-width:100%;height:auto;border:1px solid #ccc;margin-bottom:.3em}"
    "text{paint-order:stroke;stroke:#fff;stroke-width:4px}"
    "figure{margin:1em 0}figcaption{font-weight:600;overflow-wrap:anywhere}"
    "@media(min-width:75em){pre{white-space:pre-wrap}}@media(max-width:40em){body{margin:1em}}"
)


def page(tested: Sequence[Tested]) -> str:
    """Return the file. It needs nothing from elsewhere."""
    charts = "".join(_chart(one, result) for one in tested for result in one.results if result.trades)
    text = escape("\n".join(lines(tested)))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Backtest</title><style>{_STYLE}</style>"
        f"</head><body><h1>Backtest</h1><pre>{text}</pre>{charts}</body></html>\n"
    )


def _chart(one: Tested, result: Result) -> str:
    times = np.array([one.from_ms, *(trade.closed_ms for trade in result.trades)], dtype=float)
    total = np.concatenate(([0.0], np.cumsum(gains(result.trades))))
    fall = total - np.maximum.accumulate(total)
    x = (times - one.from_ms) / max(1.0, float(one.to_ms - one.from_ms)) * WIDTH
    title = f"{one.symbol}, {one.name}: {result.strategy}"
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f"{_svg(x, total, HEIGHT, '#0a6', f'equity: {total[-1]:+.1f} R after {len(result.trades)} trades')}"
        f"{_svg(x, fall, FALL_HEIGHT, '#c33', f'drawdown: {-fall.min():.1f} R at the deepest')}"
        f"<div>{escape(result.figures.verdict)}</div></figure>"
    )


def _svg(x: F64, y: F64, height: int, colour: str, label: str) -> str:
    low, high = float(min(0.0, y.min())), float(max(0.0, y.max()))
    scale = (height - 10) / max(1e-9, high - low)
    places = " ".join(f"{at:.1f},{height - 5 - (value - low) * scale:.1f}" for at, value in zip(x, y, strict=True))
    zero = height - 5 + low * scale
    return (
        f'<svg width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" role="img">'
        f'<line x1="0" y1="{zero:.1f}" x2="{WIDTH}" y2="{zero:.1f}" stroke="#999" stroke-dasharray="3"/>'
        f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{places}"/>'
        f'<text x="6" y="14" font-size="12">{escape(label)}</text></svg>'
    )
