# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Follows prompted objects through a stream, frame by frame.

A frame is worked on in three moves: `begin` encodes it and proposes a mask for every object, `OpenFrame.prompt` adds or
corrects objects on this very frame, `OpenFrame.commit` writes the memories and gives the result. Nothing is changed before
`commit`, so an exception on the way leaves the tracker as it was. `StreamTracker.step` does all three.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from lang2segtrack_ros.frame import Frame
from lang2segtrack_ros.prompts import BoxPrompt, MaskPrompt, ObjectPrompt, PointPrompt
from lang2segtrack_ros.results import Track, TrackStatus
from lang2segtrack_ros.tracking.arbitration import Verdict, arbitrate
from lang2segtrack_ros.tracking.candidates import Candidates
from lang2segtrack_ros.tracking.mask_filter import drop_specks
from lang2segtrack_ros.tracking.memory_bank import EMPTY, MAX_PROMPTED, RECENT, TRACKED, MemoryBank
from lang2segtrack_ros.tracking.policies import Choice, Policy, make_policy
from lang2segtrack_ros.tracking.segmenter import NO_OBJECT_LOGIT, Decoded, ImageFeatures, Memories, Sam2Segmenter

PROMPT_OBJECT_SCORE = 10.0
"""Object score of a mask prompt: SAM 2 takes the user's word that the object is there."""


class TrackerError(ValueError):
    """A request the tracker cannot follow; the message says why."""


@dataclass(frozen=True)
class _Proposal:
    """Masks of N objects on one frame.

    low [N, h, w], iou [N], object_score [N], motion_score [N], visible bool [N], pointers [N, C], and sound bool [N]: whether the network
    gave numbers. What is not sound shows as hidden and is not remembered.
    """

    low: Tensor
    iou: Tensor
    object_score: Tensor
    motion_score: Tensor
    visible: Tensor
    pointers: Tensor
    sound: Tensor

    @staticmethod
    def of(low: Tensor, iou: Tensor, object_score: Tensor, motion_score: Tensor, visible: Tensor, pointers: Tensor) -> _Proposal:
        """A proposal that is hidden where the network gave NaN or infinity."""
        sound = low.isfinite().flatten(1).all(1) & iou.isfinite() & object_score.isfinite() & pointers.isfinite().all(1)
        return _Proposal(
            torch.where(sound[:, None, None], low, NO_OBJECT_LOGIT),
            torch.where(sound, iou, 0.0),
            torch.where(sound, object_score, NO_OBJECT_LOGIT),
            torch.where(sound, motion_score, float("nan")),
            visible & sound,
            torch.where(sound[:, None], pointers, 0.0),
            sound,
        )

    def frames_hidden(self, before: Tensor) -> Tensor:
        """Frames since each object was last visible, int64 [N], from their number before this frame."""
        return torch.where((self.low > 0).flatten(1).any(1), 0, before + 1)

    def hide(self, where: Tensor) -> _Proposal:
        """The same without the masks of the objects `where` (bool [N])."""
        low = torch.where(where[:, None, None], NO_OBJECT_LOGIT, self.low)
        return replace(self, low=low, visible=self.visible & ~where)

    @staticmethod
    def join(parts: Sequence[_Proposal]) -> _Proposal:
        return _Proposal(*(torch.cat([getattr(part, item.name) for part in parts]) for item in fields(_Proposal)))


@dataclass(frozen=True)
class _Propagated:
    """What memory says of the objects on an open frame: maps [N, C, f, f] for the decoder, the masks taken, the policy's verdict."""

    maps: Tensor
    proposal: _Proposal
    choice: Choice


@dataclass(frozen=True)
class Proposed:
    """What a prompt gives on an open frame: the fitted prompt, the row of the object it corrects (None: a new one), its mask and state."""

    prompt: ObjectPrompt
    row: int | None
    proposal: _Proposal
    bank: MemoryBank  # of a new object, one row


