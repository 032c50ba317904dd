"""Writes ops/*.json: what TensorFlow computes for the ops that tfjet-ops implements.

    python tests/goldens/make_op_goldens.py [table ...]

Needs TensorFlow 2.21 on the CPU. A table is a module of the package ops; all are made where none
is named. The result depends on the seed in ops/cases.py and on TensorFlow only.

A tensor is {"dtype", "shape", "data"}, the data being little-endian bytes in hexadecimal. An
attribute is {"<field of AttrValue>": value}, lists under "ints", "floats", "strs" and "types".
"""

import importlib
import json
import sys
from pathlib import Path

sys.dont_write_bytecode = True

from ops import cases

HERE = Path(__file__).parent / "ops"


def main():
    tables = sys.argv[1:] or sorted(path.stem for path in HERE.glob("*.py"))
    for table in tables:
        if table in ("__init__", "cases"):
            continue
        cases.start()
        for family in importlib.import_module(f"ops.{table}").FAMILIES:
            family()
        path = HERE / f"{table}.json"
        lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases.cases)
        version, seed = cases.tf.__version__, cases.SEED
        path.write_text(f'{{"tensorflow":"{version}","seed":{seed},"cases":[\n{lines}\n]}}\n')
        ops = {case["op"] for case in cases.cases}
        print(f"{len(cases.cases)} cases of {len(ops)} ops, {path.stat().st_size} bytes: {path}")


if __name__ == "__main__":
    main()
