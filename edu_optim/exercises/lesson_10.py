"""Lesson 10, schedules, clipping and accumulation: its exercises, their hints, and the answers that go wrong."""

import math
import statistics

import torch
from torch.optim import lr_scheduler

from ..problems import line_model, line_points
from .clipping import CLIPPING
from .ends import ENDS
from .exercise import Exercise, at, edit
from .loops import leave_gradients, notes, recorded
from .parts import PARTS


def scheduled_loop(model, optimizer, scheduler, batches):
    for parts in batches:
        count = sum(len(x) for x, y in parts)
        optimizer.zero_grad()
        for x, y in parts:
            loss = ((model(x) - y) ** 2).mean() * len(x) / count
            loss.backward()
        optimizer.step()
        scheduler.step()


def resume(saved, model, optimizer, scheduler):
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    scheduler.load_state_dict(saved["scheduler"])


def warmup_cosine(t, length, total, last):
    if t < length:
        return (t + 1) / length
    share = (t + 1 - length) / (total - length)
    return last + (1 - last) * (1 + math.cos(math.pi * share)) / 2


def largest_factor(length, beta1, beta2):
    return max(min(1, t / length) * (1 - beta1**t) / (1 - beta2**t) ** 0.5 for t in range(1, 1001))


def clip_factor(norms, times):
    *before, now = norms
    return min(1, times * statistics.median(before) / now)


def _scheduled(make=lambda recorder: lr_scheduler.LambdaLR(recorder, lambda count: 1 / (1 + count))):
    model = line_model().double()
    recorder = recorded(model, momentum=0.5)
    return model, recorder, make(recorder)


def _watch_schedule(answer):
    x, y = (column.double() for column in line_points())
    x, y = torch.cat([x, x**2]), torch.cat([y, y + 1])
    cuts = [[3, 1, 3], [1, 4], [6, 2], [6]]
    for when in ("", "with a gradient left from before, "):
        model, recorder, scheduler = _scheduled()
        if when:
            leave_gradients(model)
        batches = [list(zip(x[: sum(cut)].split(cut), y[: sum(cut)].split(cut), strict=True)) for cut in cuts]
        answer(model, recorder, scheduler, batches)
        yield from notes(model, recorder, when)
        yield f"{when}the number of calls of scheduler.step()", scheduler.last_epoch


def _watch_resume(answer):
    def go_on(recorder, scheduler, steps):
        for _ in range(steps):
            for p in recorder.param_groups[0]["params"]:
                p.grad = torch.ones_like(p)
            recorder.step()
            scheduler.step()

    schedules = {
        "with ExponentialLR, ": lambda recorder: lr_scheduler.ExponentialLR(recorder, 0.5),
        "with MultiplicativeLR, ": lambda recorder: lr_scheduler.MultiplicativeLR(recorder, lambda count: 0.5),
        "with warm restarts, ": lambda recorder: lr_scheduler.CosineAnnealingWarmRestarts(recorder, 5),
    }
    for when, *make in (("",), *schedules.items()):
        model, recorder, scheduler = _scheduled(*make)
        go_on(recorder, scheduler, 3)
        saved = {"model": model.state_dict(), "optimizer": recorder.state_dict(), "scheduler": scheduler.state_dict()}
        model, recorder, scheduler = _scheduled(*make)
        answer(saved, model, recorder, scheduler)
        recorder.gradients.clear(), recorder.rates.clear()
        go_on(recorder, scheduler, 3)
        yield from notes(model, recorder, when)


