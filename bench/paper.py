"""paper.py -- what larger models on other disks would take: arithmetic on two measured sizes.

    t = a + max(b * S * 2 / cores, (inputs + 1) * S / disk)

S: GB of one checkpoint in bf16; a, b: the line through the two sizes on two cores; every input is read
from the disk once and the output written once, while other tensors are computed.
SPDX-License-Identifier: Apache-2.0"""
import table

SIZES = [("7B", 15.2), ("70B", 141.1), ("671B", 1342.0)]  # Qwen2.5-7B, Llama-3-70B, DeepSeek-V3
# name, GB/s of reading and writing, cores
PLACES = [("one disk", 0.2, 2), ("NVMe", 3.0, 16), ("NVMe, fast", 7.0, 16), ("parallel", 20.0, 64)]


def line(t1, x1, t2, x2):
    """(a, b) of t = a + b * x through two points."""
    b = (t2 - t1) / (x2 - x1) if x2 != x1 else 0.0
    return t1 - b * x1, b


def spoken(seconds):
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def seconds(row, gb, speed, cores):
    """(seconds, what they are spent on) for a row with a, b and inputs."""
    compute, disk = row["b"] * gb * 2 / cores, (row["inputs"] + 1) * gb / speed
    return max(0.0, row["a"]) + max(compute, disk), "disk" if disk > compute else "cores"


def cell(key):
    return lambda row: f"{spoken(row[key][0])}, {row[key][1]}"


def print_table(paper, rows):
    """A line for each measured method and size; rows: those of `scale`'s table of sizes."""
    t = paper.table("paper", "Larger models, on paper (what the time goes to: the disk or the cores):", [
        ("model", 5, table.text("model")), ("method", 15, table.text("method")), ("inputs", 6, table.text("inputs")),
        ("moves GB", 8, table.number("moves_gb", 0)),
        *((f"{name} {speed:g} GB/s, {cores} cores", 30, cell(name)) for name, speed, cores in PLACES)])
    for model, gb in SIZES:
        for row in rows:
            t.add({"model": model, "method": row["method"], "inputs": row["inputs"], "moves_gb": (row["inputs"] + 1) * gb,
                   **{name: seconds(row, gb, speed, cores) for name, speed, cores in PLACES}})
