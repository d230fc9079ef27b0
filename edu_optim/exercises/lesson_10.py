"""Lesson 10, loops with a schedule: its tasks, their hints, and the answers that go wrong."""

import torch

from .loops import _Diary, _first_line, _pages, _places
from .registry import bug, loop, task


def _watch_schedule(answer):
    model, (x, y) = _first_line().double(), _places()
    diary = _Diary(model.parameters(), momentum=0.5)
    scheduler = torch.optim.lr_scheduler.LambdaLR(diary, lambda count: 1 / (1 + count))
    batches = [(x[:2].double(), y[:2].double()), (x[2:].double(), y[2:].double())]
    answer(model, diary, scheduler, batches, 3)
    return _pages(model, diary)


@task(observe=_watch_schedule)
def scheduled_loop(model, optimizer, scheduler, batches, epochs):
    """Which of the two reads the learning rate, and which writes the next one?

    The scheduler of this sheet counts batches, not epochs.
    """
    for _ in range(epochs):
        for x, y in batches:
            optimizer.zero_grad()
            ((model(x) - y) ** 2).mean().backward()
            optimizer.step()
            scheduler.step()


def _watch_resume(answer):
    def new():
        model = _first_line().double()
        diary = _Diary(model.parameters(), momentum=0.5)
        return model, diary, torch.optim.lr_scheduler.LambdaLR(diary, lambda count: 1 / (1 + count))

    def walk(diary, scheduler, steps):
        for _ in range(steps):
            for p in diary.param_groups[0]["params"]:
                p.grad = torch.ones_like(p)
            diary.step()
            scheduler.step()

    model, diary, scheduler = new()
    walk(diary, scheduler, 3)
    saved = {"model": model.state_dict(), "optimizer": diary.state_dict(), "scheduler": scheduler.state_dict()}
    model, diary, scheduler = new()
    answer(saved, model, diary, scheduler)
    diary.gradients.clear(), diary.rates.clear()
    walk(diary, scheduler, 3)
    return _pages(model, diary)


@task(observe=_watch_resume)
def resume(saved, model, optimizer, scheduler):
    """Three things have a memory. Which of them did you load?

    Each has `load_state_dict`, and saved has an entry for each.
    """
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    scheduler.load_state_dict(saved["scheduler"])


@task((0, 4, 1.0), (1, 4, 1.0), (3, 4, 0.2), (9, 4, 0.2))
def warmup(t, length, peak):
    """Of `length` steps, the first, t = 0, should already move, and the last of them at the peak.

    (t + 1) / length of the peak, and never more than all of it.
    """
    return peak * min(1, (t + 1) / length)


@loop("scheduled_loop")
def scheduled_loop_scheduler_first(model, optimizer, scheduler, batches, epochs):
    """The scheduler moves before the optimizer, so the first learning rate is skipped.

    Which step should the first learning rate belong to?
    """
    for _ in range(epochs):
        for x, y in batches:
            optimizer.zero_grad()
            ((model(x) - y) ** 2).mean().backward()
            scheduler.step()
            optimizer.step()


@loop("scheduled_loop")
def scheduled_loop_per_epoch_for_per_batch(model, optimizer, scheduler, batches, epochs):
    """The scheduler is asked once in an epoch, and it was made to be asked at every batch.

    If its curve has 1000 points, how many times must it be called to reach the end?
    """
    for _ in range(epochs):
        for x, y in batches:
            optimizer.zero_grad()
            ((model(x) - y) ** 2).mean().backward()
            optimizer.step()
        scheduler.step()


@loop("scheduled_loop")
def scheduled_loop_never_scheduled(model, optimizer, scheduler, batches, epochs):
    """The scheduler is never asked, so the learning rate stays where it began.

    Which call moves the schedule on?
    """
    for _ in range(epochs):
        for x, y in batches:
            optimizer.zero_grad()
            ((model(x) - y) ** 2).mean().backward()
            optimizer.step()


@bug("resume")
def resume_from_zero(saved, model, optimizer, scheduler):
    """The schedule begins again at zero: after one more step the learning rate is that of the second step.

    Which of the three entries of the checkpoint knows how many steps there have been?
    """
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])


@bug("resume")
def resume_without_the_optimizer(saved, model, optimizer, scheduler):
    """The optimizer begins again with an empty memory.

    Which of the three entries of the checkpoint holds its buffers?
    """
    model.load_state_dict(saved["model"])
    scheduler.load_state_dict(saved["scheduler"])


@bug("resume")
def resume_weights_only(saved, model, optimizer, scheduler):
    """Only the weights come back; the optimizer and the schedule begin anew.

    What else had a memory when the checkpoint was written?
    """
    model.load_state_dict(saved["model"])


@bug("warmup")
def warmup_counts_zero_twice(t, length, peak):
    """The first two steps have the same learning rate, so the warm-up is one step late.

    How many steps have been begun at t = 1?
    """
    return peak * min(1, max(t, 1) / length)


@bug("warmup")
def warmup_begins_at_zero(t, length, peak):
    """At t = 0 the learning rate is zero, so the first step is wasted.

    Which fraction of the peak should the first of four steps have?
    """
    return peak * min(1, t / length)
