#!/usr/bin/env bash
# Puts tfjet-run and its service in place. Run it again to update: what did not change stays, and a
# configuration that is there is never replaced.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: install.sh [OPTION...]

  --binary FILE     tfjet-run for this board; without it the one in place stays
  --name NAME       the instance: tfjet@NAME.service with /etc/tfjet/NAME.toml
  --config FILE     NAME's configuration; where one is there already, FILE is put beside it as
                    NAME.toml.new
  --bundle FILE     a bundle, to /var/lib/tfjet/bundles/; repeatable
  --jetpack N       4, 5, 6, 7 or none: the devices that the service may use; without it what the
                    machine says
  --start           enable NAME and start it, or start it again
  --root DIR        write below DIR, for an image or a test: no accounts, nothing started
  --uninstall       stop all instances, remove binary and units; configurations, bundles and the
                    engine cache stay
  --dry-run         say what would be done
  -h, --help        this text

Exit codes: 0 good, 2 usage, 3 something could not be put in place.
TEXT
}
usage_error() {
  echo "install.sh: $*; --help lists the options" >&2
  exit 2
}
fail() {
  echo "install.sh: $*" >&2
  exit 3
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root='' binary='' name='' config='' jetpack='' start='' uninstall='' dry=''
bundles=()
while (($#)); do
  case $1 in
    --binary | --name | --config | --bundle | --jetpack | --root)
      (($# >= 2)) || usage_error "$1 needs a value"
      case $1 in
        --bundle) bundles+=("$2") ;;
        --root) root=${2%/} ;;
        *) printf -v "${1#--}" %s "$2" ;;
      esac
      shift 2
      ;;
    --start | --uninstall) printf -v "${1#--}" yes; shift ;;
    --dry-run) dry=yes; shift ;;
    -h | --help) usage; exit 0 ;;
    *) usage_error "unknown option \`$1\`" ;;
  esac
done

[[ -z $name || $name =~ ^[A-Za-z0-9_.-]{1,64}$ ]] ||
  usage_error "--name: \`$name\` is not 1 to 64 of the characters A-Z a-z 0-9 _ . -"
[[ -z $config || -n $name ]] || usage_error "--config needs --name"
[[ -z $start || -n $name ]] || usage_error "--start needs --name"
[[ -z $start || -z $root ]] || usage_error "--start cannot be used with --root"
[[ -z $uninstall || -z $binary$name$config$start${bundles[*]-} ]] ||
  usage_error "--uninstall takes no other option than --root and --dry-run"
for file in "$binary" "$config" "${bundles[@]+"${bundles[@]}"}"; do
  [[ -z $file || -f $file ]] || usage_error "there is no file $file"
done

prefix=$root/usr/local
etc=$root/etc/tfjet
units=$root/etc/systemd/system
state=$root/var/lib/tfjet

say() { echo "$*"; }
# Live: this machine, with its service manager running.
live() { [[ -z $root && -d /run/systemd/system ]]; }
act() { if [[ -n $dry ]]; then say "would run: $*"; else "$@" || fail "failed: $*"; fi; }

if [[ -z $root && -z $dry ]] && ((EUID)); then fail "root is needed: run it with sudo, or give --root or --dry-run"; fi

put() { # MODE SOURCE DESTINATION: written beside it and renamed, where it differs
  local mode=$1 source=$2 destination=$3 temporary
  if [[ -f $destination ]] && cmp -s "$source" "$destination" &&
    [[ $(stat -c %a "$destination") == "$mode" ]]; then
    say "kept     $destination"
    return
  fi
  if [[ -n $dry ]]; then
    say "would write $destination"
    return
  fi
  mkdir -p "$(dirname "$destination")" || fail "cannot make the folder of $destination"
  temporary=$(mktemp "$destination.XXXXXX") || fail "cannot write beside $destination"
  # shellcheck disable=SC2064
  trap "rm -f '$temporary'" EXIT
  cp "$source" "$temporary" && chmod "$mode" "$temporary" && sync "$temporary" &&
    mv -f "$temporary" "$destination" || fail "cannot write $destination"
  trap - EXIT
  say "wrote    $destination"
}
remove() {
  [[ -e $1 ]] || return 0
  if [[ -n $dry ]]; then say "would remove $1"; else rm -rf "$1" && say "removed  $1"; fi
}

