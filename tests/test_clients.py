"""What other people's code does with an optimizer: the same numbers as with the class of torch.optim."""

import contextlib
import gc
import importlib
import inspect
import json
import os
import shutil
from unittest import mock

import pytest
import torch
import torch.distributed as dist
from cases import NAMES, RICH, RUNS, buffers, difference, feed, gradients, ours, parameters, theirs, title
from forks import prepared
from torch._dynamo.testing import CompileCounterWithBackend
from torch.nn.functional import mse_loss
from torch.optim import lr_scheduler, swa_utils
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

import edu_optim

LIMIT = 1e-10


def only_kernels():
    """Without a word the default falls back on multi_tensor; here that fails, so that clients run what users run."""
    if not shutil.which("cc"):
        return contextlib.nullcontext()
    fails = mock.Mock(side_effect=AssertionError("the default did not run as a kernel"), spec=[])
    return mock.patch.object(edu_optim.execute, "multi_tensor", fails)


@pytest.fixture(autouse=True)
def _only_kernels():
    with only_kernels():
        yield


@pytest.fixture(scope="module")
def agree():
    """Compare what a client made with our class and with torch's; the largest differences are a table in the end."""
    worst = {}

    def compare(client, mine, truth, limit=LIMIT):
        worst[client] = max(worst.get(client, 0), difference(mine, truth))
        assert worst[client] <= limit

    yield compare
    print("\nLargest relative difference from torch.optim")
    for client, seen in worst.items():
        print(f"{client:<25}{seen:.1e}")


def net(dtype=torch.float64, norm=False):
    torch.manual_seed(0)
    layers = [torch.nn.Linear(3, 4, bias=not norm), torch.nn.Tanh(), torch.nn.Linear(4, 1)]
    return torch.nn.Sequential(*layers[:1], *[torch.nn.BatchNorm1d(4)] * norm, *layers[1:]).to(dtype)


def batches(count, dtype=torch.float64, seed=1):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 8, 3, generator=generator, dtype=torch.float64).to(dtype)
    return [(x, x.sum(1, keepdim=True).sin()) for x in x]


def train(model, optimizer, data, after=lambda: None):
    for x, y in data:
        optimizer.zero_grad()
        mse_loss(model(x), y).backward()
        optimizer.step()
        after()
    return list(model.parameters())


STEPS = 12
CYCLED = {"OneCycleLR", "CyclicLR"}
SCHEDULERS = {
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda epoch: 1 / (1 + epoch)),
    "MultiplicativeLR": lambda o: lr_scheduler.MultiplicativeLR(o, lambda epoch: 0.9),
    "StepLR": lambda o: lr_scheduler.StepLR(o, step_size=3),
    "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, milestones=[2, 5]),
    "ConstantLR": lr_scheduler.ConstantLR,
    "LinearLR": lr_scheduler.LinearLR,
    "ExponentialLR": lambda o: lr_scheduler.ExponentialLR(o, gamma=0.8),
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.ConstantLR(o, total_iters=2), lr_scheduler.ExponentialLR(o, gamma=0.8)], milestones=[4]
    ),
    "PolynomialLR": lambda o: lr_scheduler.PolynomialLR(o, total_iters=8, power=2),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=5),
    "ChainedScheduler": lambda o: lr_scheduler.ChainedScheduler(
        [lr_scheduler.ConstantLR(o), lr_scheduler.ExponentialLR(o, gamma=0.8)]
    ),
    "ReduceLROnPlateau": lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=1),
    "CyclicLR": lambda o, **k: lr_scheduler.CyclicLR(o, base_lr=0.01, max_lr=0.1, step_size_up=4, **k),
    "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, T_0=4),
    "OneCycleLR": lambda o, **k: lr_scheduler.OneCycleLR(o, max_lr=0.1, total_steps=STEPS + 1, **k),
}


def test_no_scheduler_of_torch_is_forgotten():
    found = {
        name
        for name, cls in vars(lr_scheduler).items()
        if inspect.isclass(cls) and issubclass(cls, lr_scheduler.LRScheduler) and not name.endswith("LRScheduler")
    }
    assert found == SCHEDULERS.keys()


