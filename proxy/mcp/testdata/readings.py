"""Writes readings.json: bodies, and what JSON.parse of Node and json.loads of Python read in
them: [method, name], or null where they refuse the body or it has no method that is a text.

    python3 readings.py    # needs node
"""
import base64
import json
import random
import subprocess

NAMES = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri", "tasks/get": "taskId"}
NODE = """
const names = %s;
const bodies = JSON.parse(require("fs").readFileSync(0));
console.log(JSON.stringify(bodies.map(b => {
  try {
    const m = JSON.parse(Buffer.from(b, "base64").toString());
    if (typeof m.method !== "string") return null;
    const name = m.params && m.params[names[m.method]];
    return [m.method, typeof name === "string" ? name.toWellFormed() : null];
  } catch { return null; }
})));
"""


def by_python(body):
    try:
        m = json.loads(body)
        if not isinstance(m["method"], str):
            return None
        params = m.get("params")
        name = params.get(NAMES.get(m["method"])) if isinstance(params, dict) else None
        if not isinstance(name, str):
            return [m["method"], None]
        return [m["method"], name.encode("utf-16", "surrogatepass").decode("utf-16", "replace")]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def text(r, s):
    """s as a JSON text, spelled at random."""
    out = ""
    for c in s:
        pick = r.random()
        if pick < 0.15:
            out += "".join("\\u%04x" % u for u in memoryview(c.encode("utf-16-le")).cast("H"))
        elif c == "/" and pick < 0.5:
            out += "\\/"
        else:
            out += json.dumps(c, ensure_ascii=False)[1:-1]
    return '"' + out + '"'


def message(r):
    method = r.choice(list(NAMES) + ["ping"])
    names = ["echo", "delete_all", "file:///x", "é😀", 'a"b\\c', "", "x\ty"]
    members = []
    for _ in range(r.choice([1, 1, 1, 2, 3])):
        value = r.choice([text(r, method), text(r, r.choice(list(NAMES))), "null", "7"] if members else [text(r, method)])
        members.append((r.choice(["method"] * 8 + ["Method"]), value))
    for _ in range(r.choice([0, 1, 1, 1, 2])):
        inner = [(r.choice(list(NAMES.values())), text(r, r.choice(names))) for _ in range(r.choice([0, 1, 1, 2, 3]))]
        inner += [("arguments", r.choice(['{"name":"inner"}', "[1,-2.5e3,true,null]", '"x"', "NaN", "01"]))] * r.choice([0, 1])
        members.append(("params", r.choice([obj(r, inner)] * 6 + ["null", "[]", '"x"'])))
    members.append(("id", "1"))
    r.shuffle(members)
    return obj(r, members)


def obj(r, members):
    space = lambda: r.choice(["", "", "", " ", "\n", "\t"])
    return "{" + ",".join(space() + text(r, k) + space() + ":" + space() + v + space() for k, v in members) + "}"


def body(r):
    b = message(r).encode("utf-8", "surrogatepass")
    pick = r.random()
    if pick < 0.10:
        at = r.randrange(len(b))
        b = b[:at] + bytes([r.randrange(256)]) + b[at + 1:]
    elif pick < 0.16:
        b = b.decode("utf-8").encode(r.choice(["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]))
    elif pick < 0.20:
        b = b[: r.randrange(len(b))]
    elif pick < 0.25:
        b += r.choice([b"\0", b" ", b"x", b, b"\n" + b, b",", b"]", b"\xa0"])
    elif pick < 0.28:
        b = r.choice([b"//x\n", b"\xa0", b"\x0c", b" \n", b"\0", b")]}'\n"]) + b
    return b


def main():
    r = random.Random(15)
    bodies = [base64.b64encode(body(r)).decode() for _ in range(600)]
    node = subprocess.run(["node", "-e", NODE % json.dumps(NAMES)], input=json.dumps(bodies), capture_output=True, text=True, check=True)
    with open("readings.json", "w") as out:
        out.write("[\n")
        rows = zip(bodies, json.loads(node.stdout), (by_python(base64.b64decode(b)) for b in bodies))
        out.write(",\n".join(json.dumps({"body": b, "node": n, "python": p}) for b, n, p in rows))
        out.write("\n]\n")


main()
