#!/usr/bin/env python3
"""What does a balancer do when a message wakes it? mcplb, HAProxy and nginx at a fixed, low rate, wake by wake.

    wakes.py --mcplb PATH --bench DIR [--rate 500] [--rounds 10] [--seconds 2]

DIR holds the files of the comparison (cost.py and what belongs to it). The balancer has CPU 0, client and origin CPU 1, as in
cost.py, and perf notes when CPU 0 changes from one thread to another: how long the balancer ran for a request, for its
answer, and what its other threads took. The mean of such times is at the mercy of a virtual machine: whoever happens to
run when the host takes the processor away, or when a timer comes, is charged for it. The median wake is not; "charged" is the
mean for comparison, as cost.py measures it.

Needs root, perf, haproxy and nginx.
"""
import argparse, importlib.util, os, re, shutil, statistics, subprocess, tempfile, time

SWITCH = re.compile(r"^\s*\d+\s+([\d.]+):.*prev_pid=(\d+) ")


def load(bench):
    spec = importlib.util.spec_from_file_location("cost", f"{bench}/cost.py")
    cost = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(cost)
    return cost


def slices(seconds, out):
    """When threads ran on CPU 0 during some seconds: [(begin, duration, thread)], in microseconds."""
    subprocess.run(["taskset", "-c", "1", "perf", "record", "-q", "-e", "sched:sched_switch", "-C", "0", "-o", out, "--", "sleep", str(seconds)], check=True)
    text = subprocess.run(["perf", "script", "-i", out, "-F", "tid,time,event,trace"], capture_output=True, text=True, check=True).stdout
    ran, last = [], None
    for switch in filter(None, map(SWITCH.match, text.splitlines())):
        now, thread = float(switch[1]) * 1e6, int(switch[2])
        if last is not None:
            ran.append((last, now - last, thread))
        last = now
    return ran


def of_loop(ran, window=1e5):
    """Splits what threads ran into that of the event loop and the rest. In each window the loop is the busiest thread:
    Go may move it to another one."""
    windows = {}
    for one in ran:
        windows.setdefault(one[0] // window, []).append(one)
    loop, rest = [], []
    for ones in windows.values():
        total = {}
        for _, took, thread in ones:
            total[thread] = total.get(thread, 0) + took
        busiest = max(total, key=total.get)
        for one in ones:
            (loop if one[2] == busiest else rest).append(one)
    return loop, rest


def wakes(loop, pause):
    """Splits the loop's times into those for requests, which come after a pause, and those for answers."""
    requests, answers, end = [], [], 0
    for begin, took, _ in loop:
        (requests if begin - end > pause else answers).append(took)
        end = begin + took
    return requests, answers


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--mcplb", required=True)
    args.add_argument("--bench", required=True)
    args.add_argument("--rate", type=int, default=500)
    args.add_argument("--rounds", type=int, default=10)
    args.add_argument("--seconds", type=int, default=2)
    args = args.parse_args()
    cost, dir = load(args.bench), tempfile.mkdtemp()
    for tool in ("pingpong", "paced"):
        subprocess.run(["gcc", "-O2", "-o", f"{dir}/{tool}", f"{args.bench}/{tool}.c"], check=True)
    suts = {name: path for name in ("haproxy", "nginx") if (path := shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin"))}
    suts["mcplb"] = os.path.abspath(args.mcplb)
    origin = cost.Process(1, [f"{dir}/pingpong", "serve", "7001"])
    found = {name: {"request": [], "answer": [], "others": [], "charged": []} for name in suts}
    try:
        for _ in range(args.rounds):
            for name, path in suts.items():
                measure(cost, args, dir, name, path, found[name])
    finally:
        origin.stop()
    print(f"{args.rate} messages a second, microseconds of processor time:\n")
    print(f"{'':10} {'request':>9} {'answer':>9} {'others':>9} {'sum':>9} {'charged':>9}   (medians; others: per message)")
    for name, f in found.items():
        medians = [statistics.median(f[k]) for k in ("request", "answer", "others")]
        print(f"{name:10}" + "".join(f" {m:9.1f}" for m in medians + [sum(medians), statistics.median(f["charged"])]))


def measure(cost, args, dir, name, path, found):
    """One round of one balancer, added to what was found of it."""
    sut = cost.Process(0, cost.command(name, path), dict(os.environ, GOMAXPROCS="2"))
    try:
        port = cost.PORTS[name].get("mcp", cost.PORTS[name]["tcp"])
        client = subprocess.Popen(cost.pinned(1, [f"{dir}/paced", str(port), "50", str(args.rate), str(args.seconds + 2), str(sut.pid)]),
                                  stdout=subprocess.PIPE, text=True)
        time.sleep(1)
        threads = {int(t) for t in os.listdir(f"/proc/{sut.pid}/task")}
        loop, rest = of_loop([one for one in slices(args.seconds, f"{dir}/perf.data") if one[2] in threads])
        requests, answers = wakes(loop, 5e5 / args.rate)
        found["request"] += requests
        found["answer"] += answers
        found["others"].append(sum(took for _, took, _ in rest) / (args.rate * args.seconds))
        found["charged"].append(float(client.communicate()[0].split()[3]))
    finally:
        sut.stop()


if __name__ == "__main__":
    main()
