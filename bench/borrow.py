"""Let this environment see the packages of another one, behind its own: `python borrow.py VENV`."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path


def main() -> None:
    """Write a path file that names the other environment's packages."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    other = Path(sys.argv[1]).resolve() / "lib" / version / "site-packages"
    own = Path(sysconfig.get_paths()["purelib"])
    (own / "borrowed.pth").write_text(f"{other}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
