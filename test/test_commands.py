# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Every command of README and docs is run here, or is covered by a named test, or says why it cannot run in a test.

A new command fails until it is classified in one of the three tables below. A rule without a command fails, too.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from lang2segtrack_ros.cli.main import main
from lang2segtrack_ros.ros.support.interfaces import ACTIONS, SERVICES
from lang2segtrack_ros.ros.support.map_interfaces import MAP_SERVICES
from lang2segtrack_ros.ros.support.parameters import TABLE
from lang2segtrack_ros.ros.support.transports import CHOICES

ROOT = Path(__file__).resolve().parent.parent
TEST = ROOT / "test"


@dataclass(frozen=True)
class Block:
    """A bash block of a page.

    Attributes:
        page: name of the page.
        line: number of its first line in the page.
        commands: its commands.
    """

    page: str
    line: int
    commands: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """Return the bash blocks of a page, also those in list items."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in re.finditer(r"^ *```(?:bash|sh)\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL):
        lines = (line.strip() for line in match[1].splitlines())
        commands = tuple(line for line in lines if line and not line.startswith("#"))
        found.append(Block(page.name, text.count("\n", 0, match.start(1)) + 1, commands))
    return found


BLOCKS = [block for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) for block in blocks(page)]

RUN = (
    r"lang2segtrack toy-bag easy toy_bag .*",
    r"lang2segtrack bag toy_bag .*",
    r'eval "\$\(python3 -c .*transports import advice.*',
    r"export (LANG2SEGTRACK_WEB_TOKEN|PYTHONPATH)=.*",
    r'echo "http://.*',
    r"openssl req .*",
    r'(suites|options)=".*"',
)
"""Commands that this file runs, block by block, each in a folder of its own."""

TESTED = {
    r"make demo": ("toyworld/test_demo.py", "demo.run"),
    r"lang2segtrack (doctor)( .*)?": ("cli/test_doctor.py", r"\1"),
    r"lang2segtrack (objects) .*": ("cli/test_objects.py", r'"\1"'),
    r"lang2segtrack (models)": ("cli/test_models.py", r'"\1"'),
    r"lang2segtrack weights (verify) .*": ("cli/test_main.py", r'"\1"'),
    r"lang2segtrack weights fetch .*": ("models/test_hub_access.py", "fetch"),
    r"lang2segtrack weights (convert) \S+\.pt .*": ("cli/test_main.py", r'"\1"'),
    r"lang2segtrack weights (convert) \S+\.pth .*": ("models/test_conversion_grounding_dino.py", r'"\1"'),
    r"lang2segtrack demo --real .*": ("cli/test_demo_real.py", "demo"),
    r"lang2segtrack (track|image) .*--vlm-model .*": ("cli/test_instruct.py", "--vlm-model"),
    r"lang2segtrack (track) .*": ("cli/test_track.py", r'"\1"'),
    r"lang2segtrack (review) .*": ("cli/test_review.py", r'"\1"'),
    r"lang2segtrack bench instructions .*--vlm-model .*": ("cli/test_instruct.py", "--vlm-model"),
    r"lang2segtrack (image) .*": ("cli/test_image.py", r'"\1"'),
    r"lang2segtrack (export|import) .*": ("cli/test_export.py", r'"\1"'),
    r"lang2segtrack (report) .*": ("cli/test_report.py", r'"\1"'),
    r"lang2segtrack (bag) recording/ .*": ("recordings/bags/test_job.py", r"\1"),
    r"lang2segtrack bag .* --jobs 2 --export coco": ("recordings/bags/test_many.py", "jobs"),
    r"lang2segtrack toy-bag (crossing|demo|crowd) .*": ("toyworld/test_bag_writer.py", "toy-bag"),
    r"lang2segtrack bench suites .*": ("evaluation/test_report.py", "suites"),
    r"lang2segtrack bench (davis|lasot) .*": ("evaluation/test_real_clips.py", r"\1"),
    r"ros2 run lang2segtrack (track_node) --ros-args --params-file extended.yaml": ("test_extend.py", r"\1"),
    r"lang2segtrack (lerobot) .*": ("recordings/lerobot/test_dataset.py", r"\1"),
    r"ros2 run lang2segtrack (toy_camera) .*": ("toyworld/test_camera_node.py", r"\1"),
    r"ros2 run lang2segtrack (component_container)": ("ros/nodes/test_component_container.py", r"\1"),
    r"ros2 component load .*": ("ros/nodes/test_component_container.py", "LoadNode"),
    r"ros2 component list": ("ros/nodes/test_component_container.py", "ListNodes"),
    r"ros2 component unload .*": ("ros/nodes/test_component_container.py", "UnloadNode"),
    r"ros2 launch lang2segtrack (track.launch.py)( .*)?": ("ros/support/test_launching.py", r"\1"),
    r"ros2 service call /refine_backward .*/(\w+) .*": ("ros/services/test_refinement.py", r"\1"),
    r"ros2 service call /add_instruction .*/(\w+)( .*)?": ("ros/nodes/test_prompt_responses.py", r"\1"),
    r"ros2 service call /set_target .*/(\w+) .*": ("ros/outputs/test_planner_outputs.py", r"\1"),
    r"ros2 service call /(?:find_object|list_objects|forget_object|rename_object) .*/(\w+)( .*)?": (
        "ros/nodes/test_object_map_node.py",
        r"\1",
    ),
    r"ros2 service call /(?!add_instruction|set_target|\w+_objects?\b)\w+ .*/(\w+)( .*)?": ("ros/nodes/test_track_node.py", r"\1"),
    r"ros2 action send_goal .* /track_object .*/(\w+) .*": ("ros/services/test_tracking_goals.py", r"\1"),
    r"ros2 action send_goal .*/(\w+) .*": ("ros/services/test_refinement.py", r"\1"),
    r"ros2 topic echo --once /(diagnostics)": ("ros/nodes/test_track_node.py", r"\1"),
    r"ros2 topic echo /(detections)": ("ros/nodes/test_track_node.py", r"\1"),
    r"ros2 param set /track_node .*": ("ros/services/fuzzing.py", "SetParameters"),
    r"python (tools/compare_distributions).py .*": ("test_distributions.py", "compare_distributions"),
    r"rviz2 -d .*/(track.rviz)": ("test_layouts.py", r"\1"),
}
"""Command -> the test file that runs the same, and a text in this file; \\1 is a group of the command."""

ROS_INSTALLATION = "a tool of a ROS installation, for which there are no wheels"
INSTALLS = "changes the machine: it installs packages"
NOT_RUN = {
    r"make test": "it is the run of this test",
    r"make (test ROS|check PYTHON)=.*": "it installs another distribution or Python, and runs this test there",
    r"make bench-accuracy|python -m bench\.\w+": "a measurement of minutes to hours",
    r"git clone .*": "the address is the reader's",
    r"(rosdep|sudo apt|pip) install .*|python3 -m venv .*|.*/install_python\.sh .*": INSTALLS,
    r"colcon build .*": "`make setup` does the same with other folders",
    r"(source|\.) \S+(activate|activate\.sh|setup\.bash)": "its file comes from a command before it",
    r"ros2 launch lang2segtrack (two_cameras|bag_replay|nav2_moveit)\.launch\.py .*": ROS_INSTALLATION,
    r"ros2 (topic list|topic hz|launch realsense2_camera|run tf2_ros) ?.*": ROS_INSTALLATION,
    r"ros2 topic echo --once /camera/.*": "it needs a camera",
    r"(vllm serve|ollama run|llama-server) .*": "a server with a model of several GB; the tests have a server of their own",
    r"nvidia-smi": "it needs an NVIDIA GPU",
    r"sudo ufw .*": "changes the machine: it opens a port",
    r"fastdds shm clean": "it would remove files of other processes of this machine",
}
"""Command -> the reason why no test runs it."""


def matching(command: str, rules: tuple[str, ...] | list[str]) -> str:
    """Return the first rule that a command matches, or an empty text."""
    return next((rule for rule in rules if re.fullmatch(rule, command)), "")


ALL_RULES = [*RUN, *TESTED, *NOT_RUN]
COMMANDS = sorted({command for block in BLOCKS for command in block.commands})


@pytest.mark.parametrize("command", COMMANDS)
def test_command_is_classified(command: str) -> None:
    """A command that nobody runs is wrong sooner or later."""
    rule = matching(command, ALL_RULES)
    assert rule, "run it (RUN), name the test that covers it (TESTED), or say why it cannot run (NOT_RUN)"
    if rule in TESTED:
        file, mention = TESTED[rule]
        match = re.fullmatch(rule, command)
        assert match
        assert match.expand(mention) in (TEST / file).read_text(encoding="utf-8"), file


def test_every_rule_has_a_command() -> None:
    """A rule that is left over hides that its command has changed."""
    assert {matching(command, ALL_RULES) for command in COMMANDS} == set(ALL_RULES)


@pytest.mark.parametrize("block", [item for item in BLOCKS if any(matching(line, RUN) for line in item.commands)], ids=str)
def test_commands_run(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands work in the order of the page, as they are copied from it."""
    monkeypatch.chdir(tmp_path)
    lines = [line for line in block.commands if matching(line, RUN)]
    for line in (line for line in lines if line.startswith("lang2segtrack ")):
        assert main(shlex.split(line)[1:]) == 0, line
    script = [line for line in lines if not line.startswith("lang2segtrack ")]
    if any(line.startswith("openssl") for line in script) and shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    environment = {name: value for name, value in os.environ.items() if name not in CHOICES}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    environment["PYTHONPATH"] = f"{ROOT}{os.pathsep}{environment.get('PYTHONPATH', '')}"
    command = ["bash", "-euo", "pipefail", "-c", "\n".join([*script, "env"])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 0, done.stderr
    if "transports import advice" in "".join(script):
        variables = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
        assert any(Path(variables.get(name, "")).is_file() for name in CHOICES)


def test_the_program_of_the_start_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """It is the first program that a reader runs."""
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "start.md").read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(program, "start.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    assert all(re.fullmatch(r"\d+ 1 green star TRACKED \(.*\) \d+", line) for line in lines), lines


@pytest.mark.parametrize("command", [line for line in COMMANDS if re.match(r"ros2 (service call|action send_goal)", line)])
def test_requests_fit_their_types(command: str) -> None:
    """`ros2 service call` refuses a field that the type does not have."""
    words = [word for word in shlex.split(command)[3:] if not word.startswith("--")]
    declared = {item.type_name: item for item in (*SERVICES, *MAP_SERVICES, *ACTIONS)}[words[1]]
    assert words[0] == f"/{declared.name}"
    kind = declared.kind.Goal if command.startswith("ros2 action") else declared.kind.Request
    kind(**(yaml.safe_load(words[2]) if len(words) > 2 else {}))


@pytest.mark.parametrize("command", [line for line in COMMANDS if line.startswith("ros2 param set")])
def test_parameters_may_change(command: str) -> None:
    """The node refuses a parameter that is fixed, or a value out of range."""
    name, value = shlex.split(command)[-2:]
    parameter = TABLE.by_name[name]
    assert parameter.dynamic
    assert (parameter.low or 0.0) <= float(value) <= (parameter.high or 0.0)


@pytest.mark.parametrize("module", sorted({match[1] for line in COMMANDS if (match := re.match(r"python -m ([\w.]+)", line))}))
def test_modules_exist(module: str) -> None:
    """A renamed measurement leaves its command behind."""
    assert (ROOT / (module.replace(".", "/") + ".py")).is_file()
