"""Pages in a real browser (Debian's chromium, headless), and what a page may not hold; shared by the tests of pages."""
from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import tempfile
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any


def browse(page: str, probe: str, fragment: str = "") -> tuple[dict[str, Any], str]:
    """(what the probe saw, console and policy messages) of a page with this script put before its own and named in its policy."""
    named = "'sha256-" + base64.b64encode(hashlib.sha256(probe.encode()).digest()).decode() + "'"
    page = page.replace("script-src ", f"script-src {named} ", 1).replace("</head>", f"<script>{probe}</script></head>", 1)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "page.html"
        path.write_text(page, encoding="utf-8")
        done = subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", f"--user-data-dir={scratch}/profile",
                               "--window-size=1280,1000", "--virtual-time-budget=3000", "--dump-dom", f"file://{path}#{fragment}"],
                              capture_output=True, text=True, errors="replace", timeout=120)
    seen = re.search(r'<pre id="probe">(.*?)</pre>', done.stdout, re.S)
    return json.loads(unescape(seen.group(1))) if seen else {}, "\n".join(re.findall(r".*CONSOLE.*", done.stderr))


def luminance(colour: str) -> float:
    parts = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


class Outside(HTMLParser):
    """Collects what would make a browser fetch something."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [tag] if tag in ("link", "img", "iframe", "object", "base", "image", "use") else []
        self.found += [name for name, _ in attrs if name in ("src", "href", "xlink:href", "action", "data", "srcset", "poster", "background", "style")]
