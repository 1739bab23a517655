# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Each edit, its undo and its conflicts, on synthetic traces; and all of them in random order."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lang2segtrack_ros.history.records import dumps
from lang2segtrack_ros.recordings.review.apply import EditedTrace
from lang2segtrack_ros.recordings.review.edits import Correct, Delete, Edit, EditError, Merge, Rename, Split
from lang2segtrack_ros.recordings.review.json_lines import LineError
from lang2segtrack_ros.recordings.review.review import Review
from lang2segtrack_ros.recordings.review.segments import new_segment_name, write_segment
from lang2segtrack_ros.recordings.review.stored import StoredTrace
from test.recordings.review.traces import check_timeline, content, labels, letters, segment_record, square, write_trace

TRACKS = {
    1: "TTTTTLLR....",  # ends, and goes on as track 2
    2: ".......OTTTT",
    3: "TTToooTTTTTT",  # changes to another object at image 6
    4: "......OO....",  # never visible
}


def correction(folder: Path, track: int, first: int, text: str, label: str = "new") -> Correct:
    """Write a segment, and return its correction."""
    name = new_segment_name(folder)
    write_segment(folder, name, first, [segment_record(track, first + number, letter) for number, letter in enumerate(text)])
    return Correct(track, label, first, first, first + len(text) - 1, name, points=((1.0, 2.0, 1),))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_trace(tmp_path / "tracked", TRACKS)


def edited_by(folder: Path, *edits: Edit) -> EditedTrace:
    edited = EditedTrace(StoredTrace(folder), list(enumerate(edits, 1)))
    check_timeline(edited)
    return edited


def test_no_edit_changes_no_byte(folder: Path) -> None:
    edited = edited_by(folder)
    assert letters(edited) == TRACKS
    assert content(edited) == (folder / "tracks.jsonl").read_bytes()


def test_rename(folder: Path) -> None:
    edited = edited_by(folder, Rename(3, "red mug"))
    assert letters(edited) == TRACKS
    assert labels(edited) == {1: {"thing 1"}, 2: {"thing 2"}, 3: {"red mug"}, 4: {"thing 4"}}


def test_merge_joins_the_pieces_of_an_object(folder: Path) -> None:
    """The removal of the first piece becomes a loss, because the object goes on. The prompt belongs to the joined track."""
    edited = edited_by(folder, Merge(1, 2))
    assert letters(edited) == {2: "TTTTTLLOTTTT", 3: TRACKS[3], 4: TRACKS[4]}
    assert labels(edited)[2] == {"thing 2"}
    assert edited.record(0)["prompted"] == [2]
    assert letters(edited_by(folder, Merge(2, 1))) == {1: "TTTTTLLOTTTT", 3: TRACKS[3], 4: TRACKS[4]}


def test_merge_keeps_the_loss_where_no_piece_has_a_state(tmp_path: Path) -> None:
    """The first piece is removed on an image before the second one begins."""
    folder = write_trace(tmp_path, {1: "TTLR....", 2: ".....TTR"})
    assert letters(edited_by(folder, Merge(1, 2))) == {2: "TTLL.TTR"}


def test_split(folder: Path) -> None:
    edited = edited_by(folder, Split(3, 6, 9))
    assert letters(edited) == {1: TRACKS[1], 2: TRACKS[2], 3: "TTTooo......", 4: TRACKS[4], 9: "......TTTTTT"}
    assert labels(edited)[9] == {"thing 3"}


def test_delete(folder: Path) -> None:
    assert letters(edited_by(folder, Delete(3, 3, 5)))[3] == "TTT...TTTTTT"
    edited = edited_by(folder, Delete(4, 0, 11))
    assert 4 not in letters(edited)
    with pytest.raises(EditError, match="there is no track 4; the tracks are 1, 2, 3"):
        edited.check(Rename(4, "gone"))


