#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows that the simulator's checkers are awake: each patch here breaks one rule of the path, and must be caught.

    run.py --scratch DIR [NAME ...]     all mutations, or those named; `none` runs the source as it is, which must pass

The source is copied to DIR (kept, so that the next mutation builds little), one patch is applied, the swarm is built
and run over a fixed number of seeds. A patch that no longer applies is an error: repair it with the source.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
COPIED = ("CMakeLists.txt", "cmake", "include", "src", "tests/CMakeLists.txt", "tests/sim")
CONFIGURE = ("-G", "Ninja", "-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1",
             "-DNETRX_CLI=OFF", "-DNETRX_PCAP=OFF", "-DNETRX_INSTALL=OFF", "-DNETRX_TESTS=ON",
             "-DCMAKE_CXX_COMPILER_LAUNCHER=ccache")
SEEDS = 20000


def fail(message):
    print(message)
    sys.exit(1)


def sync(scratch, patch):
    """Makes the copy equal to the source plus the patch; files that do not change keep their times."""
    wanted = {}
    for name in COPIED:
        top = ROOT / name
        for path in [top] if top.is_file() else [p for p in top.rglob("*") if p.is_file()]:
            wanted[path.relative_to(ROOT)] = path.read_bytes()
    if patch:
        touched = re.findall(r"^\+\+\+ b/(\S+)", patch.read_text(), re.MULTILINE)
        stage = scratch / "stage"
        shutil.rmtree(stage, ignore_errors=True)
        for name in touched:
            (stage / name).parent.mkdir(parents=True, exist_ok=True)
            (stage / name).write_bytes(wanted[Path(name)])
        done = subprocess.run(["patch", "-p1", "--fuzz=2", "--silent", "-i", str(patch)], cwd=stage,
                              capture_output=True, text=True)
        if done.returncode != 0:
            fail(f"{patch.name} no longer applies: change it together with the source\n{done.stdout}{done.stderr}")
        for name in touched:
            wanted[Path(name)] = (stage / name).read_bytes()
    source = scratch / "source"
    for path in [p for p in source.rglob("*") if p.is_file()] if source.exists() else []:
        if path.relative_to(source) not in wanted:
            path.unlink()
    for name, content in wanted.items():
        target = source / name
        if target.exists() and target.read_bytes() == content:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return source


def build(scratch, source):
    tree = scratch / "build"
    for command in (["cmake", "-S", str(source), "-B", str(tree), *CONFIGURE],
                    ["cmake", "--build", str(tree), "--target", "netrx_swarm"]):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            fail(f"{' '.join(command)} failed:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return tree / "tests" / "sim" / "netrx_swarm"


def swarm(program):
    """(checker or None, its words, the seed)"""
    done = subprocess.run([str(program), "--seeds", str(SEEDS), "--json"], capture_output=True, text=True)
    crash = re.search(r"seed (\d+): invariant", done.stderr)
    if crash:
        broken = re.search(r"netrx: invariant broken: .*", done.stderr)
        return "invariant", broken[0] if broken else "a crash", int(crash[1])
    try:
        result = json.loads(done.stdout)
    except ValueError:
        fail(f"no result from {program}:\n{done.stdout}{done.stderr}")
    if result["failed"] == 0:
        return None, "", 0
    return result["first_failure"].split(":")[0], result["first_failure"], result["first_failed_seed"]


def check(scratch, name):
    patch = None if name == "none" else HERE / f"{name}.patch"
    if patch and not patch.exists():
        fail(f"no mutation named {name}; there are: {' '.join(sorted(p.stem for p in HERE.glob('*.patch')))}")
    program = build(scratch, sync(scratch, patch))
    checker, words, seed = swarm(program)
    if patch is None:
        if checker:
            fail(f"the source as it is fails at seed {seed}: {words}")
        print(f"none: {SEEDS} seeds pass")
    elif checker is None:
        fail(f"{name}: {SEEDS} seeds did not notice")
    else:
        print(f"{name}: caught by {checker} at seed {seed}: {words}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--scratch", required=True, type=Path)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    arguments.scratch.mkdir(parents=True, exist_ok=True)
    for name in arguments.names or ["none", *sorted(path.stem for path in HERE.glob("*.patch"))]:
        check(arguments.scratch.resolve(), name)


if __name__ == "__main__":
    main()
