# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The tracker against the session of transformers, with many objects against single objects, and under misuse."""

from __future__ import annotations

import gc
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

from lang2segtrack_ros.models.loading import at_size, load_segmenter
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.segmentation.shrinking import Patch
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.tracking.open_frame import OpenFrame, TrackerError
from lang2segtrack_ros.tracking.stream_tracker import StreamTracker
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import BoxPrompt, MaskPrompt, ObjectPrompt, PointPrompt, PromptError
from test.cached import CachedSegmenter
from test.conftest import DEVICE, body_box, iou
from test.logits import LogitsProbe


def box(frames: list[SceneFrame], index: int, body: int) -> BoxPrompt:
    return BoxPrompt(body_box(frames[index], body), f"body {body}")


def preview_logits(opened: OpenFrame) -> dict[int, np.ndarray]:
    assert opened.readout is not None
    return dict(zip(opened.rows.ids, opened.readout.prediction.low_res_logits.cpu().numpy()))


def test_tracker_equals_the_session_of_transformers(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """Plain SAM 2 with one object from a box must give the same logits, while the ring buffers wrap twice."""
    prompt = box(frames, 0, 1)
    x1, y1, x2, y2 = prompt.box
    height, width = frames[0].color.shape[:2]
    scale = np.array([segmenter.image_size / width, segmenter.image_size / height])
    session = Sam2VideoInferenceSession(video_height=height, video_width=width, dtype=torch.float32)
    row = session.obj_id_to_idx(1)
    corners = torch.tensor(np.array([[x1, y1], [x2, y2]]) * scale, dtype=torch.float32)[None, None]
    session.add_point_inputs(row, 0, {"point_coords": corners, "point_labels": torch.tensor([[[2, 3]]], dtype=torch.int32)})
    session.obj_with_new_inputs.append(1)
    tracker = StreamTracker(segmenter, policy="sam2")
    tracker.add(prompt)
    logits, worst = LogitsProbe(tracker), 0.0
    for frame in frames[:35]:
        with torch.inference_mode():
            expected = segmenter.model(inference_session=session, frame=segmenter.preprocess(frame.color)[0]).pred_masks[0, 0]
        tracker.step(frame.color)
        worst = max(worst, float(np.abs(logits[1] - expected.cpu().numpy()).max()))
    assert worst < 2e-2, f"differs by {worst}"  # memories are rounded to bfloat16, which amplifies 1e-6 to 1e-3


@pytest.fixture(scope="module")
def exact() -> Sam2Segmenter:
    """Return the toy network in float64, at four ninths of its tokens. It encodes each image once, which no object influences.

    In float32, rounding depends on the batch size. The recurrent memory amplifies 1e-7 to up to 1e-3 within 40 frames, and to 4e-3 with
    memories in bfloat16. These differences could hide a small influence of one object on another. In float64 they cannot.
    """
    model = load_segmenter("toy", device=DEVICE, image_size=128).model.double()
    return CachedSegmenter(Sam2Segmenter(model, dtype=torch.float64, memory_dtype=torch.float64))


@pytest.mark.parametrize(("count", "policy", "length"), [(2, "sam2", 40), (2, "distractor", 40), (5, "samurai", 30), (16, "samurai", 20)])
def test_objects_do_not_influence_each_other(exact: Sam2Segmenter, frames: list[SceneFrame], count: int, policy: str, length: int) -> None:
    """The result of each object equals its result alone, while other objects are added, removed and lost."""
    corners = np.random.default_rng(count).integers(0, 180, (count, 2)).tolist()
    boxes = [body_box(frames[0], 1), *((x, y, x + 40.0, y + 40.0) for x, y in corners)][:count]
    together = StreamTracker(exact, policy)
    ids = [together.add(BoxPrompt(item)) for item in boxes]
    result = LogitsProbe(together)
    recorded: dict[int, list[np.ndarray]] = {track_id: [] for track_id in ids}
    added_id = 0
    for index, frame in enumerate(frames[:length]):
        if index == 5:
            added_id = together.add(box(frames, 5, 3))
        if index == 8:
            together.remove(ids[-1])
        if index == 9:
            together.remove(added_id)
        together.step(frame.color)
        for track_id in ids:
            if track_id in result:
                recorded[track_id].append(result[track_id])
    for item, track_id in list(zip(boxes, ids))[:: max(1, count // 3)]:
        alone = StreamTracker(exact, policy)
        alone.add(BoxPrompt(item))
        logits = LogitsProbe(alone)
        for index, expected in enumerate(recorded[track_id]):
            alone.step(frames[index].color)
            difference = np.abs(logits[1] - expected).max()
            assert difference < 1e-4, f"object {track_id} differs by {difference} on frame {index}"


@pytest.mark.parametrize("kind", ["box", "point", "mask"])
def test_prompt_takes_effect_on_its_own_frame(segmenter: Sam2Segmenter, frames: list[SceneFrame], kind: str) -> None:
    """A prompt on frame 7 must start the track on frame 7. The earliest version applied prompts to the previous frame."""
    tracker = StreamTracker(segmenter)
    for frame in frames[:7]:
        assert tracker.step(frame.color) == []
    truth = frames[7].instances == 1
    x1, y1, x2, y2 = body_box(frames[7], 1)
    prompts: dict[str, ObjectPrompt] = {
        "box": BoxPrompt((x1, y1, x2, y2)),
        "point": PointPrompt([((x1 + x2) / 2, (y1 + y2) / 2)]),
        "mask": MaskPrompt(truth),
    }
    track_id = tracker.add(prompts[kind])
    first = tracker.step(frames[7].color)[0]
    assert first.id == track_id
    assert iou(first.mask, truth) > (0.9 if kind == "mask" else 0.75)
    for index in range(8, 20):
        (track,) = tracker.step(frames[index].color)
        assert iou(track.mask, frames[index].instances == 1) > 0.6


@pytest.mark.parametrize(("width", "height"), [(640, 480), (320, 240), (213, 97)])
def test_masks_have_no_offset(segmenter: Sam2Segmenter, width: int, height: int) -> None:
    """The result of a mask prompt must have the same edges at any image size and aspect ratio, without an offset of half a pixel."""
    image = np.full((height, width, 3), 120, np.uint8)
    truth = np.zeros((height, width), bool)
    x1, y1, x2, y2 = width // 4, height // 4, 3 * width // 4, 3 * height // 4
    truth[y1:y2, x1:x2] = True
    tracker = StreamTracker(segmenter)
    tracker.add(MaskPrompt(truth))
    (track,) = tracker.step(image)
    assert track.box is not None
    cell = np.array([width, height, width, height]) / segmenter.mask_size
    error = (np.array(track.box) - (x1, y1, x2, y2)) / cell
    assert np.abs(error).max() < 0.75, f"{error} cells"
    assert abs(error[0] + error[2]) < 0.5, "shifted in x"
    assert abs(error[1] + error[3]) < 0.5, "shifted in y"


def test_mask_can_be_clipped_to_its_box(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """A detector's box contains its object, even if the network's mask extends beyond it. The margin is a ratio of the box size."""
    tracker = StreamTracker(segmenter)
    shot = frames[0]
    x_min, y_min, x_max, y_max = box(frames, 0, 1).box
    half = BoxPrompt((x_min, y_min, (x_min + x_max) / 2, y_max), "thing")
    opened = tracker.begin(tracker.encode(Frame(shot.color)), *shot.color.shape[:2])
    unclipped = opened.predict(half)
    reach = [
        np.nonzero(opened.mask_of(item).any(0))[0].max()
        for item in (unclipped, opened.clip_to_box(unclipped, 0.5), opened.clip_to_box(unclipped, 0.1))
    ]
    cell = shot.color.shape[1] / segmenter.mask_size
    for margin, last in zip((0.5, 0.1), reach[1:]):
        assert last <= half.box[2] + margin * (half.box[2] - x_min) + cell
    assert reach[0] > reach[1] + cell or reach[1] > reach[2] + cell, "the box must clip a part of the mask"
    click = opened.predict(PointPrompt((((x_min + x_max) / 2, (y_min + y_max) / 2),), (1,), "thing"))
    assert opened.clip_to_box(click, 0.1) is click


def test_split_overlaps_assigns_pixels_to_their_owner(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """The second object owns all pixels above a row, and the pixels below are undecided. A third object must stay unchanged."""
    tracker = StreamTracker(segmenter)
    for body in (1, 2, 1):
        tracker.add(box(frames, 0, body))
    tracker.step(frames[0].color)
    image = frames[1].color
    height, width = image.shape[:2]
    opened = tracker.begin(tracker.encode(Frame(image)), height, width)
    before = preview_logits(opened)
    cut = int(np.quantile(np.nonzero(before[1] > 0)[0], 0.3))
    ownership = np.zeros((height, width), np.float32)
    ownership[: cut * height // len(before[1])] = -1.0
    opened.split_overlaps({(1, 2): Patch.of(ownership)})
    after = preview_logits(opened)
    assert (before[1][:cut] > 0).any()
    assert not (after[1][:cut] > 0).any()
    assert ((after[2] > 0)[:cut] == ((before[1] > 0) | (before[2] > 0))[:cut]).all()
    for track_id in (1, 2):
        np.testing.assert_array_equal(after[track_id][cut:], before[track_id][cut:])
    np.testing.assert_array_equal(after[3], before[3])
    logits = LogitsProbe(tracker)
    tracker.commit(opened)
    np.testing.assert_array_equal(logits[1], after[1])


def test_split_overlaps_hides_a_lost_mask_and_stores_a_confirmed_one(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    tracker = StreamTracker(segmenter)
    for body in (1, 2):
        tracker.add(box(frames, 0, body))
    tracker.step(frames[0].color)
    image = frames[1].color
    opened = tracker.begin(tracker.encode(Frame(image)), *image.shape[:2])
    assert opened.readout is not None
    failed = replace(opened.readout.choice, passed=torch.zeros_like(opened.readout.choice.passed))
    opened.readout = replace(opened.readout, choice=failed)
    opened.split_overlaps({(1, 2): Patch.of(np.full(image.shape[:2], -1.0, np.float32))})
    first, second = opened.tracks({})
    assert first.box is None
    assert second.box is not None
    assert opened.readout.choice.passed.tolist() == [False, True]
    assert opened.readout.prediction.is_finite.tolist() == [False, True], "the tracker must write no memory of a lost mask"


def test_click_corrects_a_track_and_keeps_its_id(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    tracker = StreamTracker(segmenter)
    track_id = tracker.add(box(frames, 0, 1))
    other = tracker.add(box(frames, 0, 2))
    for frame in frames[:5]:
        tracker.step(frame.color)
    x1, y1, x2, y2 = body_box(frames[5], 1)
    tracker.add(PointPrompt([((x1 + x2) / 2, (y1 + y2) / 2)], track_id=track_id))
    tracks = {track.id: track for track in tracker.step(frames[5].color)}
    assert set(tracks) == {track_id, other}
    assert tracks[track_id].label == "body 1", "a correction without a label must keep the old label"
    assert iou(tracks[track_id].mask, frames[5].instances == 1) > 0.6
    tracker.step(frames[6].color)


def test_box_moves_a_track_to_another_object(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    tracker = StreamTracker(segmenter)
    track_id = tracker.add(box(frames, 0, 1))
    tracker.step(frames[0].color)
    tracker.add(BoxPrompt(body_box(frames[1], 2), track_id=track_id))
    (track,) = tracker.step(frames[1].color)
    assert track.id == track_id
    assert iou(track.mask, frames[1].instances == 2) > 0.7


def test_many_corrections_keep_the_first_prompt_and_constant_memory(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    tracker = StreamTracker(segmenter)
    track_id = tracker.add(box(frames, 0, 1))
    tracker.step(frames[0].color)
    size = tracker.bank.features.numel()
    for index in range(1, 12):
        tracker.add(BoxPrompt(body_box(frames[index], 1), track_id=track_id))
        tracker.step(frames[index].color)
    assert tracker.bank.features.numel() == size
    assert sorted(tracker.bank.frames[0, -4:].tolist()) == [0, 9, 10, 11]


def test_memory_does_not_grow(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """Objects are added and removed over 120 small frames. The number and the size of live tensors must stay as after the first round."""

    def live() -> tuple[int, int]:
        gc.collect()
        tensors = [item for item in gc.get_objects() if isinstance(item, torch.Tensor)]
        return len(tensors), sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    tracker = StreamTracker(at_size(segmenter, 128))
    sizes = []
    for iteration in range(6):
        ids = [tracker.add(box(frames, 0, body)) for body in (1, 2)]
        for index in range(20):
            tracker.step(frames[index].color)
        for track_id in ids:
            tracker.remove(track_id)
        sizes.append(live())
        assert tracker.frame_index == 20 * (iteration + 1)
    assert sizes[-1] == sizes[1]


def test_exception_inside_a_step_leaves_the_state_unchanged(
    segmenter: Sam2Segmenter, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    reference, interrupted = StreamTracker(segmenter), StreamTracker(segmenter)
    for tracker in (reference, interrupted):
        tracker.add(box(frames, 0, 1))
        for frame in frames[:3]:
            tracker.step(frame.color)

    def broken(*_: object) -> None:
        raise RuntimeError("out of memory")

    for name in ("encode_memory", "decode", "encode"):
        with monkeypatch.context() as patch:
            patch.setattr(segmenter, name, broken)
            with pytest.raises(RuntimeError, match="out of memory"):
                interrupted.step(frames[3].color)
    expected, found = LogitsProbe(reference), LogitsProbe(interrupted)
    for frame in frames[3:6]:
        reference.step(frame.color)
        interrupted.step(frame.color)
        assert np.abs(expected[1] - found[1]).max() < 1e-3
    assert interrupted.frame_index == reference.frame_index


def test_misuse_is_refused_with_a_clear_message(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    tracker = StreamTracker(segmenter, max_objects=2)
    with pytest.raises(TrackerError, match="there is no track 9; tracked now: none"):
        tracker.remove(9)
    first = tracker.add(box(frames, 0, 1))
    tracker.add(box(frames, 0, 2))
    with pytest.raises(TrackerError, match="2 objects are tracked already"):
        tracker.add(box(frames, 0, 3))
    tracker.step(frames[0].color)
    with pytest.raises(TrackerError, match="tracked now: 1, 2"):
        tracker.add(BoxPrompt((0, 0, 5, 5), track_id=77))
    tracker.remove(first)
    new_id = tracker.add(box(frames, 1, 1))
    assert new_id not in (1, 2), "an id must not be used twice"


def test_prompt_outside_the_image_is_dropped_and_others_are_kept(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    tracker = StreamTracker(segmenter)
    tracker.add(BoxPrompt((5000, 5000, 6000, 6000)))
    good = tracker.add(box(frames, 0, 1))
    with pytest.raises(PromptError, match="outside the 320 x 240 image"):
        tracker.step(frames[0].color)
    assert [track.id for track in tracker.step(frames[0].color)] == [good]


def test_reset_removes_objects_and_continues_the_ids(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    tracker = StreamTracker(segmenter)
    first = tracker.add(box(frames, 0, 1))
    tracker.step(frames[0].color)
    tracker.reset()
    assert tracker.step(frames[1].color) == []
    assert tracker.add(box(frames, 2, 1)) > first


def test_image_size_may_change_within_a_stream(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    tracker = StreamTracker(segmenter)
    tracker.add(box(frames, 0, 1))
    tracker.step(frames[0].color)
    smaller = np.ascontiguousarray(frames[1].color[::2, ::2])
    (track,) = tracker.step(smaller)
    assert track.mask.shape == (120, 160)
    assert iou(track.mask, (frames[1].instances == 1)[::2, ::2]) > 0.6
