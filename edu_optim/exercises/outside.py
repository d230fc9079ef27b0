"""What goes wrong where an optimizer class is called from outside: with a closure, by a schedule, after loading."""

from .exercise import edit

DECORATOR = "    @torch.no_grad()\n"
INIT, END, EVERY = "super().__init__(params, options)", "        return loss", "for group in self.param_groups:"
CALLED = [
    edit(
        "the closure is not called",
        {"                loss = closure()": "                pass"},
        why="step(closure) should evaluate the model again by calling it.",
        ask="What must happen between `closure` coming in and the gradients being read?",
    ),
    edit(
        "the closure is not called",
        {"loss = closure()": "loss = closure"},
        why="step(closure) returns the closure itself and not what it evaluates to.",
        ask="What stands behind the name of a function when it is called?",
    ),
    edit(
        "the closure is called while gradients are switched off",
        {"with torch.enable_grad():": "with torch.no_grad():"},
        why="Its backward needs them.",
        ask="Your step switches gradients off; what switches them on for the closure?",
    ),
    edit(
        "the loss of the closure is not returned",
        {END: "        return None"},
        why="torch's optimizers return what the closure returned.",
        ask="What does step() return, and what should it?",
    ),
    edit(
        "zero_grad() does nothing",
        {DECORATOR: f"    def zero_grad(self, set_to_none=True):\n        pass\n\n{DECORATOR}"},
        why="The gradients are still there afterwards, so the next ones are added to them.",
        ask="What should be in p.grad after zero_grad()?",
    ),
    edit(
        "step() changes the learning rate of its group",
        {
            END: f'        {EVERY}\n            group["lr"] /= 2\n{END}',
        },
        why="It halves the rate that a schedule or the user has written there.",
        ask="Who may write into group['lr']?",
    ),
    edit(
        "the groups from before loading are used",
        {
            INIT: f"{INIT}\n        self.groups = self.param_groups",
            EVERY: "for group in self.groups:",
        },
        why="load_state_dict replaces self.param_groups; what was kept of it earlier is out of date.",
        ask="When do you read self.param_groups, once or at every step?",
    ),
    edit(
        "the groups are copied when the optimizer is made",
        {
            "super().__init__(params, options)": (
                "super().__init__(params, options)\n        self.groups = [dict(group) for group in self.param_groups]"
            ),
            EVERY: "for group in self.groups:",
        },
        why="What is written into a group later, by a schedule or by hand, reaches no parameter.",
        ask="When do you read self.param_groups, once or at every step?",
    ),
]
