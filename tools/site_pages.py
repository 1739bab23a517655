# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Hook of mkdocs: each file of the repository that a page links to becomes a page of the site.

GitHub shows every file of the repository, mkdocs only those in docs/. The links stay as GitHub needs them; this hook rewrites them for
the site. Markdown files become pages as they are, the changelog is converted, and other files are shown as text.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
_LINK = re.compile(r"(?<=\]\()(?!\w+:)[^)\s#]+")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the linked files outside docs/, and those that they link to."""
    waiting = [DOCS / file.src_uri for file in files.documentation_pages()]
    while waiting:
        origin = waiting.pop()
        for target in _targets(origin):
            if site_path(target) not in files.src_uris:
                files.append(File.generated(config, site_path(target), content=page_text(target)))
                waiting.append(target)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite the links of a page in docs/. Those of an added page are rewritten already."""
    return markdown if page.file.generated_by else rewrite_links(markdown, DOCS / page.file.src_uri)


def site_path(path: Path) -> str:
    """Return the path in the site of a file of the repository."""
    if path.is_relative_to(DOCS):
        return path.relative_to(DOCS).as_posix()
    name = path.relative_to(ROOT).as_posix()
    if name == "README.md":
        return "readme.md"  # mkdocs would take README.md for the first page, which is docs/index.md
    return name if path.suffix == ".md" else f"{name}.md"


def page_text(path: Path) -> str:
    """Return the Markdown of an added page."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return rewrite_links(text, path)
    if path.name == "CHANGELOG.rst":
        return changelog_markdown(text)
    return f"# {path.name}\n\n```text\n{text}```\n"


def changelog_markdown(text: str) -> str:
    """Convert the few forms of reStructuredText that the changelog has: title, version, section, list and code."""
    text = re.sub(r"^\^+\n(.+)\n\^+$", r"# \1", text, flags=re.MULTILINE)
    text = re.sub(r"^(.+)\n-+$", r"## \1", text, flags=re.MULTILINE)
    return re.sub(r"^(\w+)$", r"### \1", text, flags=re.MULTILINE).replace("``", "`")


def rewrite_links(markdown: str, origin: Path) -> str:
    """Make the links of a file lead to pages of the site. A broken link stays, and mkdocs reports it."""
    folder = posixpath.dirname(site_path(origin)) or "."

    def rewrite(match: re.Match[str]) -> str:
        target = _resolve(origin, match[0])
        return posixpath.relpath(site_path(target), folder) if target else match[0]

    return _LINK.sub(rewrite, markdown)


def _resolve(origin: Path, link: str) -> Path | None:
    """Return the file of the repository to which a link of another file leads. None if there is no such file."""
    target = (origin.parent / link).resolve()
    return target if target.is_file() and target.is_relative_to(ROOT) else None


def _targets(origin: Path) -> Iterator[Path]:
    """Yield the files to which a Markdown file links. Other files have no links."""
    if origin.suffix == ".md":
        yield from filter(None, (_resolve(origin, link) for link in _LINK.findall(origin.read_text(encoding="utf-8"))))
