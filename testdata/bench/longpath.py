#!/usr/bin/env python3
"""Does a bounded send buffer slow a download over a long, fast path?

    longpath.py [--mcplb bin/mcplb] [--rtt 50,100] [--buffers 0,512k] [--rounds 6]

Needs root, gcc and /dev/net/tun. A client in one network namespace downloads for 4 s through mcplb in another one (one connection, 2 s
for the congestion window to grow are left out), over delay.c. Prints Mbit/s: each run and the median per round trip and send_buffer.
"""
import argparse, os, socket, statistics, subprocess, sys, tempfile, threading, time

HERE = os.path.dirname(os.path.abspath(__file__))
CONFIG = """[admin]
listen = ""
health_listen = ""
[frontend.tcp]
listen = "10.77.0.1:8000"
mode = "tcp"
backend = "nodes"
send_buffer = "%s"
[[backend.nodes.server]]
name = "a"
tcp = "127.0.0.9:9001"
"""


def serve():
    listener = socket.create_server(("127.0.0.9", 9001))
    block = b"x" * 262144

    def send(client):
        try:
            while True:
                client.sendall(block)
        except OSError:
            pass

    while True:
        threading.Thread(target=send, args=(listener.accept()[0],), daemon=True).start()


def download(warm=2.0, seconds=4.0):
    deadline = time.time() + 10
    while True:
        try:
            client = socket.create_connection(("10.77.0.1", 8000), 5)
            if client.recv(1):  # a server is up
                break
        except OSError:
            if time.time() > deadline:
                raise
    buffer, total, begin = bytearray(1 << 20), 0, None
    start = time.time()
    while begin is None or time.time() - begin < seconds:
        total += client.recv_into(buffer)
        if begin is None and time.time() - start > warm:
            begin, total = time.time(), 0
    print(total * 8 / (time.time() - begin) / 1e6)


def sh(command):
    subprocess.run(command, shell=True, check=True)


def inside(namespace, *argv, **options):
    return subprocess.Popen(["ip", "netns", "exec", namespace, *argv], **options)


def stop(process):
    process.terminate()
    process.wait()


def measure(mcplb, buffer, directory):
    config = os.path.join(directory, "lb.toml")
    with open(config, "w") as f:
        f.write(CONFIG % buffer)
    balancer = inside("lfA", mcplb, "-c", config, stderr=subprocess.DEVNULL)
    try:
        client = inside("lfB", sys.executable, __file__, "download", stdout=subprocess.PIPE, text=True)
        return float(client.communicate()[0])
    finally:
        stop(balancer)


def path(args, rtt, directory):
    """Yields the runs of one round trip: pairs of send_buffer and Mbit/s."""
    for n in ("lfA", "lfB"):
        sh(f"ip netns add {n} && ip -n {n} link set lo up")
    delay = subprocess.Popen([os.path.join(directory, "delay"), str(rtt / 2)], stdout=subprocess.PIPE, text=True)
    delay.stdout.readline()
    for n, i, address in (("lfA", "lfa", "10.77.0.1"), ("lfB", "lfb", "10.77.0.2")):
        sh(f"ip link set {i} netns {n} && ip -n {n} addr add {address}/24 dev {i} && ip -n {n} link set {i} mtu 9000 txqueuelen 5000 up")
        sh(f"ip netns exec {n} sysctl -qw net.ipv4.tcp_wmem='4096 16384 16777216' net.ipv4.tcp_rmem='4096 131072 16777216'")
    server = inside("lfA", sys.executable, __file__, "serve")
    try:
        for _ in range(args.rounds):
            for buffer in args.buffers.split(","):
                yield buffer, measure(os.path.abspath(args.mcplb), buffer, directory)
    finally:
        stop(server)
        stop(delay)
        sh("ip netns del lfA && ip netns del lfB")


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--mcplb", default="bin/mcplb")
    args.add_argument("--rtt", default="50,100", help="round trips in milliseconds")
    args.add_argument("--buffers", default="0,512k", help="values of send_buffer")
    args.add_argument("--rounds", type=int, default=6)
    args = args.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        sh(f"gcc -O2 -o {directory}/delay {HERE}/delay.c")
        for rtt in map(float, args.rtt.split(",")):
            runs = {}
            for buffer, speed in path(args, rtt, directory):
                runs.setdefault(buffer, []).append(speed)
            for buffer, speeds in runs.items():
                print(f"rtt {rtt:g} ms, send_buffer {buffer}: median {statistics.median(speeds):.0f} Mbit/s of", *(f"{s:.0f}" for s in speeds))


if __name__ == "__main__":
    {"serve": serve, "download": download}.get((sys.argv[1:] or [""])[0], main)()
