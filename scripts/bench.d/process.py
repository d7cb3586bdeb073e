"""What the kernel knows of a process."""

import os


def memory_mb(pid):
    """Resident now, at most, and without the pages of its program."""
    with open(f"/proc/{pid}/status") as lines:
        fields = dict(line.split(":", 1) for line in lines)
    return {name: int(fields[key].split()[0]) / 1024 for name, key in [("now", "VmRSS"), ("highest", "VmHWM"), ("own", "RssAnon")]}


def cpu_s(pid):
    """Of the process alone, and of the ended ones that it waited for."""
    with open(f"/proc/{pid}/stat") as line:
        fields = line.read().rpartition(")")[2].split()
    ticks = os.sysconf("SC_CLK_TCK")
    return (int(fields[11]) + int(fields[12])) / ticks, (int(fields[13]) + int(fields[14])) / ticks
