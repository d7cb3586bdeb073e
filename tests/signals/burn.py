"""A process with known needs: joins cgroups, holds memory, writes to disk each second, and computes as much as it may.

Arguments: a file to write to, mebibytes to hold, and the `cgroup.procs` of each cgroup to join.
"""
import mmap
import os
import sys
import time

path, mebibytes, *cgroups = sys.argv[1:]
for cgroup in cgroups:
    with open(cgroup, "w") as procs:
        procs.write(str(os.getpid()))
held = bytearray(b"x" * (int(mebibytes) << 20))
# Past the page cache, so that the write is charged to this process and at once.
file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_DIRECT)
# Such a write needs memory that begins at a page.
page = mmap.mmap(-1, 1 << 20)
due = time.monotonic()
while True:
    if time.monotonic() >= due:
        os.pwrite(file, page, 0)
        due += 1
