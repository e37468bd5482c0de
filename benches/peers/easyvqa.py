"""easy-VQA in plain PyTorch: small CNN x question encoder -> 13 answers.
usage: easyvqa.py ROOT ROWS.jsonl [--question gru|bow] [--mode both|question|image] [--by-image]"""
import argparse, json, os, random, re, resource, time
T_START = int(open("/proc/self/stat").read().rsplit(")", 1)[1].split()[19]) / os.sysconf("SC_CLK_TCK")
clock = lambda: time.clock_gettime(time.CLOCK_BOOTTIME) - T_START          # seconds since process start
import numpy as np, torch, torch.nn as nn, torch.nn.functional as F
from PIL import Image

ap = argparse.ArgumentParser()
ap.add_argument("root"); ap.add_argument("rows")
ap.add_argument("--question", default="gru"); ap.add_argument("--mode", default="both")
ap.add_argument("--epochs", type=int, default=20); ap.add_argument("--batch", type=int, default=64)
ap.add_argument("--lr", type=float, default=1e-3); ap.add_argument("--seed", type=int, default=0)
ap.add_argument("--fuse", default="mul"); ap.add_argument("--by-image", action="store_true", help="encode each picture of a batch once")
ap.add_argument("--stop", type=float, default=0.99); ap.add_argument("--with-val", action="store_true")
a = ap.parse_args()
torch.set_num_threads(2); torch.manual_seed(a.seed); random.seed(a.seed)
t_import = clock()

rows = [json.loads(l) for l in open(a.rows)]
train = [r for r in rows if r["split"] == "train" or (a.with_val and r["split"] == "val")]
test = [r for r in rows if r["split"] == "test"]
tok = lambda s: re.findall(r"[a-z]+", s.lower())
vocab = {w: i + 1 for i, w in enumerate(sorted({w for r in train for w in tok(r["question"])}))}
labels = {w: i for i, w in enumerate(sorted({r["answer"] for r in train}))}
paths = {p: i for i, p in enumerate(dict.fromkeys(r["image"] for r in train + test))}
pix = torch.from_numpy(np.stack([np.asarray(Image.open(os.path.join(a.root, p)).convert("RGB")) for p in paths]))
pix = pix.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)   # uint8, N x 3 x 64 x 64
L = max(len(tok(r["question"])) for r in rows)

def pack(rs):
    q = torch.zeros(len(rs), L, dtype=torch.long)
    for i, r in enumerate(rs):
        t = [vocab.get(w, 0) for w in tok(r["question"])]
        q[i, L - len(t):] = torch.tensor(t)                                   # left pad: the last state is the answer
    return torch.tensor([paths[r["image"]] for r in rs]), q, torch.tensor([labels[r["answer"]] for r in rs])
tr, te = pack(train), pack(test)
t_data = clock()

class Net(nn.Module):
    def __init__(s, d=128):
        super().__init__()
        conv = lambda i, o: [nn.Conv2d(i, o, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU()]
        s.cnn = nn.Sequential(*conv(3, 16), *conv(16, 32), *conv(32, 64), *conv(64, 64), nn.Flatten(), nn.Linear(1024, d))
        s.emb = nn.Embedding(len(vocab) + 1, 32, padding_idx=0)
        s.gru = nn.GRU(32, d, batch_first=True) if a.question == "gru" else None
        s.bow = nn.Sequential(nn.Linear(32, d), nn.ReLU(), nn.Linear(d, d), nn.Tanh())
        s.head = nn.Sequential(nn.Linear(2 * d if a.fuse == "cat" and a.mode == "both" else d, d), nn.ReLU(), nn.Linear(d, len(labels)))
    def image(s, i):
        return s.cnn(pix[i].float().div_(127.5).sub_(1))
    def question(s, q):
        return torch.tanh(s.gru(s.emb(q))[1][0]) if s.gru else s.bow(s.emb(q).sum(1))
    def forward(s, i, q):
        if a.mode == "question": return s.head(s.question(q))
        u, inv = i.unique(return_inverse=True) if (a.by_image or not s.training) else (i, slice(None))
        v = s.image(u)[inv]
        if a.mode == "image": return s.head(v)
        w = s.question(q)
        return s.head(torch.cat([v, w], 1) if a.fuse == "cat" else v * w)

@torch.inference_mode()
def accuracy(net, d):
    net.eval()
    hit = sum((net(d[0][k:k + 512], d[1][k:k + 512]).argmax(1) == d[2][k:k + 512]).sum().item() for k in range(0, len(d[2]), 512))
    return hit / len(d[2])

net = Net(); opt = torch.optim.Adam(net.parameters(), lr=a.lr)
print(f"import {t_import:.2f}s data {t_data:.2f}s train {len(train)} test {len(test)} vocab {len(vocab)} params {sum(p.numel() for p in net.parameters())} torch {torch.__version__}", flush=True)
first = {}
for epoch in range(a.epochs):
    t0 = time.perf_counter(); net.train(); total = 0.0
    if a.by_image:                                                           # keep a picture's questions together
        keys = torch.rand(len(paths))[tr[0]]; order = keys.argsort()
    else:
        order = torch.randperm(len(train))
    for idx in order.split(a.batch):
        loss = F.cross_entropy(net(tr[0][idx], tr[1][idx]), tr[2][idx])
        opt.zero_grad(set_to_none=True); loss.backward(); opt.step(); total += loss.item() * len(idx)
    t1 = time.perf_counter(); acc = accuracy(net, te)
    for g in (0.97, 0.99):
        if acc >= g: first.setdefault(g, round(clock(), 1))
    print(f"epoch {epoch + 1} loss {total / len(train):.4f} test {acc:.4f} train_s {t1 - t0:.2f} eval_s {time.perf_counter() - t1:.2f} at {clock():.1f}s", flush=True)
    if acc >= a.stop: break
print(json.dumps({"first": first, "final": acc, "total_s": round(clock(), 1), "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, **vars(a)}))