def scheduled(cls, scheduler, lr, **options):
    """The parameters, and what the scheduler made of the options, step by step."""
    model, seen = net(), []
    optimizer = cls(model.parameters(), lr=lr)
    schedule = SCHEDULERS[scheduler](optimizer, **options)

    def after():
        schedule.step(*[1.0] * (scheduler == "ReduceLROnPlateau"))
        group = optimizer.param_groups[0]
        seen.append({key: group[key] for key in ("lr", "momentum", "betas") if key in group})
        seen[-1]["lr"] = float(seen[-1]["lr"])

    return train(model, optimizer, batches(STEPS), after), seen


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("name", NAMES)
def test_a_scheduler_gives_the_same_options_and_the_same_steps(name, scheduler):
    lacks_momentum = name in ("Adagrad", "Adadelta")
    options = {"cycle_momentum": False} if scheduler in CYCLED and lacks_momentum else {}
    mine, seen = scheduled(ours(name), scheduler, lr=0.05, **options)
    truth, asked = scheduled(theirs(name), scheduler, lr=0.05, **options)
    assert seen == asked
    assert len({str(options) for options in seen}) > 1
    assert difference(mine, truth) <= LIMIT


@pytest.mark.parametrize("name", NAMES)
def test_a_scheduler_may_write_into_a_learning_rate_that_is_a_tensor(name):
    results = [
        scheduled(of(name), "ExponentialLR", lr=torch.tensor(0.05, dtype=torch.float64)) for of in (ours, theirs)
    ]
    assert results[0][1] == results[1][1] and results[0][1][0]["lr"] == 0.05 * 0.8
    assert difference(results[0][0], results[1][0]) <= LIMIT


@pytest.mark.parametrize("scheduler", sorted(CYCLED))
@pytest.mark.parametrize("name", ["Adagrad", "Adadelta"])
def test_without_a_momentum_to_cycle_a_scheduler_refuses_us_as_it_refuses_torch(name, scheduler):
    for of in (ours, theirs):
        with pytest.raises(ValueError, match="momentum"):
            scheduled(of(name), scheduler, lr=0.05, cycle_momentum=True)


@pytest.mark.parametrize("autocast", [False, True], ids=["float64", "autocast"])
@pytest.mark.parametrize("name", NAMES)
def test_a_grad_scaler_unscales_and_skips_the_step_with_an_infinite_gradient(name, autocast, agree):
    dtype = torch.float32 if autocast else torch.float64

    def run(cls):
        model, scales, moved = net(dtype), [], []
        optimizer = cls(model.parameters(), lr=0.01)
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=3)
        for t, (x, y) in enumerate(batches(10, dtype)):
            before = model[0].weight.detach().clone()
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
                loss = mse_loss(model(x).to(dtype), y)
            scaler.scale(loss).backward()
            if t == 4:
                model[0].weight.grad[0, 0] = torch.inf
            scaler.step(optimizer)
            scaler.update()
            scales.append(scaler.get_scale())
            moved.append(not torch.equal(before, model[0].weight))
        return list(model.parameters()), scales, moved

    mine, scales, moved = run(ours(name))
    truth, asked, _ = run(theirs(name))
    assert scales == asked
    assert moved == [t != 4 for t in range(10)]
    agree("autocast, float32" if autocast else "GradScaler", mine, truth, 1e-5 if autocast else LIMIT)


@pytest.mark.parametrize("name", NAMES)
def test_stochastic_weight_averaging_agrees(name, agree):
    def run(cls):
        model = net(norm=True)
        optimizer = cls(model.parameters(), lr=0.01)
        averaged = swa_utils.AveragedModel(model)
        schedule = swa_utils.SWALR(optimizer, swa_lr=0.05, anneal_epochs=3)

        def after():
            averaged.update_parameters(model)
            schedule.step()

        train(model, optimizer, batches(10), after)
        swa_utils.update_bn([x for x, _ in batches(4)], averaged)
        assert optimizer.param_groups[0]["lr"] == 0.05
        return [value.double() for value in averaged.state_dict().values()]

    agree("swa_utils", run(ours(name)), run(theirs(name)))