class OpenFrame:
    """A frame that has been looked at but not yet remembered. Made by `StreamTracker.begin`."""

    def __init__(self, tracker: StreamTracker, features: ImageFeatures, height: int, width: int) -> None:
        self.features = features
        self.height = height
        self.width = width
        self.tracker = tracker
        self._prompted: dict[int, Proposed] = {}
        self._known = tracker._propagate(features)

    def tracks(self) -> list[Track]:
        """The objects as proposed, before prompts of this frame; costs one copy to the host."""
        tracker = self.tracker
        if self._known is None:
            return []
        proposal = self._known.proposal
        hidden = proposal.frames_hidden(tracker.bank.hidden)
        return tracker._tracks(tracker.ids, tracker._labels, proposal, self.height, self.width, hidden, tracker.bank.stable)

    def prompt(self, prompt: ObjectPrompt, track_id: int | None = None) -> int:
        """Adds the prompted object on this frame, or corrects an existing one; returns its id. See `propose` for the errors."""
        return self.accept(self.propose(prompt), track_id)

    @torch.inference_mode()
    def propose(self, prompt: ObjectPrompt) -> Proposed:
        """What a prompt would give on this frame.

        Raises:
            PromptError: the prompt does not fit the image.
            TrackerError: unknown id, or no room for another object.
        """
        tracker = self.tracker
        fitted = prompt.check_fits(self.height, self.width)
        row: int | None = None
        if fitted.track_id is None:
            tracker.check_room(len(self.added))
        elif fitted.track_id in tracker.ids:
            row = tracker.ids.index(fitted.track_id)
        else:
            raise TrackerError(tracker.unknown_id(fitted.track_id))
        fresh = tracker._fresh_bank()
        proposal = self._from_mask(fitted) if isinstance(fitted, MaskPrompt) else self._from_points(fitted, row, fresh)
        if not bool(proposal.sound):
            raise TrackerError("the network gave no numbers for this prompt on this image; try another image")
        return Proposed(fitted, row, proposal, fresh)

    @torch.inference_mode()
    def mask_of(self, proposed: Proposed) -> NDArray[np.bool_]:
        """The bool [H, W] mask of a proposal."""
        return image_masks(proposed.proposal.low, self.height, self.width)[0].cpu().numpy()

    def accept(self, proposed: Proposed, track_id: int | None = None) -> int:
        """Makes a proposal part of this frame.

        `track_id` is a new object's id, from `StreamTracker.reserve_id`; None takes the next one.
        """
        if proposed.prompt.track_id is not None:
            track_id = proposed.prompt.track_id
        elif track_id is None:
            track_id = self.tracker.reserve_id()
        self._prompted[track_id] = proposed
        return track_id

    @property
    def added(self) -> list[int]:
        """Ids of the objects that are new on this frame."""
        return [track_id for track_id, proposed in self._prompted.items() if proposed.row is None]

    def _from_mask(self, prompt: MaskPrompt) -> _Proposal:
        """SAM 2's way: the mask is the answer, the decoder is only asked for the pointer."""
        segmenter = self.tracker.segmenter
        size = (segmenter.image_size, segmenter.image_size)
        mask = torch.from_numpy(prompt.mask).to(segmenter.device)[None, None].to(segmenter.number)
        if mask.shape[-2:] != size:
            mask = (F.interpolate(mask, size=size, mode="bilinear", align_corners=False, antialias=True) >= 0.5).to(segmenter.number)
        low_size = (segmenter.mask_size, segmenter.mask_size)
        low = F.interpolate(mask * 20.0 - 10.0, size=low_size, mode="bilinear", align_corners=False, antialias=True)[:, 0]
        decoded = segmenter.decode(
            segmenter.bare(self.features, 1), self.features, mask_logits=segmenter.mask_prompt_logits(mask), multimask=False
        )
        yes = torch.ones(1, dtype=torch.bool, device=segmenter.device)
        one = torch.ones(1, dtype=segmenter.number, device=segmenter.device)
        return _Proposal.of(
            low,
            one,
            one * PROMPT_OBJECT_SCORE,
            one.double() * float("nan"),
            yes,
            segmenter.point(decoded.tokens[:, 0], decoded.object_score > 0),
        )

    def _from_points(self, prompt: BoxPrompt | PointPrompt, row: int | None, fresh: MemoryBank) -> _Proposal:
        tracker = self.tracker
        segmenter = tracker.segmenter
        scale_x, scale_y = segmenter.image_size / self.width, segmenter.image_size / self.height
        if isinstance(prompt, BoxPrompt):
            x1, y1, x2, y2 = prompt.box
            pixels = [(x1 * scale_x, y1 * scale_y), (x2 * scale_x, y2 * scale_y)]
            labels: Sequence[int] = (2, 3)
        else:  # pixel centres stay pixel centres
            pixels = [((x + 0.5) * scale_x - 0.5, (y + 0.5) * scale_y - 0.5) for x, y in prompt.points]
            labels = prompt.labels
        # A click on an object in view corrects what memory says of it; a box says it all anew.
        if row is not None and isinstance(prompt, PointPrompt) and self._known is not None:
            known = self._known.proposal
            maps = self._known.maps[row : row + 1]
            visible = known.visible[row : row + 1, None, None, None]
            logits = torch.where(visible, known.low[row : row + 1, None].clamp(-32.0, 32.0), 0.0)
        else:
            maps, logits = segmenter.unconditioned(self.features, 1), None
        decoded = segmenter.decode(
            maps,
            self.features,
            torch.tensor([pixels], dtype=segmenter.number, device=segmenter.device),
            torch.tensor([list(labels)], dtype=torch.int32, device=segmenter.device),
            logits,
            multimask=len(labels) == 1,
        )
        if row is not None or len(labels) != 1:
            return tracker._choose_by_iou(decoded)
        # A single click on a new object leaves three candidates, and SAMURAI's filter starts with the one taken.
        proposal, choice = tracker._choose_by_policy(fresh, decoded)
        tracker._store_choice(fresh, choice, proposal.sound)
        return proposal

    @torch.inference_mode()
    def commit(self) -> list[Track]:
        """Writes the memories of this frame and returns every object on it, by rising id."""
        return self.tracker._commit(self)


