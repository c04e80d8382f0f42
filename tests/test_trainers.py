"""The callbacks inside the real trainers: a tiny model on a processor. `uv run --group trainers pytest ...`."""

import time

import pytest

torch = pytest.importorskip("torch", reason="needs the group trainers: uv run --group trainers pytest")

STEPS = 400


class Line(torch.nn.Module):
    """A model of four numbers whose loss falls along a curve."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 1)

    def forward(self, x=None, labels=None):
        out = self.layer(x)
        return {"loss": ((out - labels) ** 2).mean() + 1.0, "logits": out}


def rows():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(512, 3, generator=generator)
    y = x @ torch.tensor([[1.0], [-2.0], [0.5]]) + 0.1 * torch.randn(512, 1, generator=generator)
    return [{"x": a, "labels": b} for a, b in zip(x, y, strict=True)]


def test_hugging_face(tmp_path):
    transformers = pytest.importorskip("transformers")
    from lossband.live.callbacks import HuggingFaceCallback

    said = []
    callback = HuggingFaceCallback(every=100, say=said.append, target=1.5)
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path),
        max_steps=STEPS,
        learning_rate=0.02,
        warmup_steps=10,
        lr_scheduler_type="cosine",
        logging_steps=1,
        per_device_train_batch_size=16,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = transformers.Trainer(Line(), arguments, train_dataset=rows(), callbacks=[callback])
    trainer.train()
    written = [entry for entry in trainer.state.log_history if "lossband/final_loss" in entry]
    assert len(said) >= 1 and len(written) >= 1
    assert written[-1]["lossband/final_loss_lo_90"] < 1.2 < written[-1]["lossband/final_loss_hi_90"] + 0.3
    assert callback.tracker.outlook.target == 1.5
    assert "lr" in callback.tracker.frame() and not any("could not" in line for line in said)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
def test_lightning(tmp_path):
    lightning = pytest.importorskip("lightning.pytorch")
    from lossband.live.callbacks import LightningCallback

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.line = Line()

        def training_step(self, batch, index):
            return self.line(**batch)["loss"]

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=0.02)

    said = []
    callback = LightningCallback(every=100, say=said.append)
    logger = lightning.loggers.CSVLogger(tmp_path)
    trainer = lightning.Trainer(
        max_steps=STEPS,
        accelerator="cpu",
        callbacks=[callback],
        logger=logger,
        log_every_n_steps=1,
        enable_progress_bar=False,
        enable_checkpointing=False,
    )
    trainer.fit(Module(), torch.utils.data.DataLoader(rows(), batch_size=16, shuffle=True))
    logger.save()
    assert len(said) >= 1
    (metrics,) = tmp_path.rglob("metrics.csv")
    assert "lossband/final_loss" in metrics.read_text()


def test_training_goes_on_when_the_tracker_fails(tmp_path):
    transformers = pytest.importorskip("transformers")
    from lossband.live.callbacks import HuggingFaceCallback

    callback = HuggingFaceCallback(every=50, say=None, earlier={"loss": ["bad"], "step": [1]})
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path),
        max_steps=200,
        logging_steps=1,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = transformers.Trainer(Line(), arguments, train_dataset=rows(), callbacks=[callback])
    start = time.perf_counter()
    with pytest.warns(RuntimeWarning, match="could not forecast"):
        trainer.train()
    assert trainer.state.global_step == 200 and time.perf_counter() - start < 60