def test_correction_replaces_a_span(folder: Path) -> None:
    """The new masks count on their span, also where the object is absent, and the track keeps its label."""
    edited = edited_by(folder, Rename(3, "mug"), correction(folder, 3, 2, "TT.T"))
    assert letters(edited)[3] == "TTTT.TTTTTTT"
    assert labels(edited)[3] == {"mug"}
    assert edited.record(2)["prompted"] == [3]
    new = edited_by(folder, correction(folder, 8, 4, "TTT", "cup"))
    assert letters(new)[8] == "....TTT....."
    assert labels(new)[8] == {"cup"}


def test_edits_act_on_each_other(folder: Path) -> None:
    """A split track can be merged with another one, in the order of the edits."""
    edited = edited_by(folder, Split(3, 6, 9), Delete(9, 7, 11), Merge(9, 1), Rename(1, "x"), correction(folder, 1, 8, "TT"))
    assert letters(edited)[1] == "TTTTTLTLTT.."  # the removal has become a loss
    assert labels(edited)[1] == {"x"}


CONFLICTS: list[tuple[Edit, str]] = [
    (Merge(1, 3), "both visible on image 0 and 4 more"),
    (Merge(1, 7), "there is no track 7"),
    (Merge(7, 1), "there is no track 7"),
    (Rename(7, "x"), "the tracks are 1, 2, 3, 4"),
    (Split(1, 5, 9), "not visible from image 5 on"),
    (Split(2, 8, 9), "not visible before image 8"),
    (Split(4, 7, 9), "not visible"),
    (Split(3, 12, 9), "there is no image 12"),
    (Split(3, 6, 1), "track 1 exists already"),
    (Delete(2, 0, 6), "absent on images 0 to 6"),
    (Delete(3, 5, 12), "there is no image 12"),
    (Delete(7, 0, 1), "there is no track 7"),
]


@pytest.mark.parametrize(("edit", "message"), CONFLICTS)
def test_conflict_is_refused_and_changes_nothing(folder: Path, edit: Edit, message: str) -> None:
    review = Review(folder)
    with pytest.raises(EditError, match=message):
        review.add(edit)
    assert not review.journal.path.read_bytes()
    assert letters(review.edited) == TRACKS
    review.close()


def test_wrong_segments_are_refused(folder: Path) -> None:
    """A segment that is missing, too short, or damaged is named. A correction without any mask is refused."""
    edit = correction(folder, 3, 2, "TT")
    path = folder / "edits" / edit.segment
    data = path.read_bytes()
    for wrong, message in ((data.split(b"\n")[0] + b"\n", "holds 1 images"), (b"{}\n" + data, "line 1"), (b"no\n", "line 1")):
        path.write_bytes(wrong)
        with pytest.raises((EditError, LineError), match=message):
            EditedTrace(StoredTrace(folder), [(1, edit)])
    path.unlink()
    with pytest.raises(EditError, match=r"edit 1 of the journal does not fit .* restore"):
        EditedTrace(StoredTrace(folder), [(1, edit)])
    with pytest.raises(EditError, match="shows track 9 on no image"):
        EditedTrace(StoredTrace(folder)).check(correction(folder, 9, 2, ".."))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{}", "has no 'frame'"),
        (b"[]", "no JSON object"),
        (b'{"frame":0', "line 13"),
        (b'{"frame":"0","stamp_ns":0,"height":1,"width":1,"prompted":[],"tracks":[]}', "frame is '0'"),
        (b'{"frame":0,"stamp_ns":0,"height":1,"width":1,"prompted":[],"tracks":[{"id":0,"label":""}]}', "has no id"),
    ],
)
def test_damaged_trace_is_refused(folder: Path, line: bytes, message: str) -> None:
    path = folder / "tracks.jsonl"
    path.write_bytes(path.read_bytes() + line)
    with pytest.raises(LineError, match=message):
        StoredTrace(folder)


def test_folder_without_trace_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EditError, match=r"holds no tracks\.jsonl"):
        StoredTrace(tmp_path)
    (tmp_path / "tracks.jsonl").touch()
    with pytest.raises(EditError, match="holds no image"):
        StoredTrace(tmp_path)


def test_new_ids_are_never_used_again(folder: Path) -> None:
    """An id that an undone split used must not return as another object, because it may be in exports."""
    review = Review(folder)
    assert review.split(3, 6) == 5
    review.undo(1)
    assert review.split(3, 7) == 6
    review.close()