@pytest.mark.parametrize("name", NAMES)
def test_hooks_run_around_each_step_and_may_change_its_arguments(name):
    p = torch.ones(2, requires_grad=True)
    optimizer = ours(name)([p], lr=0.1)
    calls = []
    loss = torch.tensor(3.0)
    handles = [
        optimizer.register_step_pre_hook(lambda o, args, kwargs: calls.append("before") or ((o, lambda: loss), kwargs)),
        optimizer.register_step_post_hook(lambda o, args, kwargs: calls.append("after")),
        register_optimizer_step_pre_hook(lambda o, args, kwargs: calls.append("before any")),
        register_optimizer_step_post_hook(lambda o, args, kwargs: calls.append("after any")),
    ]
    try:
        p.grad = torch.ones(2)
        assert optimizer.step() is loss
        assert sorted(calls[:2]) == ["before", "before any"] and sorted(calls[2:]) == ["after", "after any"]
    finally:
        for handle in handles:
            handle.remove()
    assert optimizer.step() is None and len(calls) == 4


@pytest.mark.parametrize("name", NAMES)
def test_a_closure_is_run_with_gradients_and_its_loss_is_returned(name):
    def run(cls):
        model, losses = net(), []
        optimizer = cls(model.parameters(), lr=0.01)
        for x, y in batches(5):

            def closure(x=x, y=y):
                assert torch.is_grad_enabled()
                optimizer.zero_grad()
                loss = mse_loss(model(x), y)
                loss.backward()
                return loss

            with torch.no_grad():
                losses.append(optimizer.step(closure))
        return list(model.parameters()), losses

    (mine, seen), (truth, asked) = run(ours(name)), run(theirs(name))
    assert difference(mine, truth) <= LIMIT and difference(seen, asked) <= LIMIT


@pytest.mark.slow
@pytest.mark.parametrize("run", [None, *RUNS])
@pytest.mark.parametrize("case", RICH, ids=title)
def test_a_compiled_step_is_one_graph_after_the_first_and_gives_the_same_numbers(case, run):
    name, options = case
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("aot_eager" if name == "Adam" else "eager")
    mine, truth = parameters()[2:4], parameters()[2:4]
    rows = [row[2:4] for row in gradients(STEPS)]
    optimizer, reference = ours(name)(mine, **options, run=run), ours(name)(truth, **options)
    compiled = torch.compile(optimizer.step, backend=counter, fullgraph=True)
    for row in rows:
        for p, g in zip(mine, row, strict=True):
            p.grad = g.clone()
        compiled()
    feed(reference, truth, rows)
    assert difference(mine, truth) <= LIMIT
    assert counter.frame_count <= 2  # the first step, which makes the state, and all others


def _data_parallel(cls, options, model, data):
    wrapped = torch.nn.parallel.DistributedDataParallel(model)
    return train(wrapped, cls(wrapped.parameters(), **options), data)


def _zero_redundancy(cls, options, model, data):
    from torch.distributed.optim import ZeroRedundancyOptimizer

    wrapped = torch.nn.parallel.DistributedDataParallel(model)
    return train(wrapped, ZeroRedundancyOptimizer(wrapped.parameters(), optimizer_class=cls, **options), data)


def _fully_sharded(cls, options, model, data):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import DTensor

    fully_shard(model, mesh=init_device_mesh("cpu", (2,)))
    optimizer = cls(model.parameters(), **options)
    params = train(model, optimizer, data)
    buffers = [value for p in params for key, value in optimizer.state[p].items() if key != "step"]
    assert all(isinstance(value, DTensor) for value in buffers)
    return [p.full_tensor() for p in params]


DISTRIBUTED = {
    "DistributedDataParallel": _data_parallel,
    "ZeroRedundancyOptimizer": _zero_redundancy,
    "fully_shard": _fully_sharded,
}


