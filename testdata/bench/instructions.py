#!/usr/bin/env python3
"""Counts instructions per message without hardware counters: mcplb, HAProxy and nginx on an emulated machine.

    instructions.py --mcplb PATH --bench DIR [--only tcp,mcp,bulk,http,connect,paced500,pacedhttp500] [--seconds 2]

DIR holds the files of the comparison (pingpong.c, haproxy.cfg, nginx.conf, mcplb.toml, origin.conf, post.lua). QEMU runs one processor with
`-icount shift=0`: its clock advances by one nanosecond per instruction, whatever the host does, so the time that the kernel
charges to a process (/proc/PID/task/*/schedstat; soft interrupts included, by tsc=noirqtime) is its number of instructions,
user and kernel together. Repeated instructions (rep movs) would count once per repetition, so the kernel is made to copy
without them. Figures are reproducible within a percent. They are for a 6.1 kernel without CPU mitigations: compare programs with
each other, not with another machine. pacedN is N messages per second over 50 connections (mode mcp for mcplb), pacedhttpN requests: what it
costs to wait shows there, but not what it costs a real processor to go to sleep and wake up.

Needs: qemu-system-x86, busybox-static, cpio, gcc, a kernel image (--kernel, or the newest found in ~/.cache/vm-kernel/boot).
"""
import argparse, glob, os, re, shutil, subprocess, tempfile

INIT = r"""#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp
ip link set lo up
sysctl -qw net.core.somaxconn=65535 net.ipv4.ip_local_port_range="1024 65535" net.ipv4.tcp_max_syn_backlog=65535
ulimit -n 1000000
export GOMAXPROCS=2 # as on a real machine: two processors, one loop
export PATH=/job:/bin:/usr/sbin:/usr/bin HOME=/tmp
cd /job
family() { echo $1; awk -v p=$1 '$4 == p {print $1}' /proc/[0-9]*/stat; }
instructions() { for p in $(family $1); do cat /proc/$p/task/*/schedstat; done | awk '{n += $1} END {printf "%d", n}'; }
pingpong serve 7001 & sleep 0.2
[ -x /usr/bin/wrk ] && /usr/sbin/nginx -c /job/origin.conf & sleep 0.5
load() { # PORT SECONDS
  wrk -t1 -c64 -d${2%.*}s -s /job/post.lua http://127.0.0.1:$1/mcp | awk '/requests in/ {print "\"messages\": " $1 ","} /Non-2xx/ {print}'
}
paced_client() { # PROGRAM PORT RATE PID SECONDS
  $1 $2 50 $3 ${5%.*} $4 | awk '{print "\"messages\": " $1 ","}'
}
run() { # NAME WORK PORT COMMAND...
  name=$1 work=$2 port=$3; shift 3
  "$@" >/dev/null 2>&1 & top=$!
  sleep 1
  case $work in
    tcp|mcp) client="pingpong ping $port 100 200" ;;
    bulk) client="pingpong ping $port 8 262144" ;;
    connect) client="pingpong connect $port" ;;
    http) client="load $port" ;;
    pacedhttp*) client="paced_client /job/pacedhttp $port ${work#pacedhttp} $top" ;;
    paced*) client="paced_client /job/paced $port ${work#paced} $top" ;;
  esac
  $client 1 >/dev/null
  before=$(instructions $top)
  out=$($client @SECONDS@)
  after=$(instructions $top)
  messages=$(echo "$out" | sed 's/.*"messages": \([0-9]*\).*/\1/')
  echo "result $work $name $(( (after - before) / messages )) $messages"
  kill $top; wait $top 2>/dev/null
}
@RUNS@
sleep 1 # the console prints what it still has
poweroff -f
"""


def libraries(paths):
    if not paths:
        return []
    out = subprocess.run(["ldd", *paths], capture_output=True, text=True).stdout
    return sorted(set(re.findall(r"(/\S+\.so[^\s:]*)(?=\s|$)", out)))


