"""From PyInstaller's folder to what a person installs: a relocatable archive and, on Debian, a package.

    python -m PyInstaller --noconfirm build_installer.spec
    python installer/package.py dist/MetaPT --out dist

The package puts the folder to ``/opt/metapt``, two commands into ``/usr/bin``, an entry into the menu and two MIME
types (a project's manifest, a prompt file) into the system. Needs nothing but Python and ``dpkg-deb``.
"""

from __future__ import annotations

import argparse
import gzip
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))

from engine import __version__  # noqa: E402

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# What Qt and torch take from the system; everything else is in the folder.
DEPENDS = (
    "libc6 (>= 2.28), libegl1, libgl1, libxkbcommon0, libxkbcommon-x11-0, libdbus-1-3, libfontconfig1, libxcb-cursor0, "
    "libxcb-icccm4, libxcb-keysyms1, libxcb-shape0, libglib2.0-0, shared-mime-info, desktop-file-utils"
)
CONTROL = """Package: metapt
Version: {version}
Section: science
Priority: optional
Architecture: {architecture}
Installed-Size: {size}
Maintainer: The MetaPT developers <metapt@localhost>
Depends: {depends}
Description: Meta-learned soft prompts for people with a pile of text
 MetaPT learns where a soft prompt for a frozen T5 should start from unlabelled
 or weakly labelled text, tunes it on a few hand-labelled examples, and hands the
 prompt over as a small file. It works without a network.
"""
COPYRIGHT = """This package holds works of many authors, under several licences.

MetaPT itself is Copyright The MetaPT developers, and under the Apache License, version 2.0. Its text is in
/opt/metapt/_internal/LICENSE and in /usr/share/common-licenses/Apache-2.0.

Everything else in /opt/metapt keeps its own licence: Python, Qt and PySide6 (LGPL-3), gensim (LGPL-2.1), PyTorch and
others, libraries of the system on which it was built, and the weights of Sentence-BERT (Apache-2.0).
/opt/metapt/_internal/THIRD_PARTY_NOTICES.md lists these works and says where their sources are. The licence files that
they bring are in /opt/metapt/_internal/licenses. Texts of GPL and LGPL are also in /usr/share/common-licenses.

What the weights of the bundled backbone may be used for is said in
/opt/metapt/_internal/resources/backbones/t5-metapt-small/README.md.
"""
REFRESH = """#!/bin/sh
set -e
update-mime-database /usr/share/mime || true
update-desktop-database -q /usr/share/applications || true
gtk-update-icon-cache -q -t -f /usr/share/icons/hicolor 2>/dev/null || true
"""


def size_of(folder: Path) -> int:
    """Return the bytes of all files below ``folder``, links not followed."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def make_archive(folder: Path, out: Path) -> Path:
    """Write ``MetaPT-VERSION-SYSTEM-MACHINE.tar.xz``: unpack it anywhere and start ``MetaPT/MetaPT``.

    On Windows, whose Explorer does not open that everywhere, and on macOS it is a ``.zip``; there of ``MetaPT.app``.
    """
    path = out / f"MetaPT-{__version__}-{platform.system().lower()}-{platform.machine()}.tar.xz"
    if sys.platform == "win32":
        return Path(shutil.make_archive(str(path.with_suffix("").with_suffix("")), "zip", folder.parent, folder.name))
    if sys.platform == "darwin":  # its own program keeps the links and the rights that a bundle needs
        zipped = path.with_suffix("").with_suffix(".zip")
        subprocess.run(["ditto", "-c", "-k", "--keepParent", folder.with_suffix(".app"), zipped], check=True)
        return zipped
    with tarfile.open(path, "w:xz", preset=1) as archive:
        archive.add(folder, "MetaPT", filter=_plain)
    return path


def check_licences(folder: Path) -> None:
    """Refuse a folder without the licences of what is in it.

    Raises
    ------
    SystemExit
        If they are not where the package says that they are.
    """
    for name in ("LICENSE", "THIRD_PARTY_NOTICES.md", "licenses/PySide6_Essentials", "licenses/gensim"):
        if not (folder / "_internal" / name).exists():
            raise SystemExit(f"{folder}: there is no _internal/{name}; make the folder anew with build_installer.spec.")


def make_debian_package(folder: Path, out: Path) -> Path:
    """Write ``metapt_VERSION_ARCHITECTURE.deb``."""
    architecture = ARCHITECTURES[platform.machine()]
    path = out / f"metapt_{__version__}_{architecture}.deb"
    with tempfile.TemporaryDirectory(prefix="metapt-deb-", dir=out) as scratch:
        root = Path(scratch) / "root"
        shutil.copytree(folder, root / "opt/metapt", symlinks=True)
        _copy(HERE / "metapt.desktop", root / "usr/share/applications/metapt.desktop")
        _copy(HERE / "metapt-mime.xml", root / "usr/share/mime/packages/metapt.xml")
        _copy(ROOT / "resources/icons/app.svg", root / "usr/share/icons/hicolor/scalable/apps/metapt.svg")
        documents = root / "usr/share/doc/metapt"
        documents.mkdir(parents=True)
        (documents / "copyright").write_text(COPYRIGHT, encoding="utf-8")
        (documents / "changelog.gz").write_bytes(gzip.compress((ROOT / "CHANGELOG.md").read_bytes(), mtime=0))
        (root / "usr/bin").mkdir(parents=True)
        (root / "usr/bin/metapt-gui").symlink_to("/opt/metapt/MetaPT")
        (root / "usr/bin/metapt").symlink_to("/opt/metapt/metapt-cli")
        control = root / "DEBIAN"
        control.mkdir()
        text = CONTROL.format(
            version=__version__, architecture=architecture, size=size_of(root) // 1024, depends=DEPENDS
        )
        (control / "control").write_text(text, encoding="utf-8")
        for name in ("postinst", "postrm"):
            (control / name).write_text(REFRESH, encoding="utf-8")
            (control / name).chmod(0o755)
        for item in [root, *root.rglob("*")]:
            if not item.is_symlink():
                item.chmod(0o755 if item.is_dir() or os.access(item, os.X_OK) else 0o644)
        subprocess.run(["dpkg-deb", "--root-owner-group", "-Zxz", "-z1", "--build", root, path], check=True)
    return path


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def main() -> None:
    """Make both, and say how large they are."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=Path, help="what PyInstaller made, dist/MetaPT")
    parser.add_argument("--out", type=Path, default=Path("dist"))
    arguments = parser.parse_args()
    check_licences(arguments.folder)
    arguments.out.mkdir(parents=True, exist_ok=True)
    print(f"{arguments.folder}: {size_of(arguments.folder) / 1e6:,.0f} MB")
    made = [make_archive(arguments.folder, arguments.out)]
    if shutil.which("dpkg-deb"):
        made.append(make_debian_package(arguments.folder, arguments.out))
    for path in made:
        print(f"{path}: {path.stat().st_size / 1e6:,.0f} MB")


if __name__ == "__main__":
    main()
