#!/usr/bin/env python3
"""First captions for a folder of pictures: `lora-wgpu label` under the name that articles know.

    python tools/auto_label.py --input_dir data/suzhou_flower --output_csv data/suzhou_flower/metadata.csv

Whatever else is given goes to `lora-wgpu label`, such as --model or --prefix.
"""

import argparse
import pathlib
import signal
import subprocess
import sys

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--input_dir", required=True)
parser.add_argument("--output_csv", required=True)
parser.add_argument("--model", default="models/blip-image-captioning-base")
given, others = parser.parse_known_args()

manifest = pathlib.Path(__file__).resolve().parent.parent / "Cargo.toml"
program = ["cargo", "run", "--quiet", "--release", "--manifest-path", str(manifest), "--"]
child = subprocess.Popen([*program, "label", given.input_dir, "-o", given.output_csv, "--model", given.model, *others])
signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the child too, which ends after its picture
sys.exit(child.wait())
