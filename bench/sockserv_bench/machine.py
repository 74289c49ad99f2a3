"""Says what a run was measured on and with."""

import os
import pathlib
import platform
import re
import subprocess


def first_line(*command):
    """Of what a command prints; None if there is no such command, or it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.partition("\n")[0].strip() if done.returncode == 0 else None


def field_of(path, name):
    """What a file of names and values has under a name; None if there is no such file or name."""
    try:
        text = pathlib.Path(path).read_text()
    except OSError:
        return None
    match = re.search(rf"^{re.escape(name)}\s*[:=]\s*\"?([^\"\n]*)", text, re.MULTILINE)
    return match[1].strip() if match else None


def compiler_of(programs):
    """The compiler and build type of programs, as the build tree says in which they lie."""
    cache = programs.resolve().parent / "CMakeCache.txt"
    compiler = field_of(cache, "CMAKE_CXX_COMPILER:FILEPATH") or field_of(cache, "CMAKE_CXX_COMPILER:STRING")
    return first_line(compiler, "--version") if compiler else None, field_of(cache, "CMAKE_BUILD_TYPE:STRING")


def commit_of(tree):
    commit = first_line("git", "-C", str(tree), "rev-parse", "HEAD")
    changed = commit and first_line("git", "-C", str(tree), "status", "--porcelain", "--untracked-files=no")
    return f"{commit} with changes" if changed else commit


def describe(programs, candidates):
    compiler, build_type = compiler_of(programs)
    memory = field_of("/proc/meminfo", "MemTotal")
    versions = {each.name: first_line(*each.version) for each in candidates if each.version}
    return {
        "processor": field_of("/proc/cpuinfo", "model name") or platform.machine(),
        "cores": os.cpu_count(),
        "virtual": "hypervisor" in (field_of("/proc/cpuinfo", "flags") or "").split(),
        "memory": memory and f"{int(memory.split()[0]) / (1 << 20):.0f} GiB",
        "kernel": f"Linux {platform.release()}",
        "system": field_of("/etc/os-release", "PRETTY_NAME"),
        "compiler": compiler,
        "build": build_type,
        "commit": commit_of(pathlib.Path(__file__).resolve().parent),
        "load average": round(os.getloadavg()[0], 1),
        "versions": {name: version for name, version in versions.items() if version},
    }


def in_a_line(machine):
    """For people."""
    virtual = ", a virtual machine" if machine["virtual"] else ""
    parts = [f"{machine['cores']} cores of {machine['processor']}{virtual}", machine["memory"], machine["kernel"]]
    parts += [machine["system"], machine["compiler"], machine["build"], machine["commit"] and machine["commit"][:12]]
    parts.append(f"load average {machine['load average']}")
    return "; ".join(part for part in parts if part)


def versions_in_a_line(machine):
    return "; ".join(f"{name}: {version}" for name, version in machine["versions"].items())
