#!/usr/bin/env bash
# Unpacks Debian's or Ubuntu's arm64 packages, with all that they depend on, into a folder. apt
# works in a folder of its own: nothing is installed on this machine and no architecture is added.
#   sysroot.sh FOLDER PACKAGE...
# APT_ETC names another apt configuration, such as that of an arm64 image; without it the machine's
# own sources are asked for arm64.
set -euo pipefail

folder=$(realpath -m "$1")
shift
etc=${APT_ETC:-/etc/apt}
state=$folder.apt
stamp=$folder/.packages

packages=$(. /etc/os-release && echo "$ID ${VERSION_ID:-}: $*")
if [[ -f $stamp && $(<"$stamp") == "$packages" ]]; then
  exit 0
fi

rm -rf "$folder" "$state"
mkdir -p "$folder" "$state"/{lists,archives}/partial
: >"$state/status"
options=(
  -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o APT::Sandbox::User=root
  -o Dir::Etc="$etc" -o Dir::Cache="$state" -o Dir::Cache::archives="$state/archives"
  -o Dir::State="$state" -o Dir::State::lists="$state/lists" -o Dir::State::status="$state/status"
  -o Acquire::Languages=none -o Acquire::Retries=3
)

# Ubuntu keeps arm64 on other servers than amd64; python3-apt, which every Ubuntu has, knows them.
template=/usr/share/python-apt/templates/Ubuntu.info
if [[ $etc == /etc/apt && $(. /etc/os-release && echo "$ID") == ubuntu &&
  $(dpkg --print-architecture) != arm64 ]]; then
  ports=$(sed -n '/^BaseURI: .*ubuntu-ports/{s/^BaseURI: //p;q}' "$template")
  codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
  for pocket in "" -updates -security; do
    echo "deb $ports $codename$pocket main universe"
  done >"$state/sources.list"
  options+=(-o Dir::Etc::sourcelist="$state/sources.list" -o Dir::Etc::sourceparts=-)
fi

apt-get -qq "${options[@]}" update
apt-get -qq "${options[@]}" install -y --no-install-recommends --download-only "$@"
for package in "$state"/archives/*.deb; do
  dpkg -x "$package" "$folder"
done
for name in bin lib sbin; do
  if [[ -d $folder/$name && ! -L $folder/$name ]]; then
    mkdir -p "$folder/usr/$name"
    cp -a "$folder/$name/." "$folder/usr/$name/"
    rm -r "${folder:?}/$name"
  fi
  [[ ! -d $folder/usr/$name ]] || ln -sfn "usr/$name" "$folder/$name"
done
rm -r "$state"
echo "$packages" >"$stamp"
