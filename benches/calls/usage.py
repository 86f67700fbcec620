"""What a process and its children cost, from /proc."""
import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def tree(pid):
    """The process and all below it that still run."""
    found, children = [], {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    todo = [pid]
    while todo:
        found.append(todo.pop())
        todo += children.get(found[-1], [])
    return found


def cpu_seconds(pid):
    """User and system time so far."""
    total = 0
    for one in tree(pid):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def thread_seconds(pid, prefix):
    """User and system time so far of those threads of the process whose names begin so."""
    total = 0
    for stat in Path(f"/proc/{pid}/task").glob("[0-9]*/stat"):
        try:
            before, fields = stat.read_text().rsplit(")", 1)
        except OSError:
            continue
        if before.split("(", 1)[1].startswith(prefix):
            total += sum(map(int, fields.split()[11:13]))
    return total / TICKS


def pss_mb(pid):
    """Proportional set size now, in MB (2^20)."""
    total = 0
    for one in tree(pid):
        try:
            text = Path(f"/proc/{one}/smaps_rollup").read_text()
        except OSError:
            continue
        total += next((int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")), 0)
    return total / 1024
