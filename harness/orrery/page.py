"""Pages that need nothing but themselves: the frame, and how outside text gets in.

Invariant: a page loads nothing, and no script or style runs on it other than the two blocks written here: its policy names them by
their hashes, so that even markup that slipped through an escape stays dead.
"""
from __future__ import annotations

import base64
import hashlib
import html
from pathlib import Path


def escape(text: object) -> str:
    """Text for an element or a quoted attribute."""
    return html.escape(str(text), quote=True)


def clip(text: str, width: int) -> str:
    """Text of at most width characters, cut with an ellipsis."""
    return text if len(text) <= width else text[:width - 1] + "\u2026"


def _hash(block: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(block.encode()).digest()).decode() + "'"


def frame(title: str, body: str, style: str = "", script: str = "") -> str:
    """A whole page. body is markup, already escaped; style and script are ours, added to the common style."""
    style = (Path(__file__).resolve().parent / "page.css").read_text() + style
    policy = f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(clip(title, 200))}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
<script>{script}</script>
</body>
</html>
"""
