"""Lesson 10, loops with a schedule: its exercises, their hints, and the answers that go wrong."""

import torch

from ..problems import line_model, line_points
from .exercise import Exercise, at, edit
from .lesson_00 import LOOP
from .loops import BATCH, SLIPS, leave_gradients, notes, recorded


def scheduled_loop(model, optimizer, scheduler, batches, epochs):
    for _ in range(epochs):
        for x, y in batches:
            optimizer.zero_grad()
            loss = ((model(x) - y) ** 2).mean()
            loss.backward()
            optimizer.step()
            scheduler.step()


def resume(saved, model, optimizer, scheduler):
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    scheduler.load_state_dict(saved["scheduler"])


def warmup(t, length, peak):
    return peak * min(1, (t + 1) / length)


def _scheduled():
    model = line_model().double()
    recorder = recorded(model, momentum=0.5)
    return model, recorder, torch.optim.lr_scheduler.LambdaLR(recorder, lambda count: 1 / (1 + count))


def _watch_schedule(answer):
    x, y = (column.double() for column in line_points())
    for when in ("", "with a gradient left from before, "):
        model, recorder, scheduler = _scheduled()
        if when:
            leave_gradients(model)
        answer(model, recorder, scheduler, [(x[:2], y[:2]), (x[2:], y[2:])], 3)
        yield from notes(model, recorder, when)


def _watch_resume(answer):
    def go_on(recorder, scheduler, steps):
        for _ in range(steps):
            for p in recorder.param_groups[0]["params"]:
                p.grad = torch.ones_like(p)
            recorder.step()
            scheduler.step()

    model, recorder, scheduler = _scheduled()
    go_on(recorder, scheduler, 3)
    saved = {"model": model.state_dict(), "optimizer": recorder.state_dict(), "scheduler": scheduler.state_dict()}
    model, recorder, scheduler = _scheduled()
    answer(saved, model, recorder, scheduler)
    recorder.gradients.clear(), recorder.rates.clear()
    go_on(recorder, scheduler, 3)
    yield from notes(model, recorder)


EXERCISES = [
    Exercise(
        "scheduled_loop",
        scheduled_loop,
        [
            "Which of the two reads the learning rate, and which writes the next one?",
            "This scheduler counts batches, not epochs.",
        ],
        [
            edit(
                "the scheduler moves before the optimizer",
                {BATCH: "            scheduler.step()\n            optimizer.step()\n"},
                why="The first learning rate is skipped.",
                ask="Which step should the first learning rate belong to?",
            ),
            edit(
                "the scheduler is asked once in an epoch",
                {BATCH: "            optimizer.step()\n        scheduler.step()\n"},
                why="It was made to be asked at every batch.",
                ask="If its curve has 1000 points, how many times must it be called to reach the end?",
            ),
            edit(
                "the scheduler is never asked",
                {"            scheduler.step()\n": ""},
                why="The learning rate stays where it began.",
                ask="Which call moves the schedule on?",
            ),
            LOOP[0],
            *SLIPS,
        ],
        _watch_schedule,
    ),
    Exercise(
        "resume",
        resume,
        [
            "Three things have a memory. Which of them did you load?",
            "Each has `load_state_dict`, and saved has an entry for each.",
        ],
        [
            edit(
                "the schedule begins again at zero",
                {'    scheduler.load_state_dict(saved["scheduler"])\n': ""},
                why="After one more step the learning rate is that of the second step.",
                ask="Which of the three entries of the checkpoint knows how many steps there have been?",
            ),
            edit(
                "the optimizer begins again with an empty memory",
                {'    optimizer.load_state_dict(saved["optimizer"])\n': ""},
                why="Its buffers are not loaded.",
                ask="Which of the three entries of the checkpoint holds them?",
            ),
            edit(
                "only the weights come back",
                {
                    '    optimizer.load_state_dict(saved["optimizer"])\n': "",
                    '    scheduler.load_state_dict(saved["scheduler"])\n': "",
                },
                why="The optimizer and the schedule begin anew.",
                ask="What else had a memory when the checkpoint was written?",
            ),
            edit(
                "the weights are not loaded",
                {'    model.load_state_dict(saved["model"])\n': ""},
                why="Optimizer and schedule go on, with a new model.",
                ask="Which entry of the checkpoint holds the parameters?",
            ),
        ],
        _watch_resume,
    ),
    Exercise(
        "warmup",
        warmup,
        [
            "Of `length` steps, the first, t = 0, should already move, and the last of them at the peak.",
            "(t + 1) / length of the peak, and never more than all of it.",
        ],
        [
            edit(
                "the first two steps have the same learning rate",
                {"(t + 1)": "max(t, 1)"},
                why="The warm-up is one step late.",
                ask="How many steps have been begun at t = 1?",
            ),
            edit(
                "the first step does not move",
                {"(t + 1)": "t"},
                why="At t = 0 the learning rate is zero, so the first step is wasted.",
                ask="Which fraction of the peak should the first of four steps have?",
            ),
            edit(
                "it goes on beyond the peak",
                {"min(1, (t + 1) / length)": "(t + 1) / length"},
                why="After the warm-up the learning rate still grows.",
                ask="What should it be once t + 1 is larger than length?",
            ),
        ],
        at("warmup", (3, 7, 0.23), (0, 7, 0.23), (11, 7, 0.61), (1, 3, 1.7)),
    ),
]
