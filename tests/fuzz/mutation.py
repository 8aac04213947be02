"""Seeds of each target, and changes of bytes: what is used where atheris is not installed, and by the suite."""

import gzip
import hashlib
import io
import json
import pathlib
import pickle
import random
import zipfile

HERE = pathlib.Path(__file__).parent
CORPUS = HERE / "corpus"
_KEPT = {"every": 1, "keep": 2, "fit": {"model": "MF", "key": [0, 1]}, "machine": {"cores": 2}}
_DIGEST = hashlib.sha256(json.dumps(_KEPT, sort_keys=True).encode()).hexdigest()
FIT = json.dumps({"format": "jaxrec-checkpoints", "format_version": 1, **_KEPT, "sha256": _DIGEST})
RESUME = json.dumps(
    {"format": "jaxrec-run", "format_version": 1, "argv": ["a.csv", "--epochs", "2"], "data": "/a.csv", "paths": {}}
)
OLD_RUN = HERE.parent / "data" / "run-0.1" / "popularity"
CSV = b"userId,movieId,rating,timestamp\n1,2,3.5,1000\n1,7,4,1001\n2,2,5,1002\n"
WORDS = [
    *(b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b'"', b"'", b",", b";", b"\t", b"::", b"|", b"\r", b"\n"),
    *(b"nan", b"NaN", b"inf", b"-inf", b"1e400", b"-0", b"1e-400", b"99999999999999999999", b"-1", b"0x10", b"1_0"),
    *(b"null", b"None", b"true", b"{}", b"[]", b"[" * 2000, b"#", b"%", b" ", b"\xc2\xa0", b"\xe2\x80\xa8", b"=1+1"),
]


def zipped(**files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("_", "/"), content)
    return out.getvalue()


def seeds(name):
    """Sound inputs of a target, and the finds of its corpus."""
    text = {
        "read-a.tsv": CSV.replace(b",", b"\t"),
        "read-a.txt": b"0 1 2 5\n1 0 3\n2 4\n",
        "read-a.dat": b"1::2::3::1000\n1::7::4::1001\n2::2::5::1002\n",
        "read-u.data": b"1\t2\t3\t1000\n1\t7\t4\t1001\n2\t2\t5\t1002\n",
        "read-a.inter": b"user_id:token\titem_id:token\trating:float\n1\t2\t3\n2\t2\t4\n",
        "read-a.csv.gz": gzip.compress(CSV, mtime=0),
        "read-a.parquet": b"PAR1" + bytes(8) + b"PAR1",
        "items": b'movieId,title,genres\n2,"Heat, (1995)",Crime|Drama\n7,Alien,\n',
        "lists-a.csv": b"user,item,score\n1,2,0.5\n1,7,0.25\n2,2,1e-3\n",
        "lists-a.json": b'{"1": [2, 7], "2": [2]}',
        "features": b"item,year,length\n2,1995,170\n007,1979,117\n",
        "checkpoints": FIT.encode(),
        "resume-file": RESUME.encode(),
        "checkpoint-arrays": bytes(3),
        "labels": b"user,group\n1,old\n2,new\n",
        "pickle": pickle.dumps({1: [2, 3], "a": {4: 0.5}}),
        "archive": zipped(a_b=CSV, c=b""),
    }
    known = [text.get(name, CSV)]
    if name.startswith("run-"):
        known = [(OLD_RUN / name.removeprefix("run-")).read_bytes()]
    return known + finds(name)


def finds(name):
    """The inputs that are kept of a target."""
    return [path.read_bytes() for path in sorted((CORPUS / name).glob("*"))]


def mutated(content, rng, others=()):
    """The content after a few changes: bytes flipped, cut, repeated, words put in, pieces of other inputs."""
    out = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        at, end = sorted((rng.randint(0, len(out)), rng.randint(0, len(out))))
        way = rng.randrange(7)
        if way == 0 and out:
            out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
        elif way == 1:
            del out[at : min(end, at + rng.choice((1, 4, 64, 4096)))]
        elif way == 2:
            out[at:at] = rng.choice(WORDS)
        elif way == 3:
            out[at:end] = rng.choice(WORDS)
        elif way == 4 and len(out) < 1 << 16:
            out[at:at] = out[at:end] * rng.choice((1, 2, 50 if end - at < 100 else 1))
        elif way == 5 and others:
            other = rng.choice(others)
            out[at:at] = other[rng.randint(0, len(other)) :][:200]
        elif way == 6:
            out[at : at + 1] = rng.randbytes(rng.choice((1, 2, 8)))
    return bytes(out)


def inputs(name, seed=0):
    """Without end: the seeds, and then changes of them."""
    rng, known = random.Random(f"{name} {seed}"), seeds(name)
    yield from known
    while True:
        yield mutated(rng.choice(known), rng, known)