class Shared:
    """A class of Adam whose state is made beforehand, in memory that processes share, as A3C does it."""

    def __init__(self, params, **options):
        super().__init__(params, **options)
        for p in self.param_groups[0]["params"]:
            state = {"step": torch.zeros(1), "exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p)}
            self.state[p] = {key: value.share_memory_() for key, value in state.items()}


class OurShared(Shared, edu_optim.Adam): ...


class TheirShared(Shared, torch.optim.Adam): ...


def _in_turns(rank, model, optimizer):
    for turn, batch in enumerate(batches(6)):
        if turn % 2 == rank:
            train(model, optimizer, [batch])
        dist.barrier()


def _worker(rank, folder, shared):
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    results = {}
    for client, run in DISTRIBUTED.items():
        for case in RICH:
            name, options = case
            with contextlib.nullcontext() if client == "fully_shard" else only_kernels():
                both = [run(of(name), options, net(), batches(5, seed=rank)) for of in (ours, theirs)]
            results[client, title(case)] = [[p.detach() for p in params] for params in both]
    with only_kernels():
        for model, optimizer in shared:
            _in_turns(rank, model, optimizer)
    if rank == 0:
        torch.save(results, f"{folder}/results")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def distributed(tmp_path_factory):
    """What two processes got from each distributed client, and from shared memory, with our class and with torch's."""
    folder, shared = tmp_path_factory.mktemp("distributed"), []
    for cls in (OurShared, TheirShared):
        model = net().share_memory()
        shared.append((model, cls(model.parameters(), lr=0.01, weight_decay=0.1)))
    workers = [prepared().Process(target=_worker, args=(rank, str(folder), shared)) for rank in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    return torch.load(folder / "results"), shared


@pytest.mark.slow
@pytest.mark.parametrize("case", RICH, ids=title)
@pytest.mark.parametrize("client", DISTRIBUTED)
def test_two_processes_agree_with_torch(distributed, client, case, agree):
    mine, truth = distributed[0][client, title(case)]
    agree(client, mine, truth)
    assert difference(truth, list(net().parameters())) > 0.001


@pytest.mark.slow
def test_two_processes_that_share_parameters_and_state_agree_with_torch(distributed, agree):
    mine, truth = [[*model.parameters(), *buffers(o, model.parameters())] for model, o in distributed[1]]
    agree("shared memory", mine, truth)
    assert [state["step"].tolist() for state in distributed[1][0][1].state.values()] == [[6.0]] * 4
    assert difference(truth[:4], list(net().parameters())) > 0.001


def test_a_state_made_beforehand_in_shared_memory_steps_as_torchs_does(agree):
    made = []
    for cls in (OurShared, TheirShared):
        model = net()
        optimizer = cls(model.parameters(), lr=0.01)
        before = [value.data_ptr() for value in buffers(optimizer, model.parameters())]
        train(model, optimizer, batches(5))
        after = buffers(optimizer, model.parameters())
        assert [value.data_ptr() for value in after] == before and all(value.is_shared() for value in after)
        made.append([*model.parameters(), *after])
    agree("state made beforehand", *made)


def test_adagrad_shares_what_torchs_adagrad_shares():
    def shared(cls):
        model = net()
        optimizer = cls(model.parameters())
        before = [value.is_shared() for value in buffers(optimizer, model.parameters())]
        optimizer.share_memory()
        train(model, optimizer, batches(1))
        return before, [value.is_shared() for value in buffers(optimizer, model.parameters())]

    before, after = shared(edu_optim.Adagrad)
    assert (before, after) == shared(torch.optim.Adagrad)
    assert not any(before) and any(after)


def client(name):
    """A library of the extra `clients`: where it is not installed its tests are left out, except where CI runs."""
    library = importlib.import_module(name) if os.environ.get("CI") else pytest.importorskip(name)
    gc.freeze()  # what it made stays: some collect their garbage after each training
    return library


BARE = {"max_epochs": 3, "accelerator": "cpu", "barebones": True}


def _skorch(cls, options, model):
    x, y = (torch.cat(column).numpy() for column in zip(*batches(4), strict=True))
    given = {f"optimizer__{name}": value for name, value in options.items()}
    trained = client("skorch").NeuralNetRegressor(
        model, optimizer=cls, **given, batch_size=8, max_epochs=3, train_split=None, verbose=0
    )
    return list(trained.fit(x, y).module_.parameters())


def _lightning_module(model):
    class Module(client("lightning").LightningModule):
        def __init__(self):
            super().__init__()
            self.net = model

        def training_step(self, batch):
            return mse_loss(self.net(batch[0]), batch[1])

        def train_dataloader(self):
            return torch.utils.data.DataLoader(batches(4), batch_size=None)

    return Module


def _lightning(cls, options, model):
    class Module(_lightning_module(model)):
        def configure_optimizers(self):
            optimizer = cls(self.parameters(), **options)
            return [optimizer], [lr_scheduler.ExponentialLR(optimizer, gamma=0.5)]

    client("lightning").Trainer(**BARE).fit(Module())
    return list(model.parameters())


def _lightning_cli(cls, options, model):
    client("jsonargparse")
    name = cls.__name__
    line = ["fit", "--optimizer", f"edu_optim.{name}" if cls is ours(name) else f"torch.optim.{name}"]
    line += [f"--optimizer.{option}={json.dumps(value)}" for option, value in options.items()]
    run = client("lightning.pytorch.cli").LightningCLI(
        _lightning_module(model),
        args=line,
        trainer_defaults=BARE,
        save_config_callback=None,
        seed_everything_default=False,
    )
    assert type(run.trainer.optimizers[0]) is cls
    return list(model.parameters())


def _accelerate(cls, options, model):
    accelerator = client("accelerate").Accelerator(cpu=True, gradient_accumulation_steps=2)
    optimizer = cls(model.parameters(), **options)
    schedule = lr_scheduler.ExponentialLR(optimizer, gamma=0.9)
    loader = torch.utils.data.DataLoader(batches(8), batch_size=None)
    model, optimizer, loader, schedule = accelerator.prepare(model, optimizer, loader, schedule)
    for x, y in loader:
        with accelerator.accumulate(model):
            accelerator.backward(mse_loss(model(x), y))
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(model.parameters(), 0.1)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    return list(model.parameters())


def _language_model():
    transformers = client("transformers")
    torch.manual_seed(0)
    config = transformers.GPT2Config(n_layer=1, n_embd=4, n_head=2, vocab_size=5, n_positions=4)
    model = transformers.GPT2LMHeadModel(config).double()
    for p in model.parameters():  # none is 0, where rounding errors would be all there is to compare
        torch.nn.init.normal_(p, std=0.2)
    return model


def _trained(model, **given):
    transformers = client("transformers")
    texts = torch.randint(5, (32, 4), generator=torch.Generator().manual_seed(1))
    arguments = transformers.TrainingArguments(
        "results",
        use_cpu=True,
        max_steps=4,
        gradient_accumulation_steps=2,
        max_grad_norm=0.5,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    data = [{"input_ids": text, "labels": text} for text in texts]
    transformers.Trainer(model, arguments, train_dataset=data, **given).train()
    return list(model.parameters())


def _trainer_given_an_optimizer(cls, options, model):
    optimizer = cls(model.parameters(), **options)
    return _trained(model, optimizers=(optimizer, lr_scheduler.ExponentialLR(optimizer, gamma=0.9)))


def _trainer_given_a_class(cls, options, model):
    return _trained(model, optimizer_cls_and_kwargs=(cls, options))


TRAINERS = {
    "skorch": (_skorch, net),
    "Lightning": (_lightning, net),
    "LightningCLI": (_lightning_cli, net),
    "accelerate": (_accelerate, net),
    "Trainer, an optimizer": (_trainer_given_an_optimizer, _language_model),
    "Trainer, a class": (_trainer_given_a_class, _language_model),
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning", "ignore:.*does not have many workers")
@pytest.mark.parametrize("case", RICH, ids=title)
@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_trainer_agrees_with_torch(trainer, case, agree, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["train.py"])
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("JSONARGPARSE_DEPRECATION_WARNINGS", "off")  # of Lightning, not of its users
    (name, options), (run, model) = case, TRAINERS[trainer]
    mine, truth = [run(of(name), options, model()) for of in (ours, theirs)]
    agree(trainer, mine, truth)
    assert difference(truth, list(model().parameters())) > 0.001