def install(root, path, to=None):
    target = root + (to or path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.copy(os.path.realpath(path), target)
    os.chmod(target, 0o755)


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--mcplb", required=True)
    args.add_argument("--bench", required=True)
    args.add_argument("--only", default="tcp,mcp,bulk,http,connect")
    args.add_argument("--seconds", type=float, default=2)
    args.add_argument("--peers", default="haproxy,nginx")
    args.add_argument("--sut", action="append", default=[], metavar="NAME=PATH", help="another mcplb to compare")
    args.add_argument("--kernel")
    args = args.parse_args()
    kernel = args.kernel or sorted(glob.glob(os.path.expanduser("~/.cache/vm-kernel/boot/vmlinuz-*")))[-1]

    work_dir = tempfile.mkdtemp()
    root = work_dir + "/root"
    for d in ("bin", "proc", "sys", "dev", "tmp", "etc", "job", "run", "var/log/nginx", "var/lib/nginx"):
        os.makedirs(f"{root}/{d}")
    open(f"{root}/etc/passwd", "w").write("root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\nwww-data:x:33:33::/:/bin/sh\n")
    open(f"{root}/etc/group", "w").write("root:x:0:\nnogroup:x:65534:\nwww-data:x:33:\n")
    install(root, "/bin/busybox")
    subprocess.run(["gcc", "-O2", "-static", "-o", f"{root}/job/pingpong", f"{args.bench}/pingpong.c"], check=True)
    for source in (f"{args.bench}/paced.c", f"{os.path.dirname(os.path.abspath(__file__))}/pacedhttp.c"):
        subprocess.run(["gcc", "-O2", "-static", "-o", f"{root}/job/{os.path.basename(source)[:-2]}", source], check=True)
    install(root, args.mcplb, "/job/mcplb")
    for f in ("haproxy.cfg", "nginx.conf", "mcplb.toml", "origin.conf", "post.lua"):
        install(root, f"{args.bench}/{f}", f"/job/{f}")
    peers = [p for p in args.peers.split(",") if p and os.path.exists(f"/usr/sbin/{p}")]
    binaries = [f"/usr/sbin/{p}" for p in peers] + [m for m in glob.glob("/usr/lib/nginx/modules/*stream*") if "nginx" in peers]
    if "http" in args.only:
        binaries += [b for b in ("/usr/bin/wrk", "/usr/sbin/nginx") if b not in binaries]
    for path in binaries + libraries(binaries):
        install(root, path)

    commands = {"haproxy": "/usr/sbin/haproxy -db -f /job/haproxy.cfg", "nginx": "/usr/sbin/nginx -c /job/nginx.conf", "mcplb": "/job/mcplb -c /job/mcplb.toml"}
    others = dict(one.split("=", 1) for one in args.sut)
    for name, path in others.items():
        install(root, path, f"/job/{name}")
        commands[name] = f"/job/{name} -c /job/mcplb.toml"
    web = {"haproxy": 8002, "nginx": 8012}
    ports = {"haproxy": 8001, "nginx": 8011}

    def port(work, name):
        if work.startswith(("http", "pacedhttp")):
            return web.get(name, 8042)
        return ports.get(name, 8043 if work == "mcp" or work.startswith("paced") else 8041)

    runs = []
    for work in args.only.split(","):
        for name in peers + ["mcplb", *others]:
            if work == "mcp" and name in peers:
                continue
            runs.append(f"run {name} {work} {port(work, name)} {commands[name]}")
    open(f"{root}/init", "w").write(INIT.replace("@RUNS@", "\n".join(runs)).replace("@SECONDS@", str(args.seconds)))
    os.chmod(f"{root}/init", 0o755)
    subprocess.run(f"cd {root} && find . | cpio -o -H newc 2>/dev/null | gzip -1 > ../initrd.gz", shell=True, check=True)

    machine = subprocess.run(["timeout", "900", "qemu-system-x86_64", "-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off", "-cpu", "max,-erms,-fsrm",
                              "-smp", "1", "-m", "3G", "-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio", "-kernel", kernel,
                              "-initrd", f"{work_dir}/initrd.gz", "-append", "console=ttyS0 quiet panic=-1 tsc=noirqtime mitigations=off clearcpuid=rep_good,erms,fsrm"],
                             stdin=subprocess.DEVNULL, capture_output=True, text=True)
    shutil.rmtree(work_dir)
    results = re.findall(r"result (\S+) (\S+) (-?\d+) (\d+)", machine.stdout)
    if not results:
        raise SystemExit(f"the machine's output:\n{machine.stdout[-3000:]}\n{machine.stderr[-1000:]}")
    for work in args.only.split(","):
        mine = next((int(n) for w, name, n, _ in results if w == work and name == "mcplb"), None)
        print(f"\n{work}  (instructions per message)")
        for w, name, n, messages in results:
            if w == work:
                ratio = f"   peer/mcplb {int(n) / mine:.2f}x" if mine and name != "mcplb" else ""
                print(f"  {name:10s} {int(n):>9,d}   of {int(messages):,d} messages{ratio}")


if __name__ == "__main__":
    main()
