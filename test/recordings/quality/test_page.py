# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The page and the JSON file of a report."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lang2segtrack_ros.recordings.quality.document import ReportDocument, document
from lang2segtrack_ros.recordings.quality.findings import Kind
from lang2segtrack_ros.recordings.quality.page import KIND_NAMES, MAX_FINDINGS, render
from test.browser import chromium
from test.recordings.quality.making import Script, Shape, crossing, report_of, steady

HOSTILE = '<script>alert("1")</script> & 赤い丸 "x" \u202e\'mug'
VOID = {"meta", "link", "br", "img"}


class Page(HTMLParser):
    """A parser that checks that each tag is closed in order.

    Attributes:
        tags: names of all tags.
        values: values of all attributes.
        text: the text outside the style.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.values: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.values += [value or "" for _, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += "" if "style" in self._open else data


def many(folder: Path) -> ReportDocument:
    """Return a report with each part of the page: labels outside ASCII and with markup, notes, and many findings."""
    scripts: dict[int, Script] = {
        **crossing(30),
        3: lambda number: Shape(40, 100, 20 if number % 12 else 34, label=HOSTILE),
        4: lambda number: Shape(150, 100, score=0.2 if number % 8 == 0 else 0.9, agreement=0.1),
    }
    report = report_of(folder, scripts)
    report.name = HOSTILE
    report.notes.append("2 messages were left out <b>")
    report.unconfirmed = 1
    return document(report)


@pytest.mark.parametrize("count", [0, 1, 60])
def test_page_is_whole_and_needs_nothing_else(tmp_path: Path, count: int) -> None:
    """All tags are closed, there is no script, and nothing is loaded from a network or a file."""
    text = render(many(tmp_path) if count == 60 else document(report_of(tmp_path, {1: steady()}, range(count))))
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>")
    assert not {"script", "link", "img", "iframe", "object", "base"} & set(page.tags)
    assert "http" not in text
    assert "url(" not in text
    assert "@import" not in text
    ids = {value for value in page.values if value.startswith("track-")}
    assert {value[1:] for value in page.values if value.startswith("#")} <= ids


def test_labels_are_escaped(tmp_path: Path) -> None:
    """A label comes from a prompt, so from anyone."""
    page = Page(render(many(tmp_path)))
    assert page.text.count(HOSTILE) >= 3
    assert "b" in page.tags
    assert "2 messages were left out <b>" in page.text


def test_page_shows_each_finding_with_its_image(tmp_path: Path) -> None:
    report = many(tmp_path)
    page = Page(render(report))
    for item in report.findings:
        assert f"image {item.image}" in page.text
        assert item.reason in page.text
    assert set(KIND_NAMES) == {kind.value for kind in Kind}


def test_review_is_named_and_linked(tmp_path: Path) -> None:
    """The page names the command of the review, quoted for a shell, and each finding links to its image there."""
    report = many(tmp_path)
    html = render(report, "out/my cups<b>")
    assert "lang2segtrack review 'out/my cups<b>'" in Page(html).text
    assert f'href="http://127.0.0.1:8100/#image={report.findings[0].image}"' in html
    assert "8100" not in render(report), "a trace without a folder has no review"


def test_page_of_many_findings_is_bounded(tmp_path: Path) -> None:
    """A browser must open the page of a bad recording, too."""
    report = many(tmp_path)
    long = report.model_copy(update={"findings": report.findings[:1] * 3000, "dropped": 7, "check_first": 60})
    page = Page(render(long))
    assert page.tags.count("article") == MAX_FINDINGS
    assert "2507 further findings are not on this page" in page.text


def test_json_follows_its_model(tmp_path: Path) -> None:
    """The file is read again without a loss, has no number that JSON lacks, and no field that the model lacks."""
    report = many(tmp_path)
    text = report.model_dump_json()
    assert ReportDocument.model_validate_json(text) == report
    data = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert data["format"] == "lang2segtrack-report"
    assert data["findings"][0]["kind"] == "id_switch"
    assert data["check_first"] == len(data["findings"]) <= 60
    assert sum(data["counts"].values()) == len(data["findings"])
    assert data["tracks"][3]["curve"][0]["agreement"] == 0.1
    with pytest.raises(ValueError, match="extra"):
        ReportDocument.model_validate({**data, "further": 1})


def test_page_fits_wide_and_narrow_screens(tmp_path: Path) -> None:
    """Nothing runs over the side at 1280 and at 390 pixels, and the browser reports no error."""
    file = tmp_path / "report.html"
    file.write_text(render(many(tmp_path)), encoding="utf-8")
    with chromium() as browser:
        for width in (1280, 390):
            page = browser.new_page(viewport={"width": width, "height": 800})
            errors: list[str] = []
            page.on("pageerror", lambda error, errors=errors: errors.append(str(error)))
            page.on("request", lambda request, errors=errors: errors.append(request.url) if request.url != file.as_uri() else None)
            page.goto(file.as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert errors == []
            assert re.search("Quality of", page.title())