if [[ -n $uninstall ]]; then
  if live; then
    act systemctl stop 'tfjet@*.service'
    for link in "$units"/multi-user.target.wants/tfjet@*.service; do
      [[ -L $link ]] && act systemctl disable "$(basename "$link")"
    done
  fi
  remove "$units/tfjet@.service"
  remove "$units/tfjet@.service.d"
  remove "$prefix/bin/tfjet-run"
  remove "$prefix/share/doc/tfjet"
  remove "$root/usr/lib/sysusers.d/tfjet.conf"
  live && act systemctl daemon-reload
  say "kept     $etc, $state and /var/cache/tfjet: remove them by hand"
  exit 0
fi

# The release of Jetson's Linux says which JetPack it is.
found_jetpack() {
  local release
  release=$(sed -n 's/^# R\([0-9]*\) .*/\1/p' "$root/etc/nv_tegra_release" 2>/dev/null | head -1)
  case $release in
    32) echo 4 ;;
    34 | 35) echo 5 ;;
    36) echo 6 ;;
    38 | 39) echo 7 ;;
    '') echo none ;;
    *) fail "$root/etc/nv_tegra_release names release R$release, which is not known: give --jetpack" ;;
  esac
}
if [[ -z $jetpack ]]; then
  jetpack=$(found_jetpack)
  say "JetPack  $jetpack (found)"
fi
case $jetpack in
  4 | 5 | 6) drop_in=$here/jetpack-$jetpack/10-jetpack.conf ;;
  7) drop_in=$here/jetpack-6/10-jetpack.conf ;;
  none) drop_in='' ;;
  *) usage_error "--jetpack: \`$jetpack\` is not 4, 5, 6, 7 or none" ;;
esac

if [[ -n $binary ]]; then
  put 755 "$binary" "$prefix/bin/tfjet-run"
elif [[ ! -x $prefix/bin/tfjet-run ]]; then
  fail "there is no $prefix/bin/tfjet-run: give --binary"
fi
put 644 "$here/sysusers.conf" "$root/usr/lib/sysusers.d/tfjet.conf"
[[ ! -f $here/../docs/systemd.md ]] ||
  put 644 "$here/../docs/systemd.md" "$prefix/share/doc/tfjet/systemd.md"
put 644 "$here/tfjet@.service" "$units/tfjet@.service"
if [[ -n $drop_in ]]; then
  put 644 "$drop_in" "$units/tfjet@.service.d/10-jetpack.conf"
else
  remove "$units/tfjet@.service.d/10-jetpack.conf"
fi

if [[ -z $root ]] && ! id tfjet >/dev/null 2>&1; then
  if command -v systemd-sysusers >/dev/null; then
    act systemd-sysusers "$root/usr/lib/sysusers.d/tfjet.conf"
  else
    act useradd --system --home-dir /var/lib/tfjet --shell /usr/sbin/nologin --groups video tfjet
  fi
fi

for bundle in "${bundles[@]+"${bundles[@]}"}"; do
  put 644 "$bundle" "$state/bundles/$(basename "$bundle")"
done
if [[ -n $config ]]; then
  if [[ ! -f $etc/$name.toml ]] || cmp -s "$config" "$etc/$name.toml"; then
    put 640 "$config" "$etc/$name.toml"
  else
    put 640 "$config" "$etc/$name.toml.new"
    say "note     $etc/$name.toml is there and was kept; compare it with $name.toml.new"
  fi
fi
# A configuration may hold a camera's password: the service's group reads it, and no one else.
if [[ -z $root && -z $dry && -n $config ]] && id tfjet >/dev/null 2>&1; then
  chgrp tfjet "$etc/$name.toml"* || fail "cannot give $etc/$name.toml to the group tfjet"
fi

live && act systemctl daemon-reload
if [[ -n $start ]]; then
  [[ -f $etc/$name.toml || -n $dry ]] || fail "there is no $etc/$name.toml: give --config"
  act "$prefix/bin/tfjet-run" check "$etc/$name.toml"
  live || fail "systemd does not run here, so tfjet@$name.service cannot be started"
  act systemctl enable "tfjet@$name.service"
  act systemctl restart "tfjet@$name.service"
  say "started  tfjet@$name.service; its log: journalctl -u tfjet@$name"
fi
