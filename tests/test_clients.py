"""What other people's code does with an optimizer: the same numbers as with the class of torch.optim."""

import importlib
import inspect
import os

import pytest
import torch
import torch.distributed as dist
from cases import NAMES, RICH, RUNS, difference, feed, gradients, ours, parameters, theirs, title
from torch._dynamo.testing import CompileCounterWithBackend
from torch.nn.functional import mse_loss
from torch.optim import lr_scheduler, swa_utils
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

import edu_optim

LIMIT = 1e-10


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


@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "autocast"])
@pytest.mark.parametrize("name", NAMES)
def test_a_grad_scaler_unscales_and_skips_the_step_with_an_infinite_gradient(name, autocast):
    def run(cls):
        model, scales, moved = net(torch.float32), [], []
        optimizer = cls(model.parameters(), lr=0.01)
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=3)
        for t, (x, y) in enumerate(batches(10, torch.float32)):
            before = model[0].weight.detach().clone()
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
                loss = mse_loss(model(x).float(), y)
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
    torch.testing.assert_close(mine, truth)


@pytest.mark.parametrize("name", NAMES)
def test_stochastic_weight_averaging_agrees(name):
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

    assert difference(run(ours(name)), run(theirs(name))) <= LIMIT


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


@pytest.mark.parametrize("run", RUNS)
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


def _worker(rank, folder):
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    results = {}
    for client, run in DISTRIBUTED.items():
        for case in RICH:
            name, options = case
            both = [run(of(name), options, net(), batches(5, seed=rank)) for of in (ours, theirs)]
            results[client, title(case)] = [[p.detach() for p in params] for params in both]
    if rank == 0:
        torch.save(results, f"{folder}/results")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def distributed(tmp_path_factory):
    """What two processes got from each distributed client, with our class and with torch's."""
    folder = tmp_path_factory.mktemp("distributed")
    torch.multiprocessing.spawn(_worker, (str(folder),), nprocs=2)
    return torch.load(folder / "results")


@pytest.mark.parametrize("case", RICH, ids=title)
@pytest.mark.parametrize("client", DISTRIBUTED)
def test_two_processes_agree_with_torch(distributed, client, case):
    mine, truth = distributed[client, title(case)]
    assert difference(mine, truth) <= LIMIT
    assert difference(truth, list(net().parameters())) > 0.001


def client(name):
    """A library of the extra `clients`: where it is not installed its tests are left out, except where CI runs."""
    return importlib.import_module(name) if os.environ.get("CI") else pytest.importorskip(name)


def test_skorch_trains_with_us_as_with_torch():
    skorch = client("skorch")

    def fit(cls):
        x, y = (torch.cat(column).numpy() for column in zip(*batches(4), strict=True))
        model = skorch.NeuralNetRegressor(
            net(), optimizer=cls, lr=0.01, optimizer__weight_decay=0.1, max_epochs=3, train_split=None, verbose=0
        )
        return list(model.fit(x, y).module_.parameters())

    assert difference(fit(edu_optim.Adam), fit(torch.optim.Adam)) <= LIMIT


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning", "ignore:.*does not have many workers")
def test_lightning_trains_with_us_as_with_torch():
    lightning = client("lightning")

    class Module(lightning.LightningModule):
        def __init__(self, cls):
            super().__init__()
            self.net, self.cls = net(), cls

        def training_step(self, batch):
            return mse_loss(self.net(batch[0]), batch[1])

        def configure_optimizers(self):
            optimizer = self.cls(self.parameters(), lr=0.01)
            return [optimizer], [lr_scheduler.ExponentialLR(optimizer, gamma=0.5)]

    def fit(cls):
        module = Module(cls)
        trainer = lightning.Trainer(max_epochs=3, accelerator="cpu", barebones=True)
        trainer.fit(module, torch.utils.data.DataLoader(batches(4), batch_size=None))
        return list(module.parameters())

    assert difference(fit(edu_optim.Adam), fit(torch.optim.Adam)) <= LIMIT