@dataclass(frozen=True)
class SpeedOptions:
    """What may be traded for speed; `bench/options.py` measures what each costs in accuracy.

    Attributes:
        memories: memories of tracked frames that are read, at most RECENT; the newest ones.
        pooled_memories: average 2 x 2 tokens of all memories but the newest (EfficientTAM, arXiv:2411.18933).
        coarse_boxes: take the motion model's boxes off the low-resolution logits.
    """

    memories: int = RECENT
    pooled_memories: bool = False
    coarse_boxes: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.memories <= RECENT:
            raise ValueError(f"memories is {self.memories}; it must lie between 1 and {RECENT}")


class StreamTracker:
    """SAM 2 tracking of many objects on an endless stream, with memory that depends on the number of objects alone.

    Args:
        segmenter: the network.
        policy: "sam2", "samurai" or a `policies.Policy`.
        max_objects: more are refused.
        min_part: parts of a mask smaller than this share of its largest part are specks and left out of results (see
            `mask_filter`); 0 gives masks as the network does.
        speed: what is traded for speed.
        arbitration: settle which of two objects has slipped onto the other (see `arbitration`). With it, objects that overlap do
            influence each other, and every object's memory is kept twice.

    One object never influences another: all state is per object, and a frame's batch only changes results by rounding.
    """

    def __init__(
        self,
        segmenter: Sam2Segmenter,
        policy: str | Policy = "samurai",
        max_objects: int = 32,
        min_part: float = 0.0,
        speed: SpeedOptions | None = None,
        arbitration: bool = False,
    ) -> None:
        self.segmenter = segmenter
        self.policy = make_policy(policy)
        self.max_objects = max_objects
        self.min_part = min_part
        self.speed = speed or SpeedOptions()
        self.arbitration = arbitration
        self._next_id = 1
        self._pending: list[tuple[int, ObjectPrompt]] = []
        self.reset()

    def reset(self) -> None:
        """Forgets all objects; ids go on from where they were, so that no id ever means two things."""
        self.frame_index = 0
        self.ids: list[int] = []
        self._labels: dict[int, str] = {}
        self._prompts_seen: dict[int, int] = {}
        self._pending.clear()
        self.bank = self._empty_bank(0)
        self._before = self._empty_bank(0) if self.arbitration else None  # as it was before objects overlapped

    def _empty_bank(self, count: int) -> MemoryBank:
        segmenter = self.segmenter
        tokens = segmenter.side * segmenter.side
        return MemoryBank.empty(
            count, tokens, segmenter.memory_dim, segmenter.hidden, segmenter.num_pointers, segmenter.device, segmenter.memory_dtype
        )

    def _fresh_bank(self) -> MemoryBank:
        bank = self._empty_bank(1)
        bank.born += self.frame_index
        return bank

    def reserve_id(self) -> int:
        """The next id, > 0, never given twice."""
        self._next_id += 1
        return self._next_id - 1

    def unknown_id(self, track_id: int) -> str:
        """A sentence about an id that is not tracked."""
        known = ", ".join(str(known) for known in sorted(self.ids)) or "none"
        return f"there is no track {track_id}; tracked now: {known}"

    def check_room(self, waiting: int = 0) -> None:
        """Raises TrackerError when no object fits beside the present ones and `waiting` more."""
        if len(self.ids) + waiting >= self.max_objects:
            raise TrackerError(f"{self.max_objects} objects are tracked already and no more are allowed; remove one first")

    def add(self, prompt: ObjectPrompt) -> int:
        """Takes a prompt for the next frame; returns the id that the object will have.

        Raises:
            TrackerError: it corrects an unknown object, or there is no room for another.
        """
        if prompt.track_id is not None and prompt.track_id not in self.ids:
            raise TrackerError(self.unknown_id(prompt.track_id))
        if prompt.track_id is None:
            self.check_room(sum(item.track_id is None for _, item in self._pending))
        track_id = self.reserve_id() if prompt.track_id is None else prompt.track_id
        self._pending.append((track_id, prompt))
        return track_id

    def remove(self, track_id: int) -> None:
        """Forgets an object. Raises TrackerError when it is not tracked."""
        before = len(self._pending)
        self._pending = [item for item in self._pending if item[0] != track_id]
        if track_id not in self.ids:
            if len(self._pending) == before:
                raise TrackerError(self.unknown_id(track_id))
            return
        rows = [row for row, known in enumerate(self.ids) if known != track_id]
        self.bank.keep(rows)
        if self._before is not None:
            self._before.keep(rows)
        self.ids.remove(track_id)
        del self._labels[track_id], self._prompts_seen[track_id]

    @torch.inference_mode()
    def encode(self, frame: Frame) -> ImageFeatures:
        """Runs the image encoder on a frame."""
        return self.segmenter.encode(self.segmenter.preprocess(frame.color))

    @torch.inference_mode()
    def begin(self, features: ImageFeatures, height: int, width: int) -> OpenFrame:
        """Proposes masks for all objects on an encoded image of the given size in pixels; changes nothing."""
        return OpenFrame(self, features, height, width)

    def step(self, frame: Frame | NDArray[np.uint8]) -> list[Track]:
        """One frame: follows all objects, applies the prompts given since the last frame, returns all objects by rising id.

        Raises:
            PromptError: a waiting prompt does not fit the image; it is dropped and the frame does not count.
        """
        if not isinstance(frame, Frame):
            frame = Frame(frame)
        opened = self.begin(self.encode(frame), frame.height, frame.width)
        pending, self._pending = self._pending, []
        for position, (track_id, prompt) in enumerate(pending):
            try:
                opened.prompt(prompt, track_id)
            except ValueError:
                self._pending = pending[:position] + pending[position + 1 :]
                raise
        return opened.commit()

    def fork(self) -> StreamTracker:
        """An empty tracker on the same network and at the same frame, to catch up objects that are later `adopt`ed."""
        other = StreamTracker(self.segmenter, self.policy, self.max_objects, self.min_part, self.speed, self.arbitration)
        other.frame_index = self.frame_index
        return other

    def adopt(self, other: StreamTracker) -> None:
        """Takes over the objects of a fork that has reached this tracker's frame; their ids must be this tracker's own."""
        if other.frame_index != self.frame_index:
            raise TrackerError(f"the fork is at frame {other.frame_index}, this tracker at {self.frame_index}")
        self.bank.append(other.bank)
        if self._before is not None:
            self._before.append(other.bank)
        self.ids.extend(other.ids)
        self._labels.update(other._labels)
        self._prompts_seen.update(other._prompts_seen)

    # The rest is what OpenFrame works with.

    def _propagate(self, features: ImageFeatures) -> _Propagated | None:
        """What memory says of all objects on an image; None when there are no objects."""
        if not self.ids:
            return None
        bank, segmenter = self.bank, self.segmenter
        used = min(max(self._prompts_seen.values()), MAX_PROMPTED)
        rows, valid = self.policy.recent_rows(bank, self.frame_index)
        newest_first = torch.where(valid, rows, rows.shape[1]).argsort(dim=1, stable=True)[:, : self.speed.memories]
        prompted = torch.arange(TRACKED, TRACKED + used, device=rows.device).expand(len(bank), -1)
        slots = torch.cat((newest_first, prompted), dim=1)  # the slots that are read, of each object
        oldest = torch.full_like(prompted, segmenter.num_memories - 1)
        rows = torch.cat((rows.gather(1, newest_first), oldest), dim=1)
        valid = torch.cat((valid.gather(1, newest_first), bank.frames.gather(1, prompted) != EMPTY), dim=1)
        batch = segmenter.batch_rows(len(bank))
        memory = bank.features[batch[:, None], slots[batch]].to(segmenter.number)

        count = bank.ring + used
        pointer_frames = bank.pointer_frames[batch, :count]
        ages = (self.frame_index - pointer_frames).abs()
        current = ages < segmenter.num_pointers  # a restored ring may hold older ones
        current[:, bank.ring :] = True
        parts = segmenter.pointer_tokens
        pointers = bank.pointers[batch, :count].reshape(len(batch), count * parts, segmenter.memory_dim)
        pointer_position = segmenter.pointer_position(ages).repeat_interleave(parts, dim=1)
        pointer_valid = ((pointer_frames != EMPTY) & current).repeat_interleave(parts, dim=1)

        read = Memories(memory, segmenter.temporal_rows[rows[batch]], valid[batch], pointers, pointer_position, pointer_valid)
        maps = segmenter.attend(features, read, self.speed.pooled_memories)
        decoded = segmenter.decode(maps, features).first(len(bank))
        proposal, choice = self._choose_by_policy(bank, decoded)
        return _Propagated(maps, proposal, choice)

    def _choose_by_policy(self, bank: MemoryBank, decoded: Decoded) -> tuple[_Proposal, Choice]:
        """The candidate that the policy takes, for each object of a bank."""
        size, coarse = self.segmenter.image_size, self.speed.coarse_boxes
        candidates = Candidates(self._masks(decoded), decoded.ious, decoded.object_score, size, coarse)
        choice = self.policy.choose(bank, self.frame_index, candidates)
        return self._take(decoded, candidates.masks, choice.index, choice.motion_score), choice

    def _choose_by_iou(self, decoded: Decoded) -> _Proposal:
        """The candidate with the highest predicted IoU, for each object."""
        unknown = torch.full_like(decoded.object_score, float("nan"), dtype=torch.float64)
        return self._take(decoded, self._masks(decoded), decoded.ious.argmax(-1), unknown)

    def _masks(self, decoded: Decoded) -> Tensor:
        visible = decoded.object_score > self.policy.visible_above
        return torch.where(visible[:, None, None, None], decoded.masks, NO_OBJECT_LOGIT)

    def _take(self, decoded: Decoded, masks: Tensor, index: Tensor, motion_score: Tensor) -> _Proposal:
        rows = torch.arange(len(index), device=index.device)
        visible = decoded.object_score > self.policy.visible_above
        pointers = self.segmenter.point(decoded.tokens[rows, index], visible)
        return _Proposal.of(masks[rows, index], decoded.ious[rows, index], decoded.object_score, motion_score, visible, pointers)

    @staticmethod
    def _store_choice(bank: MemoryBank, choice: Choice, where: Tensor) -> None:
        bank.filter_mean = torch.where(where[:, None], choice.state.mean, bank.filter_mean)
        bank.filter_covariance = torch.where(where[:, None, None], choice.state.covariance, bank.filter_covariance)
        bank.has_filter = torch.where(where, choice.has_filter, bank.has_filter)
        bank.stable = torch.where(where, choice.stable, bank.stable)

    def _commit(self, opened: OpenFrame) -> list[Track]:
        prompted = opened._prompted
        corrected = {item.row: item for item in prompted.values() if item.row is not None}
        added = [prompted[track_id] for track_id in opened.added]
        parts = [item.proposal for item in added]
        propagated = opened._known
        if propagated is not None:
            known = propagated.proposal
            for row, item in corrected.items():
                chosen = torch.arange(len(self.bank), device=known.iou.device) == row

                def swap(name: str, old: _Proposal = known, new: _Proposal = item.proposal, here: Tensor = chosen) -> Tensor:
                    before: Tensor = getattr(old, name)
                    return torch.where(here.view(-1, *([1] * (before.dim() - 1))), getattr(new, name), before)

                known = _Proposal(*(swap(part.name) for part in fields(_Proposal)))
            parts.insert(0, known)
        if not parts:
            self.frame_index += 1
            return []
        whole = _Proposal.join(parts)
        old = len(self.ids)
        from_user = torch.zeros_like(whole.visible)
        if prompted:
            from_user = torch.tensor([row in corrected for row in range(old)] + [True] * len(added), device=whole.iou.device)
        batch = self.segmenter.batch_rows(len(whole.iou))
        memories = self.segmenter.memorise(opened.features, whole.low[batch], whole.object_score[batch], from_user[batch])
        memories = memories[: len(whole.iou)]
        sound = whole.sound & memories.isfinite().flatten(1).all(1)
        ids = self.ids + opened.added
        labels = {**self._labels, **{key: item.prompt.label or self._labels.get(key, "") for key, item in prompted.items()}}
        fresh_stable = [item.bank.stable for item in added]
        stable = torch.cat(([propagated.choice.stable] if propagated is not None else []) + fresh_stable)
        verdict: Verdict | None = None
        if self.arbitration:
            banks = [self.bank, *(item.bank for item in added)]
            score = torch.where(whole.motion_score.isnan(), whole.iou.double(), (whole.iou.double() + whole.motion_score) / 2).float()
            history = (torch.cat([getattr(bank, name) for bank in banks]) for name in ("contested", "deficit", "trust"))
            verdict = arbitrate(whole.low, score, *history)
            whole = whole.hide(verdict.slipped & ~from_user)
        hidden = whole.frames_hidden(torch.cat([self.bank.hidden] + [item.bank.hidden for item in added]))
        tracks = self._tracks(ids, labels, whole, opened.height, opened.width, hidden, stable)

        # All is computed: from here on the state changes, and nothing can fail.
        if propagated is not None:
            passed, anchor, tracked = propagated.choice.passed, propagated.choice.anchor, ~from_user[:old] & sound[:old]
            self.bank.write_tracked(self.frame_index, memories[:old], passed, whole.pointers[:old], tracked)
            if anchor is not None:
                self.bank.write_anchor(self.frame_index, memories[:old], anchor & tracked)
            self._store_choice(self.bank, propagated.choice, sound[:old])
        for item in added:
            self.bank.append(item.bank)
            if self._before is not None:
                self._before.append(item.bank)
        self.ids = ids
        for track_id, item in prompted.items():
            row = ids.index(track_id)
            seen = self._prompts_seen.get(track_id, 0)
            slot = seen if seen < MAX_PROMPTED else 1 + (seen - 1) % (MAX_PROMPTED - 1)  # the first prompt is never forgotten
            self.bank.write_prompted(row, slot, self.frame_index, memories[row], whole.pointers[row])
            self._prompts_seen[track_id] = seen + 1
            if item.row is not None:
                self.bank.stable[row] = 0  # the user said where it is: the motion model starts anew
        self._labels = labels
        self.bank.hidden = hidden
        if verdict is not None:
            self._restore(verdict, from_user)
        self.bank.note_areas((whole.low > 0).flatten(1).sum(1).float())
        self.frame_index += 1
        return sorted(tracks, key=lambda track: track.id)

    def _restore(self, verdict: Verdict, from_user: Tensor) -> None:
        """Gives objects that slipped the memory of before, and notes the memory of those that nobody contests."""
        assert self._before is not None
        hidden = self.bank.hidden
        self.bank.take(self._before, verdict.slipped & ~from_user)
        self.bank.hidden, self.bank.contested = hidden, verdict.contested
        self.bank.deficit, self.bank.trust = verdict.deficit, verdict.trust
        self._before.take(self.bank, (verdict.contested == 0) & ~verdict.slipped)

    def _tracks(
        self, ids: Sequence[int], labels: dict[int, str], proposal: _Proposal, height: int, width: int, hidden: Tensor, stable: Tensor
    ) -> list[Track]:
        """Results in image coordinates, through one copy to the host."""
        full = image_masks(proposal.low, height, width)
        masks, low, numbers = _to_host(
            full,
            proposal.low,
            torch.stack(
                (proposal.iou.double(), proposal.object_score.double(), proposal.motion_score, stable.double(), hidden.double()), dim=1
            ),
        )
        tracks = []
        for row, track_id in enumerate(ids):
            iou, object_score, motion_score, steady, unseen = (float(value) for value in numbers[row])
            mask = drop_specks(masks[row], self.min_part) if self.min_part else masks[row]
            box = mask_box(mask)
            seen = box is not None
            tracks.append(
                Track(
                    id=track_id,
                    label=labels.get(track_id, ""),
                    state=TrackStatus.TRACKED if seen else TrackStatus.OCCLUDED,
                    score=min(max(iou, 0.0), 1.0) if seen else 0.0,
                    box=box,
                    mask=mask,
                    mask_logits_low=low[row],
                    predicted_iou=iou,
                    object_score=object_score,
                    motion_score=motion_score,
                    stable_frames=int(steady),
                    frames_since_seen=int(unseen),
                )
            )
        return tracks


