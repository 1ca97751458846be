#!/bin/sh
# Makes a Debian package of a built ferry ('make deb' calls this): package.sh BINARY FOLDER
set -eu
umask 022
binary=$(realpath "$1")
folder=$(realpath "$2")
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/tree
documents=$tree/usr/share/doc/ferry

make --no-print-directory -s -o build install BINARY="$binary" DESTDIR="$tree" PREFIX=/usr
strip --strip-debug "$tree/usr/bin/ferry"
gzip -9n "$tree"/usr/share/man/man1/*
mv "$tree/usr/share/zsh/site-functions" "$tree/usr/share/zsh/vendor-completions"  # where Debian's zsh looks
install -D -m 0644 configs/debian/ferry.yaml "$tree/etc/ferry/ferry.yaml"
install -D -m 0644 LICENSE "$documents/copyright"
install -m 0644 README.md "$documents/"
install -m 0644 configs/README.md "$documents/configuration.md"
install -m 0644 docs/src/keys.md "$documents/"
gzip -9nc CHANGELOG.md >"$documents/changelog.gz"

# dpkg-shlibdeps finds the libraries that are linked. Drivers are loaded at run time: each device may need another.
mkdir "$work/debian"
echo 'Source: ferry' >"$work/debian/control"
libraries=$(cd "$work" && dpkg-shlibdeps -O -xferry "$tree/usr/bin/ferry" 2>/dev/null | sed -n 's/^shlibs:Depends=//p')

install -D -m 0755 -t "$tree/DEBIAN" configs/debian/postinst configs/debian/prerm configs/debian/postrm
echo /etc/ferry/ferry.yaml >"$tree/DEBIAN/conffiles"
version=$("$binary" --version | cut -d' ' -f2)
architecture=$(dpkg --print-architecture)
cat >"$tree/DEBIAN/control" <<END
Package: ferry
Version: $version
Architecture: $architecture
Maintainer: ${DEBFULLNAME:-Ferry} <${DEBEMAIL:-root@localhost}>
Section: net
Priority: optional
Installed-Size: $(du -ks "$tree" | cut -f1)
Depends: $libraries, librte-meta-bus, librte-meta-mempool, librte-meta-net, passwd
Description: DPDK poll-mode VTEP
 Carries the Ethernet of many tenants over one physical network, in VXLAN, NVGRE or GRE, between VMs
 (vhost-user), containers, taps and VLANs. The service starts with a configuration that runs on any machine.
END
dpkg-deb --root-owner-group -Zgzip --build "$tree" "$folder/ferry_${version}_$architecture.deb"
