"""Makes all that a comparison needs: models, exports, our examples and the Rust peers.

python prepare.py [base] [xsmall]
"""

import argparse
import os
import subprocess

from places import HERE, PEERS_RS, ROOT


def build():
    """Our examples, and rten and candle for this very processor (ours chooses its instructions when it runs)."""
    native = os.environ | {"RUSTFLAGS": "-C target-cpu=native"}
    manifest = HERE / "peers-rs" / "Cargo.toml"
    peers = ["cargo", "build", "--release", "--manifest-path", manifest, "--target-dir", PEERS_RS.parents[1]]
    subprocess.run(peers, env=native, check=True)
    examples = [word for name in ("bench", "convert", "forward", "generate") for word in ("--example", name)]
    subprocess.run(["cargo", "build", "--release", "-p", "deberta-core", *examples], cwd=ROOT, check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", default=["base", "xsmall"], metavar="SIZE")
    parser.add_argument("--no-build", action="store_true", help="the programs are there already")
    arguments = parser.parse_args()
    # Only here: it loads PyTorch, and a wrong argument should say so at once.
    import models

    for size in arguments.sizes:
        if size not in models.SIZES:
            parser.error(f"expected one of {', '.join(models.SIZES)}, found {size!r}")
    if not arguments.no_build:
        build()
    for size in arguments.sizes:
        models.make(size)


if __name__ == "__main__":
    main()
