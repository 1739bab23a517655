# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Training data of the detector: phrases and the boxes of matching objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lang2segtrack_ros.models.catalogue import TOY_FOLDER
from lang2segtrack_ros.models.loading import load_detector
from lang2segtrack_ros.toyworld.families import SHAPE_KINDS, SHAPES_FAMILY, THINGS_FAMILY
from lang2segtrack_ros.toyworld.phrases import draw_phrases
from lang2segtrack_ros.toyworld.pictures import draw_picture
from lang2segtrack_ros.toyworld.things.names import THINGS
from training.detector_data import make_batch
from training.detector_network import load_weights, new_detector, write_tokenizer


@pytest.mark.parametrize("max_phrases", [5, 12])
def test_no_object_matches_two_phrases(max_phrases: int) -> None:
    """An object that matches two phrases would have no unique label."""
    rng = np.random.default_rng(max_phrases)
    largest_count = 0
    for _ in range(200):
        kinds = [SHAPE_KINDS[i] for i in rng.integers(len(SHAPE_KINDS), size=int(rng.integers(1, max_phrases + 1)))]
        phrases = draw_phrases(rng, kinds, SHAPES_FAMILY, max_phrases=max_phrases)
        assert len({phrase.text for phrase in phrases}) == len(phrases) <= max_phrases
        assert all(sum(phrase.fits(kind) for phrase in phrases) <= 1 for kind in kinds)
        largest_count = max(largest_count, len(phrases))
    assert largest_count >= max_phrases - 1, "the largest number of phrases must occur"


def test_held_out_pictures_stay_the_same() -> None:
    """The model card's metrics of this and earlier checkpoints use these pictures."""
    picture = draw_picture(0, (320, 240))
    assert [phrase.text for phrase in picture.phrases] == ["circle", "pink triangle", "cyan circle", "cyan cross", "red thing"]
    assert picture.kinds == (("green", "circle"), ("cyan", "cross"), ("pink", "star"))


def test_targets_are_the_boxes_of_matching_phrases() -> None:
    colors, pictures, targets = make_batch((0, 0), 6)
    height, width = colors.shape[1:3]
    for picture, target in zip(pictures, targets):
        assert len(target["boxes"]) == len(picture.matches) == len(target["class_labels"])
        for (index, phrase), box, label in zip(picture.matches, target["boxes"].numpy(), target["class_labels"].tolist()):
            x_min, y_min, x_max, y_max = picture.boxes[index]
            center = ((x_min + x_max) / 2 / width, (y_min + y_max) / 2 / height)
            assert np.allclose(box, (*center, (x_max - x_min) / width, (y_max - y_min) / height), atol=1e-5)
            assert label == phrase


@pytest.mark.parametrize("max_phrases", [5, 12])
def test_thing_has_one_phrase(max_phrases: int) -> None:
    """A thing is named once, by its name, a synonym or its color, and about half of the phrases name an absent thing."""
    rng = np.random.default_rng(max_phrases)
    names = list(THINGS)
    present = absent = synonyms = 0
    for _ in range(300):
        kinds = [("", names[i]) for i in rng.integers(len(names), size=int(rng.integers(1, 6)))]
        phrases = draw_phrases(rng, kinds, THINGS_FAMILY, max_phrases=max_phrases)
        assert 1 <= len(phrases) <= max_phrases
        assert all(sum(phrase.fits(kind) for phrase in phrases) <= 1 for kind in kinds)
        for phrase in phrases:
            found = any(phrase.fits(kind) for kind in kinds)
            present, absent = present + found, absent + (not found)
            synonyms += phrase.shape is not None and phrase.text != phrase.shape
    assert 0.4 < present / absent < 1.8, "twelve phrases are more than there are objects"
    assert synonyms > 100


def test_words_of_all_phrases_are_known(tmp_path: Path) -> None:
    """An unknown word would become [UNK], which all unknown words share."""
    tokenizer = write_tokenizer(tmp_path, THINGS_FAMILY)
    for seed in range(40):
        picture = draw_picture(seed, (160, 120), family=THINGS_FAMILY)
        text = ". ".join(phrase.text for phrase in picture.phrases if not phrase.unknown)
        assert tokenizer.unk_token not in tokenizer.tokenize(text)


def test_start_keeps_known_words(tmp_path: Path) -> None:
    """The training of the things starts from the network of the shapes. Words that both know keep their embedding."""
    tokenizer = write_tokenizer(tmp_path, THINGS_FAMILY)
    model, start = new_detector(), TOY_FOLDER / "detector"
    before = model.model.text_backbone.embeddings.word_embeddings.weight.detach().clone()
    load_weights(model, tokenizer, start)
    after = model.model.text_backbone.embeddings.word_embeddings.weight
    toy = load_detector("toy", "cpu", "float32").model.model.text_backbone.embeddings.word_embeddings.weight
    old = write_tokenizer(tmp_path / "shapes", SHAPES_FAMILY).get_vocab()
    vocabulary = tokenizer.get_vocab()
    assert torch.equal(after[vocabulary["red"]], toy[old["red"]])
    assert torch.equal(after[vocabulary["hammer"]], before[vocabulary["hammer"]])
