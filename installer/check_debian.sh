#!/usr/bin/env bash
# Installs the Debian package into a clean root, runs its self-test there without Python and without a network, removes
# the package and looks for anything that it left. Needs root and debootstrap.
#
#     sudo installer/check_debian.sh dist/metapt_0.1.0_amd64.deb [FOLDER OF THE ROOT]
set -euo pipefail
package=$(realpath "$1")
root=${2:-$(mktemp -d -t metapt-root-XXXXXX)}
say() { echo "+ $*" >&2; }

[ -e "$root/etc/debian_version" ] || debootstrap --variant=minbase stable "$root" >/dev/null
inside() { chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"; }
offline() { unshare --net --pid --fork --mount-proc="$root/proc" -- chroot "$root" /usr/bin/env -i PATH=/usr/bin:/bin HOME=/home/person LANG=C.UTF-8 QT_QPA_PLATFORM=offscreen "$@"; }

say "installing in $root"
cp "$package" "$root/tmp/metapt.deb"
mkdir -p "$root/home/person"
inside apt-get -qq update
inside apt-get -qq install -y --no-install-recommends /tmp/metapt.deb >/dev/null
if inside sh -c 'command -v python3'; then say "there is a Python in this root"; exit 1; fi

say "the command line"
inside metapt --version
say "MIME types"
inside grep -q application/x-metapt-project /usr/share/mime/types
inside grep -q application/x-metapt-prompt /usr/share/mime/types
say "self-test, no network"
began=$(date +%s)
offline metapt-gui --selftest
say "self-test took $(($(date +%s) - began)) s"

say "removing"
inside apt-get -qq purge -y metapt >/dev/null
left=$(inside find / -xdev -not -path '/proc/*' -not -path '/home/person/*' -not -path '/tmp/metapt.deb' -iname '*metapt*')
grep -q metapt "$root/usr/share/mime/types" && left="$left /usr/share/mime/types"
[ -z "$left" ] || { say "left behind: $left"; exit 1; }
say "nothing is left"