def test_undo_arriving_twice_undoes_once(folder: Path) -> None:
    review = Review(folder)
    review.add(Rename(1, "a"))
    review.add(Rename(1, "b"))
    review.undo(2)
    with pytest.raises(EditError, match="undo edit 1 first"):
        review.undo(2)
    assert labels(review.edited)[1] == {"a"}
    review.close()


IDS = st.integers(1, 9)
IMAGES = st.integers(0, 11)


@st.composite
def edits(draw: st.DrawFn) -> tuple[str, Edit | tuple[int, int, str]]:
    """Draw an edit, which need not be valid. A correction is drawn as track, first image and states of its segment."""
    kind = draw(st.sampled_from(["rename", "merge", "split", "delete", "correct"]))
    if kind == "rename":
        return kind, Rename(draw(IDS), draw(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=5)))
    if kind == "merge":
        track, into = draw(st.lists(IDS, min_size=2, max_size=2, unique=True))
        return kind, Merge(track, into)
    if kind == "split":
        return kind, Split(draw(IDS), draw(IMAGES), draw(IDS))
    if kind == "delete":
        first, last = sorted(draw(st.tuples(IMAGES, IMAGES)))
        return kind, Delete(draw(IDS), first, last)
    first = draw(IMAGES)
    return kind, (draw(IDS), first, draw(st.text("TTToOLR.", min_size=1, max_size=12 - first)))


TEXTS = st.text("TTToOL.", min_size=12, max_size=12)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.integers(1, 4), TEXTS, min_size=1), st.lists(edits(), max_size=10))
def test_any_valid_edits_and_their_undo(
    tmp_path_factory: pytest.TempPathFactory, tracks: dict[int, str], drawn: list[tuple[str, Any]]
) -> None:
    """Records and timeline agree after each edit, also for a new process. Undo gives each earlier trace again, up to the stored one."""
    folder = write_trace(tmp_path_factory.mktemp("any"), tracks)
    stored = (folder / "tracks.jsonl").read_bytes()
    review = Review(folder)
    states = [content(review.edited)]
    for kind, edit in drawn:
        edit = correction(folder, *edit) if kind == "correct" else edit
        try:
            review.add(edit)
        except EditError:
            assert content(review.edited) == states[-1]
            continue
        check_timeline(review.edited)
        states.append(content(review.edited))
    review.close()
    review = Review(folder)
    assert content(review.edited) == states[-1]
    while review.edited.edits:
        assert content(review.edited) == states.pop()
        review.undo(review.edited.edits[-1][0])
    assert content(review.edited) == states[0] == stored == (folder / "tracks.jsonl").read_bytes()
    review.close()


def test_memory_does_not_grow_with_the_images(tmp_path: Path) -> None:
    """4,000 images with 3 tracks: the records pass one by one, and only the states of the tracks stay in memory."""
    images, folder = 4000, tmp_path / "long"
    folder.mkdir()
    tracks = [dumps({"t": segment_record(key, 0, "T")})[5:-2] for key in (1, 2, 3)]
    with (folder / "tracks.jsonl").open("wb") as file:
        for image in range(images):
            head = b'{"frame":%d,"stamp_ns":%d,"height":24,"width":32,"prompted":[],"tracks":[' % (image, image)
            file.write(head + b",".join(tracks[: 2 if image < 2000 else 3]) + b"]}\n")
    size = (folder / "tracks.jsonl").stat().st_size
    assert size > 3_000_000
    correct = correction(folder, 2, 100, "T" * 1000)
    tracemalloc.start()
    edited = EditedTrace(StoredTrace(folder), [(1, Split(1, 1500, 7)), (2, Rename(7, "x")), (3, Delete(3, 2500, 3999)), (4, correct)])
    count = sum(len(record["tracks"]) for record in edited.records())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 4000 * 2 + 500
    assert peak < size / 8


def test_square_is_seen() -> None:
    """The squares of these tests have masks, so that a lost mask shows."""
    assert square(1, 0, "T", "").mask.sum() == 16
    assert not square(1, 0, "O", "").mask.any()
