# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""track_node's parameters, declared once: the node, the launch file's help and the documentation all read this table."""

from __future__ import annotations

from lang2segtrack_ros.ros.support.parameter_table import Parameter, ParameterTable
from lang2segtrack_ros.tracking.policies.registry import POLICY_NAMES

PARAMETERS: tuple[Parameter, ...] = (
    Parameter("segmenter", "sam2.1-tiny", "SAM 2 weights: toy, a short name (lang2segtrack weights list), a folder or a hub id."),
    Parameter("detector", "grounding-dino-tiny", "Grounding DINO weights, named the same way; empty loads none and refuses text prompts."),
    Parameter(
        "detector_passes",
        3,
        "More than 4 phrases are looked for in up to this many parts, each a pass over the image: finds more, takes longer.",
        1,
        64,
    ),
    Parameter("device", "auto", "Where the networks run: auto, cpu, cuda, cuda:1."),
    Parameter(
        "dtype", "auto", "Number format of the networks; auto is bfloat16 on a GPU that has it.", choices=("auto", "float32", "bfloat16")
    ),
    Parameter(
        "image_size", 0, "Side of the square image SAM 2 works on, a multiple of 32; 0 is the checkpoint's own, 512 is faster.", 0, 4096
    ),
    Parameter("policy", "samurai", f"Memory policy: {', '.join(POLICY_NAMES)}, or a plug-in such as my_package.my_module:MyPolicy."),
    Parameter("compiled", False, "Run SAM 2 through torch.compile: quicker on a GPU, but the first images take minutes."),
    Parameter("max_objects", 32, "More objects are refused.", 1, 256),
    Parameter("min_region_ratio", 0.05, "Parts of a mask smaller than this share of its largest part are left out; 0 keeps all.", 0.0, 1.0),
    Parameter("text", "", "Phrases to look for from the start, such as 'red mug. cardboard box.'"),
    Parameter(
        "detection_threshold",
        0.0,
        "Least score of a detection for prompts from now on; 0 takes the detector's own.",
        0.0,
        1.0,
        dynamic=True,
    ),
    Parameter(
        "detect_every",
        5,
        "Images from one look for continuous text prompts to the next; half of it while an object is to be confirmed.",
        1,
        10000,
        dynamic=True,
    ),
    Parameter("background_detector", True, "Run the detector on its own thread; false stops the tracker while it looks."),
    Parameter("lost_after_s", 2.0, "An object unseen for this many seconds is lost rather than occluded.", 0.0, 3600.0, dynamic=True),
    Parameter("remove_after_s", 0.0, "An object unseen for this many seconds is removed; 0 keeps it.", 0.0, 86400.0, dynamic=True),
    Parameter("min_hits", 2, "Detections after which an object found by text is announced; 1 announces it at once.", 1, 20),
    Parameter("reid_after_s", 1.0, "An object unseen for this long must be recognised by its looks; 0 trusts the tracker.", 0.0, 3600.0),
    Parameter("reid_threshold", 0.8, "Least likeness of colours at which an object that returns is the one it was.", 0.0, 1.0),
    Parameter("max_misses", 6, "Looks on which the detector does not find a visible object before it is doubted; 0 never.", 0, 10000),
    Parameter("merge_frames", 4, "Images on which two tracks of one label share their pixels before they are one; 0 never.", 0, 10000),
    Parameter("resolve_crossings", True, "After two objects have met, settle by colour and course which of them is which."),
    Parameter("scene_cut_threshold", 0.5, "Likeness of two images below which a scene cut is noticed; 0 notices none.", 0.0, 1.0),
    Parameter(
        "image_transport", "raw", "raw subscribes color/image_raw, compressed color/image_raw/compressed.", choices=("raw", "compressed")
    ),
    Parameter(
        "image_qos",
        "auto",
        "Reliability of the image subscriptions; auto follows the publisher.",
        choices=("auto", "reliable", "best_effort"),
    ),
    Parameter("use_depth", True, "Subscribe depth/image_raw, both camera_infos and /tf_static, and offer 3-D outputs."),
    Parameter(
        "depth_registration",
        "auto",
        "registered: depth is aligned to colour; reproject: it is not; auto: it is when both images name the same frame.",
        choices=("auto", "registered", "reproject"),
    ),
    Parameter(
        "depth_slop_s",
        0.02,
        "A depth image belongs to a colour image when their stamps differ by at most this much.",
        0.0,
        1.0,
        dynamic=True,
    ),
    Parameter(
        "depth_wait_s",
        0.05,
        "3-D outputs wait at most this long for a late depth image, masks with policy depth alone.",
        0.0,
        1.0,
        dynamic=True,
    ),
    Parameter("publish_tf", False, "Publish a TF frame at the centre of each object, turned like the camera's optical frame."),
    Parameter("tf_prefix", "object_", "Name of these frames, before the object's id; must differ between nodes on one robot."),
    Parameter("history_s", 30.0, "Seconds that refine_backward can go back; 0 remembers nothing and saves that time.", 0.0, 86400.0),
    Parameter("history_mb", 512, "Megabytes that the history may take; a minute of 640x480 at 15 images/s takes about 200.", 1, 1_000_000),
    Parameter("history_folder", "", "Keep the history's images there, on disk, instead of in memory."),
    Parameter("history_features", False, "Also keep encoded images on the device, 4 MB each at 512: going back need not encode again."),
    Parameter("refine_share", 0.3, "Share of the engine's time that refine_backward takes while images wait.", 0.0, 1.0, dynamic=True),
    Parameter("save_folder", "", "Where refine_backward saves; empty is ~/.ros/lang2segtrack, or below ROS_HOME.", dynamic=True),
    Parameter("no_image_warn_s", 2.0, "Warn when no image came for this many seconds.", 0.1, 3600.0, dynamic=True),
    Parameter("overlay_opacity", 0.5, "How strongly masks colour the overlay.", 0.0, 1.0, dynamic=True),
    Parameter("autostart", True, "Configure and activate at start; false waits for life-cycle transitions."),
)
RENAMED = {
    "min_part": "min_region_ratio",
    "confirm_looks": "min_hits",
    "doubt_after_s": "reid_after_s",
    "same_appearance": "reid_threshold",
    "drift_looks": "max_misses",
    "tell_apart": "resolve_crossings",
    "cut_correlation": "scene_cut_threshold",
}
"""Old names that parameter files may hold until version 0.3."""
REMOVED = {"arbitration": "it made tracking worse; resolve_crossings does its work"}
"""Parameters that are gone, and why."""
TABLE = ParameterTable(PARAMETERS, RENAMED, REMOVED)