def _to_host(masks: Tensor, low: Tensor, numbers: Tensor) -> tuple[NDArray[np.bool_], NDArray[np.float32], NDArray[np.float64]]:
    """Brings masks bool [N, H, W], logits float32 [N, h, w] and numbers float64 [N, K] to the host; one copy from a GPU."""
    if masks.device.type == "cpu":
        return masks.numpy(), low.float().numpy(), numbers.numpy()
    count, height, width = masks.shape
    bits = F.pad(masks.flatten(1), (0, -(height * width) % 8)).reshape(count, -1, 8)
    weights = torch.tensor([128, 64, 32, 16, 8, 4, 2, 1], dtype=torch.uint8, device=masks.device)
    packed = (bits * weights).sum(-1, dtype=torch.uint8)
    pieces = [numbers.contiguous().view(torch.uint8).flatten(), low.float().contiguous().view(torch.uint8).flatten(), packed.flatten()]
    buffer = torch.cat(pieces).cpu().numpy()
    ends = np.cumsum([piece.numel() for piece in pieces])
    unpacked = np.unpackbits(buffer[ends[1] :].reshape(count, -1), axis=1, count=height * width)
    return (
        unpacked.reshape(count, height, width).astype(bool),
        buffer[ends[0] : ends[1]].view(np.float32).reshape(low.shape).copy(),
        buffer[: ends[0]].view(np.float64).reshape(numbers.shape).copy(),
    )


def image_masks(low: Tensor, height: int, width: int) -> Tensor:
    """Mask logits [N, h, w] as masks bool [N, H, W] of the image: bilinear, corners not aligned, as SAM 2 does."""
    return F.interpolate(low[:, None], size=(height, width), mode="bilinear", align_corners=False)[:, 0] > 0


def mask_box(mask: NDArray[np.bool_]) -> tuple[float, float, float, float] | None:
    """The box (x_min, y_min, x_max, y_max), maxima exclusive, around a bool [H, W] mask; None when it is empty."""
    columns, lines = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if columns.size == 0:
        return None
    return float(columns[0]), float(lines[0]), float(columns[-1] + 1), float(lines[-1] + 1)
