"""A user's slips, each of which a checker reports."""

import lossband as lb

runs = lb.load_dataset("looped")
post = lb.fit(runs, "looped", seed=0)
test = lb.backtst(runs, "looped")
band = post.predict(runs, kind="observatoin")
plan = post.optimal(flops=[1e21], cots="6ND")
print(post.heath)