EXERCISES = [
    Exercise(
        "warmup_cosine",
        warmup_cosine,
        [
            "Of `length` steps, the first, t = 0, should already move; which fraction of the peak has it?",
            "The cosine begins at step length - 1, where the rate is the peak, and ends at step total - 1. At step t, "
            "which share of that time is over?",
            "The share is (t + 1 - length) / (total - length); half a cosine falls from 1 to `last` as it goes from 0 "
            "to 1.",
        ],
        ENDS,
        at(
            "warmup_cosine",
            *((t, 7, 23, 0.03) for t in (0, 3, 6, 7, 13, 22)),
            *((t, 1, 11, 0.2) for t in (1, 5, 10)),
            *((t, 20, 26, 0.1) for t in (9, 15, 23)),
        ),
    ),
    Exercise(
        "scheduled_loop",
        scheduled_loop,
        [
            "Which of the two reads the learning rate, and which writes the next one?",
            "How much should one example weigh in the gradient, if eight are cut into parts of one and of seven?",
            "The mean over a part times the part's share of the examples; `zero_grad` once before the parts, and both "
            "steps once after them.",
        ],
        PARTS,
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
            *(
                edit(
                    "the schedule is walked again",
                    {
                        'scheduler.load_state_dict(saved["scheduler"])': (
                            f'for _ in range(saved["scheduler"]["{count}"]):\n        scheduler.step()'
                        )
                    },
                    why="A scheduler that multiplies the rate it finds lowers the loaded one once more for each step.",
                    ask="The optimizer's entry holds a learning rate; how often has it been lowered already?",
                )
                for count in ("last_epoch", "_step_count")
            ),
            edit(
                "the optimizer begins again with an empty memory",
                {'    optimizer.load_state_dict(saved["optimizer"])\n': ""},
                why="The optimizer that goes on has no buffers yet.",
                ask="Which of the three entries of the checkpoint holds them?",
            ),
            edit(
                "the learning rate comes back, the buffers do not",
                {
                    'optimizer.load_state_dict(saved["optimizer"])': (
                        'optimizer.param_groups[0]["lr"] = saved["optimizer"]["param_groups"][0]["lr"]'
                    )
                },
                why="The first step is taken at the right rate, with a momentum that begins anew.",
                ask="What does the optimizer remember besides its options?",
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
                "nothing is loaded",
                {
                    '    model.load_state_dict(saved["model"])\n': "    model.state_dict()\n",
                    '    optimizer.load_state_dict(saved["optimizer"])\n': "",
                    '    scheduler.load_state_dict(saved["scheduler"])\n': "",
                },
                why="Model, optimizer and scheduler are as new.",
                ask="Which method of each reads a state?",
            ),
            edit(
                "of the schedule only the number of the step comes back",
                {
                    'scheduler.load_state_dict(saved["scheduler"])': (
                        'scheduler.last_epoch = saved["scheduler"]["last_epoch"]'
                    )
                },
                why="For some schedules that is enough; one with warm restarts counts from the last restart, too.",
                ask='What else does `saved["scheduler"]` hold, and which method loads all of it?',
            ),
            edit(
                "the learning rate is set back to its first value",
                {
                    'scheduler.load_state_dict(saved["scheduler"])\n': (
                        'scheduler.load_state_dict(saved["scheduler"])\n'
                        '    optimizer.param_groups[0]["lr"] = scheduler.base_lrs[0]\n'
                    )
                },
                why="The optimizer's entry had brought back the rate of the next step, and then it is overwritten.",
                ask="What does your function leave in `optimizer.param_groups`, and what does `saved` hold there?",
            ),
            edit(
                "the scheduler moves once more",
                {
                    'scheduler.load_state_dict(saved["scheduler"])\n': (
                        'scheduler.load_state_dict(saved["scheduler"])\n    scheduler.step()\n'
                    )
                },
                why="It was moved after its last step already, so one learning rate is skipped.",
                ask="When does the scheduler move in a loop, before the optimizer or after it?",
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
        "largest_factor",
        largest_factor,
        [
            "On a steady gradient, what are m and the root of v at step t without their corrections, and what is their "
            "ratio?",
            "The ratio is (1 - beta1**t) / (1 - beta2**t)**0.5. What does the warmup multiply it by?",
            "Try every step from 1 to 1000 and take the largest product: no formula is needed.",
        ],
        [
            edit(
                "the first step alone",
                {"range(1, 1001)": "range(1, 2)"},
                why="The first step is not the longest.",
                ask="What does the factor do from the first step to the second?",
            ),
            edit(
                "that is the factor of the last step alone",
                {"range(1, 1001)": "[1000]"},
                why="The longest step need not be the last of all.",
                ask="What does the factor without a warmup do in its first hundred steps?",
            ),
            *(
                edit(
                    "not all of the first 1,000 steps are looked at",
                    {"range(1, 1001)": f"range(1, {last + 1})"},
                    why="With a warmup that is long, a step comes later that is longer.",
                    ask="How many steps do you look at, and at which of them does a warmup of 2,500 end?",
                )
                for last in (100, 200, 500)
            ),
            edit(
                "which step is the longest, not how long it is",
                {
                    "max(min": "max(range(1, 1001), key=lambda t: min",
                    " for t in range(1, 1001))": ")",
                },
                why="The number of a step is returned.",
                ask="What does the factor at that step say?",
            ),
            edit(
                "the warmup is one step late",
                {"min(1, t / length)": "min(1, (t - 1) / length)"},
                why="Its first step, t = 1, does not move.",
                ask="Which fraction of the rate has step 1 of a warmup of four?",
            ),
            edit(
                "the warmup is one step early",
                {"min(1, t / length)": "min(1, (t + 1) / length)"},
                why="The steps are counted from 1 here, so `t + 1` is that of the next.",
                ask="Which fraction of the rate has step 1 of a warmup of four?",
            ),
            edit(
                "the steps after the warmup are left out",
                {"range(1, 1001)": "[length]"},
                why="The longest step need not be one of the warmup.",
                ask="What does the factor without a warmup do in its first hundred steps?",
            ),
            edit(
                "without the warmup",
                {"min(1, t / length) * ": ""},
                why="This is the largest factor where there is no warmup.",
                ask="What does the warmup multiply step t by?",
            ),
            edit(
                "the warmup goes on beyond the peak",
                {"min(1, t / length)": "t / length"},
                why="After the warmup the learning rate still grows.",
                ask="What should the warmup's factor be once t is larger than length?",
            ),
            edit(
                "without the root",
                {" ** 0.5": ""},
                why="v is a mean of squares, and its root is what Adam divides by.",
                ask="Which power of the gradient is in v, and which in the step?",
            ),
            edit(
                "m is taken as if it were corrected",
                {" * (1 - beta1**t)": ""},
                why="Without its correction m is too small at first, so the first steps are shorter than this.",
                ask="What is m after one step with a gradient of 1?",
            ),
            edit(
                "v is taken as if it were corrected",
                {" / (1 - beta2**t) ** 0.5": ""},
                why="Without its correction v is too small at first, so the first steps are longer than this.",
                ask="What is v after one step with a gradient of 1?",
            ),
            edit(
                "m and v are taken as if they were corrected",
                {" * (1 - beta1**t) / (1 - beta2**t) ** 0.5": ""},
                why="Then nothing but the warmup is left, and this is its largest factor.",
                ask="What are m and v after one step with a gradient of 1, and what is m divided by the root of v?",
            ),
            edit(
                "upside down",
                {"(1 - beta1**t) / (1 - beta2**t) ** 0.5": "(1 - beta2**t) ** 0.5 / (1 - beta1**t)"},
                why="This is what the corrections multiply the step by, and here they are missing.",
                ask="Is the first step without corrections longer or shorter than lr?",
            ),
        ],
        at(
            "largest_factor",
            *((1, 0.8, 0.98), (7, 0.9, 0.99), (40, 0.85, 0.997), (300, 0.7, 0.9995), (2500, 0.9, 0.99)),
            (50, 0.998, 0.9995),
        ),
        rtol=1e-4,
        secret=True,
    ),
    Exercise(
        "clip_factor",
        clip_factor,
        [
            "If every length is a thousand times as large, may your answer change?",
            "What is usual is the median of the lengths before the last; the last may be the spike itself.",
            "The limit is times * median. A longer gradient is multiplied by limit / length, a shorter one by 1.",
        ],
        CLIPPING,
        at(
            "clip_factor",
            ([0.7, 0.4, 0.9, 0.5, 7.3], 2.3),
            ([0.31, 0.42, 0.35, 0.53], 1.9),
            ([130.0, 170.0, 90.0, 2100.0, 150.0, 710.0], 3.7),
            ([0.002, 0.003, 0.0017], 1.1),
            ([5.0, 3.1, 400.0, 4.7, 90.0], 2.1),
            ([1.1, 5.3, 0.9, 1.2, 1.0, 9.7], 2.2),
            ([1.0, 3.0, 1.9], 1.1),
            ([2.0, 3.1, 8.5, 1.2, 6.4, 4.9, 0.7, 30.0], 1.6),
        ),
    ),
]
