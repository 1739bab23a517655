# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The documentation as a site: it builds without a warning, every link leads to a page and an anchor, and no page needs another server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install -r requirements/site.txt")

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"


class Content(HTMLParser):
    """The parts of a page that the tests look at.

    Attributes:
        ids: anchors.
        links: targets of links in the whole page.
        loaded: addresses of scripts, styles, pictures and fonts, which the browser requests by itself.
        counts: number of tables, list items, code blocks and pictures in the article.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.counts: Counter[str] = Counter()
        self._in_article = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids.add(given.get("id", ""))
        self._in_article |= tag == "article"
        if self._in_article and tag in ("table", "li", "pre", "img"):
            self.counts[tag] += 1
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif "src" in given or (tag == "link" and "href" in given):
            self.loaded.append(given.get("src") or given["href"])

    def handle_endtag(self, tag: str) -> None:
        self._in_article &= tag != "article"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site. In strict mode each warning of mkdocs is an error: a broken link or anchor, or a page outside the navigation."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", str(ROOT / "mkdocs.yml")]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}  # an announcement of the theme, not of our pages
    done = subprocess.run([*command, "--site-dir", str(folder)], capture_output=True, text=True, timeout=120, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@cache
def content(page: Path) -> Content:
    """Read a page of the site."""
    return Content(page.read_text(encoding="utf-8"))


def test_every_link_leads_to_a_page_and_an_anchor(site: Path) -> None:
    """mkdocs checks links in Markdown only. This one also sees the navigation, the pages from outside docs/ and the theme."""
    pages = [page for page in site.rglob("*.html") if page.name != "404.html"]
    broken = []
    for page in pages:
        for link in content(page).links + content(page).loaded:
            parts = urlsplit(link)
            if parts.scheme in ("http", "https", "data"):
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file() or (parts.fragment and unquote(parts.fragment) not in content(target).ids):
                broken.append(f"{page.relative_to(site)}: {link}")
    assert len(pages) > len(list(DOCS.glob("*.md")))
    assert not broken


def test_nothing_is_requested_from_another_server(site: Path) -> None:
    """A robot's network has no internet, and reading a page must tell nobody."""
    loaded = {link for page in site.rglob("*.html") for link in content(page).loaded}
    loaded |= {
        link for style in site.rglob("*.css") for link in re.findall(r"url\(([^)]+)\)|@import\s+(\S+)", style.read_text()) for link in link
    }
    assert not [link for link in loaded if re.match(r"[\"']?(https?:)?//", link)]


@pytest.mark.parametrize("source", sorted(DOCS.glob("*.md")), ids=lambda path: path.name)
def test_page_has_the_same_parts_as_on_github(site: Path, source: Path) -> None:
    """The site's Markdown is stricter: a table or list without an empty line before it would become part of a paragraph."""
    text = source.read_text(encoding="utf-8")
    blocks = re.findall(r"^[ ]*```.*?^[ ]*```", text, re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^[ ]*```.*?^[ ]*```", "", text, flags=re.MULTILINE | re.DOTALL)
    expected = {
        "table": len(re.findall(r"^\|(?: *:?-+:? *\|)+$", prose, re.MULTILINE)),
        "li": len(re.findall(r"^ *(?:[*+-]|\d+\.) ", prose, re.MULTILINE)),
        "pre": len(blocks),
        "img": len(re.findall(r"!\[", prose)),
    }
    counts = content(site / source.with_suffix(".html").name).counts
    assert {name: counts[name] for name in expected} == expected


def test_the_project_files_are_pages(site: Path) -> None:
    """Links to README, license and changelog must not leave the site."""
    for name, heading in {
        "readme": "lang2segtrack",
        "CONTRIBUTING": "Contributing",
        "LICENSE": "LICENSE",
        "CHANGELOG.rst": "Forthcoming",
    }.items():
        assert heading in (site / f"{name}.html").read_text(encoding="utf-8"), name
