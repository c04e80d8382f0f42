"""A user's script that a checker passes."""

import lossband as lb

runs = lb.load_dataset("looped")
post = lb.fit(runs, "looped", seed=0)
table = post.summary()
bigger = runs.assign(params=10 * runs.params, run="new")
band = post.predict(bigger, kind="observation", levels=(0.5, 0.9))
print(band["median"].max(), post.prob(bigger, below=1.5).max(), post.health.rhat_max, post.health.ok)
test = lb.backtest(runs, "looped", by="params", hide=1)
print(test.calibration(by="params"), post.gap(runs, by=["params", "loops"]))
post.save("looped.nc")
again = lb.load("looped.nc")
plan = again.optimal(flops=[1e21, 1e23], cost="6ND")
print(plan.frame, lb.compare({"looped": post, "reloaded": again}))
