#!/usr/bin/env bash
# Counts the instructions of a message with kernel TLS, and beside it those of proxy/tlsio, on an
# emulated machine (as instructions.py does), and what a connection costs the kernel. Two minutes.
#
#   ktls.sh
#
# Needs: qemu-system-x86, busybox-static, cpio, gcc, go, and the package linux-image-cloud-amd64 of
# Debian, which is downloaded and not installed: its modules are loaded in the machine alone.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
package=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends:/{print $2; exit}')
apt-get download -qq "$package"
dpkg -x "$package"_*.deb kernel
mkdir -p root/{bin,proc,sys,dev,tmp,job,mod}
cp "$(command -v busybox)" root/bin/
gcc -O2 -static -o root/job/ktls "$here/ktls.c"
(cd "$here/../.." && CGO_ENABLED=0 go test -c -o "$dir/root/job/tlsio.test" ./proxy/tlsio)
find kernel/lib/modules -name '*.ko' | grep -E '/(aesni-intel|ghash-clmulni-intel|crypto_simd|cryptd|gcm|ghash-generic|ctr|seqiv|tls)\.ko$' | xargs cp -t root/mod
cat > root/init <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp
ip link set lo up
ulimit -n 1000000
export GOMAXPROCS=2 HOME=/tmp
for i in 1 2 3 4 5; do for m in /mod/*.ko; do insmod $m 2>/dev/null; done; done # they need each other
cd /job
for size in 100 1000 16000; do for mode in plain ktls; do ./ktls $mode 2000 $size; done; done
./ktls hold 2000
./tlsio.test -test.run none -test.bench 'Message/layer|Sizes' -test.benchtime 20000x | grep Benchmark
poweroff -f
INIT
chmod +x root/init
(cd root && find . | cpio -o -H newc 2>/dev/null | gzip -1) > initrd.gz
timeout 900 qemu-system-x86_64 -accel tcg,thread=single -icount shift=0,sleep=off -cpu max,-erms,-fsrm -smp 1 -m 2G -nodefaults -no-reboot \
  -display none -serial stdio -kernel kernel/boot/vmlinuz-* -initrd initrd.gz \
  -append "console=ttyS0 quiet panic=-1 tsc=noirqtime mitigations=off clearcpuid=rep_good,erms,fsrm" < /dev/null
