# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of track_node, declared once. The node, its checks and docs/interfaces.md read this table."""

from __future__ import annotations

from dataclasses import fields

from lang2segtrack_ros.instructions.vlm.options import VlmOptions
from lang2segtrack_ros.models.catalogue import ACCELERATIONS
from lang2segtrack_ros.ros.support.parameter_table import Parameter, ParameterTable
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.tracking.policies.registry import POLICY_NAMES

PARAMETERS: tuple[Parameter, ...] = (
    Parameter(
        "segmenter",
        "sam2.1-tiny",
        "Segmenter: toy, a short name, a folder, a hub id, family:checkpoint or a plug-in. lang2segtrack models lists the names.",
    ),
    Parameter(
        "detector",
        "grounding-dino-tiny",
        "Detector, named like the segmenter. Set to an empty text to load no detector and refuse text prompts.",
    ),
    Parameter(
        "accept_license",
        "",
        "Restricted licenses that you accept, such as sam3, with commas between several. The node refuses networks with other restricted "
        "licenses.",
    ),
    Parameter(
        "detector_passes",
        3,
        "Maximum number of detector passes per image. More than 4 phrases are split: more passes find more objects but take longer.",
        1,
        64,
    ),
    Parameter("device", "auto", "Device of the networks: auto, cpu, cuda or cuda:1. auto uses the GPU if there is one."),
    Parameter(
        "dtype",
        "auto",
        "Number format of the networks. auto uses bfloat16 on a GPU that supports it, otherwise float32.",
        choices=("auto", "float32", "bfloat16"),
    ),
    Parameter(
        "image_size",
        0,
        "Side of the segmenter's square input in pixels: a multiple of 32 for SAM 2, 256 for EdgeTAM, 336 for SAM 3. Smaller is faster. "
        "Set to 0 to use the checkpoint's own size.",
        0,
        4096,
    ),
    Parameter("policy", "samurai", f"Memory policy: {', '.join(POLICY_NAMES)}, or a plug-in such as my_package.my_module:MyPolicy."),
    Parameter(
        "acceleration",
        "auto",
        "Acceleration of SAM 2: off, graphs (CUDA graphs), compile (torch.compile, which takes minutes to start), max (both). "
        "auto uses graphs on a GPU. The detector uses graphs on a GPU unless this is off. "
        "The node prepares both in the transition configure.",
        choices=ACCELERATIONS,
    ),
    Parameter("text", "", "Text prompt that is active from the start, such as 'red mug. cardboard box.'"),
    Parameter("instruction", "", "Continuous instruction that is active from the start, such as 'the mug left of the laptop'."),
    Parameter(
        "everything",
        "",
        "Names that everything stands for in instructions, such as 'mug. tool. box.' An empty text uses those known for the detector.",
        dynamic=True,
    ),
    Parameter(
        "detection_threshold",
        0.0,
        "Minimum score of a detection, for prompts from now on. Set to 0 to use the detector's own threshold.",
        0.0,
        1.0,
        dynamic=True,
    ),
    *(Parameter.of_option(item) for item in (*fields(SessionOptions), *fields(VlmOptions))),
    Parameter("background_detector", True, "Run the detector on its own thread. Set to false to pause the tracker during each detection."),
    Parameter(
        "image_transport",
        "raw",
        "Transport of the color image: raw subscribes color/image_raw, compressed subscribes color/image_raw/compressed.",
        choices=("raw", "compressed"),
    ),
    Parameter(
        "image_qos",
        "auto",
        "Reliability of the image subscriptions. auto matches the publisher.",
        choices=("auto", "reliable", "best_effort"),
    ),
    Parameter(
        "image_bits",
        16,
        "Number of used bits in 16-bit color images such as mono16: 10, 12 or 14 for many cameras. The image is too dark if the number is "
        "too high.",
        8,
        16,
        dynamic=True,
    ),
    Parameter("use_depth", True, "Subscribe depth/image_raw, both camera_info topics and /tf_static, and publish 3-D outputs."),
    Parameter(
        "depth_transport",
        "raw",
        "Transport of the depth image: raw subscribes depth/image_raw, compressedDepth subscribes depth/image_raw/compressedDepth.",
        choices=("raw", "compressedDepth"),
    ),
    Parameter(
        "depth_registration",
        "auto",
        "registered: depth is already aligned to color. reproject: the node aligns depth. auto: reproject only if the frames differ.",
        choices=("auto", "registered", "reproject"),
    ),
    Parameter(
        "depth_slop_s",
        0.02,
        "Maximum difference in seconds between the stamps of a color image and its depth image.",
        0.0,
        1.0,
        dynamic=True,
    ),
    Parameter(
        "depth_wait_s",
        0.05,
        "Maximum time in seconds that 3-D outputs wait for a late depth image or transform. Masks wait only with policy depth.",
        0.0,
        1.0,
        dynamic=True,
    ),
    Parameter("publish_tf", False, "Publish a TF frame at the center of each object, oriented like the camera's optical frame."),
    Parameter("tf_prefix", "object_", "Prefix of these frames' names, before the track id. It must differ between nodes on one robot."),
    Parameter(
        "target_frame",
        "",
        "Frame of target_pose, collision_objects, object_clouds and the poses of track_object, such as base_link or map. Its z axis must "
        "point up for box_orientation: gravity. Set to an empty text for the camera's frame, which needs no /tf.",
    ),
    Parameter(
        "box_orientation",
        "camera",
        "Orientation of the 3-D boxes. Choose camera for the axes of the camera's optical frame. Choose gravity for boxes that stand "
        "upright in target_frame. Choose free for boxes along the flat parts of the surface.",
        choices=("camera", "gravity", "free"),
    ),
    Parameter(
        "object_clouds_resolution",
        "sampled",
        "Resolution of object_clouds. sampled: at most 12,000 points per object. full: every pixel of the depth image on the object.",
        choices=("sampled", "full"),
    ),
    Parameter(
        "semantic_classes",
        "",
        "Names of the classes 1, 2, 3, ... in semantic_mask, such as 'person. chair.' Other labels stay background. An empty text gives "
        "each new label the next class id.",
    ),
    Parameter(
        "history_s",
        30.0,
        "Length of the frame history for refine_backward in seconds. It begins with the first prompt. Set to 0 to keep no history.",
        0.0,
        86400.0,
    ),
    Parameter(
        "history_mb",
        512,
        "Maximum size of the frame history in MiB. One minute of 640x480 at 15 images/s needs about 200.",
        1,
        1_000_000,
    ),
    Parameter("history_folder", "", "Folder on disk for the images of the history. Set to an empty text to keep them in memory."),
    Parameter(
        "history_features",
        False,
        "Keep encoded images on the device, 4 MB each at image_size 512. refine_backward then skips encoding.",
    ),
    Parameter(
        "history_while_idle",
        False,
        "Keep the history also while nothing is tracked or asked for. refine_backward then reaches back before the first prompt, and the "
        "idle node encodes every image.",
    ),
    Parameter("refine_share", 0.3, "Fraction of the engine's time that refine_backward may use while images wait.", 0.0, 1.0, dynamic=True),
    Parameter(
        "save_folder",
        "",
        "Folder in which refine_backward saves. An empty text means lang2segtrack below ROS_HOME, by default ~/.ros/lang2segtrack.",
        dynamic=True,
    ),
    Parameter("no_image_warn_s", 2.0, "Time in seconds without an image after which the node warns.", 0.1, 3600.0, dynamic=True),
    Parameter("overlay_opacity", 0.5, "Opacity of the masks on the overlay. Set to 0 to draw only their outlines.", 0.0, 1.0, dynamic=True),
    Parameter(
        "configure_wait_s",
        2.0,
        "Maximum time in seconds that the transition configure waits for the networks. Longer loads continue afterwards.",
        0.0,
        3600.0,
    ),
    Parameter("autostart", True, "Configure and activate the node at start. Set to false to wait for lifecycle transitions."),
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
"""Old name of a parameter -> new name. Parameter files may use old names until version 0.3."""
REMOVED = {
    "arbitration": "it reduced the accuracy; use resolve_crossings instead",
    "compiled": "write acceleration: compile instead of compiled: true",
}
"""Name of a removed parameter -> reason."""
TABLE = ParameterTable(PARAMETERS, RENAMED, REMOVED)
